//! Small runs of `bench` from the first signature to the replayed log.

use serde_json::Value;
use tempfile::tempdir;

use crate::program::run;

/// A run small enough for a test: 1,000 accounts, 3,000 payments.
fn bench(more: &[&str]) -> Value {
    let dir = tempdir().expect("a temporary folder");
    let mut arguments = vec![
        "bench",
        "--account-count",
        "1000",
        "--count",
        "3000",
        "--stream-len",
        "256",
        "--json",
    ];
    arguments.extend(more);
    run(dir.path(), &arguments).expect(0).json("run")
}

fn assert_whole(json: &Value) {
    let checks = &json["checks"];
    for check in ["conserved", "roots_equal", "replay_ok"] {
        assert_eq!(checks[check], true, "{check}: {json}");
    }
    let sum = json["settled"]
        .as_u64()
        .zip(json["rejected"].as_u64())
        .map(|(a, b)| a + b);
    assert_eq!(sum, Some(3000), "{json}");
    assert!(
        json["settled"].as_u64() >= Some(2850),
        "95 in 100 settle: {json}"
    );
    assert!(json["tps_final"].as_f64() > Some(0.0), "{json}");
    assert!(json["signatures_verified"].as_u64() >= Some(3000), "{json}");
    assert!(json["response_us"]["p999"].as_u64() >= json["response_us"]["p50"].as_u64());
}

#[test]
fn a_closed_loop_clears_everything_and_its_history_replays() {
    let json = bench(&[]);
    assert_whole(&json);
    // Frames of 256 are long enough for equations of this backend, which use hints.
    if json["backend"] == "avx2" {
        assert!(json["hints_used"].as_u64() >= Some(3000), "{json}");
    }
}

/// The assembly hasher makes every hash of the node that is no challenge of a vector unit.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_node_that_hashes_by_assembly_ends_with_the_same_balances() {
    let by = |hasher: &str| {
        let setting = format!("hash_backend={hasher}");
        let json = bench(&["--ordered", "--set", "backend=portable", "--set", &setting]);
        assert_whole(&json);
        json["balances_root"].clone()
    };
    let (asm, general) = (by("asm"), by("sha2"));
    assert!(asm.is_string(), "{asm}");
    assert_eq!(asm, general);
}

#[test]
fn payers_without_hints_are_cleared_all_the_same() {
    let json = bench(&["--no-hints"]);
    assert_whole(&json);
    assert_eq!(json["hints_used"], 0, "{json}");
}

#[test]
fn what_payment_files_hold_is_counted_to_the_last_row() {
    let dir = tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.path().join(name), bytes).expect("written");
    };
    // Blanks, Latin-1 where nobody reads, an empty line, no end of the last one; the second
    // payment asks for more than there is.
    write(
        "a.csv",
        b"nodeid, init_balance\n1,100.00\n2,50.00\n3,0.00\n",
    );
    write(
        "p.csv",
        b"sourceNodeId, targetNodeId, value, memo\n1, 2, 3.50, Caf\xe9\n\n2, 3, 999, x\n\
            1, 3, 0.75,",
    );
    let files = ["--payments", "p.csv", "--accounts", "a.csv"];
    let call = |more: &[&str]| run(dir.path(), &[&["bench"], &files[..], more].concat()).expect(0);
    let json = call(&["--json"]).json("run");
    let rows = &json["workload"]["rows"];
    assert_eq!(
        (&rows["payments"], &rows["accounts"], &rows["empty_lines"]),
        (&3.into(), &3.into(), &1.into()),
        "{json}"
    );
    assert_eq!(
        (&json["sent"], &json["settled"], &json["rejected"]),
        (&3.into(), &2.into(), &1.into()),
        "{json}"
    );
    let table = call(&[]).stdout;
    let line = |name: &str| {
        let found = table.lines().find_map(|line| line.strip_prefix(name));
        found
            .unwrap_or_else(|| panic!("no {name}: {table}"))
            .trim()
            .to_owned()
    };
    assert_eq!(
        line("rows read"),
        "3 payments, 3 accounts, empty lines passed over: 1"
    );
    assert_eq!(line("sent"), "3");
    assert_eq!(line("settled"), "2");
    assert!(line("rejected").starts_with("1 ("), "{table}");
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let json = bench(&["--rate", "3000"]);
    assert_whole(&json);
    // 3,000 payments at 3,000 a second: the last is due after a second.
    assert!(json["seconds"].as_f64() >= Some(0.9), "{json}");
}

#[test]
fn load_processes_of_their_own_clear_the_same_work() {
    let json = bench(&["--processes", "2", "--connections", "2"]);
    assert_whole(&json);
    assert_eq!(json["load"]["processes"], 2);
}

#[test]
fn one_stream_after_the_other_gives_the_same_balances_every_time() {
    let (a, b) = (bench(&["--ordered"]), bench(&["--ordered"]));
    assert_whole(&a);
    assert_eq!(a["balances_root"], b["balances_root"]);
    assert_eq!(a["workload"]["hash"], b["workload"]["hash"]);
    assert_eq!(
        (&a["settled"], &a["rejected"]),
        (&b["settled"], &b["rejected"])
    );
    let other = bench(&["--ordered", "--seed", "7"]);
    assert_ne!(a["balances_root"], other["balances_root"]);
}

#[test]
fn a_missed_threshold_ends_with_4_and_a_kept_run_replays_by_itself() {
    let dir = tempdir().expect("a temporary folder");
    let missed = run(
        dir.path(),
        &[
            "bench",
            "--account-count",
            "100",
            "--count",
            "200",
            "--assert",
            "tps_final>1e12",
            "--keep",
            "kept",
        ],
    )
    .expect(4);
    assert!(
        missed.said().contains("tps_final>1e12"),
        "{}",
        missed.said()
    );
    assert!(
        missed.stdout.trim_end().ends_with("ok"),
        "{}",
        missed.stdout
    );
    let lines: Vec<String> = missed
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let last = &lines[lines.len() - 3..];
    assert_eq!(last, ["conserved yes", "roots equal yes", "replay ok"]);

    let replayed = run(dir.path(), &["replay", "kept/data", "--json"])
        .expect(0)
        .json("replay");
    assert_eq!(replayed["envelopes"], 200);
    let state = run(dir.path(), &["inspect", "state", "kept/data", "--json"]).expect(0);
    assert_eq!(state.json("log-state")["height"], replayed["height"]);
    let block = ["inspect", "block", "kept/data", "--height", "1", "--json"];
    assert_eq!(run(dir.path(), &block).expect(0).json("block")["height"], 1);
    let beyond = ["inspect", "block", "kept/data", "--height", "1000000"];
    run(dir.path(), &beyond).expect(5);
    run(dir.path(), &["inspect", "integrity", "kept/data"]).expect(0);

    damage(&dir.path().join("kept/data"));
    let found = run(dir.path(), &["replay", "kept/data"]).expect(3);
    assert!(
        found.said().contains("segment 1 is damaged at byte"),
        "{}",
        found.said()
    );
}

/// Flips one bit in the middle of the first record of the log.
fn damage(data: &std::path::Path) {
    let mut folders = vec![data.to_path_buf()];
    let mut segments = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("listed") {
            let path = entry.expect("listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|ending| ending == "log" || ending == "seg")
            {
                segments.push(path);
            }
        }
    }
    segments.sort();
    let first = segments.first().expect("the log has a segment");
    let mut bytes = std::fs::read(first).expect("read");
    bytes[4096 + 300] ^= 1;
    std::fs::write(first, bytes).expect("written");
}
