//! Golden bytes of the members' door, both directions.

use clearway_types::account::{Account, Currency, KeyEntry, Participant, Role};
use clearway_types::code::{Outcome, ResultCode};
use clearway_types::codec::Reader;
use clearway_types::envelope::Body;
use clearway_types::units::{
    AccountId, Height, LedgerId, ParticipantId, TimeMs, TransferId, UnixSeconds,
};
use clearway_types::wire::query::{
    AccountView, FollowCursor, FollowItem, FollowRequest, Found, LimitView, Lookup, StatusView,
};
use clearway_types::wire::roster::{ApprovalView, LedgerView, RosterView};
use clearway_types::wire::{
    ALPN, AnswerHeader, AnswerStatus, CloseCode, Op, RunHeader, StreamHeader,
};
use zerocopy::IntoBytes as _;
use zerocopy::little_endian::{U16, U32, U64, U128};

use super::records::{envelope, events};
use super::{Table, digest, fill, n16, n32, n64, n128};

pub(super) fn add(table: &mut Table) {
    table.add("protocol name", ALPN);
    for op in Op::ALL {
        table.add(format!("request {op:?}"), request(op));
    }
    add_answers(table);
    add_feed(table);
    for &code in CloseCode::ALL {
        let number = code as u32;
        table.add(format!("close code {}", code.name()), number.to_le_bytes());
    }
}

/// A whole request: the header and what the op asks for.
fn request(op: Op) -> Vec<u8> {
    let lookup = |seed| Lookup {
        signer: ParticipantId(n32(seed)),
        id: TransferId(fill(seed + 4)),
    };
    let envelope = envelope();
    let (count, items) = match op {
        Op::Submit => (2, [envelope, envelope].as_bytes().to_vec()),
        Op::SubmitHinted => (1, [envelope.as_bytes(), &fill::<32>(0xe0)].concat()),
        Op::Lookup => {
            let mut bytes = Vec::new();
            lookup(0x10).encode(&mut bytes);
            lookup(0x30).encode(&mut bytes);
            (2, bytes)
        }
        Op::Proof => {
            let mut bytes = Vec::new();
            lookup(0x10).encode(&mut bytes);
            (1, bytes)
        }
        Op::Account => (1, n64(0x10).to_le_bytes().to_vec()),
        Op::Follow => {
            let from = FollowCursor {
                height: Height(n64(0x20)),
                index: n32(0x28),
            };
            let account = AccountId(n64(0x10));
            (1, FollowRequest { account, from }.to_bytes())
        }
        Op::Status => (0, Vec::new()),
        Op::Roster => (1, n32(0x10).to_le_bytes().to_vec()),
    };
    assert_eq!(items.len(), count * op.item_bytes(), "{op:?}");
    [&StreamHeader::new(op, count).to_bytes()[..], &items].concat()
}

fn add_answers(table: &mut Table) {
    let run = RunHeader::new(Height(n64(0x10)), n32(0x20), n32(0x30));
    table.add("answer run", run.to_bytes());
    for &status in AnswerStatus::ALL {
        let head = AnswerHeader::new(status, 0x0001_0203);
        table.add(format!("answer head {}", status.name()), head.to_bytes());
    }
    for (name, found) in [("found", Some(&found())), ("not found", None)] {
        let mut bytes = Vec::new();
        Found::encode(found, &mut bytes);
        table.add(format!("answer {name}"), bytes);
    }
    table.add("answer account", account_view().to_bytes());
    table.add("answer status", status().to_bytes());
    let bytes = roster().to_bytes();
    assert_eq!(RosterView::decode(&bytes), Ok(roster()));
    table.add("answer roster", bytes);
}

pub(crate) fn found() -> Found {
    Found {
        height: Height(n64(0x10)),
        index: n32(0x20),
        outcome: Outcome::duplicate_of(ResultCode::InsufficientFunds),
    }
}

