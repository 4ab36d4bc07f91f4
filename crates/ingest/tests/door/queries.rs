//! Questions: look-ups, accounts, status, proofs, feeds that survive a server.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clearway_client::{Client, ClientConfig, ClientError};
use clearway_quic::Transport;
use clearway_types::code::ResultCode;
use clearway_types::units::{Height, ParticipantId, TransferId};
use clearway_types::wire::query::{FollowCursor, FollowItem, FollowRequest, Lookup};
use clearway_types::wire::{ANSWER_HEADER_BYTES, AnswerHeader, AnswerStatus, Op, StreamHeader};

use crate::raw::connect;
use crate::rig::{Ledger, Node, TIMEOUT, account, config, member, payments, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_executed_is_found_and_the_rest_is_not() {
    let node = Node::start(config()).await;
    let client = node.client(1).await;
    let sent = payments(1, 1500);
    client.submit(&sent).await.unwrap();
    let mut names: Vec<Lookup> = sent.iter().map(Lookup::of).collect();
    names[3].id = TransferId([0xee; 16]);
    let found = client.lookup_all(&names).await.unwrap();
    assert_eq!(found.len(), 1500);
    assert_eq!(found[3], None);
    let last = found[1499].expect("executed");
    assert_eq!(last.outcome.code, ResultCode::Settled);
    assert!(last.height > Height(0));
    let one = client
        .lookup(ParticipantId(1), sent[0].body.id)
        .await
        .unwrap();
    assert_eq!(one, found[0]);
    // 1,500 names take two questions.
    assert_eq!(client.metrics().questions.value(), 3);
    // A client that connects asks for the status, to see that it is let in.
    assert_eq!(node.metrics.queries.value(), 4);
}

/// The status of an answer that came whole.
fn status_of(answer: &[u8]) -> AnswerStatus {
    let head = answer.first_chunk().expect("an answer has a head");
    AnswerHeader::parse(*head).unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_and_feeds_above_their_limit_are_told_that_the_node_is_busy() {
    let mut config = config();
    config.queries_max = 1;
    config.query_wait_max = Duration::from_millis(50);
    config.connection_follows_max = 1;
    let node = Node::start(config).await;
    let raw = connect(&member(1), node.server, &Transport::default())
        .await
        .unwrap();
    let ledger = Arc::clone(&node.ledger);
    let (holding, held) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        let _blocks = ledger.blocks.lock().unwrap();
        holding.send(()).unwrap();
        // Ends when the other side is dropped.
        let _ = released.recv();
    });
    held.recv().unwrap();
    // Nobody can read the ledger now: one of the two waits for it, the other is turned away.
    let question = StreamHeader::new(Op::Status, 0).to_bytes();
    let busy = || node.metrics.queries_busy.value();
    let (first, second, ()) = tokio::join!(raw.say(&question), raw.say(&question), async {
        until("one is turned away", || busy() == 1).await;
        drop(release);
    });
    holder.join().unwrap();
    let statuses = [&first, &second].map(|answer| status_of(answer.as_ref().unwrap()));
    assert!(statuses.contains(&AnswerStatus::Ok) && statuses.contains(&AnswerStatus::Busy));
    let from = FollowCursor::at(Height(0));
    let account = account(1);
    let header = StreamHeader::new(Op::Follow, 1).to_bytes();
    let request = FollowRequest { account, from }.to_bytes();
    let follow = [&header[..], &request].concat();
    let (mut send, mut recv) = raw.connection.open_bi().await.unwrap();
    send.write_all(&follow).await.unwrap();
    let mut head = [0; ANSWER_HEADER_BYTES];
    recv.read_exact(&mut head).await.unwrap();
    assert_eq!(status_of(&head), AnswerStatus::Ok);
    assert_eq!(
        status_of(&raw.say(&follow).await.unwrap()),
        AnswerStatus::Busy
    );
    assert_eq!(busy(), 2);
    assert_eq!(node.metrics.queries.value(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_none_have_their_status() {
    let node = Node::start(config()).await;
    let client = node.client(1).await;
    assert!(client.account(account(1)).await.unwrap().is_some());
    let other = clearway_types::units::AccountId::new(ParticipantId(1), 99);
    assert_eq!(client.account(other).await.unwrap(), None);
    let foreign = client.account(account(2)).await;
    assert!(matches!(
        foreign,
        Err(ClientError::Status(AnswerStatus::NotAllowed))
    ));
    let status = client.status().await.unwrap();
    assert_eq!(status.height, Height(0));
    let sent = payments(1, 1);
    let name = Lookup::of(&sent[0]);
    assert_eq!(client.proof(name.signer, name.id).await.unwrap(), None);
    client.submit(&sent).await.unwrap();
    let early = client.proof(name.signer, name.id).await;
    assert!(matches!(
        early,
        Err(ClientError::Status(AnswerStatus::NotReady))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_that_comes_too_early_is_asked_for_again_until_the_client_gives_up() {
    let node = Node::start(config()).await;
    let mut settings = ClientConfig::new(member(1), vec![node.server]);
    settings.give_up_after = Duration::from_millis(300);
    let hasty = Client::connect(settings).await.unwrap();
    let sent = payments(1, 1);
    let name = Lookup::of(&sent[0]);
    hasty.submit(&sent).await.unwrap();
    let never = hasty.proof_when_ready(name).await;
    assert!(matches!(
        never,
        Err(ClientError::Status(AnswerStatus::NotReady))
    ));
    *node.ledger.proofs_early.lock().unwrap() = Some(3);
    let client = node.client(1).await;
    assert_eq!(client.proof_when_ready(name).await.unwrap(), None);
    let early = *node.ledger.proofs_early.lock().unwrap();
    assert_eq!(early, Some(0), "it was asked for as often as it had to be");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roster_of_several_answers_comes_whole_and_each_asker_sees_its_part() {
    let node = Node::start(config()).await;
    for (number, oversees) in [(1, true), (2, false)] {
        let client = node.client(number).await;
        let roster = client.roster().await.unwrap();
        let numbers: Vec<u32> = roster.participants.iter().map(|one| one.id.0).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!(roster.next, ParticipantId(0));
        assert_eq!(roster.approvals.is_some(), oversees);
        assert_eq!(client.metrics().questions.value(), 2);
    }
}

/// The amounts that a feed gives until it reaches `height`.
async fn amounts_through(feed: &mut clearway_client::Follow, height: u64) -> Vec<u64> {
    let mut amounts = Vec::new();
    loop {
        match feed.next().await.unwrap() {
            FollowItem::Entry { envelope, .. } => {
                amounts.push(
                    clearway_types::transfer::Transfer::of(&envelope.body)
                        .amount
                        .get(),
                );
            }
            FollowItem::Through { height: reached } if reached.0 >= height => return amounts,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_gives_each_item_once_across_pages_live_blocks_and_a_lost_server() {
    let ledger = Arc::new(Ledger::default());
    let first = Node::start_with(config(), Arc::clone(&ledger)).await;
    let second = Node::start_with(config(), Arc::clone(&ledger)).await;
    first
        .client(1)
        .await
        .submit(&payments(1, 600))
        .await
        .unwrap();
    let servers = vec![first.server, second.server];
    let client = Client::connect(ClientConfig::new(member(1), servers))
        .await
        .unwrap();
    let mut feed = client.follow(account(1), Height(0));
    let stored = amounts_through(&mut feed, 1).await;
    assert_eq!(
        stored,
        (1..=600).collect::<Vec<_>>(),
        "stored, over several pages"
    );
    first.client(1).await.submit(&payments(1, 7)).await.unwrap();
    let live = amounts_through(&mut feed, 2).await;
    assert_eq!(live, (1..=7).collect::<Vec<_>>(), "as it happens");
    let cursor = feed.cursor();
    assert_eq!(client.metrics().follow_resumes.value(), 0);
    first.ingest.stop().await;
    second
        .client(1)
        .await
        .submit(&payments(1, 5))
        .await
        .unwrap();
    let resumed = amounts_through(&mut feed, 3).await;
    assert_eq!(
        resumed,
        (1..=5).collect::<Vec<_>>(),
        "from the other server"
    );
    assert!(client.metrics().follow_resumes.value() >= 1);
    let mut again = client.follow_from(account(1), cursor);
    assert_eq!(
        amounts_through(&mut again, 3).await,
        resumed,
        "from a kept cursor"
    );
    let mut from_middle = client.follow(account(1), Height(2));
    let both = amounts_through(&mut from_middle, 3).await;
    assert_eq!(both.len(), 12, "from a height");
}

/// A question for one name that nobody knows.
fn look_up(member: u32) -> Vec<u8> {
    let mut question = StreamHeader::new(Op::Lookup, 1).to_bytes().to_vec();
    let name = Lookup {
        signer: ParticipantId(member),
        id: TransferId([0xee; 16]),
    };
    name.encode(&mut question);
    question
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_who_asks_much_keeps_nobody_else_waiting() {
    let mut config = config();
    config.queries_max = 3;
    config.member_queries_max = 2;
    let node = Node::start(config).await;
    let at_work = || node.ledger.at_work.load(Ordering::SeqCst);
    let eager = connect(&member(1), node.server, &Transport::default())
        .await
        .unwrap();
    node.ledger.slow_down(1);
    let question = look_up(1);
    let mut streams = Vec::new();
    for _ in 0..24 {
        let (mut send, recv) = eager.connection.open_bi().await.unwrap();
        send.write_all(&question).await.unwrap();
        send.finish().unwrap();
        streams.push(recv);
    }
    until("the eager one has its share", || at_work() == 2).await;
    let other = connect(&member(2), node.server, &Transport::default())
        .await
        .unwrap();
    for _ in 0..10 {
        let answer = other.say(&look_up(2)).await.unwrap();
        assert_eq!(status_of(&answer), AnswerStatus::Ok);
        assert_eq!(at_work(), 2, "the others of the eager one wait");
    }
    node.ledger.slow_down(0);
    for mut recv in streams {
        let answer = recv.read_to_end(1 << 10).await.unwrap();
        assert_eq!(status_of(&answer), AnswerStatus::Ok, "it waited its turn");
    }
    assert_eq!(node.metrics.queries_busy.value(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_takes_no_answers_has_no_more_of_them_made_than_it_may_ask_at_once() {
    let mut config = config();
    config.member_queries_max = 2;
    config.query_wait_max = Duration::from_millis(200);
    config.answer_take_max = 2 * TIMEOUT;
    let node = Node::start(config).await;
    // A roster does not fit the window: all of it is handed over only when some has been read.
    let narrow = Transport {
        stream_window_bytes: 40,
        ..Transport::default()
    };
    let raw = connect(&member(1), node.server, &narrow).await.unwrap();
    let mut question = StreamHeader::new(Op::Roster, 1).to_bytes().to_vec();
    question.extend(1u32.to_le_bytes());
    let mut streams = Vec::new();
    for _ in 0..32 {
        let (mut send, recv) = raw.connection.open_bi().await.unwrap();
        send.write_all(&question).await.unwrap();
        send.finish().unwrap();
        streams.push(recv);
    }
    let busy = || node.metrics.queries_busy.value();
    until("the others are turned away", || busy() == 30).await;
    let made = || node.ledger.rosters.load(Ordering::SeqCst);
    assert_eq!(made(), 2);
    for mut recv in streams {
        let answer = recv.read_to_end(1 << 10).await.unwrap();
        assert!([AnswerStatus::Ok, AnswerStatus::Busy].contains(&status_of(&answer)));
    }
    let answer = raw.say(&question).await.unwrap();
    assert_eq!(
        status_of(&answer),
        AnswerStatus::Ok,
        "what was read made room"
    );
    assert_eq!(made(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_stops_when_the_asker_has_gone() {
    let node = Node::start(config()).await;
    let at_work = || node.ledger.at_work.load(Ordering::SeqCst);
    let abandoned = || node.metrics.queries_abandoned.value();
    let raw = connect(&member(1), node.server, &Transport::default())
        .await
        .unwrap();
    node.ledger.slow_down(1);
    let ask = async || {
        let (mut send, recv) = raw.connection.open_bi().await.unwrap();
        send.write_all(&look_up(1)).await.unwrap();
        (send, recv)
    };
    let (_send, mut recv) = ask().await;
    until("it is being answered", || at_work() == 1).await;
    recv.stop(0u32.into()).unwrap();
    until("its work has stopped", || at_work() == 0).await;
    assert_eq!(abandoned(), 1);
    let _two = (ask().await, ask().await);
    until("both are being answered", || at_work() == 2).await;
    raw.connection.close(0u32.into(), b"");
    until("their work has stopped", || at_work() == 0).await;
    assert_eq!(abandoned(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_ends_with_the_height_that_cannot_be_given() {
    let node = Node::start(config()).await;
    let client = node.client(1).await;
    for _ in 0..3 {
        client.submit(&payments(1, 5)).await.unwrap();
    }
    *node.ledger.broken_at.lock().unwrap() = Some(2);
    for (from, before) in [(1, 5), (2, 0)] {
        let mut feed = client.follow(account(1), Height(from));
        let mut entries = 0;
        let error = loop {
            match feed.next().await {
                Ok(FollowItem::Entry { height, .. }) => {
                    assert_eq!(height, Height(1));
                    entries += 1;
                }
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        let named = matches!(
            error,
            ClientError::FeedBroken {
                height: Height(2),
                status: AnswerStatus::Failed
            }
        );
        assert!(named, "from {from}: {error}");
        assert_eq!(entries, before, "from {from}");
    }
    assert_eq!(node.metrics.feeds_broken.value(), 2);
    let mut behind = client.follow(account(1), Height(3));
    assert_eq!(amounts_through(&mut behind, 3).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_no_server_can_go_on_with_ends_after_each_was_asked() {
    let node = Node::start(config()).await;
    let other = Node::start_with(config(), Arc::clone(&node.ledger)).await;
    let client = node.client(1).await;
    for _ in 0..3 {
        client.submit(&payments(1, 5)).await.unwrap();
    }
    *node.ledger.broken_at.lock().unwrap() = Some(2);
    let servers = vec![node.server, other.server];
    let client = Client::connect(ClientConfig::new(member(1), servers)).await;
    let client = client.unwrap();
    let mut feed = client.follow(account(1), Height(2));
    let ended = tokio::time::timeout(TIMEOUT, async {
        loop {
            if let Err(error) = feed.next().await {
                break error;
            }
        }
    });
    let error = ended.await.expect("a feed that is broken everywhere ends");
    assert!(matches!(error, ClientError::FeedBroken { .. }), "{error}");
    for node in [&node, &other] {
        assert_eq!(node.metrics.feeds_broken.value(), 1, "asked once");
    }
}
