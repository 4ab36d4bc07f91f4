//! `bench verify`: rows of every backend, verdicts checked, figures that belong together.

use clearway_crypto::gate::Gate;
use serde_json::Value;
use tempfile::tempdir;

use crate::program::run;

/// As few signatures as make every kind of row.
const SMALLEST: &[&str] = &["bench", "verify", "--batch", "64", "--rounds", "1"];

#[test]
fn each_backend_has_a_row_for_each_kind_of_input() {
    let dir = tempdir().expect("a temporary folder");
    let more = ["--keys", "shared32,single", "--invalid", "0,1"];
    let arguments = [SMALLEST, &more, &["--json", "rows.json"]].concat();
    let table = run(dir.path(), &arguments).expect(0).stdout;
    let text = std::fs::read_to_string(dir.path().join("rows.json")).expect("written");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["schema"], "clearway/bench_verify/1");
    for field in ["machine", "commit", "seed", "pinned", "rounds"] {
        assert!(report.get(field).is_some(), "{field} in {report}");
    }
    let gate = Gate::new().expect("this machine computes rightly");
    let mut expected = Vec::new();
    for keys in ["shared32", "single"] {
        for invalid in [0.0, 1.0] {
            let names = gate
                .backends()
                .map(|(_, backend)| backend.name().to_owned());
            expected.extend(names.map(|name| (name, keys.to_owned(), invalid)));
        }
    }
    let rows = report["rows"].as_array().expect("rows");
    let text = |row: &Value, field: &str| row[field].as_str().expect("text").to_owned();
    let number = |row: &Value, field: &str| row[field].as_f64().expect("a number");
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            let (name, keys) = (text(row, "implementation"), text(row, "keys"));
            (name, keys, number(row, "invalid_percent"))
        })
        .collect();
    assert_eq!(found, expected);
    for row in rows {
        assert_eq!(row["batch_len"], 64, "{row}");
        assert!(number(row, "signatures_per_second") > 0.0, "{row}");
        assert!(number(row, "spread_percent") >= 0.0, "{row}");
        let unwarned = row["keys"] != "single" && row["invalid_percent"] != 0.0;
        let has = row.get("signatures_per_second_unwarned").is_some();
        assert_eq!(has, unwarned, "{row}");
    }
    assert_eq!(table.lines().count(), 1 + rows.len(), "{table}");
    assert!(table.starts_with("implementation"), "{table}");
}

#[test]
fn one_backend_alone_is_measured_and_wrong_words_are_refused() {
    let dir = tempdir().expect("a temporary folder");
    let with = |more: &[&'static str]| run(dir.path(), &[SMALLEST, more].concat());
    let more = [
        "--quick",
        "--keys",
        "distinct",
        "--invalid",
        "0",
        "--backend",
        "portable",
        "--json",
    ];
    let report = with(&more).expect(0).json("bench_verify");
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 1, "{report}");
    assert_eq!(rows[0]["implementation"], "portable");
    assert_eq!(rows[0]["rival"], false);
    let rows: [(&[&str], i32, &str); 6] = [
        (&["--backend", "abacus"], 5, "--list-backends"),
        (&["--rivals", "./none"], 5, "cargo dev bench-verify"),
        (&["--keys", "many"], 2, "distinct_cached"),
        (&["--batch", "0"], 2, "0 is not in"),
        (&["--invalid", "101"], 2, "between 0 and 100"),
        (&["--invalid", "few"], 2, "is not a number"),
    ];
    for (more, code, message) in rows {
        let said = with(more).expect(code).said();
        assert!(said.contains(message), "{more:?}: {said}");
    }
    let left = std::fs::read_dir(dir.path()).expect("listed").count();
    assert_eq!(left, 0, "nothing is left behind");
}

#[test]
fn too_little_memory_is_said_before_anything_is_measured() {
    let dir = tempdir().expect("a temporary folder");
    let limited = |limit: &str, more: &str| {
        let mut command = std::process::Command::new("bash");
        let call = format!("ulimit {limit}; exec \"$0\" bench verify --rounds 1 {more} --json");
        command.args(["-c", &call]);
        command.arg(crate::program::program(dir.path()).get_program());
        let output = command.current_dir(dir.path()).output();
        output.expect("bash starts")
    };
    let rows = [
        ("-v 150000", "--quick"),
        ("-d 100000", "--quick"),
        ("-v 700000", "--keys distinct --batch 65536 --invalid 0"),
    ];
    for (limit, more) in rows {
        let output = limited(limit, more);
        assert_eq!(output.status.code(), Some(1), "{limit} {output:?}");
        let error: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let said = error["message"].as_str().expect("text");
        for words in [
            "this measurement needs",
            &format!("ulimit {} unlimited", &limit[..2]),
        ] {
            assert!(said.contains(words), "{limit}: {said}");
        }
    }
    let smallest = "--keys single --batch 2 --backend portable --invalid 0";
    let enough = limited("-v 4000000", smallest);
    assert!(enough.status.success(), "{enough:?}");
}
