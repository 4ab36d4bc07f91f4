//! Data folders that are another cluster's, damaged, newer, in use, or none at all.

use std::path::{Path, PathBuf};

use crate::bad_input::desk::Desk;
use crate::bad_input::folder::as_it_is;
use crate::bad_input::{Bad, Counter, Reply, Row, Told};

/// A node on the damaged copy of the folder's data.
const RUN: &str = "node run --config node.toml --set data_dir=copy";

/// A copy of the good data, then damaged.
const fn damaged(name: &'static str, arrange: fn(&Path), says: &'static str) -> Row {
    Row::command(name, arrange, RUN, 3, says)
}

/// Copies the data afresh and gives the folder of the log.
fn copy(dir: &Path) -> PathBuf {
    let to = dir.join("copy");
    // There is none yet before the first row.
    drop(std::fs::remove_dir_all(&to));
    copy_folder(&dir.join("data"), &to);
    to.join("log")
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("made");
    for entry in std::fs::read_dir(from).expect("listed") {
        let path = entry.expect("listed").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}

/// Changes the bytes of a file of the log's copy.
fn edit(dir: &Path, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
    let path = copy(dir).join(name);
    let mut bytes = std::fs::read(&path).expect("read");
    edit(&mut bytes);
    std::fs::write(path, bytes).expect("written");
}

const SEGMENT: &str = "00000000000000000001.seg";

/// Raises the format version of a head and makes its checksum right again, as a newer program
/// would have written it.
fn newer(head: &mut [u8]) {
    head[8] += 1;
    let checksum = crc32fast::hash(&head[..124]);
    head[124..128].copy_from_slice(&checksum.to_le_bytes());
}

pub(crate) const ROWS: &[Row] = &[
    Row::command(
        "another cluster's data",
        as_it_is,
        "node run --config other/node.toml --set data_dir=../data",
        3,
        "point it at its own data directory or its own genesis file",
    ),
    Row::command(
        "a data folder that is a file",
        as_it_is,
        "node run --config node.toml --set data_dir=genesis.toml",
        1,
        "check the disk and its file system",
    ),
    Row::command(
        "a data folder where nothing can be written",
        as_it_is,
        "node run --config node.toml --set data_dir=/proc/clearway",
        1,
        "check the disk and its file system",
    ),
    Row::command(
        "data of a newer format",
        |dir| edit(dir, "identity", |bytes| newer(bytes)),
        RUN,
        1,
        "has format version 6, this program reads version 5; run the newer version",
    ),
    Row::command(
        "a segment of a newer format",
        |dir| edit(dir, SEGMENT, |bytes| newer(bytes)),
        RUN,
        1,
        "has format version 6, this program reads version 5; run the newer version",
    ),
    damaged(
        "a watermark torn in both its places",
        |dir| {
            edit(dir, "watermark", |bytes| {
                bytes[60] ^= 1;
                bytes[4096 + 60] ^= 1;
            });
        },
        "restore this file from a backup",
    ),
    damaged(
        "a watermark cut short",
        |dir| edit(dir, "watermark", |bytes| bytes.truncate(5000)),
        "restore this file from a backup",
    ),
    damaged(
        "data without its identity",
        |dir| std::fs::remove_file(copy(dir).join("identity")).expect("it was there"),
        "point the node at the right directory",
    ),
    damaged(
        "data without its segment",
        |dir| std::fs::remove_file(copy(dir).join(SEGMENT)).expect("it was there"),
        "put it back from a peer or a backup",
    ),
    damaged(
        "one wrong bit below the watermark",
        |dir| edit(dir, SEGMENT, |bytes| bytes[4096 + 30] ^= 1),
        "segment 1 is damaged at byte 4096",
    ),
    damaged(
        "a segment cut below the watermark",
        |dir| edit(dir, SEGMENT, |bytes| bytes.truncate(4096 + 300)),
        "segment 1 is damaged at byte",
    ),
    Row::command(
        "a replay of no data",
        as_it_is,
        "replay none --genesis genesis.toml",
        5,
        "check the path",
    ),
    Row::command(
        "a replay under another cluster's genesis",
        as_it_is,
        "replay data --genesis other/genesis.toml",
        3,
        "name the log's own genesis file with --genesis",
    ),
    Row::command(
        "a log inspected under another cluster's genesis",
        as_it_is,
        "inspect state data --genesis other/genesis.toml",
        3,
        "and the genesis file that was given is",
    ),
    Row::command(
        "a replay of damaged data",
        |dir| edit(dir, SEGMENT, |bytes| bytes[4096 + 30] ^= 1),
        "replay copy --genesis genesis.toml",
        3,
        "segment 1 is damaged at byte 4096",
    ),
    Row::command(
        "a replay of data without its segment",
        |dir| std::fs::remove_file(copy(dir).join(SEGMENT)).expect("it was there"),
        "replay copy --genesis genesis.toml",
        3,
        "put it back from a peer or a backup",
    ),
    Row::command(
        "data without its watermark inspected",
        |dir| std::fs::remove_file(copy(dir).join("watermark")).expect("it was there"),
        "inspect state copy --genesis genesis.toml",
        3,
        "restore this file from a backup",
    ),
    Row::command(
        "data without its identity inspected",
        |dir| std::fs::remove_file(copy(dir).join("identity")).expect("it was there"),
        "inspect state copy --genesis genesis.toml",
        3,
        "point the node at the right directory",
    ),
    Row::command(
        "a folder inspected that is no log",
        as_it_is,
        "inspect state other --genesis genesis.toml",
        5,
        "holds no store; check the path",
    ),
    Row::command(
        "a file replayed that is no folder",
        as_it_is,
        "replay node.toml --genesis genesis.toml",
        5,
        "holds no store; check the path",
    ),
    Row::command(
        "a block beyond the log",
        as_it_is,
        "inspect block data --height 1000000",
        5,
        "`clearway inspect state` says how far it is",
    ),
];

const fn beside(
    name: &'static str,
    knock: fn(&Desk) -> Reply,
    exit: i32,
    says: &'static str,
) -> Row {
    Row {
        name,
        bad: Bad::Knock(knock),
        told: Told::Exit(exit),
        counter: Counter::Nothing,
        says,
    }
}

/// Programs that come in the way of a running node; it goes on and counts nothing.
pub(crate) const ROWS_BESIDE_A_NODE: &[Row] = &[
    beside(
        "a second node on the data of a running one",
        |desk| desk.program("node run --config node.toml"),
        1,
        "stop that one first",
    ),
    beside(
        "a second node at the same door",
        |desk| second_node(desk, desk.door(), "127.0.0.1:0"),
        1,
        "listen",
    ),
    beside(
        "a second node at the same operators' page",
        |desk| second_node(desk, "127.0.0.1:0", desk.admin()),
        1,
        "is another node running?",
    ),
    beside(
        "a payment with three decimals of euro",
        |desk| pay(desk, "1.005 --key keys/member-2.insecure-plaintext"),
        2,
        "decimal",
    ),
    beside(
        "a payment by nobody in the genesis",
        |desk| {
            let key = "keys/stranger.insecure-plaintext";
            let new = ["keys", "new", key, "--insecure-plaintext"];
            crate::program::run(desk.dir(), &new).expect(0);
            pay(desk, &format!("1.00 --key {key}"))
        },
        2,
        "say whose it is with --as PARTICIPANT",
    ),
];

fn second_node(desk: &Desk, door: &str, admin: &str) -> Reply {
    let places = format!("--set listen={door} --set admin_listen={admin}");
    let run = "node run --config node.toml --set data_dir=second";
    desk.program(&format!("{run} {places}"))
}

fn pay(desk: &Desk, more: &str) -> Reply {
    let server = desk.door();
    let call = format!("pay 2.1 3.1 {more} --insecure-plaintext --server {server}");
    desk.program(&call)
}
