//! The members' door on the page: headers, requests, answers, close codes.

use clearway_types::account::{Account, AccountFlags, Participant};
use clearway_types::codec::Reader;
use clearway_types::wire::query::{FollowItem, Found, LimitView};
use clearway_types::wire::roster::{ApprovalView, LedgerView};
use clearway_types::wire::{
    AnswerHeader, AnswerStatus, CloseCode, MAGIC, Op, RunHeader, StreamHeader,
};
use zerocopy::IntoBytes as _;

use super::Named;
use super::table::{counted, held, joined, layout, rows};
use crate::bytes::wire::{account_view, feed, found, roster, status};

pub(super) fn all() -> Vec<Named> {
    vec![
        ("StreamHeader", stream_header()),
        ("ops", ops()),
        ("RunHeader", run_header()),
        ("AnswerHeader", answer_header()),
        ("statuses", statuses()),
        ("views", views()),
        ("account", account()),
        ("follow", follow()),
        ("closes", closes()),
    ]
}

fn stream_header() -> String {
    assert_eq!(MAGIC, *b"CLWY");
    layout!(StreamHeader {
        magic: "\"CLWY\"",
        version: "1",
        op: "see the ops",
        count: "items that follow",
        reserved: "zero",
    })
}

fn run_header() -> String {
    layout!(RunHeader {
        height: "height of the block; 0: refused before order",
        first_index: "position of the first outcome, from 0",
        count: "outcomes that follow",
    })
}

fn answer_header() -> String {
    layout!(AnswerHeader {
        status: "see below; nothing follows where it is not 0",
        reserved: "zero",
        bytes: "bytes that follow; 0 for the endless answer of Follow",
    })
}

fn ops() -> String {
    let cells = Op::ALL.map(|op| {
        let (min, max) = op.count_range();
        let count = match min == max {
            true => min.to_string(),
            false => format!("{min} to {max}"),
        };
        let (item, answer) = match op {
            Op::Submit => ("envelope", "runs"),
            Op::Lookup => ("signer, identifier", "what became of each"),
            Op::Proof => ("signer, identifier", "a proof"),
            Op::Account => ("account", "balance and settings"),
            Op::Follow => ("account, place", "all that touches it from there on"),
            Op::Status => ("", "how far the node is"),
            Op::SubmitHinted => ("envelope, hint", "runs"),
            Op::Roster => ("participant", "who and what is registered"),
        };
        let number = (op as u16).to_string();
        let bytes = op.item_bytes().to_string();
        vec![
            number,
            format!("{op:?}"),
            count,
            item.to_owned(),
            bytes,
            answer.to_owned(),
        ]
    });
    rows(
        &["op", "name", "items", "item", "bytes each", "answer"],
        cells,
    )
}

fn statuses() -> String {
    let cells = AnswerStatus::ALL.iter().map(|&one| {
        vec![
            (one as u16).to_string(),
            one.name().to_owned(),
            one.help().to_owned(),
        ]
    });
    rows(&["status", "name", "meaning"], cells)
}

fn closes() -> String {
    let cells = CloseCode::ALL.iter().map(|&one| {
        vec![
            (one as u32).to_string(),
            one.name().to_owned(),
            one.help().to_owned(),
        ]
    });
    rows(&["code", "name", "meaning"], cells)
}

fn found_parts() -> String {
    let of = found();
    let mut bytes = Vec::new();
    Found::encode(Some(&of), &mut bytes);
    held(
        &bytes,
        &[
            ("height u64", &of.height.0.to_le_bytes()),
            ("index u32", &of.index.to_le_bytes()),
            ("outcome (4)", &of.outcome.to_bytes()),
        ],
    )
}

fn account() -> String {
    use AccountFlags as F;
    let flags = [F::ISSUER, F::FROZEN_DEBIT, F::FROZEN_CREDIT, F::CLOSED];
    assert_eq!(flags, [1, 2, 4, 8], "as the table has them");
    layout!(Account {
        id: "its number",
        owner: "participant",
        ledger: "currency or asset",
        debits_posted: "number: settled debits",
        credits_posted: "number: settled credits",
        debits_pending: "number: held debits",
        credits_pending: "number: held credits",
        credit_line: "how far debits may exceed credits",
        reserve: "0 so far",
        alias: "short hash of an IBAN or proxy",
        opened_at: "height at which it was opened",
        last_height: "low 32 bits of the height that changed it last",
        code: "the owner's own classification",
        flags: "1 issuer's account, 2 no debits, 4 no credits, 8 closed",
    })
}

