//! Questions about what is not there, or not the asker's.

use clearway_types::units::{AccountId, Height, ParticipantId, TransferId};
use clearway_types::wire::query::{FollowCursor, FollowRequest, Lookup};
use clearway_types::wire::{ALPN, ANSWER_HEADER_BYTES, AnswerStatus, Op, StreamHeader};

use crate::bad_input::desk::{Desk, account};
use crate::bad_input::raw::connect;
use crate::bad_input::{Bad, Counter, Reply, Row, Told};

const NOT_FOUND: Counter = Counter::Line(
    "clearway_ingest_queries_refused_total{status=\"NotFound\"}",
    1,
);
const NOT_ALLOWED: Counter = Counter::Line(
    "clearway_ingest_queries_refused_total{status=\"NotAllowed\"}",
    1,
);
/// Feeds that one connection may follow.
const FEEDS: usize = 8;

const fn not_found(name: &'static str, bytes: fn() -> Vec<u8>) -> Row {
    Row {
        name,
        bad: Bad::Bytes(bytes),
        told: Told::Status(AnswerStatus::NotFound),
        counter: NOT_FOUND,
        says: "check its number",
    }
}

const fn not_allowed(name: &'static str, bytes: fn() -> Vec<u8>) -> Row {
    Row {
        name,
        bad: Bad::Bytes(bytes),
        told: Told::Status(AnswerStatus::NotAllowed),
        counter: NOT_ALLOWED,
        says: "ask as its owner",
    }
}

fn ask(op: Op, body: &[u8]) -> Vec<u8> {
    [&StreamHeader::new(op, 1).to_bytes()[..], body].concat()
}

fn ask_account(account: AccountId) -> Vec<u8> {
    ask(Op::Account, &account.0.to_le_bytes())
}

/// A question for an account's feed from its beginning.
pub(crate) fn follow(account: AccountId) -> Vec<u8> {
    let from = FollowCursor::at(Height(0));
    ask(Op::Follow, &FollowRequest { account, from }.to_bytes())
}

fn proof(signer: u32, id: [u8; 16]) -> Vec<u8> {
    let (signer, id) = (ParticipantId(signer), TransferId(id));
    let mut body = Vec::new();
    Lookup { signer, id }.encode(&mut body);
    ask(Op::Proof, &body)
}

pub(crate) const ROWS: &[Row] = &[
    not_found("a question about no account of the member", || {
        ask_account(account(2, 99))
    }),
    not_allowed("a question about another member's account", || {
        ask_account(account(3, 1))
    }),
    not_allowed("a question about nobody's account", || {
        ask_account(account(77, 1))
    }),
    not_allowed("a feed of another member's account", || {
        follow(account(3, 1))
    }),
    not_found("a proof of what was never executed", || {
        proof(2, [0xab; 16])
    }),
    Row {
        name: "a ninth feed on one connection",
        bad: Bad::Knock(ninth_feed),
        told: Told::Status(AnswerStatus::Busy),
        counter: Counter::Line("clearway_ingest_queries_refused_total{status=\"Busy\"}", 1),
        says: "ask again later",
    },
];

fn ninth_feed(desk: &Desk) -> Reply {
    desk.block_on(async {
        let raw = connect(&desk.identity(2), desk.server, ALPN)
            .await
            .expect("let in");
        let mut open = Vec::new();
        for _ in 0..FEEDS {
            let (mut send, mut recv) = raw.connection.open_bi().await.expect("a stream");
            send.write_all(&follow(account(2, 1)))
                .await
                .expect("a few bytes");
            let mut head = [0; ANSWER_HEADER_BYTES];
            recv.read_exact(&mut head).await.expect("the feed begins");
            open.push((send, recv));
        }
        raw.say(&follow(account(2, 1))).await
    })
}
