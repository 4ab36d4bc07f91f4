//! A disk without room: under the log alone, and under everything that the node writes.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clearway_client::{Answer, Answers, Client, ClientConfig, ClientError, Signer};
use clearway_harness::{NodeProcess, Recorder, folder, http};
use clearway_types::envelope::Envelope;
use clearway_types::units::Height;
use clearway_types::wire::AnswerStatus;
use tempfile::{TempDir, tempdir};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::bad_input::desk::{account, page, pay};
use crate::bad_input::{Bad, Counter, Reply, Row, Told};
use crate::program::{program, run};

/// Payments of one submission: each time it is sent again it goes into the log again.
const SUBMISSION_LEN: usize = 8192;
/// Bytes of a segment here.
const SEGMENT_BYTES: u64 = 16 << 20;
/// What is not answered after so long has to wait for something.
const A_WHILE: Duration = Duration::from_millis(300);
/// Nothing here takes so long unless it is stuck.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "a disk without room for the log",
        bad: Bad::Alone(log_full),
        told: Told::Waits,
        counter: Counter::Played,
        says: "free space",
    },
    Row {
        name: "a disk that others have filled",
        bad: Bad::Alone(filled_by_others),
        told: Told::Waits,
        counter: Counter::Played,
        says: "free space",
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
        let segment = format!("segment_bytes = {SEGMENT_BYTES}");
        let small = text.replace("segment_bytes = 67108864", &segment);
        assert_ne!(text, small, "segments are small");
        std::fs::write(config, small).expect("written");
        let genesis = folder::genesis(dir.path());
        let identity = folder::identity(dir.path(), 2);
        let server = folder::server(&genesis, "127.0.0.1:0");
        let mut config = ClientConfig::new(identity.clone(), vec![server]);
        // A payer that waits for room sends nothing again meanwhile.
        (config.silence, config.give_up_after) = (TIMEOUT, TIMEOUT);
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

    fn replay(&self, data: &str) {
        let replay = ["replay", data, "--genesis", "genesis.toml"];
        run(self.dir.path(), &replay).expect(0);
    }
}

/// The node waits and says so; with room again everything is answered, once.
fn log_full() -> Option<Reply> {
    let bank = Bank::open()?;
    bank.fill();
    let mut node = bank.node("data/log");
    let client = bank.client(&node);
    let flood = bank.payments(SUBMISSION_LEN);
    let (flooding, sent) = (client.clone(), flood.clone());
    let (told, stop) = tokio::sync::watch::channel(false);
    let flooded = bank.runtime.spawn(async move {
        while !*stop.borrow() {
            let answers = flooding.submit(&sent).await.expect("answered in the end");
            assert_eq!(answers.settled_count(), SUBMISSION_LEN);
        }
    });
    let readiness = readyz(&node, 503);
    assert!(!flooded.is_finished(), "the flood has ended");
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
    let paid = bank.unanswered(&client);
    told.send_replace(true);
    bank.free();
    let answers = bank
        .runtime
        .block_on(paid)
        .expect("no panic")
        .expect("answered");
    assert!(answers.iter().all(Answer::settled), "{answers:?}");
    bank.runtime.block_on(flooded).expect("all were answered");
    assert_eq!(http(node.admin(), "GET /readyz"), (200, "ready".to_owned()));
    assert_eq!(bank.paid(&client), SUBMISSION_LEN as u128 + 1);
    node.stop();
    bank.replay("data");
    Some(Reply::new(Told::Waits, readiness))
}

/// A file system of its own, filled to its last byte by somebody else.
fn filled_by_others() -> Option<Reply> {
    let bank = Bank::open()?;
    let disk = SmallDisk::mount(&bank.dir.path().join("small"))?;
    let others = disk.dir.join("others");
    let node = NodeProcess::start(
        program(bank.dir.path()),
        Path::new("small.toml"),
        "127.0.0.1:0",
    );
    let prepared = disk.dir.join("data/log/next.prepared");
    let fill = || {
        // What is half made when there is no room any more is removed, and makes room.
        let from = Instant::now();
        while std::fs::metadata(&prepared).map_or(0, |about| about.len()) < SEGMENT_BYTES {
            assert!(from.elapsed() < TIMEOUT, "no segment is prepared");
            std::thread::yield_now();
        }
        let mut file = std::fs::File::create(&others).expect("made");
        let block = vec![0x5a; 64 << 10];
        while file.write(&block).is_ok_and(|written| written > 0) {}
    };
    let free = || std::fs::remove_file(&others).expect("it was there");
    Some(bank.plays_full(node, "small/data", fill, free))
}

