//! Golden bytes: what consensus, clients or the disk parse or hash changes by decision only.
//!
//! Samples with another value in every field are encoded and compared with a committed table, so
//! that two fields that change places turn a row red. With [`WRITE_GOLDEN`] set, the test writes
//! the table anew; that goes into one commit with the version that covers the change and with
//! `crates/store/FORMAT.md`.

mod disk;
pub(crate) mod records;
mod state;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clearway_crypto::hash::sha256;
use clearway_types::hex;
use clearway_types::units::Digest;

/// Set to write the golden files anew.
pub(crate) const WRITE_GOLDEN: &str = "CLEARWAY_WRITE_GOLDEN";
/// Longest sample that stands in the table byte by byte; others have length and hash alone.
const SHOWN_BYTES_MAX: usize = 1024;
const BYTES_PER_LINE: usize = 32;
const HEAD: &str = "\
# Name, length and SHA-256 of each sample, then its bytes. Written by
# CLEARWAY_WRITE_GOLDEN=1 cargo test --workspace --test conformance -- bytes::
";

/// Rows of the table, in the order in which people look for them.
#[derive(Default)]
struct Table(Vec<(String, Vec<u8>)>);

impl Table {
    fn add(&mut self, name: impl Into<String>, bytes: impl AsRef<[u8]>) {
        let name = name.into();
        let again = self.0.iter().any(|(other, _)| *other == name);
        assert!(!again, "{name} is there twice");
        assert!(!name.contains(": "), "{name}: a colon ends a name");
        self.0.push((name, bytes.as_ref().to_vec()));
    }

    /// The table as text: a row is a line that names it and lines of its bytes.
    fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (name, bytes) in &self.0 {
            text.push('\n');
            text.push_str(&row(name, bytes));
        }
        text
    }
}

fn row(name: &str, bytes: &[u8]) -> String {
    let mut text = format!("{name}: {} bytes, {}\n", bytes.len(), sha256(&[bytes]));
    if bytes.len() <= SHOWN_BYTES_MAX {
        for line in bytes.chunks(BYTES_PER_LINE) {
            writeln!(text, "  {}", hex::encode(line)).expect("text grows");
        }
    }
    text
}

/// Rows of a text by their names.
fn rows(text: &str) -> BTreeMap<&str, &str> {
    let rows = text.split("\n\n").skip(1);
    let named = rows.map(|row| {
        let (name, _) = row.split_once(": ").expect("a row begins with its name");
        (name, row.trim_end())
    });
    named.collect()
}

/// What differs between two tables, row by row; nothing when nothing does.
fn differences(recorded: &str, now: &str) -> String {
    let (recorded, now) = (rows(recorded), rows(now));
    let mut names: Vec<_> = recorded.keys().chain(now.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let mut told = String::new();
    for name in names {
        let [before, after] = [&recorded, &now].map(|rows| rows.get(name).copied());
        if before != after {
            let [before, after] = [before, after].map(|row| row.unwrap_or("not there"));
            writeln!(told, "recorded {before}\nnow      {after}\n").expect("text grows");
        }
    }
    told
}

/// Where a golden file is.
pub(crate) fn golden(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/golden");
    PathBuf::from(folder).join(name)
}

/// Bytes that stand nowhere else in a sample: `seed`, and each next one higher by 1.
pub(crate) fn fill<const N: usize>(seed: u8) -> [u8; N] {
    let mut next = seed;
    [(); N].map(|()| {
        let byte = next;
        next = next.wrapping_add(1);
        byte
    })
}

pub(crate) fn digest(seed: u8) -> Digest {
    Digest(fill(seed))
}

fn n16(seed: u8) -> u16 {
    u16::from_le_bytes(fill(seed))
}

pub(crate) fn n32(seed: u8) -> u32 {
    u32::from_le_bytes(fill(seed))
}

pub(crate) fn n64(seed: u8) -> u64 {
    u64::from_le_bytes(fill(seed))
}

fn n128(seed: u8) -> u128 {
    u128::from_le_bytes(fill(seed))
}

#[test]
fn what_others_parse_or_hash_has_the_bytes_of_the_table() {
    let mut table = Table::default();
    records::add(&mut table);
    wire::add(&mut table);
    state::add(&mut table);
    disk::add(&mut table);
    let (path, now) = (golden("bytes.txt"), table.text());
    if std::env::var_os(WRITE_GOLDEN).is_some() {
        return fs::write(&path, now).expect("written");
    }
    let recorded = fs::read_to_string(&path).expect("the table is committed");
    let differences = differences(&recorded, &now);
    assert!(
        differences.is_empty() && recorded == now,
        "{differences}Others parse or hash these bytes: to change them is a decision. Raise the \
         version that covers them, say so in crates/store/FORMAT.md, and write the table anew, in \
         one commit: {WRITE_GOLDEN}=1 cargo test --workspace --test conformance -- bytes::"
    );
}

#[test]
fn a_change_is_told_by_row_with_both_values_and_nothing_else_is() {
    let table = |rows: &[(&str, &[u8])]| {
        let mut table = Table::default();
        for (name, bytes) in rows {
            table.add(*name, bytes);
        }
        table.text()
    };
    let long = [7; SHOWN_BYTES_MAX + 1];
    let before = table(&[
        ("same", &[1]),
        ("swapped", &[2, 3]),
        ("gone", &[4]),
        ("long", &long),
    ]);
    assert_eq!(differences(&before, &before), "");
    let other = [8; SHOWN_BYTES_MAX + 1];
    let after = table(&[
        ("same", &[1]),
        ("swapped", &[3, 2]),
        ("new", &[5]),
        ("long", &other),
    ]);
    let told = differences(&before, &after);
    assert!(!told.contains("same"), "{told}");
    for words in [
        "recorded swapped: 2 bytes",
        "  0203\nnow      swapped",
        "  0302\n",
        "recorded gone",
        "now      not there",
        "now      new: 1 bytes",
        "recorded long: 1025 bytes",
        "now      long: 1025 bytes",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}