fn status_parts() -> String {
    let of = status();
    held(
        &of.to_bytes(),
        &[
            ("genesis hash (32)", &of.genesis.0),
            ("height u64", &of.height.0.to_le_bytes()),
            ("its head (32)", &of.exec_head.0),
            ("its cluster time in ms u64", &of.time.0.to_le_bytes()),
            ("last height executed u64", &of.executed.0.to_le_bytes()),
            ("the node's clock in ms u64", &of.clock.0.to_le_bytes()),
            (
                "height of the keys in use u64",
                &of.directory_height.0.to_le_bytes(),
            ),
        ],
    )
}

fn follow() -> String {
    let cells = feed().into_iter().map(|(_, item)| {
        let mut bytes = Vec::new();
        item.encode(&mut bytes);
        assert_eq!(FollowItem::decode(&mut Reader::new(&bytes)), Ok(item));
        let (text, parts, means) = follow_item(&item, bytes[0]);
        assert_eq!(parts, bytes, "{text}");
        vec![text, means.to_owned()]
    });
    let mut cells: Vec<_> = cells.collect();
    // One row for all events.
    cells.dedup();
    rows(&["item", "meaning"], cells)
}

fn follow_item(item: &FollowItem, tag: u8) -> (String, Vec<u8>, &'static str) {
    let first: (&str, &[u8]) = ("", &[tag]);
    let (parts, means) = match item {
        FollowItem::Entry {
            height,
            index,
            outcome,
            envelope,
        } => {
            let height = height.0.to_le_bytes();
            let (index, outcome) = (index.to_le_bytes(), outcome.to_bytes());
            let parts = [
                first,
                ("height u64", &height),
                ("index u32", &index),
                ("outcome 4", &outcome),
                ("envelope 192", envelope.as_bytes()),
            ];
            (
                joined(&parts),
                "an envelope that names the account was executed",
            )
        }
        FollowItem::Event {
            height,
            index,
            event,
        } => {
            let (height, index) = (height.0.to_le_bytes(), index.to_le_bytes());
            let mut bytes = Vec::new();
            event.encode(&mut bytes);
            let place = [first, ("height u64", &height), ("index u32", &index)];
            let parts = [&place[..], &[("event", &bytes)]].concat();
            (
                joined(&parts),
                "execution did this to the account by itself",
            )
        }
        FollowItem::Through { height } => {
            let height = height.0.to_le_bytes();
            let parts = [first, ("height u64", &height[..])];
            (
                joined(&parts),
                "everything up to this height has been given",
            )
        }
        FollowItem::Broken { height, status } => {
            let (height, status) = (height.0.to_le_bytes(), (*status as u16).to_le_bytes());
            let parts = [first, ("height u64", &height), ("status u16", &status)];
            (
                joined(&parts),
                "the end: this height cannot be given, for this reason",
            )
        }
    };
    (parts.0, parts.1, means)
}

/// Records of answers, one a row.
fn views() -> String {
    let (participant, slot) = participant_parts(&roster().participants[0]);
    let of = roster();
    let ledger = ledger_parts(&of.ledgers[0]).0;
    let approvals = of.approvals.as_ref().expect("the sample has them");
    let approval = approval_parts(&approvals[0]).0;
    let cells = [
        ("answer to Lookup", found_parts()),
        ("answer to Status", status_parts()),
        ("answer to Account", account_parts()),
        ("limit", limit_parts(&account_view().limits[0]).0),
        ("answer to Roster", roster_parts()),
        ("participant", participant),
        ("key slot", slot),
        ("ledger", ledger),
        ("approval", approval),
    ];
    let cells = cells.map(|(name, parts)| vec![name.to_owned(), parts]);
    rows(&["record", "bytes"], cells)
}

fn account_parts() -> String {
    let of = account_view();
    let limits: Vec<u8> = of
        .limits
        .iter()
        .flat_map(|one| limit_parts(one).1)
        .collect();
    // As long as there are few, the count of all limits is the count of the list.
    assert_eq!(of.limits.len(), of.limit_count as usize);
    held(
        &of.to_bytes(),
        &[
            ("height u64", &of.height.0.to_le_bytes()),
            ("account (128)", of.account.as_bytes()),
            ("count of its limits u32", &of.limit_count.to_le_bytes()),
            ("limits", &limits),
        ],
    )
}

