//! What members may not do: each has its close code and its counter, and harms nobody else.

use std::time::Duration;

use clearway_client::{Client, ClientConfig, ClientError, Identity};
use clearway_ingest::MemberRate;
use clearway_quic::Transport;
use clearway_types::code::ResultCode;
use clearway_types::drop_reason::DropReason;
use clearway_types::seeded::SplitMix;
use clearway_types::units::ParticipantId;
use clearway_types::wire::{CloseCode, Op, RUN_HEADER_BYTES, StreamHeader};
use zerocopy::IntoBytes;

use crate::raw::{closed, connect, connect_speaking, read_closed};
use crate::rig::{Node, config, member, payments, until};

/// The node still serves a well-behaved member.
async fn serves(node: &Node) {
    let answers = node
        .client(40)
        .await
        .submit(&payments(40, 10))
        .await
        .unwrap();
    assert_eq!(answers.settled_count(), 10);
}

fn header(edit: impl Fn(&mut StreamHeader)) -> Vec<u8> {
    let mut header = StreamHeader::new(Op::Submit, 1);
    edit(&mut header);
    header.to_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_and_oversize_streams_are_reset_with_their_code() {
    let node = Node::start(config()).await;
    let raw = connect(&member(1), node.server, &Transport::default())
        .await
        .unwrap();
    let rows = [
        (vec![], CloseCode::Malformed),
        (vec![1, 2, 3], CloseCode::Malformed),
        (vec![0xff; 400], CloseCode::Malformed),
        (header(|h| h.magic = *b"HTTP"), CloseCode::Malformed),
        (header(|h| h.version = 2.into()), CloseCode::Malformed),
        (header(|h| h.op = 99.into()), CloseCode::Malformed),
        (header(|h| h.count = 0.into()), CloseCode::Malformed),
        (header(|h| h.reserved = 1.into()), CloseCode::Malformed),
        (header(|h| h.count = 8193.into()), CloseCode::Oversize),
        (header(|h| h.count = u32::MAX.into()), CloseCode::Oversize),
        (
            header(|h| (h.op, h.count) = (2.into(), 1025.into())),
            CloseCode::Oversize,
        ),
        (header(|h| h.op = 3.into()), CloseCode::Malformed),
    ];
    let row_count = rows.len() as u64;
    for (row, (bytes, code)) in rows.into_iter().enumerate() {
        assert_eq!(raw.say(&bytes).await, Err(code), "row {row}");
    }
    let metrics = &node.metrics;
    assert_eq!(metrics.closes(CloseCode::Oversize), 3);
    assert_eq!(metrics.closes(CloseCode::Malformed), row_count - 3);
    assert_eq!(metrics.drops(DropReason::Oversize), 3);
    assert_eq!(metrics.drops(DropReason::Malformed), row_count - 3);
    serves(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_stream_is_answered_up_to_its_end_and_refused_beyond() {
    let node = Node::start(config()).await;
    let raw = connect(&member(1), node.server, &Transport::default())
        .await
        .unwrap();
    let sent = payments(1, 2100);
    let mut answer_bytes = 0;
    for cut in [1, 192, 2099 * 192 - 1] {
        let header = StreamHeader::new(Op::Submit, 2100).to_bytes();
        let body = sent.as_bytes();
        let bytes = [&header[..], &body[..body.len() - cut]].concat();
        let answer = raw.say(&bytes).await.unwrap();
        let last = &answer[answer.len() - 4..];
        let code = u16::from_le_bytes([last[0], last[1]]);
        assert_eq!(code, ResultCode::Malformed.as_u16(), "cut {cut}");
        answer_bytes += answer.len() as u64;
        until("the answer is counted", || {
            node.metrics.answer_bytes.value() == answer_bytes
        })
        .await;
    }
    assert_eq!(node.metrics.closes(CloseCode::Malformed), 3);
    serves(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_behind_the_last_envelope_are_a_fault_but_the_envelopes_count() {
    let node = Node::start(config()).await;
    let raw = connect(&member(1), node.server, &Transport::default())
        .await
        .unwrap();
    let header = StreamHeader::new(Op::Submit, 1).to_bytes();
    let bytes = [&header[..], payments(1, 1).as_bytes(), &[7; 50]].concat();
    let answer = raw.say(&bytes).await.unwrap();
    assert_eq!(answer.len(), RUN_HEADER_BYTES + 4);
    until("the fault is counted", || {
        node.metrics.closes(CloseCode::Malformed) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_keys_wrong_server_keys_and_wrong_protocols_are_refused_in_the_handshake() {
    let node = Node::start(config()).await;
    let stranger = Identity::from_seed(&[200; 32], ParticipantId(1), 0);
    let config = ClientConfig::new(stranger, vec![node.server]);
    let error = Client::connect(config).await.expect_err("a stranger");
    assert!(matches!(error, ClientError::KeyRefused), "{error}");
    until("the handshake is counted", || {
        node.metrics.handshake_failures.value() == 1
    })
    .await;
    let mut impostor = node.server;
    impostor.public_key[0] ^= 1;
    let config = ClientConfig::new(member(1), vec![impostor]);
    let error = Client::connect(config)
        .await
        .expect_err("another server key");
    assert!(matches!(error, ClientError::KeyRefused), "{error}");
    for protocol in [&b"clearway/2"[..], b"h3"] {
        let transport = Transport::default();
        let refused = connect_speaking(&member(1), node.server, &transport, protocol).await;
        assert!(refused.is_err(), "{protocol:?}");
    }
    until("all are counted", || {
        node.metrics.handshake_failures.value() >= 3
    })
    .await;
    assert_eq!(node.metrics.connections.value(), 0);
    serves(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_as_large_as_loopback_carries_them_work_at_once() {
    let mut config = config();
    config.transport.payload_bytes = 32_000;
    let node = Node::start(config).await;
    let mut config = ClientConfig::new(member(1), vec![node.server]);
    config.transport.payload_bytes = 32_000;
    let client = Client::connect(config).await.unwrap();
    let answers = client.submit(&payments(1, 500)).await.unwrap();
    assert_eq!(answers.settled_count(), 500);
    assert_eq!(client.metrics().connect_failures.value(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_drips_is_reset_after_its_time() {
    let mut config = config();
    config.frame_fill_max = Duration::from_millis(100);
    let node = Node::start(config).await;
    let raw = connect(&member(1), node.server, &Transport::default())
        .await
        .unwrap();
    let header = StreamHeader::new(Op::Submit, 10).to_bytes();
    for bytes in [
        &header[..5],
        &header[..],
        &[&header[..], &[7; 200]].concat(),
        &[&header[..], payments(1, 9).as_bytes()].concat(),
    ] {
        let (mut send, mut recv) = raw.connection.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        let end = recv.read_chunk(1, true).await.expect_err("reset");
        assert_eq!(read_closed(end), CloseCode::TooSlow);
    }
    assert_eq!(node.metrics.closes(CloseCode::TooSlow), 4);
    serves(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_does_not_end_in_time_is_answered_and_told_that_it_is_slow() {
    let mut config = config();
    config.frame_fill_max = Duration::from_millis(100);
    let node = Node::start(config).await;
    let raw = connect(&member(1), node.server, &Transport::default())
        .await
        .unwrap();
    let (mut send, mut recv) = raw.connection.open_bi().await.unwrap();
    let header = StreamHeader::new(Op::Submit, 1).to_bytes();
    send.write_all(&header).await.unwrap();
    send.write_all(payments(1, 1).as_bytes()).await.unwrap();
    let answer = recv.read_to_end(1 << 10).await.unwrap();
    assert_eq!(answer.len(), RUN_HEADER_BYTES + 4);
    let code = send.stopped().await.unwrap().expect("the door stops it");
    assert_eq!(
        CloseCode::from_u64(code.into_inner()),
        Some(CloseCode::TooSlow)
    );
    assert_eq!(node.metrics.closes(CloseCode::TooSlow), 1);
    assert_eq!(node.metrics.closes(CloseCode::Malformed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_who_takes_no_answers_loses_the_connection() {
    let mut config = config();
    config.answer_take_max = Duration::from_millis(100);
    let node = Node::start(config).await;
    let narrow = Transport {
        stream_window_bytes: 40,
        ..Transport::default()
    };
    let raw = connect(&member(1), node.server, &narrow).await.unwrap();
    let (mut send, _recv) = raw.connection.open_bi().await.unwrap();
    let header = StreamHeader::new(Op::Submit, 4000).to_bytes();
    send.write_all(&header).await.unwrap();
    send.write_all(payments(1, 4000).as_bytes()).await.unwrap();
    send.finish().unwrap();
    assert_eq!(
        closed(raw.connection.closed().await),
        CloseCode::AnswersUnread
    );
    assert!(node.metrics.closes(CloseCode::AnswersUnread) >= 1);
    serves(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_garbage_streams_cost_the_sender_its_connections_alone() {
    const STREAMS: usize = 10_000;
    let node = Node::start(config()).await;
    let honest = node.client(2).await;
    let mut random = SplitMix(0x5eed);
    let mut raw = None;
    let (mut said, mut lost) = (0, 0);
    while said < STREAMS {
        let live = match raw.take() {
            Some(live) => live,
            None => match connect(&member(1), node.server, &Transport::default()).await {
                Ok(live) => live,
                Err(_) => continue,
            },
        };
        let mut bytes = StreamHeader::new(Op::Submit, 3).to_bytes().to_vec();
        for _ in 0..3 {
            bytes[random.index(16)] ^= random.bytes(1)[0];
        }
        bytes.truncate(random.index(32));
        said += 1;
        match live.say(&bytes).await {
            Err(CloseCode::Misbehaved | CloseCode::MemberConnections) => lost += 1,
            _ => raw = Some(live),
        }
    }
    assert!(lost >= STREAMS / 200, "{lost} connections lost");
    let answers = honest.submit(&payments(2, 10)).await.unwrap();
    assert_eq!(
        answers.settled_count(),
        10,
        "others are served all the same"
    );
    assert!(node.metrics.closes(CloseCode::Malformed) > 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_a_little_above_its_rate_waits_for_what_it_has_not_earned() {
    let mut config = config();
    let rate = MemberRate {
        signatures_per_s: 1000,
        burst: 10,
    };
    config.member_rates.insert(ParticipantId(1), rate);
    let node = Node::start(config).await;
    let answers = node.client(1).await.submit(&payments(1, 60)).await.unwrap();
    assert_eq!(answers.settled_count(), 60);
    // Credit never exceeds the burst, however long the member was silent: 50 are to be earned.
    assert_eq!(node.metrics.rate_wait.value(), 50_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_above_its_rate_is_refused_and_its_neighbour_is_not() {
    let mut config = config();
    let rate = MemberRate {
        signatures_per_s: 1000,
        burst: 100,
    };
    config.member_rates.insert(ParticipantId(1), rate);
    config.rate_wait_max = Duration::from_millis(20);
    let node = Node::start(config).await;
    let client = node.client(1).await;
    let answers = client.submit(&payments(1, 100)).await.unwrap();
    assert_eq!(answers.settled_count(), 100, "the burst");
    let answers = client.submit(&payments(1, 2000)).await.unwrap();
    assert!(
        answers
            .iter()
            .all(|r| r.outcome.code == ResultCode::RateLimited)
    );
    assert_eq!(node.metrics.drops(DropReason::RateLimited), 2000);
    serves(&node).await;
}