/// A file system in memory with room for little more than a node's first segments.
struct SmallDisk {
    dir: PathBuf,
}

impl SmallDisk {
    /// `None`, and a loud word, where this user may not mount one.
    fn mount(dir: &Path) -> Option<Self> {
        std::fs::create_dir(dir).expect("made");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=96m", "tmpfs"]);
        let mounted = mount.arg(dir).stderr(Stdio::null()).status();
        if !mounted.is_ok_and(|status| status.success()) {
            println!("NOT RUN: only root may mount a small disk; NOTHING WAS TESTED HERE");
            return None;
        }
        let config = dir.with_file_name("node.toml");
        let text = std::fs::read_to_string(&config).expect("read");
        let small = text.replace("data_dir = \"data\"", "data_dir = \"small/data\"");
        assert_ne!(text, small, "the data lies on the small disk");
        std::fs::write(config.with_file_name("small.toml"), small).expect("written");
        Some(Self { dir: dir.into() })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node that a failed test left behind may still hold files there.
        let unmounted = Command::new("umount").arg("-l").arg(&self.dir).status();
        drop(unmounted);
    }
}

/// Waits until the operators' page answers with this status, and gives its words.
fn readyz(node: &NodeProcess, expected: u16) -> String {
    let from = Instant::now();
    loop {
        let (status, text) = http(node.admin(), "GET /readyz");
        if status == expected {
            return text;
        }
        assert!(
            from.elapsed() < TIMEOUT,
            "{status} {text} and not {expected}"
        );
    }
}

impl Bank {
    /// With `fill` the node waits, says so and answers questions; with `free` it goes on and
    /// answers everything, and the log is whole.
    fn plays_full(
        &self,
        mut node: NodeProcess,
        data: &str,
        fill: impl Fn(),
        free: impl Fn(),
    ) -> Reply {
        let client = self.client(&node);
        let first = self.payments(1);
        let paying = client.submit(&first);
        let answers = self.runtime.block_on(paying).expect("answered");
        assert!(answers.iter().all(Answer::settled), "{answers:?}");
        let mut readiness = String::new();
        // Twice: the room that is held back must be held again.
        for paid_before in [1, 2] {
            fill();
            readiness = readyz(&node, 503);
            let paid = self.unanswered(&client);
            assert!((page(node.admin())["clearway_disk_full"] - 1.0).abs() < f64::EPSILON);
            free();
            let answers = self.runtime.block_on(paid).expect("no panic");
            let answers = answers.expect("answered");
            assert!(answers.iter().all(Answer::settled), "{answers:?}");
            assert_eq!(readyz(&node, 200), "ready");
            assert_eq!(self.paid(&client), paid_before + 1);
        }
        // Asked to stop while the disk is full it stops, in good order.
        fill();
        readyz(&node, 503);
        node.stop();
        free();
        self.replay(data);
        Reply::new(Told::Waits, readiness)
    }

    /// A payment that has no answer while a question still has one.
    fn unanswered(&self, client: &Client) -> JoinHandle<Result<Answers, ClientError>> {
        let status = self.runtime.block_on(client.status()).expect("answered");
        assert!(status.height > Height(0));
        let late = self.payments(1);
        let paying = client.clone();
        let mut paid = self
            .runtime
            .spawn(async move { paying.submit(&late).await });
        let soon = async { tokio::time::timeout(A_WHILE, &mut paid).await };
        let soon = self.runtime.block_on(soon);
        assert!(soon.is_err(), "answered FINAL without room: {soon:?}");
        paid
    }
}
