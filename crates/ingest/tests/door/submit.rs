//! Envelopes in, answers out: order, chains, copies, resends, back-pressure, a graceful stop.

use std::sync::atomic::Ordering;
use std::time::Duration;

use clearway_client::{Answer, Client, ClientConfig, ClientError, Slab};
use clearway_crypto::hint::hints;
use clearway_quic::Transport;
use clearway_types::code::ResultCode;
use clearway_types::drop_reason::DropReason;
use clearway_types::envelope::{ENVELOPE_BYTES, Envelope, envelopes};
use clearway_types::flags::Flags;
use clearway_types::messages::FrameBatch;
use clearway_types::transfer::Transfer;
use clearway_types::units::Height;
use clearway_types::wire::{
    CloseCode, Op, RUN_HEADER_BYTES, RunHeader, StreamHeader, parse_outcomes,
};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U16;

use crate::raw::{connect, read_closed};
use crate::rig::{
    AMOUNT_REFUSED, AMOUNT_UNFUNDED, LINK_FRAMES, Mode, Node, TIMEOUT, config, draft, member,
    payments, set, signer, slab, until,
};

const MANY: usize = 8192;

fn codes(answers: &[Answer]) -> Vec<(bool, ResultCode)> {
    answers
        .iter()
        .map(|r| (r.is_final(), r.outcome.code))
        .collect()
}

