//! Commands that need no node: exit codes and messages, row by row.

use std::path::Path;

use clearway_crypto::keys::SigningKey;
use clearway_types::hex;
use tempfile::tempdir;

use crate::program::{program, run};

/// Wrong usage and missing things: a call, its exit code, a part of what it says.
const REFUSED: &[(&[&str], i32, &str)] = &[
    (&[], 2, "Usage"),
    (&["fly"], 2, "unrecognized subcommand"),
    (&["demo", "--payments", "p.csv"], 2, "--accounts"),
    (&["bench", "--nodes", "4"], 2, "4 is not in 1..=1"),
    (
        &["bench", "--rate", "fast"],
        2,
        "neither a number nor `max`",
    ),
    (
        &["bench", "--ordered", "--processes", "2"],
        2,
        "cannot be used with",
    ),
    (&["bench", "--assert", "speed>1"], 2, "write FIGURE>NUMBER"),
    (&["bench", "--set", "x"], 2, "write KEY=VALUE"),
    (&["bench", "--set", "x=1"], 2, "no setting `x`"),
    (
        &["bench", "--payments", "none.csv", "--accounts", "none.csv"],
        5,
        "check the path",
    ),
    (&["verify"], 2, "--vectors"),
    (&["verify", "--vectors", "none.jsonl"], 5, "check the path"),
    (
        &["verify", "--vectors", "vectors.jsonl"],
        1,
        "vectors.jsonl:1: missing field",
    ),
    (
        &["verify", "--vectors", "-", "--backend", "abacus"],
        5,
        "--list-backends",
    ),
    (
        &["verify", "--vectors", "-", "--batch", "0"],
        2,
        "0 is not in",
    ),
    (&["replay", "none"], 5, "--genesis FILE"),
    (
        &["replay", "none", "--genesis", "bad-genesis.toml"],
        1,
        "bad-genesis.toml:1",
    ),
    (&["bench", "reproduce", "none.json"], 5, "check the path"),
    (
        &["replay", "none", "--genesis", "none.toml"],
        5,
        "none.toml",
    ),
    (&["doctor", "--dir", "none"], 5, "--dir none"),
    (
        &[
            "member",
            "add",
            "9",
            "--member-key",
            "none.pub",
            "--key",
            "x",
        ],
        5,
        "none.pub",
    ),
    (
        &[
            "pay",
            "2.1",
            "3.1",
            "1",
            "--genesis",
            "none.toml",
            "--key",
            "x",
        ],
        5,
        "nothing was sent",
    ),
    (&["keys", "check", "none.age"], 5, "clearway keys new"),
    (
        &["keys", "new", "a.age", "--insecure-plaintext"],
        2,
        ".insecure-plaintext",
    ),
    (
        &["keys", "new", "a.insecure-plaintext"],
        2,
        "--insecure-plaintext",
    ),
    (&["keys", "new", "a.age"], 2, "set CLEARWAY_PASSPHRASE"),
    (
        &["node", "config", "--config", "bad.toml"],
        1,
        "did you mean `verify_workers`",
    ),
    (&["node", "run", "--config", "none.toml"], 5, "--config"),
    (&["monitor"], 2, "give --once"),
    (
        &["monitor", "--once", "--target", "127.0.0.1:1"],
        6,
        "start the node",
    ),
    (
        &["monitor", "--once", "--target", "node:7401"],
        2,
        "for example 127.0.0.1:7401",
    ),
    (
        &["monitor", "--once", "--config", "none/node.toml"],
        5,
        "--config",
    ),
    (
        &["monitor", "--once", "--interval", "0"],
        2,
        "0 is not in 1..=3600",
    ),
    (
        &["account", "show", "7.1", "--key", "none.age"],
        5,
        "clearway node init",
    ),
];

#[test]
fn wrong_usage_and_missing_things_have_their_exit_codes_and_say_what_to_do() {
    let dir = tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).expect("written");
    };
    write("bad.toml", "verify_worker = 1\n");
    write("bad-genesis.toml", "name = 3\n");
    write("vectors.jsonl", "{\"pk_hex\":\"00\"}\n");
    for &(arguments, code, expected) in REFUSED {
        let run = run(dir.path(), arguments).expect(code);
        assert!(
            run.said().contains(expected),
            "{}: {} lacks {expected}",
            run.call,
            run.said()
        );
        assert!(
            run.stdout.is_empty(),
            "{}: results only on stdout",
            run.call
        );
    }
}

fn vector(seed: u8, message: &[u8], spoil: bool, expected: Option<bool>) -> String {
    let key = SigningKey::from_seed(&[seed; 32]);
    let mut signature = key.sign(message);
    signature[33] ^= u8::from(spoil);
    let expected = expected.map_or(String::new(), |valid| format!(",\"zip215_valid\":{valid}"));
    format!(
        "{{\"pk_hex\":\"{}\",\"sig_hex\":\"{}\",\"msg_hex\":\"{}\"{expected}}}\n",
        hex::encode(&key.public_key()),
        hex::encode(&signature),
        hex::encode(message)
    )
}

