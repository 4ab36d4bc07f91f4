//! The folder in which commands are played: a cluster whose node runs, another whose node has
//! stopped, and a file of each kind that commands read.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use clearway_client::{Draft, Signer};
use clearway_crypto::keys::SigningKey;
use clearway_harness::{NodeProcess, folder};
use clearway_types::amount::Amount;
use clearway_types::hex;
use clearway_types::units::{AccountId, LedgerId, ParticipantId, TimeMs, TransferId, UnixSeconds};
use tempfile::{TempDir, tempdir};
use zerocopy::IntoBytes as _;

use crate::calls::Call;

/// Accounts and payments that clear at once.
const ACCOUNTS: &str = "nodeid,init_balance\n1,100\n2,100\n3,100\n";
const PAYMENTS: &str = "sourceNodeId,targetNodeId,value\n1,2,1\n2,3,1\n3,1,1\n";

pub(crate) struct World {
    // Stopped before its folder goes.
    node: NodeProcess,
    dir: TempDir,
    number: AtomicU64,
}

/// The program in `dir`, with none of the caller's settings.
pub(crate) fn program(dir: &Path) -> Command {
    folder::program(env!("CARGO_BIN_EXE_clearway"), dir)
}

/// A cluster in a folder of that folder, whose node lets many short visits of one member in.
pub(crate) fn init(dir: &Path, name: &str) -> PathBuf {
    let init = ["node", "init", name, "--insecure-plaintext", "--json"];
    folder::succeed(program(dir).args(init));
    let config = dir.join(name).join("node.toml");
    let text = std::fs::read_to_string(&config).expect("read");
    let text = text
        .replace(
            "connections_per_member_max = 8",
            "connections_per_member_max = 1000",
        )
        .replace("idle_ms = 10000", "idle_ms = 1000")
        .replace("segment_bytes = 67108864", "segment_bytes = 16777216")
        .replace(
            "admin_listen = \"127.0.0.1:7401\"",
            "admin_listen = \"127.0.0.1:0\"",
        );
    std::fs::write(&config, text).expect("written");
    dir.join(name)
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempdir().expect("a temporary folder");
        let stopped = init(dir.path(), "stopped");
        let mut node = start(&stopped);
        let pay = "pay 2.1 3.1 1 --insecure-plaintext --key keys/member-2.insecure-plaintext";
        let pay = pay.split(' ').chain(["--server", node.door()]);
        folder::succeed(program(&stopped).args(pay));
        node.stop();
        init(dir.path(), ".");
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).expect("written");
        };
        write("accounts.csv", ACCOUNTS);
        write("payments.csv", PAYMENTS);
        let vectors: String = (0..200).map(vector).collect();
        write("vectors.jsonl", &vectors);
        std::fs::create_dir(dir.path().join("tmp")).expect("made");
        write_late(dir.path());
        let report = "bench --count 300 --account-count 50 --json report.json";
        folder::succeed(program(dir.path()).args(report.split(' ')));
        let node = start(dir.path());
        let number = AtomicU64::new(1);
        Self { node, dir, number }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A number that no call has had.
    pub(crate) fn number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// The words of a call, its blanks filled in.
    pub(crate) fn words(&self, call: &Call) -> Vec<String> {
        let number = self.number().to_string();
        let text = call
            .words
            .replace("{n}", &number)
            .replace(
                "{as1}",
                "--insecure-plaintext --key keys/operator.insecure-plaintext",
            )
            .replace(
                "{as2}",
                "--insecure-plaintext --key keys/member-2.insecure-plaintext",
            )
            .replace("{key}", "keys/member-2.insecure-plaintext")
            .replace("{door}", self.node.door())
            .replace("{admin}", self.node.admin());
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// The help of a command.
    pub(crate) fn help(&self, path: &str) -> String {
        let words = path.split_whitespace().chain(["--help"]);
        let output = program(self.dir()).args(words).output();
        String::from_utf8(output.expect("the program starts").stdout).expect("text")
    }
}

/// A signed payment whose time is over.
fn write_late(dir: &Path) {
    let account = |owner| AccountId::new(ParticipantId(owner), 1);
    let draft = Draft::transfer(account(2), account(3), Amount::new(1, LedgerId(978)));
    let signer = Signer::new(folder::identity(dir, 2), folder::genesis(dir).hash());
    let signer = signer.expect("identifiers");
    let late = signer.sign_as(draft, TransferId::new(TimeMs(1), 1, 0), UnixSeconds(1));
    std::fs::write(dir.join("late.bin"), late.as_bytes()).expect("written");
}

fn start(dir: &Path) -> NodeProcess {
    let mut command = program(dir);
    // It outlives what is done to others.
    command.stdin(Stdio::null());
    NodeProcess::start(command, Path::new("node.toml"), "127.0.0.1:0")
}

/// One line of a vectors file.
fn vector(number: u8) -> String {
    let key = SigningKey::from_seed(&[number; 32]);
    let message = [number; 5];
    format!(
        "{{\"pk_hex\":\"{}\",\"sig_hex\":\"{}\",\"msg_hex\":\"{}\"}}\n",
        hex::encode(&key.public_key()),
        hex::encode(&key.sign(&message)),
        hex::encode(&message)
    )
}
