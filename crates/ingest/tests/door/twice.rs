//! Nobody is led to pay twice: what the client says when copies of an envelope are refused.

use std::net::UdpSocket;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clearway_client::{Answer, Client, ClientConfig, ClientError, Fate, Named, Server};
use clearway_types::code::ResultCode;
use clearway_types::envelope::Envelope;
use clearway_types::units::{Height, UnixSeconds};

use crate::rig::{Mode, Node, config, member, payments, until};

/// When the envelopes here end.
const ENDS: UnixSeconds = UnixSeconds(60);
/// Cluster time before that, after it but not long enough, and long enough after it.
const BEFORE_MS: u64 = 59_000;
const JUST_AFTER_MS: u64 = 60_500;
const AFTER_MS: u64 = 61_000;

fn ending(count: usize) -> Vec<Envelope> {
    let mut sent = payments(1, count);
    for envelope in &mut sent {
        envelope.body.expires_at = ENDS.0.into();
    }
    sent
}

/// A client that gives up soon, so that tests of what stays open are short.
async fn client(node: &Node) -> Client {
    let mut config = ClientConfig::new(member(1), vec![node.server]);
    config.silence = Duration::from_millis(300);
    config.give_up_after = Duration::from_millis(1500);
    Client::connect(config).await.unwrap()
}

fn set_time(node: &Node, time_ms: u64) {
    node.ledger.time_ms.store(time_ms, Ordering::Relaxed);
}

/// Sends while the node behaves as `first`, and as `further` once it has seen the first copies.
async fn sent_twice(
    node: &Node,
    client: &Client,
    sent: &[Envelope],
    (first, further): (Mode, Mode),
) -> Result<Vec<Answer>, ClientError> {
    node.set(first);
    let seen = node.seen_count() + sent.len();
    let submitting = {
        let (client, sent) = (client.clone(), sent.to_vec());
        tokio::spawn(async move { client.submit(&sent).await })
    };
    until("the first copies have come", || node.seen_count() >= seen).await;
    node.set(further);
    Ok(submitting.await.unwrap()?.to_vec())
}

