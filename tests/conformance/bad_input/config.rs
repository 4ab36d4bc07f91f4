//! Configurations and genesis files that a node must not start with.

use std::path::Path;

use crate::bad_input::Row;
use crate::bad_input::folder::{as_it_is, rewrite, write};

const SHOW: &str = "node config --config bad.toml";
const RUN: &str = "node run --config node.toml --set genesis=bad.toml";

/// A configuration file.
const fn config(name: &'static str, arrange: fn(&Path), says: &'static str) -> Row {
    Row::command(name, arrange, SHOW, 1, says)
}

/// A genesis file.
const fn genesis(name: &'static str, arrange: fn(&Path), says: &'static str) -> Row {
    Row::command(name, arrange, RUN, 1, says)
}

/// The good genesis with one text in place of another.
fn replaced(dir: &Path, from: &str, to: &str) {
    rewrite(dir, "genesis.toml", "bad.toml", |text| {
        text.replacen(from, to, 1)
    });
}

pub(crate) const ROWS: &[Row] = &[
    config(
        "an unknown setting",
        |dir| write(dir, "bad.toml", "verify_worker = 1\n"),
        "file line 1: no setting `verify_worker`; did you mean `verify_workers`",
    ),
    config(
        "an unknown group of settings",
        |dir| write(dir, "bad.toml", "\n[dor]\nidle_ms = 5000\n"),
        "file line 3: no setting `dor.idle_ms`",
    ),
    config(
        "a setting of the wrong type",
        |dir| write(dir, "bad.toml", "verify_workers = \"many\"\n"),
        "`verify_workers` must be a whole number",
    ),
    config(
        "a setting out of range",
        |dir| write(dir, "bad.toml", "[store]\nsegment_bytes = 1024\n"),
        "must lie between 16777216 and",
    ),
    config(
        "a setting given twice",
        |dir| write(dir, "bad.toml", "log = \"a\"\nlog = \"b\"\n"),
        "configuration line 2",
    ),
    config(
        "a configuration that is not TOML",
        |dir| write(dir, "bad.toml", "\n\nlisten = \"127"),
        "configuration line 3",
    ),
    config(
        "a configuration of 300 KiB",
        |dir| write(dir, "bad.toml", "#".repeat(300 << 10)),
        "at most 262144 are read",
    ),
    config(
        "a configuration in Latin-1",
        |dir| write(dir, "bad.toml", b"log = \"Z\xfcrich\"\n"),
        "give an existing file with --config",
    ),
    config(
        "an unknown preset",
        |dir| write(dir, "bad.toml", "preset = \"huge\"\n"),
        "choose one of laptop, server, bench",
    ),
    config(
        "a heartbeat faster than the pace",
        |dir| {
            write(
                dir,
                "bad.toml",
                "[order]\npace_ms = 500\nheartbeat_ms = 250\n",
            )
        },
        "the heartbeat must be slower than the pace",
    ),
    config(
        "a stream with more room than its connection",
        |dir| write(dir, "bad.toml", "[door]\nstream_window_bytes = 8388608\n"),
        "cannot have more room than its connection",
    ),
    config(
        "an operators' page for the whole world",
        |dir| write(dir, "bad.toml", "admin_listen = \"0.0.0.0:7401\"\n"),
        "put a proxy with access control in front",
    ),
    Row::command(
        "a configuration that is not there",
        as_it_is,
        "node run --config none.toml",
        5,
        "give an existing file with --config",
    ),
    Row::command(
        "a monitor for the configuration of a folder that is not there",
        as_it_is,
        "monitor --once --config none/node.toml",
        5,
        "give an existing file with --config",
    ),
    Row::command(
        "a monitor where no node answers",
        as_it_is,
        "monitor --once --target 127.0.0.1:1",
        6,
        "start the node, or name its `admin_listen`",
    ),
    Row::command(
        "a monitor without a terminal",
        as_it_is,
        "monitor --config node.toml",
        2,
        "give --once for one table",
    ),
    Row::command(
        "a setting without a value",
        as_it_is,
        "node run --config node.toml --set verify_workers",
        2,
        "write KEY=VALUE",
    ),
    Row::command(
        "an unknown setting as a flag",
        as_it_is,
        "node run --config node.toml --set door.idel_ms=5000",
        2,
        "flag: no setting `door.idel_ms`; did you mean `door.idle_ms`",
    ),
    Row::command_with(
        "a variable out of range",
        as_it_is,
        &[("CLEARWAY_DOOR_IDLE_MS", "5")],
        "node run --config node.toml",
        1,
        "variable CLEARWAY_DOOR_IDLE_MS: `door.idle_ms` must lie between 1000 and 600000",
    ),
    Row::command(
        "a filter of the log that is none",
        as_it_is,
        "node run --config node.toml --set log=clearway=loud",
        2,
        "write info or clearway=debug",
    ),
    Row::command(
        "a backend that this machine does not have",
        as_it_is,
        "node run --config node.toml --set backend=abacus",
        5,
        "`clearway verify --list-backends` names those that do",
    ),
    Row::command(
        "a number of a GPU that is none",
        as_it_is,
        "node run --config node.toml --set backend=gpu:first",
        2,
        "write gpu or gpu:0",
    ),
    Row::command(
        "somebody to hash who is not known",
        as_it_is,
        "node run --config node.toml --set hash_backend=abacus",
        2,
        "write cpu, gpu, gpu:all or one of these",
    ),
    Row::command(
        "a genesis that is not there",
        |dir| drop(std::fs::remove_file(dir.join("bad.toml"))),
        RUN,
        5,
        "check the path, or run `clearway node init`",
    ),
    genesis(
        "a genesis that is not TOML",
        |dir| write(dir, "bad.toml", "name = \"x\ntime = 3\n"),
        "bad.toml:1",
    ),
    genesis(
        "an unknown key in a genesis",
        |dir| replaced(dir, "balance", "balanse"),
        "unknown field `balanse`, expected one of",
    ),
    genesis(
        "a participant given twice",
        |dir| replaced(dir, "id = 3\n", "id = 2\n"),
        "number each once, from 1",
    ),
    genesis(
        "a genesis without validators",
        |dir| {
            rewrite(dir, "genesis.toml", "bad.toml", |text| {
                let from = text.find("[[validators]]").expect("there is one");
                let to = text.find("[[participants]]").expect("there are some");
                format!("validators = []\n{}{}", &text[..from], &text[to..])
            });
        },
        "give between 1 and 128",
    ),
    genesis(
        "a genesis without an operator",
        |dir| replaced(dir, "\"operator\"", "\"member\""),
        "between 1 and the number of operators",
    ),
    genesis(
        "an account of nobody in a genesis",
        |dir| replaced(dir, "id = 8589934593", "id = 42949672961"),
        "which is not there; add it first",
    ),
    genesis(
        "a key of the wrong length in a genesis",
        |dir| replaced(dir, "public_key = \"", "public_key = \"00"),
        "expected 64 hexadecimal digits",
    ),
    genesis(
        "a validator whose vote key is not proved",
        |dir| {
            let theirs = std::fs::read_to_string(dir.join("other/genesis.toml")).expect("read");
            let line = |text: &str| {
                let lines = text.lines().find(|line| line.starts_with("bls_proof"));
                lines.expect("a validator has one").to_owned()
            };
            rewrite(dir, "genesis.toml", "bad.toml", |text| {
                text.replace(&line(text), &line(&theirs))
            });
        },
        "proof",
    ),
    Row::command(
        "a cluster made over another",
        as_it_is,
        "node init . --insecure-plaintext",
        1,
        "choose another folder",
    ),
];