#[test]
fn verify_gives_a_verdict_a_line_for_every_batch_size() {
    let dir = tempdir().expect("a temporary folder");
    let mut text = String::new();
    let mut expected = String::new();
    for number in 1..=20u8 {
        let spoil = number % 7 == 0;
        let told = (number % 2 == 0).then_some(!spoil);
        text.push_str(&vector(number, &[number; 5], spoil, told));
        let word = if spoil { "invalid" } else { "valid" };
        expected.push_str(&format!("{number} {word}\n"));
    }
    text.push_str("{\"pk_hex\":\"00\",\"sig_hex\":\"\",\"msg_hex\":\"\"}\n");
    expected.push_str("21 invalid\n");
    std::fs::write(dir.path().join("v.jsonl"), text).expect("written");
    for batch in ["1", "3", "20", "1024"] {
        let run = run(
            dir.path(),
            &["verify", "--vectors", "v.jsonl", "--batch", batch],
        )
        // 7 is not valid and nobody said that it should not be, as is 21; 14 is as expected.
        .expect(3);
        assert_eq!(run.stdout, expected, "batch {batch}");
        let said = run.said();
        assert!(
            said.contains("2 of the signatures are not valid") && said.contains("line 7, 21"),
            "{said}"
        );
    }
}

#[test]
fn verify_exits_3_and_names_the_lines_whose_verdict_was_not_expected() {
    let dir = tempdir().expect("a temporary folder");
    let text = [
        vector(1, b"a", false, Some(true)),
        vector(2, b"b", true, Some(true)),
        vector(3, b"c", false, Some(false)),
    ]
    .concat();
    std::fs::write(dir.path().join("v.jsonl"), text).expect("written");
    let run = run(dir.path(), &["verify", "--vectors", "v.jsonl"]).expect(3);
    assert_eq!(
        run.stdout,
        "1 valid\n2 invalid  MISMATCH\n3 valid  MISMATCH\n"
    );
    assert!(run.said().contains("v.jsonl line 2, 3"), "{}", run.said());
}

#[test]
fn verify_exits_0_where_every_signature_is_valid_or_as_expected() {
    let dir = tempdir().expect("a temporary folder");
    let text = [
        vector(1, b"a", false, None),
        vector(2, b"b", false, Some(true)),
        vector(3, b"c", true, Some(false)),
    ]
    .concat();
    std::fs::write(dir.path().join("v.jsonl"), text).expect("written");
    let run = run(dir.path(), &["verify", "--vectors", "v.jsonl"]).expect(0);
    assert_eq!(run.stdout, "1 valid\n2 valid\n3 invalid\n");
}

#[test]
fn the_backends_of_this_machine_are_named() {
    let dir = tempdir().expect("a temporary folder");
    let json = run(dir.path(), &["verify", "--list-backends", "--json"])
        .expect(0)
        .json("backends");
    let names = json["backends"].as_array().expect("a list");
    assert!(names.iter().any(|name| name == "portable"), "{json}");
    assert!(names.contains(&json["preferred"]), "{json}");
}

#[test]
fn key_files_are_made_listed_checked_and_refused_when_others_can_read_them() {
    let dir = tempdir().expect("a temporary folder");
    let path = "keys/a.insecure-plaintext";
    let new = ["keys", "new", path, "--insecure-plaintext", "--json"];
    let made = run(dir.path(), &new).expect(0).json("key");
    assert_eq!(made["kind"], "member");
    let again = run(dir.path(), &new).expect(1);
    assert!(again.said().contains("exists"), "{}", again.said());
    let check = ["keys", "check", path, "--insecure-plaintext", "--json"];
    assert_eq!(run(dir.path(), &check).expect(0).json("key"), made);
    // The call lacks a switch, whatever the command would do with the key.
    run(dir.path(), &["node", "init", "n", "--insecure-plaintext"]).expect(0);
    let id = "00000000000000000000000000000100";
    let genesis = ["--genesis", "n/genesis.toml"];
    let rows: [&[&str]; 7] = [
        &["keys", "check", path],
        &["node", "status"],
        &["pay", "2.1", "3.1", "1"],
        &["pay", "2.1", "3.1", "1", "--id", id],
        &["lookup", id],
        &["resend"],
        &["keys", "rotate", path],
    ];
    for call in rows {
        let key = match call[0] == "keys" && call[1] == "check" {
            true => Vec::new(),
            false => [&genesis[..], &["--key", path, "--as", "2"]].concat(),
        };
        let refused = run(dir.path(), &[call, &key].concat()).expect(2);
        assert!(
            refused.said().contains("--insecure-plaintext"),
            "{}",
            refused.said()
        );
    }
    let listed = run(dir.path(), &["keys", "list", "--json"])
        .expect(0)
        .json("keys");
    assert_eq!(listed["result"][0]["public_key"], made["public_key"]);
    open_to_others(&dir.path().join(path));
    for (arguments, code) in [(&check[..], 1), (&["keys", "list"], 0)] {
        let told = run(dir.path(), arguments).expect(code);
        assert!(told.said().contains("chmod 600"), "{}", told.said());
    }
}