pub(crate) fn account_view() -> AccountView {
    AccountView {
        height: Height(n64(0x10)),
        account: account(),
        limit_count: 1,
        limits: vec![LimitView {
            towards: ParticipantId(n32(0xa0)),
            limit: n64(0xa8),
            net: n128(0xb0).cast_signed(),
        }],
    }
}

fn account() -> Account {
    Account {
        id: U64::new(n64(0x10)),
        owner: U32::new(n32(0x18)),
        ledger: U32::new(n32(0x1c)),
        debits_posted: U128::new(n128(0x20)),
        credits_posted: U128::new(n128(0x30)),
        debits_pending: U128::new(n128(0x40)),
        credits_pending: U128::new(n128(0x50)),
        credit_line: U64::new(n64(0x60)),
        reserve: U64::new(n64(0x68)),
        alias: fill(0x70),
        opened_at: U64::new(n64(0x80)),
        last_height: U32::new(n32(0x88)),
        code: U16::new(n16(0x8c)),
        flags: U16::new(n16(0x8e)),
    }
}

pub(crate) fn status() -> StatusView {
    StatusView {
        genesis: digest(0x10),
        height: Height(n64(0x30)),
        exec_head: digest(0x40),
        time: TimeMs(n64(0x60)),
        executed: Height(n64(0x70)),
        clock: TimeMs(n64(0x80)),
        directory_height: Height(n64(0x90)),
    }
}

pub(crate) fn roster() -> RosterView {
    let key = |seed| KeyEntry {
        public_key: fill(seed),
        valid_from: Height(n64(seed + 0x20)),
        valid_to: Height(n64(seed + 0x28)),
    };
    let participant = Participant {
        id: ParticipantId(n32(0x20)),
        role: Role::Auditor,
        suspended: true,
        sponsor: ParticipantId(n32(0x28)),
        lei: fill(0x30),
        bic: fill(0x44),
        keys: [Some(key(0x50)), None, Some(key(0x90)), None],
    };
    let ledger = |seed: u8, supply| LedgerView {
        currency: Currency {
            id: LedgerId(n32(seed)),
            code: fill(seed + 4),
            exponent: seed + 12,
            issuer: ParticipantId(n32(seed + 16)),
            issuer_account: AccountId(n64(seed + 20)),
        },
        supply,
    };
    let approval = |seed: u8, body: Option<Body>| ApprovalView {
        content: digest(seed),
        until: UnixSeconds(n32(seed + 32)),
        operator_count: 2,
        operators: vec![ParticipantId(n32(seed + 36)), ParticipantId(n32(seed + 40))],
        body,
    };
    RosterView {
        height: Height(n64(0x10)),
        time: TimeMs(n64(0x18)),
        operator_threshold: n32(0x1c),
        next: ParticipantId(n32(0x14)),
        participants: vec![participant],
        ledgers: vec![ledger(0xc0, Some(n128(0xd0))), ledger(0xe0, None)],
        approvals: Some(vec![
            approval(0x11, Some(envelope().body)),
            approval(0x71, None),
        ]),
    }
}

fn add_feed(table: &mut Table) {
    for (name, item) in feed() {
        let mut bytes = Vec::new();
        item.encode(&mut bytes);
        assert_eq!(FollowItem::decode(&mut Reader::new(&bytes)), Ok(item));
        table.add(format!("feed {name}"), bytes);
    }
}

/// One of each item of a feed, with its name.
pub(crate) fn feed() -> Vec<(String, FollowItem)> {
    let (height, index) = (Height(n64(0x10)), n32(0x20));
    let entry = FollowItem::Entry {
        height,
        index,
        outcome: Outcome::duplicate_of(ResultCode::InsufficientFunds),
        envelope: envelope(),
    };
    let status = AnswerStatus::Failed;
    let mut items = vec![("entry".to_owned(), entry)];
    items.extend(events().into_iter().map(|event| {
        let item = FollowItem::Event {
            height,
            index,
            event,
        };
        (format!("event {}", event.name()), item)
    }));
    items.push(("mark".to_owned(), FollowItem::Through { height }));
    items.push(("end".to_owned(), FollowItem::Broken { height, status }));
    items
}
