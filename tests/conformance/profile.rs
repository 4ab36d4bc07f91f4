//! `profile`: the forms that it writes, what it says of a command's end, and what it leaves alone.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use clearway_harness::NodeProcess;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::tempdir;

use crate::program::{Run, end_of, program, run, run_briefly};

/// A command that works for a second or two on its first thread.
const WORK: &[&str] = &["--", "clearway", "bench", "hash", "--quick"];

/// Whether this machine lets nobody sample, which is said loudly; where `CLEARWAY_REQUIRE` names
/// `profile`, that is a failure.
pub(crate) fn is_forbidden(run: &Run) -> bool {
    let said = run.said();
    let reasons = ["perf_event_paranoid", "on Linux on x86-64 alone"];
    if run.code != 1 || !reasons.iter().any(|reason| said.contains(reason)) {
        return false;
    }
    let required = std::env::var("CLEARWAY_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name == "profile"),
        "CLEARWAY_REQUIRE names profile: {said}"
    );
    println!("NOT RUN: clearway {}: {said}", run.call);
    true
}

/// Does something while a thread of this process works.
pub(crate) fn beside_work<T>(something: impl FnOnce() -> T) -> T {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let done = something();
        is_done.store(true, Ordering::Relaxed);
        done
    })
}

fn read(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).expect("written")
}

#[test]
fn a_command_is_profiled_into_every_form_and_compared_with_an_earlier_run() {
    let dir = tempdir().expect("a temporary folder");
    let dir = dir.path();
    let outs = ["p.svg", "p.folded", "p.pb", "p.pb.gz"];
    let outs = outs.map(|name| ["--out", name]).concat();
    let told = run(dir, &[&["profile"], &outs[..], WORK].concat());
    if is_forbidden(&told) {
        return;
    }
    let told = told.expect(0);
    for words in ["figure", "sampler", "perf_event_open", "p.pb.gz"] {
        assert!(told.stdout.contains(words), "{words}: {}", told.stdout);
    }
    let folded = read(dir, "p.folded");
    let works = |line: &str| line.starts_with("main;") && line.contains("bench::hash");
    assert!(folded.lines().any(works), "{folded}");
    assert!(read(dir, "p.svg").contains("bench::hash"));
    let size = |name: &str| dir.join(name).metadata().expect("written").len();
    assert!(size("p.pb.gz") < size("p.pb"));

    let diff = ["profile", "--out", "d.svg", "--diff", "p.folded", "--json"];
    let told = run(dir, &[&diff, WORK].concat()).expect(0);
    let report = told.json("profile");
    assert_eq!(told.lines().len(), 1, "the command's words stand elsewhere");
    assert!(told.said().contains("figure"), "{}", told.said());
    assert_eq!(report["sampler"], "perf_event_open");
    assert_eq!(report["files"], serde_json::json!(["d.svg"]));
    let sum = |stages: &Value| -> u64 {
        let stages = stages.as_array().expect("a list").iter();
        stages.filter_map(|stage| stage["samples"].as_u64()).sum()
    };
    assert_eq!(report["samples"].as_u64(), Some(sum(&report["stages"])));
    assert!(read(dir, "d.svg").contains("%"), "it names the differences");

    let other = ["profile", "--out", "o.svg", "--stage", "abacus"];
    let other = run(dir, &[&other, WORK].concat()).expect(5);
    assert!(
        other.said().contains("there were: main"),
        "{}",
        other.said()
    );
    assert!(!dir.join("o.svg").exists(), "nothing was drawn");
}

#[test]
fn a_command_that_fails_is_profiled_all_the_same_and_its_failure_told() {
    let dir = tempdir().expect("a temporary folder");
    let missed = [
        "bench",
        "--count",
        "300",
        "--account-count",
        "50",
        "--assert",
        "tps_final>1e9",
    ];
    let call = [
        &["profile", "--out", "p.folded", "--", "clearway"],
        &missed[..],
    ]
    .concat();
    let told = run(dir.path(), &call);
    if is_forbidden(&told) {
        return;
    }
    let said = told.expect(1).said();
    assert!(
        said.contains("`clearway` ended with exit status: 4"),
        "{said}"
    );
    assert!(read(dir.path(), "p.folded").contains("verify;"));
}

#[test]
fn a_node_is_found_by_its_door_and_its_page_and_goes_on() {
    let dir = tempdir().expect("a temporary folder");
    let dir = dir.path();
    run(dir, &["node", "init", ".", "--insecure-plaintext"]).expect(0);
    let mut node = NodeProcess::start(program(dir), Path::new("node.toml"), "127.0.0.1:0");
    let key = [
        "--key",
        "keys/member-2.insecure-plaintext",
        "--insecure-plaintext",
    ];
    let server = ["--server", node.door()];
    let pay = || {
        run(
            dir,
            &[&["pay", "2.1", "3.1", "0.01"], &key[..], &server].concat(),
        )
        .expect(0)
    };
    for address in [node.door(), node.admin()] {
        let call = ["profile", "--seconds", "2", "--out", "n.folded", "--json"];
        let call = [&call[..], &["--target", address]].concat();
        let told = std::thread::scope(|scope| {
            let profile = scope.spawn(|| run_briefly(dir, &[], &call));
            while !profile.is_finished() {
                pay();
            }
            profile.join().expect("no panic")
        });
        if is_forbidden(&told) {
            return;
        }
        let report = told.expect(0).json("profile");
        let command = report["command"].as_str().expect("text");
        assert!(command.contains("node run"), "{command}");
    }
    pay();
    let door = node.door().to_owned();
    node.stop();
    let stopped = run(dir, &["profile", "--target", &door]).expect(5).said();
    assert!(stopped.contains("nothing listens on"), "{stopped}");
}

#[test]
fn a_signal_ends_the_command_too_and_leaves_no_empty_picture() {
    let dir = tempdir().expect("a temporary folder");
    let words = [
        "profile",
        "--out",
        "p.svg",
        "--",
        "clearway",
        "verify",
        "--vectors",
        "-",
    ];
    let mut child = program(dir.path())
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let input = child.stdin.take();
    // Commands run on a thread of their own, which has the children.
    let tasks = format!("/proc/{}/task", child.id());
    let has_started = || {
        let tasks = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
        let mut children = tasks.map(|task| std::fs::read_to_string(task.path().join("children")));
        children.any(|found| found.is_ok_and(|found| !found.trim().is_empty()))
    };
    while !has_started() && matches!(child.try_wait(), Ok(None)) {
        std::thread::yield_now();
    }
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // It may have ended where nothing can be sampled.
    let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
    let told = end_of(child, &words);
    drop(input);
    if is_forbidden(&told) {
        return;
    }
    let said = told.expect(143).said();
    assert!(
        said.contains("was stopped") || said.contains("removed"),
        "{said}"
    );
    assert!(!dir.path().join("p.svg").exists());
}

#[test]
fn another_users_process_is_refused_by_name() {
    let dir = tempdir().expect("a temporary folder");
    // The first process of a system is root's, who may look into all.
    let told = run(dir.path(), &["profile", "--pid", "1", "--seconds", "1"]);
    if !told.said().contains("belongs to user") {
        println!("NOT RUN: the first process is this user's, or this user is root");
        return;
    }
    let said = told.expect(1).said();
    assert!(said.contains("run as that user or as root"), "{said}");
    assert!(!dir.path().join("flame.svg").exists());
}
