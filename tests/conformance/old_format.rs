//! Data folders and a genesis of older formats: refused by name, with what to do, and left as they
//! are.

use std::fs;

use clearway_store::limits::FORMAT_VERSION;
use tempfile::tempdir;

use crate::golden_folder::{contents, unpack};
use crate::program::{run, run_briefly};

/// A log with one payment, and the checkpoint of its stop.
struct Old {
    version: u32,
    /// The folder `data`, as text.
    folder: &'static str,
    genesis: &'static str,
    written_by: &'static str,
    /// Identifier of the payment.
    paid: &'static str,
}

const ALL: [Old; 3] = [
    Old {
        version: 1,
        folder: include_str!("golden/format-1.txt"),
        genesis: include_str!("golden/format-1.genesis.toml"),
        written_by: "up to commit 544d670",
        paid: "01a214968f9500008f8f8431a5553800",
    },
    Old {
        version: 3,
        folder: include_str!("golden/format-3.txt"),
        genesis: include_str!("golden/format-3.genesis.toml"),
        written_by: "up to commit ec4df89",
        paid: "01a21623cd130000ad6dc0e04b54e900",
    },
    Old {
        version: 4,
        folder: include_str!("golden/format-4.txt"),
        genesis: include_str!("golden/format-4.genesis.toml"),
        written_by: "up to commit 0a1505d",
        paid: "01a21657482b000007317491c2752200",
    },
];

impl Old {
    /// The genesis of the folder as this version writes it.
    fn genesis_of_today(&self) -> String {
        let head = "number = 1\nname = \"validator-0\"\nmembers_address";
        self.genesis
            .replace("name = \"validator-0\"\naddress", head)
    }
}

#[test]
fn a_genesis_whose_hash_covered_addresses_is_refused_by_name_with_what_to_do() {
    let dir = tempdir().expect("a temporary folder");
    run(dir.path(), &["node", "init", ".", "--insecure-plaintext"]).expect(0);
    fs::write(dir.path().join("old.toml"), ALL[0].genesis).expect("written");
    let key = "keys/member-2.insecure-plaintext";
    let commands: [Vec<&str>; 3] = [
        vec![
            "node",
            "run",
            "--config",
            "node.toml",
            "--set",
            "genesis=old.toml",
        ],
        vec!["replay", "data", "--genesis", "old.toml"],
        vec![
            "pay",
            "2.1",
            "3.1",
            "1.00",
            "--genesis",
            "old.toml",
            "--key",
            key,
        ],
    ];
    for command in commands {
        let refused = run_briefly(dir.path(), &[], &command);
        let said = refused.said();
        assert!(refused.code > 0, "{}: {said}", refused.call);
        for words in [
            "old.toml:11: a validator with `address`",
            "that program reads it",
        ] {
            assert!(said.contains(words), "{}: {said}", refused.call);
        }
    }
}

#[test]
fn a_folder_of_an_older_format_is_refused_by_name_with_what_to_do() {
    for old in ALL {
        let dir = tempdir().expect("a temporary folder");
        run(dir.path(), &["node", "init", ".", "--insecure-plaintext"]).expect(0);
        fs::write(dir.path().join("own.genesis.toml"), old.genesis_of_today()).expect("written");
        let data = dir.path().join("data");
        unpack(old.folder, &data);
        let before = contents(&data);
        assert!(before.len() >= 5, "{before:?}");
        let log = ["--genesis", "own.genesis.toml", "data"];
        let paid = ["inspect", "tx", "--signer", "2", "--id", old.paid];
        let commands: [&[&str]; 6] = [
            &["node", "run", "--config", "node.toml"],
            &[&["replay"], &log[..]].concat(),
            &[&["inspect", "state"], &log[..]].concat(),
            &[&["inspect", "integrity"], &log[..]].concat(),
            &[&["inspect", "block", "--height", "1"], &log[..]].concat(),
            &[&paid[..], &log].concat(),
        ];
        for command in commands {
            let refused = run_briefly(dir.path(), &[], command);
            let said = refused.said();
            assert!(refused.code > 0, "{}: {said}", refused.call);
            for words in [
                &format!("format version {}", old.version),
                old.written_by,
                &format!("reads version {FORMAT_VERSION}"),
                "by that program",
            ] {
                assert!(said.contains(words), "{}: {said}", refused.call);
            }
            assert_eq!(contents(&data), before, "{}", refused.call);
        }
    }
}