/// Every refusal that can come before order.
const REFUSALS: [ResultCode; 8] = [
    ResultCode::Expired,
    ResultCode::SignerUnknown,
    ResultCode::KeySlotEmpty,
    ResultCode::BadSignature,
    ResultCode::RateLimited,
    ResultCode::Unavailable,
    ResultCode::ChainBroken,
    ResultCode::Malformed,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_further_copy_of_what_was_executed_is_answered_with_the_execution() {
    let node = Node::start(config()).await;
    let client = client(&node).await;
    for time_ms in [BEFORE_MS, AFTER_MS] {
        set_time(&node, time_ms);
        for code in REFUSALS {
            let sent = ending(3);
            let modes = (Mode::Lost, Mode::Refuse(code));
            let answers = sent_twice(&node, &client, &sent, modes).await.unwrap();
            for answer in answers {
                assert!(answer.settled(), "{code} at {time_ms}: {answer:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_history_is_another_is_not_believed_about_what_it_lacks() {
    type Change = fn(&Node);
    let other_genesis: Change = |node| node.ledger.genesis.store(9, Ordering::Relaxed);
    let emptied: Change = |node| node.ledger.blocks.lock().unwrap().clear();
    let rows = [(other_genesis, "another cluster"), (emptied, "has lost")];
    for (change, words) in rows {
        let node = Node::start(config()).await;
        let client = client(&node).await;
        client.submit(&ending(1)).await.unwrap();
        let sent = ending(1);
        let known = client.fate(Named::of(&sent[0])).await.unwrap().0;
        assert_eq!(known, Fate::Open(None), "before its end");
        set_time(&node, AFTER_MS);
        change(&node);
        let error = client.fate(Named::of(&sent[0])).await;
        let error = error.expect_err("it may have been executed").to_string();
        assert!(error.contains(words), "{error}");
        let modes = (Mode::Silent, Mode::Refuse(ResultCode::Expired));
        let error = sent_twice(&node, &client, &sent, modes).await;
        let error = error.expect_err("nobody can know").to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_further_copy_stays_open_until_cluster_time_has_passed_its_end() {
    let node = Node::start(config()).await;
    let client = client(&node).await;
    for code in REFUSALS {
        let modes = (Mode::Silent, Mode::Refuse(code));
        for time_ms in [BEFORE_MS, JUST_AFTER_MS] {
            set_time(&node, time_ms);
            let error = sent_twice(&node, &client, &ending(2), modes).await;
            let error = error.expect_err("nobody can know");
            let ClientError::OutcomeUnknown {
                answered: 0,
                total: 2,
                cause,
            } = &error
            else {
                panic!("{code} at {time_ms}: {error}");
            };
            // With the reason, for those who can do something about it.
            let told = matches!(**cause, ClientError::RefusedForNow { code: told } if told == code);
            assert!(told, "{code} at {time_ms}: {cause}");
            assert!(
                !error.nothing_sent() && error.to_string().contains("look"),
                "{error}"
            );
        }
        set_time(&node, AFTER_MS);
        for answer in sent_twice(&node, &client, &ending(2), modes).await.unwrap() {
            assert_eq!((answer.height, answer.outcome.code), (Height(0), code));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_is_not_said_of_an_only_copy_either_before_cluster_time_says_so() {
    let node = Node::start(config()).await;
    let client = client(&node).await;
    set_time(&node, BEFORE_MS);
    node.set(Mode::Refuse(ResultCode::Expired));
    let submitting = {
        let client = client.clone();
        tokio::spawn(async move { client.submit(&ending(1)).await })
    };
    until("it is looked up", || client.metrics().look_ups.value() >= 2).await;
    set_time(&node, AFTER_MS);
    let answers = submitting.await.unwrap().unwrap();
    assert_eq!(answers[0].outcome.code, ResultCode::Expired);
    assert_eq!(client.metrics().resends.value(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_copy_that_is_refused_for_now_is_sent_again_until_it_settles() {
    let node = Node::start(config()).await;
    let client = client(&node).await;
    set_time(&node, BEFORE_MS);
    let modes = (Mode::Silent, Mode::Refuse(ResultCode::RateLimited));
    let waiting = {
        let (client, mode) = (client.clone(), node.mode.clone());
        tokio::spawn(async move {
            until("it is refused", || client.metrics().look_ups.value() > 0).await;
            crate::rig::set(&mode, Mode::Run);
        })
    };
    let answers = sent_twice(&node, &client, &ending(2), modes).await.unwrap();
    waiting.await.unwrap();
    assert!(answers.iter().all(Answer::settled), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_refusal_of_an_only_copy_is_given_on_at_once() {
    let node = Node::start(config()).await;
    let client = client(&node).await;
    set_time(&node, BEFORE_MS);
    for code in REFUSALS
        .into_iter()
        .filter(|&code| code != ResultCode::Expired)
    {
        node.set(Mode::Refuse(code));
        let answers = client.submit(&ending(2)).await.unwrap();
        assert!(
            answers.iter().all(|answer| answer.outcome.code == code),
            "{code}"
        );
    }
    assert_eq!(client.metrics().look_ups.value(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_to_be_sent_before_is_looked_up_at_its_first_refusal() {
    let node = Node::start(config()).await;
    let client = client(&node).await;
    let sent = ending(40);
    assert_eq!(client.submit(&sent).await.unwrap().settled_count(), 40);
    set_time(&node, AFTER_MS);
    for code in REFUSALS {
        node.set(Mode::Refuse(code));
        let answers = client.resubmit(&sent).await.unwrap();
        assert_eq!(answers.settled_count(), 40, "{code}");
    }
    let never = ending(1);
    node.set(Mode::Refuse(ResultCode::Expired));
    let answers = client.resubmit(&never).await.unwrap();
    assert_eq!(answers[0].outcome.code, ResultCode::Expired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reached_a_node_says_that_nothing_was_sent() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = Server {
        address: socket.local_addr().unwrap(),
        public_key: member(1).public_key(),
    };
    let mut config = ClientConfig::new(member(1), vec![server]);
    config.connect_timeout = Duration::from_millis(100);
    config.give_up_after = Duration::from_millis(300);
    let client = Client::new(config).unwrap();
    let error = client
        .submit(&ending(2))
        .await
        .expect_err("nobody is there");
    assert!(error.nothing_sent(), "{error}");
    assert!(error.to_string().starts_with("nothing was sent"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_was_cut_off_does_not_say_that_nothing_was_sent() {
    let node = Node::start(config()).await;
    let client = client(&node).await;
    node.set(Mode::Lost);
    let submitting = {
        let client = client.clone();
        tokio::spawn(async move { client.submit(&ending(2)).await })
    };
    until("it has come", || node.seen_count() == 2).await;
    client.close().await;
    let error = submitting.await.unwrap().expect_err("closed");
    assert!(!error.nothing_sent(), "{error}");
    assert!(error.to_string().contains("look the others up"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_server_is_asked_before_an_outcome_is_called_unknown() {
    let behind = Node::start(config()).await;
    let knows = Node::start(config()).await;
    let sent = ending(2);
    let settled = client(&knows).await.submit(&sent).await.unwrap();
    assert_eq!(settled.settled_count(), 2);
    // The second server is the third one's address under another key: it opens no door.
    let refuses = Server {
        address: knows.server.address,
        public_key: behind.server.public_key,
    };
    let mut config = ClientConfig::new(member(1), vec![behind.server, refuses, knows.server]);
    config.silence = Duration::from_millis(300);
    let client = Client::connect(config).await.unwrap();
    set_time(&behind, BEFORE_MS);
    behind.set(Mode::Refuse(ResultCode::Expired));
    let submitting = {
        let client = client.clone();
        tokio::spawn(async move { client.resubmit(&sent).await })
    };
    until("it is looked up", || client.metrics().look_ups.value() > 0).await;
    behind.ingest.stop().await;
    let answers = submitting.await.unwrap().unwrap();
    assert_eq!(answers.settled_count(), 2);
}
