//! A node that starts on what a crash left, and the questions that its members would ask.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clearway_node::config::NodeConfig;
use clearway_node::keystore::{self, Unlock, ValidatorKeys};
use clearway_node::{LOG_FOLDER, Node, Readiness};
use clearway_replay::Options;
use clearway_store::{RealIo, Store, StoreOptions};
use clearway_types::code::ResultCode;
use clearway_types::wire::query::{Found, Lookup};
use tempfile::{TempDir, tempdir, tempdir_in};

use crate::disk::Image;
use crate::member::runtime;
use crate::run::{Answer, Run};

/// How long a client's good-bye may take.
const PARTING: Duration = Duration::from_millis(20);

/// Starts nodes on images of one run.
pub(crate) struct Recovery<'a> {
    run: &'a Run,
    config: NodeConfig,
    keys: ValidatorKeys,
    names: Vec<Lookup>,
}

/// What is asked of an image.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    /// Answers that had come when the record was so long must hold.
    pub(crate) record_bytes: u64,
    /// Whether the whole log is replayed too.
    pub(crate) replay: bool,
}

impl<'a> Recovery<'a> {
    pub(crate) fn new(run: &'a Run) -> Self {
        let flags = [("listen", "127.0.0.1:0"), ("admin_listen", "127.0.0.1:0")];
        let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let file = run.dir().join("node.toml");
        let loaded = clearway_node::config::load(Some(&file), [], &flags).expect("a configuration");
        let unlock = Unlock::from_environment(true);
        let keys = keystore::load_validator(&loaded.config.keys, &unlock).expect("keys");
        Self {
            run,
            config: loaded.config,
            keys,
            names: run
                .answers
                .iter()
                .map(|answer| Lookup::of(&answer.payment))
                .collect(),
        }
    }

    /// Starts a node on the image, as it is, and asks; answers what is wrong.
    pub(crate) fn check(&self, image: &Image, question: Question) -> Result<(), String> {
        let dir = place();
        image.save(dir.path()).expect("room for an image");
        let mut config = self.config.clone();
        config.data_dir = dir.path().join("data");
        let node = Node::start(&config, self.run.member.genesis(), &self.keys)
            .map_err(|error| format!("the node does not start: {error}"))?;
        let mut readiness = node.readiness();
        let asked = runtime().block_on(async {
            tokio::select! {
                asked = self.ask(node.addresses().door, question.record_bytes) => asked,
                _ = readiness.wait_for(|now| *now == Readiness::Failed) => Err(String::new()),
            }
        });
        let asked = asked.and_then(|payments| self.books(&node, payments));
        let stopped = node.stop();
        stopped.map_err(|error| format!("the node stopped by itself: {error}"))?;
        asked?;
        match question.replay {
            true => self.replay(&config.data_dir),
            false => Ok(()),
        }
    }

    /// Asks as a member; answers how many payments there are.
    async fn ask(&self, door: SocketAddr, record_bytes: u64) -> Result<u128, String> {
        let member = &self.run.member;
        let client = member
            .connect(door)
            .await
            .map_err(|error| format!("the door stays closed: {error}"))?;
        let before = self.run.answers.iter();
        let told = |answer: &&Answer| answer.record_bytes <= record_bytes;
        let last = before.clone().rfind(told);
        // Once the new payment is final, so is all that the crash left half-way. One that was
        // answered before the crash must not move money again.
        let mut payments = member.payments(1);
        payments.extend(last.map(|answer| answer.payment));
        let answers = client
            .submit(&payments)
            .await
            .map_err(|error| format!("payments are not answered: {error}"))?;
        if !answers[0].settled() {
            return Err(format!("a new payment: {}", answers[0].outcome.code));
        }
        let again = last.map(|last| (last.found.height, answers[1]));
        if let Some((height, answer)) = again
            && (answer.height, answer.outcome.code) != (height, ResultCode::Settled)
            && (answer.is_final() || answer.outcome.code != ResultCode::Expired)
        {
            return Err(format!("settled at {height}, sent again: {answer:?}"));
        }
        let found = client.lookup_all(&self.names).await;
        let found = found.map_err(|error| format!("a look-up: {error}"))?;
        for ((answer, name), found) in before.zip(&self.names).zip(&found) {
            if told(&answer) && *found != Some(answer.found) {
                return Err(format!("{name:?} was {:?}, now {found:?}", answer.found));
            }
        }
        // The node need not wait for a client that says good-bye.
        let _ = tokio::time::timeout(PARTING, client.close()).await;
        // A batch that was stored and not answered may come to its block later than it lives.
        let settled = |found: &&Found| found.outcome.code == ResultCode::Settled;
        Ok(found.iter().flatten().filter(settled).count() as u128 + 1)
    }

    /// Whether the accounts hold exactly this many payments of one minor unit.
    fn books(&self, node: &Node, payments: u128) -> Result<(), String> {
        let (from, to) = (self.run.member.from, self.run.member.to);
        let books = node.ask(move |ledger| {
            let broken = ledger.check_invariants().err();
            let paid = ledger.account(from)?.debits_posted.get();
            let received = ledger.account(to)?.credits_posted.get();
            Some((paid, received, broken))
        });
        let opening = self.run.member.opening(to);
        match books.flatten() {
            Some((paid, received, None)) if (paid, received) == (payments, opening + payments) => {
                Ok(())
            }
            other => Err(format!("{payments} payments, but in the books {other:?}")),
        }
    }

    fn replay(&self, data: &Path) -> Result<(), String> {
        let genesis = self.run.member.genesis();
        let mut options = StoreOptions::new(data.join(LOG_FOLDER), genesis.hash().0);
        options.segment_bytes = self.config.store.segment_bytes;
        let (reader, _) = Store::open_read_only(Arc::new(RealIo::new()), options)
            .map_err(|error| format!("replay: {error}"))?;
        let summary = clearway_replay::replay(&reader, genesis, &Options::default(), &mut |_| {});
        let summary = summary.map_err(|error| format!("replay: {error}"))?;
        match summary.ok() {
            true => Ok(()),
            false => Err(format!("replay: {:?}", summary.difference)),
        }
    }
}

/// A folder in memory where there is one: nobody cuts the power of a recovery, so its syncs may
/// be quick.
fn place() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let dir = match memory.is_dir() {
        true => tempdir_in(memory),
        false => tempdir(),
    };
    dir.expect("a folder")
}
