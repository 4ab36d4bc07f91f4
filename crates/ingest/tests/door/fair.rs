//! One party keeps nobody out: what honest members wait while others hold all that they can.

use std::time::{Duration, Instant};

use clearway_client::{Client, ClientConfig};
use clearway_ingest::{HandshakeLimits, IngestConfig};
use clearway_quic::Transport;
use clearway_types::wire::CloseCode;

use crate::raw::connect;
use crate::rig::{Node, TIMEOUT, config, member, payments, until};
use crate::rude::{HalfOpen, Slow};

/// Attackers hold what they have for so long, far longer than anything else may take here: who is
/// served meanwhile did not wait for them to end.
const HELD_FOR: Duration = Duration::from_secs(4 * TIMEOUT.as_secs());
const HERE: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [127, 0, 0, 2];

/// Settings under which attackers are not sent away for being slow.
fn patient() -> IngestConfig {
    let mut config = config();
    config.frame_fill_max = HELD_FOR;
    config.handshakes.timeout = HELD_FOR;
    config.transport.idle_timeout = HELD_FOR;
    config
}

/// What comes of it, unless it is stuck.
async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(TIMEOUT, work).await;
    done.unwrap_or_else(|_| panic!("timed out: {what}"))
}

/// Pays over a new connection of member 40.
async fn pays(node: &Node, count: usize) {
    let paying = async {
        let client = Client::connect(ClientConfig::new(member(40), vec![node.server])).await;
        client.unwrap().submit(&payments(40, count)).await.unwrap()
    };
    let answers = in_time("payments over a new connection", paying).await;
    assert_eq!(answers.settled_count(), count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_handshakes_of_one_socket_keep_no_member_out() {
    let node = Node::start(patient()).await;
    let mut attack = HalfOpen::new(&node, HERE).await;
    attack.start(700, false).await;
    let socket_max = HandshakeLimits::default().socket_max as u64;
    let held = || node.metrics.handshakes_open.value();
    until("the socket has its share", || held() == socket_max).await;
    pays(&node, 1).await;
    assert!(held() >= socket_max, "the attack goes on");
    assert!(
        node.metrics.handshakes_refused.value() >= 600,
        "and each is counted"
    );
}

/// A lobby that a test fills with few sockets.
fn small_lobby() -> IngestConfig {
    let mut config = patient();
    config.handshakes = HandshakeLimits {
        max: 32,
        strangers_max: 24,
        address_max: 16,
        socket_max: 2,
        retry_above: 8,
        address_retry_above: 4,
        ..config.handshakes
    };
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_handshakes_from_many_sockets_keep_no_member_out_even_of_the_same_address() {
    let node = Node::start(small_lobby()).await;
    for from in [ELSEWHERE, HERE] {
        let mut attack = HalfOpen::new(&node, from).await;
        attack.start(100, true).await;
        let held = || node.metrics.handshakes_open.value();
        until("the address has its share", || held() >= 8).await;
        assert!(held() <= 32, "{from:?}: {}", held());
        pays(&node, 1).await;
        assert!(held() >= 8, "{from:?}: the attack goes on");
    }
    assert!(
        node.metrics.handshakes_retried.value() >= 100,
        "addresses were proven"
    );
    assert!(node.metrics.handshakes_displaced.value() >= 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_that_quic_has_not_forgotten_yet_keeps_no_known_address_out() {
    let mut config = small_lobby();
    config.connections_max = 2;
    config.handshakes.max = 4;
    config.handshakes.strangers_max = 3;
    config.handshakes.retry_above = 0;
    let node = Node::start(config).await;
    let known = connect(&member(40), node.server, &Transport::default())
        .await
        .unwrap();
    let mut attack = HalfOpen::new(&node, ELSEWHERE).await;
    let from = Instant::now();
    let refused = || node.metrics.handshakes_refused.value();
    while refused() == 0 {
        attack.start(1, true).await;
        assert!(
            from.elapsed() < TIMEOUT,
            "QUIC forgets faster than it comes"
        );
    }
    assert!(node.metrics.handshakes_displaced.value() > 16);
    let next = connect(&member(40), node.server, &Transport::default()).await;
    assert!(next.is_ok(), "{:?}", next.err());
    drop(known);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_handshakes_are_forgotten_after_their_time() {
    let mut config = small_lobby();
    config.handshakes.timeout = Duration::from_millis(300);
    let node = Node::start(config).await;
    let mut attack = HalfOpen::new(&node, HERE).await;
    attack.start(10, true).await;
    let open = || node.metrics.handshakes_open.value();
    until("the lobby is empty", || open() == 0).await;
    assert!(node.metrics.handshake_failures.value() >= 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_hold_all_streams_they_can_with_few_bytes_slow_nobody() {
    const BYTES: usize = 100;
    let node = Node::start(patient()).await;
    let honest = node.client(39).await;
    let mut slow = Vec::new();
    for id in 1..=12 {
        slow.push(Slow::hold(id, node.server, BYTES).await);
    }
    let streams = || node.metrics.submit_streams.value();
    until("all streams are open", || streams() >= 12 * 8 * 32).await;
    pays(&node, 1).await;
    for count in [1, 100, 4096] {
        let sent = payments(39, count);
        let answers = in_time("payments", honest.submit(&sent)).await.unwrap();
        assert_eq!(answers.len(), count);
    }
    assert_eq!(node.metrics.closes(CloseCode::TooSlow), 0, "all are held");
    let mut open = slow.iter().flat_map(Slow::connections);
    assert!(open.all(|raw| raw.connection.close_reason().is_none()));
}

/// Room for frames that four members can use up.
fn little_room() -> IngestConfig {
    let mut config = patient();
    config.connections_max = 40;
    config.fill_bytes_max = 8 << 20;
    config.member_fill_bytes_max = 4 << 20;
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_pay_with_bytes_for_all_the_room_lose_it_to_one_that_holds_less() {
    let node = Node::start(little_room()).await;
    let honest = node.client(39).await;
    let mut trickles = Vec::new();
    for id in 1..=4 {
        let slow = Slow::hold(id, node.server, 30_000).await;
        trickles.push(slow.trickle());
    }
    for count in [1, 2000, 8192] {
        let sent = payments(39, count);
        let answers = in_time("payments", honest.submit(&sent)).await.unwrap();
        assert_eq!(answers.len(), count);
    }
    let evicted = node.metrics.fills_evicted.value();
    assert!(evicted > 0);
    let slow = || node.metrics.closes(CloseCode::TooSlow);
    until("all of them are told by name", || slow() >= evicted).await;
    trickles.iter().for_each(|trickle| trickle.abort());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_hold_room_and_wait_for_more_leave_enough_for_one_to_go_on() {
    let node = Node::start(little_room()).await;
    let mut patient = ClientConfig::new(member(39), vec![node.server]);
    // It does not give its frames up and send them again: that would make room.
    patient.silence = HELD_FOR;
    let honest = Client::connect(patient).await.unwrap();
    let mut slow = Vec::new();
    for id in 1..=4 {
        slow.push(Slow::hold(id, node.server, 30_000).await);
    }
    // Each frame gets on a little, as those of busy members do, and wants more room.
    for slow in &mut slow {
        slow.send_more(25_000).await;
    }
    let sent = payments(39, 8192);
    let answers = in_time("payments", honest.submit(&sent)).await.unwrap();
    assert_eq!(answers.len(), 8192);
    drop(slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_lose_their_room_do_not_count_as_faults_of_their_connection() {
    let mut config = little_room();
    config.connection_faults_max = 0;
    let node = Node::start(config).await;
    let honest = node.client(39).await;
    let mut slow = Vec::new();
    for id in 1..=4 {
        slow.push(Slow::hold(id, node.server, 10_000).await);
    }
    let evicted = || node.metrics.fills_evicted.value();
    let from = Instant::now();
    while evicted() < 4 {
        honest.submit(&payments(39, 2000)).await.unwrap();
        assert!(from.elapsed() < TIMEOUT, "{} evicted", evicted());
    }
    let told = || node.metrics.closes(CloseCode::TooSlow) >= 4;
    until("the streams are reset by name", told).await;
    assert_eq!(node.metrics.closes(CloseCode::Misbehaved), 0);
    let mut open = slow.iter().flat_map(Slow::connections);
    assert!(open.all(|raw| raw.connection.close_reason().is_none()));
}
