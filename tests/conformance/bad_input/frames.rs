//! Frames that no client of ours would send, and connections that nobody should make.

use std::time::Duration;

use clearway_client::{Client, ClientConfig, ClientError, Identity};
use clearway_types::envelope::ENVELOPE_BYTES;
use clearway_types::units::ParticipantId;
use clearway_types::wire::{
    ALPN, ANSWER_HEADER_BYTES, AnswerHeader, AnswerStatus, CloseCode, HINTED_BYTES, Op,
    StreamHeader,
};
use tokio::task::JoinSet;

use crate::bad_input::desk::{Desk, RATE, STREAMS, account};
use crate::bad_input::queries::follow;
use crate::bad_input::raw::{Raw, closed, connect};
use crate::bad_input::{Bad, Counter, Reply, Row, Told};
use clearway_types::code::ResultCode;

const CURRENT: &str = "use a current client";
const MALFORMED: Counter = Counter::Lines(&[
    ("clearway_ingest_closes_total{code=\"Malformed\"}", 1),
    ("clearway_ingest_drops_total{reason=\"Malformed\"}", 1),
]);
const OVERSIZE: Counter = Counter::Lines(&[
    ("clearway_ingest_closes_total{code=\"Oversize\"}", 1),
    ("clearway_ingest_drops_total{reason=\"Oversize\"}", 1),
]);
const HANDSHAKE: Counter = Counter::Line("clearway_ingest_handshake_failures_total", 1);
const TOO_SLOW: Counter = Counter::Line("clearway_ingest_closes_total{code=\"TooSlow\"}", 1);

const fn malformed(name: &'static str, bytes: fn() -> Vec<u8>) -> Row {
    Row {
        name,
        bad: Bad::Bytes(bytes),
        told: Told::Close(CloseCode::Malformed),
        counter: MALFORMED,
        says: CURRENT,
    }
}

const fn oversize(name: &'static str, bytes: fn() -> Vec<u8>) -> Row {
    Row {
        name,
        bad: Bad::Bytes(bytes),
        told: Told::Close(CloseCode::Oversize),
        counter: OVERSIZE,
        says: "split it",
    }
}

const fn knock(
    name: &'static str,
    knock: fn(&Desk) -> Reply,
    told: Told,
    counter: Counter,
    says: &'static str,
) -> Row {
    Row {
        name,
        bad: Bad::Knock(knock),
        told,
        counter,
        says,
    }
}

/// The header of a submit stream of one envelope, changed.
fn header(edit: fn(&mut StreamHeader)) -> Vec<u8> {
    let mut header = StreamHeader::new(Op::Submit, 1);
    edit(&mut header);
    header.to_bytes().to_vec()
}

/// The header of a submit stream, and this many bytes of something like envelopes.
pub(crate) fn submit(count: usize, bytes: usize) -> Vec<u8> {
    stream(Op::Submit, count, bytes)
}

fn stream(op: Op, count: usize, bytes: usize) -> Vec<u8> {
    let mut all = StreamHeader::new(op, count).to_bytes().to_vec();
    all.resize(all.len() + bytes, 0);
    all
}

