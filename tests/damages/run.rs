//! The program as people run it, with its end awaited for so long and no longer.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use clearway_client::{Client, ClientConfig, Draft, Signer};
use clearway_harness::{NodeProcess, folder};
use clearway_types::amount::Amount;
use clearway_types::units::{AccountId, ParticipantId};
use serde_json::Value;

/// Nothing here takes so long unless it hangs.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Submissions of a run, each a block or two.
const SUBMISSIONS: u64 = 24;

/// What a command said, and how it ended.
pub(crate) struct Told {
    /// `None` for a command that was ended by a signal, ours after [`TIMEOUT`] among them.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Told {
    /// Its output as JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.stdout).ok()
    }

    /// Neither a panic nor a hang nor a failure without a word.
    pub(crate) fn in_order(&self, what: &str) -> Result<(), String> {
        let Self { code, stderr, .. } = self;
        match code {
            None => Err(format!("{what} hangs or is killed: {stderr}")),
            Some(101 | 134) => Err(format!("{what} panics: {stderr}")),
            Some(code) if *code != 0 && stderr.trim().is_empty() => {
                Err(format!("{what} fails with {code} and without a word"))
            }
            Some(_) => Ok(()),
        }
    }
}

pub(crate) fn program(dir: &Path) -> Command {
    folder::program(env!("CARGO_BIN_EXE_clearway"), dir)
}

/// The program with the settings of a small store.
fn small(dir: &Path) -> Command {
    let mut command = program(dir);
    command
        .env("CLEARWAY_STORE_CHECKPOINT_BLOCKS", "7")
        .env("CLEARWAY_STORE_SEGMENT_BYTES", (16 << 20).to_string());
    command
}

/// Makes the cluster if there is none, runs its node, pays in many blocks, stops it.
pub(crate) fn pay(dir: &Path) {
    if !dir.join("node.toml").exists() {
        folder::init(program(dir));
    }
    let mut node = NodeProcess::start(small(dir), Path::new("node.toml"), "127.0.0.1:0");
    let genesis = folder::genesis(dir);
    let identity = folder::identity(dir, 2);
    let signer = Signer::new(identity.clone(), genesis.hash()).expect("randomness");
    let config = ClientConfig::new(identity, vec![folder::server(&genesis, node.door())]);
    let account = |owner| AccountId::new(ParticipantId(owner), 1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let client = Client::connect(config).await.expect("let in");
        for amount in 1..=SUBMISSIONS {
            let amount = Amount::new(amount, genesis.ledgers[0].id);
            let payment = signer.sign(Draft::transfer(account(2), account(3), amount));
            let answers = client.submit(&[payment]).await.expect("answered");
            assert!(answers[0].settled(), "{}", answers[0].outcome.code);
        }
        client.close().await;
    });
    node.stop();
}

/// Runs a command to its end.
pub(crate) fn tell(command: &mut Command) -> Told {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    end(child)
}

/// Starts a node on the folder and stops it once it has told its height; gives that too.
pub(crate) fn node(dir: &Path) -> (Told, Option<u64>) {
    let mut child = small(dir)
        .args(["node", "run", "--config", "node.toml"])
        .args(["--set", "listen=127.0.0.1:0"])
        .args(["--set", "admin_listen=127.0.0.1:0", "--set", "log=error"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stdout = BufReader::new(child.stdout.take().expect("it was asked for"));
    let (told, heights) = mpsc::channel();
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let height = line.strip_prefix("height").map(str::trim);
            if let Some(height) = height.and_then(|text| text.parse().ok()) {
                // The waiting test may have timed out.
                let _ = told.send(height);
            }
        }
    });
    let height: Option<u64> = heights.recv_timeout(TIMEOUT).ok();
    if height.is_some() {
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill exists").success(), "it is running");
    }
    (end(child), height)
}

/// Waits for the end of a process; kills it when it takes too long.
fn end(mut child: Child) -> Told {
    let pid = child.id().to_string();
    let mut stderr = child.stderr.take().expect("it was asked for");
    let mut output = child.stdout.take();
    let (told, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let mut printed = String::new();
        let errors = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // Its words end with it.
            let _ = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        if let Some(output) = &mut output {
            let _ = output.read_to_string(&mut printed);
        }
        let said = errors.join().expect("it only reads");
        let status = child.wait();
        // The waiting test may have timed out.
        let _ = told.send((status, printed, said));
    });
    let (status, stdout, stderr) = ended.recv_timeout(TIMEOUT).unwrap_or_else(|_| {
        let killed = Command::new("kill").args(["-KILL", &pid]).status();
        assert!(killed.expect("kill exists").success(), "it is running");
        ended.recv().expect("its end is told")
    });
    Told {
        code: status.expect("its end is known").code(),
        stdout,
        stderr,
    }
}
