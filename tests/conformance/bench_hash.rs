//! `bench hash`: a row for each implementation of each kind of hash, and nothing but its options.

use clearway_crypto::challenge;
use clearway_crypto::hash::{self, Hasher};
use serde_json::Value;
use tempfile::tempdir;

use crate::program::run;

/// One timed round.
const SMALLEST: &[&str] = &["bench", "hash", "--quick", "--rounds", "1"];

#[test]
fn each_kind_of_hash_has_the_rows_of_this_machine() {
    let dir = tempdir().expect("a temporary folder");
    let arguments = [SMALLEST, &["--json", "rows.json"]].concat();
    let table = run(dir.path(), &arguments).expect(0).stdout;
    let text = std::fs::read_to_string(dir.path().join("rows.json")).expect("written");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["schema"], "clearway/bench_hash/1");
    for field in ["machine", "commit", "pinned", "clock", "checksum"] {
        assert!(report.get(field).is_some(), "{field} in {report}");
    }
    assert_eq!(report["rounds"], 1);
    let figures = [
        ("sha512_208_bytes", challenge::challenges(&[]).by),
        ("sha256_node", hash::chosen().name()),
        ("envelope_digests", hash::chosen().name()),
    ];
    let mut expected = Vec::new();
    for (figure, by) in figures {
        expected.push((figure, by));
        let others = Hasher::one_by_one()
            .map(Hasher::name)
            .filter(|name| *name != by);
        expected.extend(others.map(|name| (figure, name)));
    }
    let rows = report["rows"].as_array().expect("rows");
    let text = |row: &Value, field: &str| row[field].as_str().expect("text").to_owned();
    let found: Vec<_> = rows
        .iter()
        .map(|row| (text(row, "figure"), text(row, "implementation")))
        .collect();
    let expected = expected
        .iter()
        .map(|(figure, by)| ((*figure).to_owned(), (*by).to_owned()));
    assert_eq!(found, expected.collect::<Vec<_>>());
    for row in rows {
        let number = |field: &str| row[field].as_f64().expect("a number");
        assert!(number("hashes_per_second") > 0.0, "{row}");
        assert!(number("spread_percent") >= 0.0, "{row}");
    }
    assert_eq!(table.lines().count(), 1 + rows.len(), "{table}");
    assert!(table.starts_with("figure"), "{table}");
}

#[test]
fn the_report_goes_to_stdout_alone_and_wrong_words_are_refused() {
    let dir = tempdir().expect("a temporary folder");
    let with = |more: &[&'static str]| run(dir.path(), &[&["bench", "hash"], more].concat());
    let smallest = &SMALLEST[2..];
    let first = with(&[smallest, &["--json"]].concat()).expect(0);
    let second = with(&["--rounds", "2", "--json", "-"]).expect(0);
    let checksum = |run: &crate::program::Run| run.json("bench_hash")["checksum"].clone();
    assert_eq!(
        checksum(&first),
        checksum(&second),
        "the same work each time"
    );
    let rows: [(&[&str], &str); 4] = [
        (&["--rounds", "0"], "0 is not in"),
        (&["--rounds", "many"], "invalid digit"),
        (&["--batch", "64"], "--batch"),
        (&["sha512"], "sha512"),
    ];
    for (more, message) in rows {
        let said = with(more).expect(2).said();
        assert!(said.contains(message), "{more:?}: {said}");
    }
    let left = std::fs::read_dir(dir.path()).expect("listed").count();
    assert_eq!(left, 0, "nothing is left behind");
}
