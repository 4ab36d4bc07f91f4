//! A node that runs for several lifetimes of an identifier holds no more of anything than before.

use std::path::Path;
use std::time::{Duration, Instant};

use clearway_client::{Client, ClientConfig, Draft, Signer};
use clearway_harness::{NodeProcess, folder, http};
use clearway_types::amount::Amount;
use clearway_types::envelope::Envelope;
use clearway_types::units::{AccountId, ParticipantId};
use tempfile::tempdir;

use crate::program::program;

/// MAX_TTL and RETURN_WINDOW of the cluster under test, seconds.
const TTL_S: u32 = 3;
/// No identifier of a payment lives longer: its window starts when it settles, times are whole
/// seconds, and the table is swept once per block.
const LIFE: Duration = Duration::from_secs(2 * TTL_S as u64 + 2);
/// How long the node runs, and from when on nothing may grow.
const RUN: Duration = Duration::from_secs(19);
const FULL_AFTER: Duration = Duration::from_secs(9);
/// What the allocator may keep on top of what it had when the tables were full.
const GROWTH_BYTES_MAX: u64 = 16 << 20;
/// What may be held for a moment: the index of a full segment is sorted in memory.
const PASSING_BYTES_MAX: u64 = 64 << 20;
/// Longer than such a moment: what is still held after it has come to stay.
const MOMENT: Duration = Duration::from_secs(4);
/// Payments of one submission.
const SUBMISSION_LEN: usize = 512;

/// What the node says of itself at a moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    settled: f64,
    live_ids: f64,
    anonymous_bytes: u64,
}

#[test]
fn memory_stays_flat_for_longer_than_twice_the_longest_life_of_an_identifier() {
    if !Path::new("/proc/self/status").exists() {
        println!("NOT RUN: this system does not tell what a process holds");
        return;
    }
    let dir = tempdir().expect("a temporary folder");
    folder::init(program(dir.path()));
    folder::set_rules(dir.path(), |rules| {
        (rules.ttl_s_max, rules.return_window_s) = (TTL_S, TTL_S);
    });
    let mut node = NodeProcess::start(program(dir.path()), Path::new("node.toml"), "127.0.0.1:0");
    let samples = pay(dir.path(), &node);
    node.stop();

    let full: Vec<&Sample> = samples.iter().filter(|s| s.at >= FULL_AFTER).collect();
    let (first, last) = (full[0], full[full.len() - 1]);
    assert!(last.at > 2 * LIFE, "the run was too short: {last:?}");
    for sample in &samples {
        let before = samples.iter().rev().find(|s| s.at + LIFE < sample.at);
        let young = sample.settled - before.map_or(0.0, |before| before.settled);
        assert!(
            sample.live_ids <= young,
            "{sample:?} holds more than the {young} payments of one lifetime"
        );
    }
    assert!(
        last.live_ids * 2.0 < last.settled,
        "nothing was let go: {last:?}"
    );
    let early = full.iter().filter(|s| s.at <= first.at + MOMENT);
    let late = full.iter().filter(|s| s.at + MOMENT >= last.at);
    let held = |sample: &&Sample| sample.anonymous_bytes;
    let before = early.map(held).min().expect("the first is early");
    let after = late.map(held).min().expect("the last is late");
    let peak = full.iter().map(held).max().expect("the first at least");
    assert!(
        after <= before + GROWTH_BYTES_MAX && peak <= before + PASSING_BYTES_MAX,
        "{before} bytes became {after}, at most {peak}: {first:?} {last:?}"
    );
}

/// Pays from member 2 to member 3 for the whole run, one submission after the other.
fn pay(dir: &Path, node: &NodeProcess) -> Vec<Sample> {
    let (genesis, identity) = (folder::genesis(dir), folder::identity(dir, 2));
    let signer = Signer::new(identity.clone(), genesis.hash()).expect("randomness");
    let signer = signer.with_ttl(Duration::from_secs(2));
    let server = folder::server(&genesis, node.door());
    let (from, to) = (
        AccountId::new(ParticipantId(2), 1),
        AccountId::new(ParticipantId(3), 1),
    );
    let amount = Amount::new(1, genesis.ledgers[0].id);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let config = ClientConfig::new(identity, vec![server]);
        let client = Client::connect(config).await.expect("the node is up");
        let (start, mut samples) = (Instant::now(), Vec::new());
        while start.elapsed() < RUN {
            let drafts = (0..SUBMISSION_LEN).map(|_| Draft::transfer(from, to, amount));
            let payments: Vec<Envelope> = drafts.map(|draft| signer.sign(draft)).collect();
            client.submit(&payments).await.expect("answered");
            samples.push(sample(node, start.elapsed()));
        }
        client.close().await;
        samples
    })
}

fn sample(node: &NodeProcess, at: Duration) -> Sample {
    let (_, page) = http(node.admin(), "GET /metrics");
    let figure = |line: &str| -> f64 {
        let value = page.lines().find_map(|l| l.strip_prefix(line));
        let value = value.unwrap_or_else(|| panic!("no {line} in {page}"));
        value.trim().parse().expect("a number")
    };
    Sample {
        at,
        settled: figure("clearway_execute_settled_total "),
        live_ids: figure("clearway_execute_live_ids "),
        anonymous_bytes: anonymous_bytes(node.pid()),
    }
}

/// Memory of the process that is no file's: what its tables and buffers hold.
fn anonymous_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line
        .expect("the system tells")
        .trim()
        .trim_end_matches(" kB");
    kib.parse::<u64>().expect("a number") * 1024
}