#[cfg(unix)]
fn open_to_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(path, permissions).expect("changed");
}

#[test]
fn a_generated_workload_is_the_same_for_the_same_seed() {
    let dir = tempdir().expect("a temporary folder");
    let hash = |name: &str, seed: &str| {
        let (payments, accounts) = (format!("{name}-p.csv.gz"), format!("{name}-a.csv"));
        let arguments = [
            "gen",
            "workload",
            "--payments",
            &payments,
            "--accounts",
            &accounts,
            "--seed",
            seed,
            "--account-count",
            "100",
            "--count",
            "500",
            "--json",
        ];
        let json = run(dir.path(), &arguments).expect(0).json("workload");
        assert_eq!(json["payments"], 500);
        json["hash"].clone()
    };
    assert_eq!(hash("a", "1"), hash("b", "1"));
    assert_ne!(hash("a", "1"), hash("c", "2"));
    let read = |name: &str| std::fs::read(dir.path().join(name)).expect("written");
    assert_eq!(read("a-a.csv"), read("b-a.csv"));
}

#[test]
fn help_completions_and_doctor_answer_on_stdout() {
    let dir = tempdir().expect("a temporary folder");
    let help = run(dir.path(), &["--help"]).expect(0).stdout;
    for command in [
        "demo", "bench", "replay", "verify", "monitor", "node", "keys", "pay", "doctor",
    ] {
        assert!(help.contains(command), "{command}");
    }
    assert!(
        !help.contains("load-worker"),
        "that one is for the program itself"
    );
    for command in ["demo", "bench", "replay"] {
        let help = run(dir.path(), &[command, "--help"]).expect(0).stdout;
        for switch in ["--cores", "--priority"] {
            assert!(help.contains(switch), "{command} {switch}");
        }
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = run(dir.path(), &["completions", shell]).expect(0).stdout;
        assert!(script.contains("clearway"), "{shell}");
    }
    let doctor = run(dir.path(), &["doctor", "--json"])
        .expect(0)
        .json("doctor");
    assert!(doctor["disk"]["sync_us_p50"].is_u64(), "{doctor}");
    assert!(doctor["shares"]["replay"].is_u64(), "{doctor}");
}

#[test]
fn the_help_says_what_scripts_and_newcomers_must_know() {
    let dir = tempdir().expect("a temporary folder");
    let rows: [(&[&str], &str); 4] = [
        (&["return", "--help"], "60 s of cluster time"),
        (&["help", "exit-codes"], "not_sent"),
        (&["exit-codes"], "the same command again"),
        (&["member", "end-key", "--help"], "256 heights later"),
    ];
    for (call, words) in rows {
        let help = run(dir.path(), call).expect(0).stdout;
        let help: Vec<&str> = help.split_whitespace().collect();
        let help = help.join(" ");
        assert!(help.contains(words), "{call:?}: {help}");
    }
}

#[test]
fn doctor_names_the_limit_of_file_sizes_and_not_the_folder() {
    let dir = tempdir().expect("a temporary folder");
    let mut command = std::process::Command::new("bash");
    command.args(["-c", "ulimit -f 8; exec \"$0\" doctor --json"]);
    command.arg(program(dir.path()).get_program());
    let output = command.current_dir(dir.path()).output();
    let output = output.expect("bash starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let doctor: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(doctor["disk"].is_null(), "{doctor}");
    let advice = doctor["advice"].to_string();
    assert!(advice.contains("ulimit -f unlimited"), "{advice}");
    let left = std::fs::read_dir(dir.path()).expect("listed").count();
    assert_eq!(left, 0, "nothing is left behind");
}

#[test]
fn settings_say_where_they_come_from() {
    let dir = tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("node.toml"), "[door]\nidle_ms = 5000\n").expect("written");
    let arguments = [
        "node",
        "config",
        "--config",
        "node.toml",
        "--set",
        "verify_workers=2",
        "--json",
    ];
    let json = run(dir.path(), &arguments).expect(0).json("config");
    let find = |key: &str| {
        let all = json["result"].as_array().expect("a list");
        let found = all
            .iter()
            .find(|setting| setting["key"] == key)
            .expect("it is there");
        (found["value"].clone(), found["origin"].clone())
    };
    assert_eq!(find("door.idle_ms"), ("5000".into(), "file line 2".into()));
    assert_eq!(find("verify_workers"), ("2".into(), "flag".into()));
    assert_eq!(find("order.pace_ms").1, "default");
}

#[test]
fn a_variable_that_is_set_to_nothing_is_named() {
    let dir = tempdir().expect("a temporary folder");
    let mut pay = program(dir.path());
    pay.args(["pay", "2.1", "3.1", "1"]).env("CLEARWAY_KEY", "");
    let output = pay.output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("CLEARWAY_KEY is set to nothing"), "{said}");
}
