//! Places for connections: of one member, and of the node.

use std::time::Duration;

use clearway_client::{Client, ClientConfig};
use clearway_quic::Transport;
use clearway_types::units::Height;
use clearway_types::wire::query::{FollowCursor, FollowRequest};
use clearway_types::wire::{ANSWER_HEADER_BYTES, CloseCode, Op, StreamHeader};

use crate::raw::{Raw, closed, connect};
use crate::rig::{Node, account, config, member, payments, until};

/// A connection of a member; an answer on it says that it has its place.
async fn placed(node: &Node, id: u32) -> Raw {
    let raw = connect(&member(id), node.server, &Transport::default())
        .await
        .unwrap();
    let status = StreamHeader::new(Op::Status, 0).to_bytes();
    raw.say(&status).await.unwrap();
    raw
}

/// A feed that keeps its connection busy for as long as both halves live.
async fn follow(raw: &Raw, id: u32) -> (quinn::SendStream, quinn::RecvStream) {
    let (mut send, mut recv) = raw.connection.open_bi().await.unwrap();
    let request = FollowRequest {
        account: account(id),
        from: FollowCursor::at(Height(1)),
    };
    let header = StreamHeader::new(Op::Follow, 1).to_bytes();
    send.write_all(&header).await.unwrap();
    send.write_all(&request.to_bytes()).await.unwrap();
    let mut head = [0; ANSWER_HEADER_BYTES];
    recv.read_exact(&mut head).await.unwrap();
    (send, recv)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ninth_connection_of_a_member_takes_the_place_of_its_idle_one() {
    const IDLE: usize = 1;
    let node = Node::start(config()).await;
    let (mut open, mut feeds) = (Vec::new(), Vec::new());
    for number in 0..8 {
        let raw = placed(&node, 1).await;
        if number != IDLE {
            feeds.push(follow(&raw, 1).await);
        }
        open.push(raw);
    }
    let ninth = placed(&node, 1).await;
    let displaced = closed(open[IDLE].connection.closed().await);
    assert_eq!(displaced, CloseCode::Displaced);
    assert_eq!(node.metrics.closes(CloseCode::Displaced), 1);
    let reasons = open.iter().map(|raw| raw.connection.close_reason());
    assert_eq!(reasons.flatten().count(), 1, "the others are busy");
    assert!(ninth.connection.close_reason().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_connections_that_nobody_closes_keep_the_next_one_of_the_member_not_out() {
    let node = Node::start(config()).await;
    let mut left_open = Vec::new();
    for number in 0..100 {
        let client = Client::connect(ClientConfig::new(member(1), vec![node.server])).await;
        let client = client.unwrap_or_else(|error| panic!("client {number}: {error}"));
        let answers = client.submit(&payments(1, 1)).await.unwrap();
        assert_eq!(answers.settled_count(), 1, "client {number}");
        left_open.push(client);
    }
    assert_eq!(node.metrics.closes(CloseCode::MemberConnections), 0);
    let first = left_open[0].submit(&payments(1, 1)).await.unwrap();
    assert_eq!(first.settled_count(), 1, "it connects again when it has to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ninth_connection_is_refused_by_name_while_all_others_are_busy() {
    let mut config = config();
    config.seat_wait_max = Duration::from_millis(200);
    let node = Node::start(config).await;
    let (mut open, mut feeds) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let raw = placed(&node, 1).await;
        feeds.push(follow(&raw, 1).await);
        open.push(raw);
    }
    let ninth = connect(&member(1), node.server, &Transport::default())
        .await
        .unwrap();
    let refused = closed(ninth.connection.closed().await);
    assert_eq!(refused, CloseCode::MemberConnections);
    assert_eq!(node.metrics.closes(CloseCode::MemberConnections), 1);
    assert_eq!(node.metrics.closes(CloseCode::Displaced), 0);
    let _other = placed(&node, 2).await;
    open.pop().unwrap().connection.close(0u32.into(), b"");
    let _again = placed(&node, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_comes_while_all_are_busy_waits_for_one_that_ends() {
    let mut config = config();
    config.member_connections_max = 1;
    config.seat_wait_max = crate::rig::TIMEOUT;
    let node = Node::start(config).await;
    let first = placed(&node, 1).await;
    let feed = follow(&first, 1).await;
    let second = connect(&member(1), node.server, &Transport::default())
        .await
        .unwrap();
    let status = StreamHeader::new(Op::Status, 0).to_bytes();
    let asking = second.say(&status);
    tokio::pin!(asking);
    tokio::select! {
        _ = &mut asking => panic!("its place is taken"),
        () = until("both are open", || node.metrics.connections_open.value() == 2) => {}
    }
    first.connection.close(0u32.into(), b"");
    drop(feed);
    assert!(asking.await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_of_a_full_node_that_is_freed_goes_to_one_that_waits() {
    let mut config = config();
    config.connections_max = 3;
    config.seat_wait_max = crate::rig::TIMEOUT;
    let node = Node::start(config).await;
    let (mut open, mut feeds) = (Vec::new(), Vec::new());
    for id in 1..=3 {
        let raw = placed(&node, id).await;
        feeds.push(follow(&raw, id).await);
        open.push(raw);
    }
    let (fourth, fifth) = (placed(&node, 4), placed(&node, 5));
    tokio::pin!(fourth, fifth);
    let all_open = || node.metrics.connections_open.value() == 5;
    tokio::select! {
        _ = &mut fourth => panic!("all places are taken"),
        _ = &mut fifth => panic!("all places are taken"),
        () = until("two wait", all_open) => {}
    }
    open[0].connection.close(0u32.into(), b"");
    let first_in = tokio::select! {
        raw = &mut fourth => raw,
        raw = &mut fifth => raw,
    };
    assert_eq!(node.metrics.closes(CloseCode::Displaced), 0);
    assert_eq!(node.metrics.closes(CloseCode::NodeConnections), 0);
    let reasons = open[1..].iter().map(|raw| raw.connection.close_reason());
    assert_eq!(reasons.flatten().count(), 0, "they are busy");
    drop(first_in);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_node_takes_from_the_member_that_has_most_or_refuses_by_name() {
    let mut config = config();
    config.connections_max = 4;
    let node = Node::start(config).await;
    let mut hog = Vec::new();
    for _ in 0..4 {
        hog.push(placed(&node, 1).await);
    }
    let _feeds = [follow(&hog[0], 1).await, follow(&hog[1], 1).await];
    let others = [placed(&node, 2).await, placed(&node, 3).await];
    for raw in &hog[2..] {
        let displaced = closed(raw.connection.closed().await);
        assert_eq!(displaced, CloseCode::Displaced);
    }
    until("those have gone", || {
        node.metrics.connections_open.value() == 4
    })
    .await;
    let fifth = connect(&member(4), node.server, &Transport::default())
        .await
        .unwrap();
    let refused = closed(fifth.connection.closed().await);
    assert_eq!(
        refused,
        CloseCode::NodeConnections,
        "two busy, and one each"
    );
    assert_eq!(node.metrics.closes(CloseCode::NodeConnections), 1);
    assert!(
        others
            .iter()
            .all(|raw| raw.connection.close_reason().is_none())
    );
}