pub(crate) const ROWS: &[Row] = &[
    malformed("an empty stream", Vec::new),
    malformed("a stream that ends within its header", || vec![b'C'; 7]),
    malformed("400 bytes of noise", || vec![0xff; 400]),
    malformed("another protocol's first bytes", || {
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()
    }),
    malformed("a stream header of version 2", || {
        header(|h| h.version = 2.into())
    }),
    malformed("an unknown frame type", || header(|h| h.op = 99.into())),
    malformed("a stream that announces nothing", || {
        header(|h| h.count = 0.into())
    }),
    malformed("reserved header bytes in use", || {
        header(|h| h.reserved = 1.into())
    }),
    malformed("a look-up cut short", || {
        let mut bytes = StreamHeader::new(Op::Lookup, 2).to_bytes().to_vec();
        bytes.extend([7; 30]);
        bytes
    }),
    oversize("one envelope more than a stream takes", || {
        header(|h| h.count = 8193.into())
    }),
    oversize("four billion envelopes announced", || {
        header(|h| h.count = u32::MAX.into())
    }),
    oversize("more look-ups than a stream takes", || {
        header(|h| (h.op, h.count) = (2.into(), 1025.into()))
    }),
    Row {
        name: "a stream that ends within an envelope",
        bad: Bad::Bytes(|| submit(3, 2 * ENVELOPE_BYTES + 100)),
        told: Told::Codes(&[ResultCode::Malformed; 3]),
        counter: Counter::Lines(&[
            ("clearway_ingest_closes_total{code=\"Malformed\"}", 1),
            ("clearway_ingest_drops_total{reason=\"Malformed\"}", 3),
        ]),
        says: "send 192-byte envelopes",
    },
    Row {
        name: "a stream that ends within a hint",
        bad: Bad::Bytes(|| stream(Op::SubmitHinted, 3, 3 * HINTED_BYTES - 1)),
        told: Told::Codes(&[ResultCode::Malformed; 3]),
        counter: Counter::Lines(&[
            ("clearway_ingest_closes_total{code=\"Malformed\"}", 1),
            ("clearway_ingest_drops_total{reason=\"Malformed\"}", 3),
        ]),
        says: "send 192-byte envelopes",
    },
    Row {
        name: "bytes behind the last envelope",
        bad: Bad::Bytes(|| submit(1, ENVELOPE_BYTES + 50)),
        told: Told::Code(ResultCode::VersionUnknown),
        counter: Counter::Lines(&[
            ("clearway_ingest_closes_total{code=\"Malformed\"}", 1),
            ("clearway_verify_refused_header_total", 1),
        ]),
        says: "with a current client",
    },
    knock(
        "a header that never ends",
        |desk| desk.begin(&submit(1, 0)[..5]),
        Told::Close(CloseCode::TooSlow),
        TOO_SLOW,
        "without pauses",
    ),
    knock(
        "a stream without end",
        |desk| desk.begin(&submit(2, ENVELOPE_BYTES + 10)),
        Told::Close(CloseCode::TooSlow),
        TOO_SLOW,
        "without pauses",
    ),
    Row {
        name: "more at once than the member's contract",
        bad: Bad::Bytes(|| submit(8000, 0)),
        told: Told::Codes(&[ResultCode::RateLimited; 8000]),
        counter: Counter::Line("clearway_ingest_drops_total{reason=\"RateLimited\"}", 8000),
        says: "wait, then send again",
    },
    knock(
        "more open streams than a connection may have",
        stream_too_many,
        Told::Waits,
        Counter::Nothing,
        "",
    ),
    knock(
        "a ninth connection of one member, all others busy",
        ninth_connection,
        Told::Close(CloseCode::MemberConnections),
        Counter::Line(
            "clearway_ingest_closes_total{code=\"MemberConnections\"}",
            1,
        ),
        "reuse one",
    ),
    knock(
        "an idle connection while the same member opens a ninth",
        idle_connection,
        Told::Close(CloseCode::Displaced),
        Counter::Line("clearway_ingest_closes_total{code=\"Displaced\"}", 1),
        "connect when needed",
    ),
    knock(
        "65 faulty streams on one connection",
        misbehave,
        Told::Close(CloseCode::Misbehaved),
        Counter::Lines(&[
            ("clearway_ingest_closes_total{code=\"Malformed\"}", 65),
            ("clearway_ingest_closes_total{code=\"Misbehaved\"}", 1),
            ("clearway_ingest_drops_total{reason=\"Malformed\"}", 65),
        ]),
        CURRENT,
    ),
    knock(
        "a connection by a key that nobody registered",
        |desk| {
            let stranger = Identity::from_seed(&[200; 32], ParticipantId(2), 0);
            refused(desk, ClientConfig::new(stranger, vec![desk.server]))
        },
        Told::KeyRefused,
        HANDSHAKE,
        "have the key registered",
    ),
    knock(
        "a member who expects another node's key",
        |desk| {
            let mut server = desk.server;
            server.public_key[0] ^= 1;
            refused(desk, ClientConfig::new(desk.identity(2), vec![server]))
        },
        Told::KeyRefused,
        HANDSHAKE,
        "check that this is a node of your cluster",
    ),
    knock(
        "a handshake for the next protocol version",
        |desk| other_protocol(desk, b"clearway/2"),
        Told::NoProtocol,
        HANDSHAKE,
        "protocol",
    ),
    knock(
        "a handshake for HTTP/3",
        |desk| other_protocol(desk, b"h3"),
        Told::NoProtocol,
        HANDSHAKE,
        "protocol",
    ),
];

