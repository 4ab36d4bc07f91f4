//! What is done with the report of a run: compared, reproduced; and the list of all metrics.

use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::program::run;

/// Writes a changed copy of the report.
fn forge(dir: &Path, name: &str, pointer: &str, value: Value) {
    let text = std::fs::read_to_string(dir.join("a.json")).expect("read");
    let mut report: Value = serde_json::from_str(&text).expect("a report");
    *report.pointer_mut(pointer).expect("it is there") = value;
    std::fs::write(dir.join(name), report.to_string()).expect("written");
}

#[test]
fn a_recorded_run_is_compared_and_reproduced_or_told_apart() {
    let dir = tempdir().expect("a temporary folder");
    let call = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        run(dir.path(), &words)
    };
    call("bench --account-count 100 --count 500 --stream-len 64 --json a.json").expect(0);
    forge(dir.path(), "fast.json", "/tps_final", 1e12.into());
    forge(dir.path(), "other.json", "/workload/hash", "00".into());
    forge(dir.path(), "new.json", "/version", 99.into());
    forge(dir.path(), "demo.json", "/arguments/0", "demo".into());

    let same = call("bench compare a.json a.json --json").expect(0);
    let same = same.json("comparison");
    assert_eq!(same["differs"], Value::Array(Vec::new()));
    assert_eq!(same["changes"][0]["change_percent"], 0.0);
    let apart = call("bench compare a.json fast.json").expect(0);
    assert!(apart.stdout.contains("tps_final"), "{}", apart.stdout);
    let apart = call("bench compare a.json other.json").expect(0);
    assert!(apart.stdout.contains("workload: "), "{}", apart.stdout);

    let again = call("bench reproduce a.json --tolerance 100% --json").expect(0);
    let again = again.json("reproduction");
    assert_eq!(
        (&again["reproduced"], &again["same_work"]),
        (&true.into(), &true.into())
    );
    let rows = [
        ("bench reproduce fast.json", 4, "slower than recorded"),
        (
            "bench reproduce other.json --tolerance 100",
            3,
            "use the same files and seed",
        ),
        ("bench reproduce demo.json", 1, "run its own command again"),
        ("bench compare a.json new.json", 1, "report of version 99"),
        ("bench compare a.json none.json", 5, "check the path"),
        ("bench compare a.json", 2, "<AFTER>"),
    ];
    for (words, code, message) in rows {
        let said = call(words).expect(code).said();
        assert!(said.contains(message), "{words}: {said}");
    }
}

#[test]
fn every_metric_is_listed_with_its_meaning() {
    let dir = tempdir().expect("a temporary folder");
    let listed = run(dir.path(), &["inspect", "metrics", "--json"]).expect(0);
    let listed = listed.json("metrics");
    let metrics = listed["result"].as_array().expect("a list");
    let height = metrics
        .iter()
        .find(|metric| metric["name"] == "clearway_block_height");
    assert_eq!(height.expect("it is listed")["kind"], "gauge");
    for metric in metrics {
        assert!(
            metric["help"].as_str().is_some_and(|help| !help.is_empty()),
            "{metric}"
        );
        assert!(
            metric["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("clearway_"))
        );
    }
    let left = std::fs::read_dir(dir.path()).expect("listed").count();
    assert_eq!(left, 0, "nothing is left behind");
}
