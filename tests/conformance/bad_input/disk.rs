//! A disk without room: under the log alone, and under everything that the node writes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clearway_client::{Client, ClientConfig, ClientError, Receipt, Signer};
use clearway_harness::{NodeProcess, Recorder, folder, http};
use clearway_types::envelope::Envelope;
use clearway_types::units::Height;
use clearway_types::wire::AnswerStatus;
use tempfile::{TempDir, tempdir};
use tokio::runtime::Runtime;

use crate::bad_input::desk::{account, page, pay};
use crate::bad_input::{Answer, Bad, Counter, Row, Told};
use crate::program::{program, run};

/// Payments of one submission: each time it is sent again it goes into the log again.
const SUBMISSION_LEN: usize = 8192;
/// What is not answered after so long has to wait for something.
const A_WHILE: Duration = Duration::from_millis(300);
/// Nothing here takes so long unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "a disk without room for the log",
        bad: Bad::Alone(log_full),
        told: Told::Waits,
        counter: Counter::Played,
        says: "free space",
    },
    Row {
        name: "a disk without room for anything",
        bad: Bad::Alone(all_full),
        told: Told::Exit(1),
        counter: Counter::Played,
        says: "check the disk under the data directory, then start the node again",
    },
];

/// A cluster whose disk can be filled.
struct Bank {
    runtime: Runtime,
    dir: TempDir,
    recorder: Recorder,
    config: ClientConfig,
    signer: Signer,
}

impl Bank {
    /// A node has run once and left its first segment; `None` where a disk cannot be filled.
    fn open() -> Option<Self> {
        let recorder = Recorder::build()?;
        let dir = tempdir().expect("a temporary folder");
        folder::init(program(dir.path()));
        let config = dir.path().join("node.toml");
        let text = std::fs::read_to_string(&config).expect("read");
        let small = text.replace("segment_bytes = 67108864", "segment_bytes = 16777216");
        assert_ne!(text, small, "segments are small");
        std::fs::write(config, small).expect("written");
        let genesis = folder::genesis(dir.path());
        let identity = folder::identity(dir.path(), 2);
        let server = folder::server(&genesis, "127.0.0.1:0");
        let mut config = ClientConfig::new(identity.clone(), vec![server]);
        // Whoever waits for room sends nothing again meanwhile.
        (config.silence, config.give_up_after) = (PATIENCE, PATIENCE);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let bank = Self {
            runtime: runtime.expect("a runtime"),
            dir,
            recorder,
            config,
            signer: Signer::new(identity, genesis.hash()).expect("randomness"),
        };
        NodeProcess::start(
            program(bank.dir.path()),
            Path::new("node.toml"),
            "127.0.0.1:0",
        )
        .stop();
        Some(bank)
    }

    /// While this file is there the disk is full.
    fn full(&self) -> PathBuf {
        self.dir.path().join("full")
    }

    fn fill(&self) {
        std::fs::write(self.full(), "").expect("written");
    }

    fn free(&self) {
        std::fs::remove_file(self.full()).expect("it was there");
    }

    /// A node whose disk below `root` can be filled.
    fn node(&self, root: &str) -> NodeProcess {
        let mut command = program(self.dir.path());
        let root = self.dir.path().join(root);
        self.recorder.fill_disk(&mut command, &root, &self.full());
        NodeProcess::start(command, Path::new("node.toml"), "127.0.0.1:0")
    }

    fn client(&self, node: &NodeProcess) -> Client {
        let mut config = self.config.clone();
        config.servers[0].address = node.door().parse().expect("an address");
        let connecting = Client::connect(config);
        self.runtime.block_on(connecting).expect("let in")
    }

    fn payments(&self, count: usize) -> Vec<Envelope> {
        (0..count).map(|_| self.signer.sign(pay(2, 3, 1))).collect()
    }

    /// What the member has paid, by the node's books.
    fn paid(&self, client: &Client) -> u128 {
        let view = self.runtime.block_on(client.account(account(2, 1)));
        let view = view.expect("answered").expect("it exists");
        view.account.debits_posted.get()
    }

    fn replay(&self) {
        let replay = ["replay", "data", "--genesis", "genesis.toml"];
        run(self.dir.path(), &replay).expect(0);
    }
}