fn refused(desk: &Desk, config: ClientConfig) -> Reply {
    let error = desk.block_on(Client::connect(config));
    let error = error.expect_err("a wrong key opens no door");
    assert!(matches!(error, ClientError::KeyRefused), "{error}");
    Reply::new(Told::KeyRefused, error.to_string())
}

fn other_protocol(desk: &Desk, protocol: &[u8]) -> Reply {
    let identity = desk.identity(2);
    let connecting = connect(&identity, desk.server, protocol);
    let error = desk.block_on(connecting).err();
    let error = error.expect("no common protocol, no connection");
    Reply::new(Told::NoProtocol, error.to_string())
}

/// The streams that are open come first; the next one comes when they have ended.
fn stream_too_many(desk: &Desk) -> Reply {
    desk.block_on(async {
        let raw = connect(&desk.identity(2), desk.server, ALPN)
            .await
            .expect("let in");
        let mut open = Vec::new();
        for _ in 0..STREAMS {
            let (mut send, recv) = raw.connection.open_bi().await.expect("within its streams");
            send.write_all(&submit(1, 0)[..3])
                .await
                .expect("a few bytes");
            open.push((send, recv));
        }
        let soon = Duration::from_millis(50);
        let one_more = tokio::time::timeout(soon, raw.connection.open_bi()).await;
        assert!(one_more.is_err(), "one stream more than allowed");
        for (mut send, _) in open {
            send.reset(0u32.into()).expect("it is open");
        }
        let one_more = raw.connection.open_bi().await;
        let (mut send, _recv) = one_more.expect("there is room again");
        send.reset(0u32.into()).expect("it is open");
        Reply::new(Told::Waits, "")
    })
}

/// Eight connections of member 5; an answer on each says that it has its place.
async fn eight_connections(desk: &Desk) -> Vec<Raw> {
    let status = StreamHeader::new(Op::Status, 0).to_bytes();
    let mut open = Vec::new();
    for _ in 0..8 {
        let raw = connect(&desk.identity(5), desk.server, ALPN)
            .await
            .expect("let in");
        let answer = raw.say(&status).await;
        assert_eq!(
            answer.told,
            [Told::Status(AnswerStatus::Ok)],
            "it has its place"
        );
        open.push(raw);
    }
    open
}

fn ninth_connection(desk: &Desk) -> Reply {
    desk.block_on(async {
        let open = eight_connections(desk).await;
        let mut streams = Vec::new();
        for raw in &open {
            let (mut send, mut recv) = raw.connection.open_bi().await.expect("a stream");
            send.write_all(&follow(account(5, 1))).await.expect("asked");
            let mut head = [0; ANSWER_HEADER_BYTES];
            recv.read_exact(&mut head).await.expect("answered");
            let (status, _) = AnswerHeader::parse(head).expect("a sound head");
            assert_eq!(status, AnswerStatus::Ok, "a feed has begun");
            streams.push((send, recv));
        }
        let ninth = connect(&desk.identity(5), desk.server, ALPN)
            .await
            .expect("a handshake");
        Reply::close(closed(ninth.connection.closed().await))
    })
}

fn idle_connection(desk: &Desk) -> Reply {
    desk.block_on(async {
        let open = eight_connections(desk).await;
        let status = StreamHeader::new(Op::Status, 0).to_bytes();
        let ninth = connect(&desk.identity(5), desk.server, ALPN)
            .await
            .expect("a handshake");
        ninth.say(&status).await;
        // Which of the idle ones gives way is the door's choice.
        let mut ends = JoinSet::new();
        for raw in &open {
            let connection = raw.connection.clone();
            ends.spawn(async move { connection.closed().await });
        }
        let first = ends.join_next().await.expect("there are eight");
        Reply::close(closed(first.expect("no task panics")))
    })
}

fn misbehave(desk: &Desk) -> Reply {
    desk.block_on(async {
        let raw = connect(&desk.identity(2), desk.server, ALPN)
            .await
            .expect("let in");
        for _ in 0..65 {
            raw.say(b"noise, noise, noise").await;
        }
        Reply::close(closed(raw.connection.closed().await))
    })
}

// What the node earns in the longest wait is less than what the row announces.
const _: () = assert!(2048 > RATE as usize * 3);
