//! What commands that are ended by a signal leave behind: nothing that is half done.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use clearway_harness::{hang_up_is_ignored, output_within};
use tempfile::tempdir;

use crate::play::signal;
use crate::world::{init, program};

/// Nothing here takes so long unless it is stuck.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Everything in a folder, by its path.
fn names(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("listed");
    let names = entries.map(|entry| entry.expect("listed").path());
    names.collect()
}

/// Runs a command in an empty folder, which is its temporary one too, ends it by each signal once
/// it has begun, and finds the folder empty.
fn leaves_nothing(words: &str, begun: impl Fn(&Path) -> bool) {
    for (name, code) in [("-HUP", 129), ("-INT", 130), ("-TERM", 143)] {
        if name == "-HUP" && hang_up_is_ignored() {
            continue;
        }
        let dir = tempdir().expect("a temporary folder");
        let child = program(dir.path())
            .args(words.split(' '))
            .env("TMPDIR", dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let from = Instant::now();
        while !begun(dir.path()) {
            assert!(from.elapsed() < TIMEOUT, "{words}: it does not begin");
        }
        signal(child.id(), name);
        let ended = output_within(child, TIMEOUT).status;
        assert_eq!(ended.code(), Some(code), "{words} {name}");
        let left = names(dir.path());
        assert!(left.is_empty(), "{words} {name}: {left:?}");
    }
}

#[test]
fn an_interrupted_bench_leaves_nothing() {
    let bench = "bench --count 100000000 --account-count 50 --rate 1000 --json report.json";
    leaves_nothing(bench, |dir| names(dir).iter().any(|path| path.is_dir()));
}

#[test]
fn a_report_that_was_not_written_leaves_nothing() {
    leaves_nothing("bench hash --json report.json", |dir| {
        dir.join("report.json").exists()
    });
}

#[test]
fn an_interrupted_init_leaves_nothing() {
    // A thousand key files take a while.
    let init = "node init n --members 1000 --insecure-plaintext";
    leaves_nothing(init, |dir| {
        let begun = dir.join("n");
        begun.is_dir() && names(&begun).iter().any(|part| part.join("keys").is_dir())
    });
}

#[test]
fn an_interrupted_lookup_leaves_no_empty_proof() {
    let cluster = tempdir().expect("a temporary folder");
    let node = init(cluster.path(), "n");
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let server = silent.local_addr().expect("it is bound");
    let (id, node) = ("11".repeat(16), node.display());
    let lookup = format!(
        "lookup {id} --proof one.proof --genesis {node}/genesis.toml \
         --key {node}/keys/member-2.insecure-plaintext --insecure-plaintext --server {server}"
    );
    // The proof has a name of its own until it is whole.
    leaves_nothing(&lookup, |dir| !names(dir).is_empty());
}