/// The node waits and says so; with room again everything is answered, once.
fn log_full() -> Option<Answer> {
    let bank = Bank::open()?;
    bank.fill();
    let mut node = bank.node("data/log");
    let client = bank.client(&node);
    let flood = bank.payments(SUBMISSION_LEN);
    let (flooding, sent) = (client.clone(), flood.clone());
    let (told, stop) = tokio::sync::watch::channel(false);
    let flooded = bank.runtime.spawn(async move {
        while !*stop.borrow() {
            let receipts = flooding.submit(&sent).await.expect("answered in the end");
            assert_eq!(receipts.settled_count(), SUBMISSION_LEN);
        }
    });
    let from = Instant::now();
    let readiness = loop {
        let (status, text) = http(node.admin(), "GET /readyz");
        if status == 503 {
            break text;
        }
        assert!(from.elapsed() < PATIENCE, "the disk does not fill");
        assert!(!flooded.is_finished(), "the flood has ended");
    };
    assert!(page(node.admin())["clearway_store_disk_full_total"] >= 1.0);
    // A question still has its answer, a payment has none; and nobody is told what is executed and
    // not durable.
    let status = bank.runtime.block_on(client.status()).expect("answered");
    assert!(status.height > Height(0));
    assert!(status.executed >= status.height, "{status:?}");
    match bank.runtime.block_on(client.account(account(2, 1))) {
        Ok(Some(view)) => assert!(view.height <= status.height, "{view:?}"),
        told => {
            let waits = matches!(told, Err(ClientError::Status(AnswerStatus::NotReady)));
            assert!(waits, "{told:?}");
        }
    }
    let late = bank.payments(1);
    let (paying, sent) = (client.clone(), late.clone());
    let mut paid = bank
        .runtime
        .spawn(async move { paying.submit(&sent).await });
    let soon = bank
        .runtime
        .block_on(async { tokio::time::timeout(A_WHILE, &mut paid).await });
    assert!(soon.is_err(), "answered FINAL without room: {soon:?}");
    told.send_replace(true);
    bank.free();
    let receipts = bank
        .runtime
        .block_on(paid)
        .expect("no panic")
        .expect("answered");
    assert!(receipts.iter().all(Receipt::settled), "{receipts:?}");
    bank.runtime.block_on(flooded).expect("all were answered");
    assert_eq!(http(node.admin(), "GET /readyz"), (200, "ready".to_owned()));
    assert_eq!(bank.paid(&client), SUBMISSION_LEN as u128 + 1);
    node.stop();
    bank.replay();
    Some(Answer::new(Told::Waits, readiness))
}

/// The engine's journal has no room either: the node ends and names the cause. With room again it
/// comes back, and the same bytes settle once.
fn all_full() -> Option<Answer> {
    let bank = Bank::open()?;
    let mut node = bank.node("data");
    let client = bank.client(&node);
    let first = bank.payments(1);
    let receipts = bank
        .runtime
        .block_on(client.submit(&first))
        .expect("answered");
    assert!(receipts.iter().all(Receipt::settled), "{receipts:?}");
    bank.fill();
    let late = bank.payments(1);
    let (paying, sent) = (client.clone(), late.clone());
    let mut paying = bank
        .runtime
        .spawn(async move { paying.submit(&sent).await });
    let (exit, said) = node.ended();
    println!("{said}");
    // What is settled before the journal meets the full disk may have its answer.
    let answer = async { tokio::time::timeout(A_WHILE, &mut paying).await };
    let answered = matches!(bank.runtime.block_on(answer), Ok(Ok(Ok(_))));
    paying.abort();
    bank.free();
    let mut node = bank.node("data");
    let client = bank.client(&node);
    let paid = bank.paid(&client);
    assert!(paid > u128::from(answered), "an answered payment is lost");
    let receipts = bank
        .runtime
        .block_on(client.submit(&late))
        .expect("answered");
    assert!(receipts.iter().all(Receipt::settled), "{receipts:?}");
    assert_eq!(bank.paid(&client), 2);
    node.stop();
    bank.replay();
    Some(Answer::new(Told::Exit(exit.unwrap_or(-1)), said))
}
