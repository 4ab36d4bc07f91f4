//! A node's folder as text, and the committed one of this format: it opens, replays, and goes on.
//!
//! A text has a line for each root and each file, and the bytes of a file that are not zero.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clearway_crypto::hash::sha256;
use clearway_harness::NodeProcess;
use clearway_store::limits::FORMAT_VERSION;
use clearway_types::hex;
use clearway_types::limits::ROOT_INTERVAL;
use clearway_types::units::Digest;
use tempfile::tempdir;

use crate::bytes::{WRITE_GOLDEN, golden};
use crate::program::{Run, program, run};

const BYTES_PER_LINE: usize = 48;
/// Fields of a replay's report that a folder must give for ever.
const ROOTS: [&str; 6] = [
    "genesis_hash",
    "height",
    "settled",
    "state_roots_compared",
    "exec_head",
    "balances_root",
];

/// Makes the files of a text in `dir`; what the text says of them, by name.
pub(crate) fn unpack(text: &str, dir: &Path) -> BTreeMap<String, String> {
    let (mut said, mut file) = (BTreeMap::new(), None);
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["root", name, value] => {
                said.insert(name.to_owned(), value.to_owned());
            }
            ["file", name, length] => {
                let path = dir.join(name);
                fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                // A node takes no key that others may read.
                let mut private = fs::OpenOptions::new();
                private.write(true).create_new(true).mode(0o600);
                let made = private.open(path).expect("made");
                made.set_len(length.parse().expect("a number"))
                    .expect("made");
                file = Some(made);
            }
            [offset, bytes] => {
                let offset = u64::from_str_radix(offset, 16).expect("a number");
                let bytes = hex::decode(bytes).expect("hexadecimal");
                let file = file.as_ref().expect("a file comes first");
                file.write_all_at(&bytes, offset).expect("written");
            }
            _ => panic!("neither a root, a file nor bytes: {line}"),
        }
    }
    said
}

/// The files of `dir` as text, under what is said of them.
fn pack(said: &BTreeMap<String, String>, dir: &Path) -> String {
    let mut text = String::new();
    for (name, value) in said {
        writeln!(text, "root {name} {value}").expect("text grows");
    }
    for (path, bytes) in files(dir) {
        let name = path.strip_prefix(dir).expect("below it").display();
        writeln!(text, "file {name} {}", bytes.len()).expect("text grows");
        for (line, bytes) in bytes.chunks(BYTES_PER_LINE).enumerate() {
            if bytes.iter().any(|&byte| byte != 0) {
                let (offset, bytes) = (line * BYTES_PER_LINE, hex::encode(bytes));
                writeln!(text, "{offset:x} {bytes}").expect("text grows");
            }
        }
    }
    text
}

/// Every file below `dir` with a hash of its bytes.
pub(crate) fn contents(dir: &Path) -> BTreeMap<PathBuf, Digest> {
    let hashed = |(path, bytes): (PathBuf, Vec<u8>)| (path, sha256(&[&bytes]));
    files(dir).into_iter().map(hashed).collect()
}

/// Every file below `dir` with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("listed") {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).expect("read");
            found.insert(path, bytes);
        }
    }
    found
}

/// Runs a command of a member of the cluster in `dir`.
fn as_member(dir: &Path, node: &NodeProcess, number: u32, command: &[&str]) -> Run {
    let key = format!("keys/member-{number}.insecure-plaintext");
    let mut all = command.to_vec();
    all.extend(["--key", &key, "--insecure-plaintext", "--json"]);
    all.extend(["--server", node.door()]);
    run(dir, &all)
}

fn serve(dir: &Path) -> NodeProcess {
    NodeProcess::start(program(dir), Path::new("node.toml"), "127.0.0.1:0")
}

/// What replaying the folder gives, up to a height where one is given.
fn replayed(dir: &Path, to: Option<&str>) -> BTreeMap<String, String> {
    let mut command = vec!["replay", "data", "--genesis", "genesis.toml", "--json"];
    command.extend(to.iter().flat_map(|height| ["--to", height]));
    let report = run(dir, &command).expect(0).json("replay");
    let roots = ROOTS.map(|name| {
        let value = &report[name];
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (name.to_owned(), text)
    });
    roots.into()
}

/// Lets a node of this build make a folder in which every kind of record stands, and packs it.
fn made() -> String {
    let dir = tempdir().expect("a temporary folder");
    let dir = dir.path();
    run(dir, &["node", "init", ".", "--insecure-plaintext"]).expect(0);
    let mut node = serve(dir);
    let id_of = |run: Run| {
        let answer = run.expect(0).json("answer");
        answer["id"].as_str().expect("an identifier").to_owned()
    };
    let member = |number, command: &[&str]| as_member(dir, &node, number, command);
    let paid = id_of(member(2, &["pay", "2.1", "3.1", "103.55"]));
    id_of(member(3, &["return", &paid, "3.1", "2.1", "3.55"]));
    let held = id_of(member(2, &["hold", "2.1", "3.1", "50.00"]));
    id_of(member(2, &["post", &held, "2.1", "3.1", "20.00"]));
    // Idle blocks come four times a second: long before a state root is due the second is over.
    let ending = ["hold", "2.1", "3.1", "7.00", "--hold-s", "1"];
    member(2, &ending).expect(0);
    let to = ROOT_INTERVAL + 1;
    let feed = ["account", "follow", "2.1", "--to", &to.to_string()];
    let feed = member(2, &feed).expect(0);
    assert!(feed.stdout.contains("HoldExpired"), "{}", feed.stdout);
    node.stop();
    let mut said = replayed(dir, None);
    said.insert("paid".into(), paid);
    // What a node makes anew when it is not there.
    for left_out in ["data/log/next.prepared", "data/reserve"] {
        fs::remove_file(dir.join(left_out)).expect("it was there");
    }
    pack(&said, dir)
}

#[test]
fn a_folder_of_this_format_opens_replays_to_its_roots_and_goes_on() {
    let path = golden(&format!("format-{FORMAT_VERSION}.txt"));
    if std::env::var_os(WRITE_GOLDEN).is_some() {
        fs::write(&path, made()).expect("written");
    }
    let text = fs::read_to_string(&path).expect("the folder is committed");
    let dir = tempdir().expect("a temporary folder");
    let dir = dir.path();
    let mut said = unpack(&text, dir);
    let paid = said.remove("paid").expect("a payment is in it");
    let why = "This build reads a folder of its own format otherwise than the build that wrote \
               it. Raise the format version, or find what changed";
    assert_eq!(replayed(dir, None), said, "{why}");
    let mut node = serve(dir);
    let found = as_member(dir, &node, 2, &["lookup", &paid, "--prove"]);
    let found = found.expect(0).json("lookup");
    assert_eq!(
        (&found["state"], &found["proven"]),
        (&"settled".into(), &true.into())
    );
    let pay = ["pay", "2.1", "3.1", "1.00", "--prove"];
    as_member(dir, &node, 2, &pay).expect(0);
    node.stop();
    let height = said.get("height").map(String::as_str);
    assert_eq!(replayed(dir, height), said, "{why}");
}
