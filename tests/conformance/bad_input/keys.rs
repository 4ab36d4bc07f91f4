//! Key files that are open to others, damaged, locked, or of another kind.

use std::path::Path;

use crate::bad_input::Row;
use crate::bad_input::folder::{PASSPHRASE, as_it_is, rewrite, write};

const MEMBER: &str = "keys/member-2.insecure-plaintext";

const CHECK: &str = "keys check x.insecure-plaintext --insecure-plaintext";
const CHECK_AGE: &str = "keys check x.age";

/// A key file `x.insecure-plaintext` that is changed from a good one.
fn changed(dir: &Path, edit: impl FnOnce(&str) -> String) {
    rewrite(dir, MEMBER, "x.insecure-plaintext", edit);
    let public = std::fs::read(dir.join("keys/member-2.pub")).expect("read");
    write(dir, "x.pub", public);
    private(dir, "x.insecure-plaintext");
}

#[cfg(unix)]
fn set_mode(dir: &Path, name: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(dir.join(name), permissions).expect("changed");
}

fn private(dir: &Path, name: &str) {
    set_mode(dir, name, 0o600);
}

pub(crate) const ROWS: &[Row] = &[
    Row::command(
        "a key file that others can read",
        |dir| {
            changed(dir, |text| format!("{text}\n"));
            set_mode(dir, "x.insecure-plaintext", 0o644);
        },
        CHECK,
        1,
        "run `chmod 600",
    ),
    Row::command(
        "a node whose key file others can read",
        |dir| {
            let keys = std::fs::read(dir.join("keys/validator.insecure-plaintext")).expect("read");
            write(dir, "v.insecure-plaintext", keys);
            set_mode(dir, "v.insecure-plaintext", 0o640);
        },
        "node run --config node.toml --set keys=v.insecure-plaintext",
        1,
        "run `chmod 600",
    ),
    Row::command(
        "a key in plain text, not allowed",
        as_it_is,
        "keys check keys/member-2.insecure-plaintext",
        2,
        "accept it with --insecure-plaintext",
    ),
    Row::command(
        "the public half of a key",
        as_it_is,
        "keys check keys/member-2.pub",
        2,
        "name the key file",
    ),
    Row::command(
        "the public half of a key to pay with",
        as_it_is,
        "pay 2.1 3.1 1 --key keys/member-2.pub",
        2,
        "name the key file itself: keys/member-2.insecure-plaintext",
    ),
    Row::command(
        "a file that is none and that others can read",
        |dir| {
            write(dir, "users", "root:x:0:0");
            set_mode(dir, "users", 0o644);
        },
        "keys check users",
        1,
        "users is no key file: check the path",
    ),
    Row::command(
        "a key file that is not there",
        as_it_is,
        "keys check none.age",
        5,
        "make keys with `clearway keys new`",
    ),
    Row::command(
        "an encrypted key without its passphrase",
        as_it_is,
        "keys check keys/bank.age",
        1,
        "set CLEARWAY_PASSPHRASE",
    ),
    Row::command_with(
        "a wrong passphrase",
        as_it_is,
        &[("CLEARWAY_PASSPHRASE", "wrong")],
        "keys check keys/bank.age",
        1,
        "check the passphrase or restore a backup",
    ),
    Row::command_with(
        "an encrypted key cut short",
        |dir| {
            rewrite(dir, "keys/bank.age", "x.age", |text| {
                text[..text.len() / 2].to_owned()
            });
            private(dir, "x.age");
        },
        &[PASSPHRASE],
        CHECK_AGE,
        1,
        "check the passphrase or restore a backup",
    ),
    Row::command(
        "a key file of noise",
        |dir| changed(dir, |_| "noise".to_owned()),
        CHECK,
        1,
        "restore it from a backup",
    ),
    Row::command(
        "a key file of a later format",
        |dir| changed(dir, |text| text.replace("format = 1", "format = 2")),
        CHECK,
        1,
        "format 2 is unknown, 1 is known; restore it from a backup",
    ),
    Row::command(
        "a key file of a megabyte",
        |dir| changed(dir, |text| text.repeat(10_000)),
        CHECK,
        1,
        "longer than 16384 bytes",
    ),
    Row::command(
        "a key beside another key's public half",
        |dir| {
            changed(dir, |text| format!("{text}\n"));
            let other = std::fs::read(dir.join("keys/member-3.pub")).expect("read");
            write(dir, "x.pub", other);
        },
        CHECK,
        3,
        "restore both from the same backup",
    ),
    Row::command(
        "a member's key where a validator's is needed",
        as_it_is,
        "node run --config node.toml --set keys=keys/member-2.insecure-plaintext",
        1,
        "a validator key is needed here",
    ),
    Row::command(
        "a validator's key where a member's is needed",
        as_it_is,
        "pay 2.1 3.1 1.00 --key keys/validator.insecure-plaintext --insecure-plaintext",
        1,
        "a member key is needed here",
    ),
    Row::command(
        "another validator's key",
        as_it_is,
        "node run --config node.toml --set keys=other/keys/validator.insecure-plaintext",
        1,
        "give the keys that genesis names",
    ),
    Row::command(
        "a new key over an old one",
        as_it_is,
        "keys new keys/member-2.insecure-plaintext --insecure-plaintext",
        1,
        "choose another name",
    ),
    Row::command(
        "a plain key under the name of an encrypted one",
        as_it_is,
        "keys new a.age --insecure-plaintext",
        2,
        "end its name in .insecure-plaintext",
    ),
];
