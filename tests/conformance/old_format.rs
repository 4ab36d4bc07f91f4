//! A data folder that Clearway wrote at 544d670, in format 1: refused by name, with what to do.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tempfile::tempdir;

use crate::program::{run, run_briefly};

/// A log of 17 blocks with one payment, and the checkpoint of its stop: for each file its length,
/// then its bytes by offset, without those that are zero.
const FOLDER: &str = include_str!("golden/format-1.txt");
const GENESIS: &str = include_str!("golden/format-1.genesis.toml");

/// Makes the folder `data` in `dir`.
fn unpack(dir: &Path) {
    let mut file = None;
    for line in FOLDER.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["file", name, length] => {
                let path = dir.join("data").join(name);
                fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                let made = fs::File::create(path).expect("made");
                made.set_len(length.parse().expect("a number"))
                    .expect("made");
                file = Some(made);
            }
            [offset, bytes] => {
                let offset = u64::from_str_radix(offset, 16).expect("a number");
                let pairs = bytes.as_bytes().chunks(2).map(|pair| {
                    let pair = std::str::from_utf8(pair).expect("text");
                    u8::from_str_radix(pair, 16).expect("hexadecimal")
                });
                let bytes: Vec<u8> = pairs.collect();
                let file = file.as_ref().expect("a file comes first");
                file.write_all_at(&bytes, offset).expect("written");
            }
            _ => panic!("neither a file nor bytes: {line}"),
        }
    }
}

/// Each file with a hash of what is in it.
fn contents(dir: &Path) -> BTreeMap<PathBuf, [u8; 32]> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("listed") {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let bytes = fs::read(&path).expect("read");
            found.insert(path, clearway_crypto::hash::sha256(&[&bytes]).0);
        }
    }
    found
}

/// The genesis of the folder as this version writes it.
fn genesis_of_today() -> String {
    let head = "number = 1\nname = \"validator-0\"\nmembers_address";
    GENESIS.replace("name = \"validator-0\"\naddress", head)
}

#[test]
fn a_genesis_whose_hash_covered_addresses_is_refused_by_name_with_what_to_do() {
    let dir = tempdir().expect("a temporary folder");
    run(dir.path(), &["node", "init", ".", "--insecure-plaintext"]).expect(0);
    fs::write(dir.path().join("old.toml"), GENESIS).expect("written");
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
fn a_folder_of_format_1_is_refused_by_name_with_what_to_do() {
    let dir = tempdir().expect("a temporary folder");
    run(dir.path(), &["node", "init", ".", "--insecure-plaintext"]).expect(0);
    let own = dir.path().join("own.genesis.toml");
    fs::write(&own, genesis_of_today()).expect("written");
    unpack(dir.path());
    let before = contents(&dir.path().join("data"));
    assert_eq!(before.len(), 5);
    let inspect = ["--genesis", "own.genesis.toml", "data"];
    let of_log = |command: &[&'static str]| -> Vec<&'static str> {
        command.iter().copied().chain(inspect).collect()
    };
    let commands: [Vec<&str>; 6] = [
        vec!["node", "run", "--config", "node.toml"],
        vec!["replay", "data", "--genesis", "own.genesis.toml"],
        of_log(&["inspect", "state"]),
        of_log(&["inspect", "integrity"]),
        of_log(&["inspect", "block", "--height", "1"]),
        of_log(&[
            "inspect",
            "tx",
            "--signer",
            "2",
            "--id",
            "01a214968f9500008f8f8431a5553800",
        ]),
    ];
    for command in commands {
        let refused = run_briefly(dir.path(), &[], &command);
        let said = refused.said();
        assert!(refused.code > 0, "{}: {said}", refused.call);
        for words in [
            "format version 1",
            "written by Clearway 0.1.0 up to commit 544d670",
            "reads version 4",
            "by that program",
        ] {
            assert!(said.contains(words), "{}: {said}", refused.call);
        }
        let after = contents(&dir.path().join("data"));
        assert_eq!(after, before, "{}", refused.call);
    }
}