fn limit_parts(of: &LimitView) -> (String, Vec<u8>) {
    joined(&[
        (
            "paid participant u32, 0 for everyone",
            &of.towards.0.to_le_bytes(),
        ),
        ("minor units a day u64", &of.limit.to_le_bytes()),
        (
            "paid less received today (16, two's complement)",
            &of.net.to_le_bytes(),
        ),
    ])
}

fn roster_parts() -> String {
    let of = roster();
    let mut one = Vec::new();
    of.participants[0].encode(&mut one);
    let approvals = of.approvals.as_ref().expect("the sample has them");
    let ledgers = of.ledgers.iter().flat_map(|one| ledger_parts(one).1);
    let ledgers: Vec<u8> = ledgers.collect();
    let told = approvals.iter().flat_map(|one| approval_parts(one).1);
    let told = counted(approvals.len(), &told.collect::<Vec<u8>>());
    held(
        &of.to_bytes(),
        &[
            ("height u64", &of.height.0.to_le_bytes()),
            ("cluster time in ms u64", &of.time.0.to_le_bytes()),
            (
                "operators who must sign together u32",
                &of.operator_threshold.to_le_bytes(),
            ),
            ("next participant u32", &of.next.0.to_le_bytes()),
            (
                "list of participants",
                &counted(of.participants.len(), &one),
            ),
            ("list of ledgers", &counted(of.ledgers.len(), &ledgers)),
            (
                "0, or 1 and a list of approvals",
                &[&[1], &told[..]].concat(),
            ),
        ],
    )
}

fn approval_parts(of: &ApprovalView) -> (String, Vec<u8>) {
    let operators = of.operators.iter().flat_map(|one| one.0.to_le_bytes());
    let operators = counted(of.operators.len(), &operators.collect::<Vec<u8>>());
    let body = of
        .body
        .as_ref()
        .map_or(vec![0], |body| [&[1], body.as_bytes()].concat());
    joined(&[
        ("digest of its content (32)", &of.content.0),
        ("ends at u32", &of.until.0.to_le_bytes()),
        ("count of operators u32", &of.operator_count.to_le_bytes()),
        ("list of operators u32", &operators),
        ("0, or 1 and the body (128)", &body),
    ])
}

fn participant_parts(of: &Participant) -> (String, String) {
    let mut bytes = Vec::new();
    of.encode(&mut bytes);
    let keys = &bytes[bytes.len() - 4 * KEY_SLOT_BYTES..];
    let text = held(
        &bytes,
        &[
            ("number u32", &of.id.0.to_le_bytes()),
            ("role u8", &[of.role as u8]),
            ("1 if suspended", &[u8::from(of.suspended)]),
            ("sponsor u32", &of.sponsor.0.to_le_bytes()),
            ("LEI (20)", &of.lei),
            ("BIC (11)", &of.bic),
            ("4 key slots", keys),
        ],
    );
    let key = of.keys[0].expect("the sample has one");
    let slot = held(
        &keys[..KEY_SLOT_BYTES],
        &[
            ("1, or 0 and zeros", &[1]),
            ("public key (32)", &key.public_key),
            ("valid from height u64", &key.valid_from.0.to_le_bytes()),
            ("to u64", &key.valid_to.0.to_le_bytes()),
        ],
    );
    (text, slot)
}

fn ledger_parts(of: &LedgerView) -> (String, Vec<u8>) {
    joined(&[
        ("number u32", &of.currency.id.0.to_le_bytes()),
        ("code (8)", &of.currency.code),
        ("decimals u8", &[of.currency.exponent]),
        ("issuer u32", &of.currency.issuer.0.to_le_bytes()),
        (
            "its account u64",
            &of.currency.issuer_account.0.to_le_bytes(),
        ),
        (
            "1 where the supply is told",
            &[u8::from(of.supply.is_some())],
        ),
        ("supply u128", &of.supply.unwrap_or(0).to_le_bytes()),
    ])
}

/// Bytes of a participant's key slot.
const KEY_SLOT_BYTES: usize = 1 + 32 + 8 + 8;