/// Links `envelopes[range]` to what follows each of them.
fn link_up(envelopes: &mut [Envelope], range: std::ops::Range<usize>) {
    for envelope in &mut envelopes[range] {
        envelope.body.flags = U16::new(Flags::LINKED);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_in_stream_order_and_a_refusal_harms_nobody() {
    let node = Node::start(config()).await;
    let signer = signer(1);
    let amounts = [5, AMOUNT_REFUSED, AMOUNT_UNFUNDED, 6, AMOUNT_REFUSED];
    let sent: Vec<Envelope> = amounts.map(|amount| signer.sign(draft(1, amount))).to_vec();
    let answers = node.client(1).await.submit(&sent).await.unwrap();
    let expected = [
        (true, ResultCode::Settled),
        (false, ResultCode::BadSignature),
        (true, ResultCode::InsufficientFunds),
        (true, ResultCode::Settled),
        (false, ResultCode::BadSignature),
    ];
    assert_eq!(codes(&answers), expected);
    assert_eq!(answers.settled_count(), 2);
    assert_eq!(node.metrics.drops(DropReason::BadSignature), 2);
    until("the answer is timed", || node.metrics.answer.count() == 1).await;
    assert_eq!(node.metrics.answers.value(), 5);
}

/// Sends a full stream and gives the frames that came of it.
async fn full_stream(slab: Slab) -> Vec<FrameBatch> {
    let node = Node::start(config()).await;
    let answers = node
        .client(1)
        .await
        .submit_slab(slab.clone())
        .await
        .unwrap();
    assert_eq!(answers.len(), MANY);
    assert_eq!(
        answers.settled_count(),
        MANY - 2,
        "two amounts have a meaning here"
    );
    let envelope_bytes = (MANY * ENVELOPE_BYTES) as u64;
    until("every byte is counted", || {
        node.metrics.envelope_bytes.value() == envelope_bytes
    })
    .await;
    let frames = node.frames.lock().unwrap().clone();
    assert!(
        frames.len() >= 4,
        "verification starts before the last byte"
    );
    let seen = frames.iter().flat_map(|f| envelopes(&f.slab).to_vec());
    assert!(seen.eq(slab.envelopes().copied()));
    frames
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_arrives_whole_and_in_order_in_several_frames() {
    let sent = slab(&payments(1, MANY));
    let frames = full_stream(sent.into()).await;
    let firsts: Vec<u32> = frames.iter().map(|f| f.first_index).collect();
    assert_eq!(firsts, [0, 2048, 4096, 6144]);
    assert!(frames.iter().all(|frame| frame.hint(0).is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_envelope_keeps_its_hint_through_frames_and_chains() {
    let mut sent = payments(1, MANY);
    link_up(&mut sent, 2040..2060);
    link_up(&mut sent, 6100..6150);
    let frames = full_stream(Slab::hinted(sent.as_bytes())).await;
    let signatures = sent.iter().map(|envelope| &envelope.signature);
    let Some(hints) = hints(signatures) else {
        println!("NOT RUN: this machine makes no hints");
        return;
    };
    let firsts: Vec<u32> = frames.iter().map(|f| f.first_index).collect();
    assert_eq!(firsts[..2], [0, 2061], "a chain stays whole");
    for frame in &frames {
        let count = envelopes(&frame.slab).len();
        let first = frame.first_index as usize;
        let kept: Vec<_> = (0..count)
            .filter_map(|at| frame.hint(at))
            .copied()
            .collect();
        assert!(kept == hints[first..first + count], "frame at {first}");
        assert!(frame.hint(count).is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_with_more_than_a_stream_takes_is_answered_whole() {
    let node = Node::start(config()).await;
    let mut sent = payments(1, MANY + 100);
    link_up(&mut sent, MANY - 10..MANY + 10);
    let answers = node.client(1).await.submit(&sent).await.unwrap();
    assert_eq!(answers.len(), MANY + 100);
    assert!(
        answers
            .iter()
            .all(|answer| answer.outcome.code != ResultCode::ChainBroken)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chains_are_never_split_and_broken_ones_leave_whole() {
    let node = Node::start(config()).await;
    let mut sent = payments(1, 4200);
    link_up(&mut sent, 2040..2060);
    link_up(&mut sent, 4000..4070);
    link_up(&mut sent, 4195..4200);
    let answers = node.client(1).await.submit(&sent).await.unwrap();
    for (index, answer) in answers.iter().enumerate() {
        let broken = (4000..=4070).contains(&index) || index >= 4195;
        let found = answer.outcome.code == ResultCode::ChainBroken;
        assert_eq!(found, broken, "position {index}");
        assert_eq!(
            answer.is_final(),
            !broken && index != 665,
            "position {index}"
        );
    }
    for frame in node.frames.lock().unwrap().iter() {
        let last = *envelopes(&frame.slab).last().expect("no frame is empty");
        assert!(!last.body.flags().linked(), "a frame ends inside a chain");
    }
    assert_eq!(node.metrics.drops(DropReason::ChainBroken), 71 + 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_in_flight_are_answered_with_the_first_one() {
    let node = Node::start(config()).await;
    node.set(Mode::Blocked);
    let one = signer(1).sign(draft(1, 5));
    let sent = [one; 3];
    let (client, other) = (node.client(1).await, node.client(2).await);
    let (a, b) = tokio::join!(client.submit(&sent), async {
        let submitted = other.submit(&sent);
        node.set(Mode::Run);
        submitted.await
    });
    let (a, b) = (a.unwrap(), b.unwrap());
    let settled = a.iter().chain(b.iter()).filter(|r| r.settled()).count();
    assert_eq!(settled, 6, "every place gets an answer");
    assert!(
        node.ledger.blocks.lock().unwrap().len() <= 2,
        "copies were joined"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_pipeline_stops_the_reading_and_nothing_is_lost() {
    let mut config = config();
    config.transport.streams_max = 8;
    let node = Node::start(config).await;
    node.set(Mode::Blocked);
    let client = node.client(1).await;
    let submissions: Vec<_> = (0..12)
        .map(|_| {
            let (client, sent) = (client.clone(), payments(1, MANY));
            tokio::spawn(async move { client.submit(&sent).await })
        })
        .collect();
    until("the link is full", || {
        node.link.depth() >= LINK_FRAMES as u64
    })
    .await;
    // The sink refuses now: whatever more the door takes in, it may only hold in its own slabs.
    let taken = node.metrics.envelopes.value();
    assert!(taken <= 2048 * (LINK_FRAMES as u64 + 1), "{taken} taken in");
    assert_eq!(node.metrics.answers.value(), 0);
    until("a frame is refused twice", || node.refused.value() >= 2).await;
    node.set(Mode::Run);
    for submission in submissions {
        let answers = submission.await.unwrap().unwrap();
        assert_eq!(answers.len(), MANY);
        assert_eq!(answers.settled_count(), MANY - 2);
    }
    assert_eq!(node.metrics.answers.value(), 12 * MANY as u64);
    assert_eq!(
        node.seen_count(),
        12 * MANY,
        "each envelope reached verification once"
    );
    // A refused frame is offered again a millisecond later.
    let waited_min = Duration::from_millis(node.refused.value());
    assert!(node.metrics.sink_wait.sum() >= waited_min);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_for_a_stream_that_went_away_are_counted_and_lost() {
    let mut config = config();
    config.transport.streams_max = 1;
    let node = Node::start(config).await;
    node.set(Mode::Blocked);
    let raw = connect(&member(1), node.server, &Transport::default())
        .await
        .unwrap();
    let (mut send, mut recv) = raw.connection.open_bi().await.unwrap();
    let header = StreamHeader::new(Op::Submit, 10).to_bytes();
    send.write_all(&header).await.unwrap();
    send.write_all(payments(1, 10).as_bytes()).await.unwrap();
    send.finish().unwrap();
    until("the stream is taken in", || {
        node.metrics.frames.value() == 1
    })
    .await;
    recv.stop(0u32.into()).unwrap();
    // One stream at a time: the door takes another once it has forgotten the first.
    let status = StreamHeader::new(Op::Status, 0).to_bytes();
    assert!(raw.say(&status).await.is_ok());
    node.set(Mode::Run);
    until("the answers find nobody", || {
        node.metrics.answers_undelivered.value() == 10
    })
    .await;
    assert_eq!(node.metrics.answers.value(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_left_and_the_same_bytes_go_to_the_next() {
    let first = Node::start(config()).await;
    let second = Node::start(config()).await;
    first.set(Mode::Silent);
    let mut config = ClientConfig::new(member(1), vec![first.server, second.server]);
    config.silence = Duration::from_millis(300);
    let client = Client::connect(config).await.unwrap();
    let sent = payments(1, 3000);
    // Of a copy that is refused, the first might have settled until its time is over.
    second.ledger.time_ms.store(1000, Ordering::Relaxed);
    let answers = client.submit(&sent).await.unwrap();
    assert_eq!(answers.settled_count(), 2998);
    let metrics = client.metrics();
    assert_eq!(metrics.resends.value(), 1);
    assert_eq!(metrics.envelopes_sent.value(), 6000, "to either server");
    assert_eq!(metrics.envelopes_answered.value(), 3000);
    let frames = second.frames.lock().unwrap();
    let seen: Vec<Envelope> = frames
        .iter()
        .flat_map(|f| envelopes(&f.slab).to_vec())
        .collect();
    assert!(seen == sent, "the same bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resend_goes_on_behind_what_was_answered() {
    let first = Node::start(config()).await;
    let second = Node::start(config()).await;
    let mut config = ClientConfig::new(member(1), vec![first.server, second.server]);
    config.silence = Duration::from_millis(300);
    let client = Client::connect(config).await.unwrap();
    second.ledger.time_ms.store(1000, Ordering::Relaxed);
    let mut sent = payments(1, 4096);
    link_up(&mut sent, 2040..2050);
    let mut submission = client.submission(slab(&sent)).unwrap();
    let mut answered = submission.next().await.unwrap().unwrap().outcomes.len();
    first.set(Mode::Silent);
    while let Some(run) = submission.next().await.unwrap() {
        assert_eq!(run.first_index, answered);
        answered += run.outcomes.len();
    }
    assert_eq!(answered, 4096);
    let frames = second.frames.lock().unwrap();
    if let Some(frame) = frames.first() {
        let amount = Transfer::of(&envelopes(&frame.slab)[0].body).amount.get();
        assert!(amount > 1, "what was answered is not sent again");
        assert!(
            !(2042..=2051).contains(&amount),
            "a chain is sent again whole"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_answer_the_client_says_how_far_it_came() {
    let node = Node::start(config()).await;
    node.set(Mode::Silent);
    let mut config = ClientConfig::new(member(1), vec![node.server]);
    config.silence = Duration::from_millis(50);
    config.give_up_after = Duration::from_millis(300);
    let client = Client::connect(config).await.unwrap();
    let error = client.submit(&payments(1, 10)).await.expect_err("silent");
    assert!(
        matches!(
            error,
            ClientError::Unanswered {
                answered: 0,
                total: 10
            }
        ),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_answers_what_was_taken_and_refuses_the_rest() {
    let node = Node::start(config()).await;
    node.set(Mode::Blocked);
    let client = node.client(1).await;
    let mut submission = client.submission(slab(&payments(1, 100))).unwrap();
    let waiting = tokio::spawn(async move {
        let mut codes = Vec::new();
        while let Some(run) = submission.next().await.unwrap() {
            codes.extend(run.outcomes.iter().map(|outcome| outcome.code));
        }
        codes
    });
    let raw = connect(&member(2), node.server, &Transport::default())
        .await
        .unwrap();
    let (mut send, mut recv) = raw.connection.open_bi().await.unwrap();
    let half = payments(2, 100);
    send.write_all(&StreamHeader::new(Op::Submit, 200).to_bytes())
        .await
        .unwrap();
    send.write_all(half.as_bytes()).await.unwrap();
    let begun = || node.metrics.submit_streams.value() == 2 && node.metrics.frames.value() == 1;
    until("one stream is taken in, the other begun", begun).await;
    let (server, mode) = (node.server, node.mode.clone());
    let stopping = tokio::spawn(node.ingest.stop());
    set(&mode, Mode::Run);
    assert_eq!(waiting.await.unwrap(), [ResultCode::Settled; 100]);
    let refused = recv.read_to_end(10_000).await.unwrap();
    assert_eq!(
        refused[..RUN_HEADER_BYTES],
        RunHeader::new(Height(0), 0, 200).to_bytes()
    );
    let codes = parse_outcomes(&refused[RUN_HEADER_BYTES..]).unwrap();
    assert!(
        codes
            .iter()
            .all(|outcome| outcome.code == ResultCode::Unavailable)
    );
    stopping.await.unwrap();
    assert_eq!(node.metrics.drops(DropReason::Stopping), 200);
    let mut config = ClientConfig::new(member(1), vec![server]);
    config.connect_timeout = Duration::from_millis(500);
    assert!(
        Client::connect(config).await.is_err(),
        "nobody is let in any more"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_waits_for_no_member_that_holds_a_stream_open() {
    let mut config = config();
    config.stop_grace = 4 * TIMEOUT;
    config.frame_fill_max = 4 * TIMEOUT;
    let node = Node::start(config).await;
    let raw = connect(&member(1), node.server, &Transport::default())
        .await
        .unwrap();
    let header = StreamHeader::new(Op::Submit, 1).to_bytes();
    let question = StreamHeader::new(Op::Lookup, 1).to_bytes();
    let (cut_header, whole) = (
        &header[..5],
        [&header[..], payments(1, 1).as_bytes()].concat(),
    );
    let mut held = Vec::new();
    for bytes in [cut_header, &question, &whole] {
        let (mut send, recv) = raw.connection.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        held.push((send, recv));
    }
    // The door serves them all once it has answered one behind them.
    let status = StreamHeader::new(Op::Status, 0).to_bytes();
    assert!(raw.say(&status).await.is_ok());
    let (_, answered) = &mut held[2];
    let answer = answered.read_to_end(1 << 10).await.unwrap();
    assert_eq!(answer.len(), RUN_HEADER_BYTES + 4);
    let stopping = tokio::time::timeout(TIMEOUT, node.ingest.stop());
    assert!(stopping.await.is_ok(), "it waited for the member");
    for (_, recv) in &mut held[..2] {
        let end = recv.read_chunk(1, true).await.expect_err("reset");
        assert_eq!(read_closed(end), CloseCode::Stopping);
    }
    assert_eq!(node.metrics.closes(CloseCode::Stopping), 2);
}
