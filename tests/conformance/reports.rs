//! What is done with the report of a run: compared, reproduced; and the list of all metrics.

use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::program::run;

/// Writes a changed copy of the report, with a digest that fits.
fn forge(dir: &Path, name: &str, pointer: &str, value: Value) {
    let text = std::fs::read_to_string(dir.join("a.json")).expect("read");
    let mut report: Value = serde_json::from_str(&text).expect("a report");
    *report.pointer_mut(pointer).expect("it is there") = value;
    write(dir, name, report);
}

/// Writes a report with the digest of what it holds.
fn write(dir: &Path, name: &str, mut report: Value) {
    let fields = report.as_object_mut().expect("an object");
    // What is drawn tells every latency once more.
    for drawn in ["spectrum", "timeline"] {
        fields.remove(drawn);
    }
    clearway_load::digest::seal(fields);
    std::fs::write(dir.join(name), report.to_string()).expect("written");
}

/// A run of `bench` on 100 accounts whose report is `a.json`.
const BENCH: &str = "bench --account-count 100 --count 500 --stream-len 64 --json a.json";

/// Claims that a run of 500 payments fulfils on any machine, or on none.
const EASY: &str = "--assert settled>0 --assert p99_us<3600000000";
const HARD: &str = "--assert tps_final>1e9";

fn call(dir: &Path, words: &str) -> crate::program::Run {
    let words: Vec<&str> = words.split_whitespace().collect();
    run(dir, &words)
}

/// A copy of the report whose rate and latencies are `factor` times as good, and which adds up.
fn forge_fast(dir: &Path, name: &str, factor: u32) {
    let text = std::fs::read_to_string(dir.join("a.json")).expect("read");
    let mut report: Value = serde_json::from_str(&text).expect("a report");
    let seconds = report["seconds"].as_f64().expect("a number") / f64::from(factor);
    report["seconds"] = seconds.into();
    report["tps_final"] = (report["settled"].as_f64().expect("a number") / seconds).into();
    for of in ["response_us", "service_us"] {
        for percentile in ["p1", "p50", "p99", "p999", "p100"] {
            let us = report[of][percentile].as_u64().expect("a number");
            report[of][percentile] = (us / u64::from(factor)).into();
        }
    }
    write(dir, name, report);
}

#[test]
fn a_recorded_run_is_compared_and_reproduced_or_told_apart() {
    let dir = tempdir().expect("a temporary folder");
    let call = |words: &str| call(dir.path(), words);
    // A folder that has any of a cluster in it keeps what it has.
    for name in ["genesis.toml", "data", "validator.insecure-plaintext"] {
        let folder = dir.path().join(format!("of-{name}"));
        std::fs::create_dir(&folder).expect("made");
        std::fs::write(folder.join(name), "precious").expect("written");
        let refused = call(&format!("{BENCH} {EASY} --keep of-{name}")).expect(1);
        assert!(
            refused.said().contains("nothing is overwritten"),
            "{}",
            refused.said()
        );
        let left = std::fs::read_to_string(folder.join(name)).expect("it is there");
        assert_eq!(left, "precious");
    }
    call(&format!("{BENCH} {EASY} --keep kept")).expect(0);
    forge_fast(dir.path(), "fast.json", 1000);
    forge(dir.path(), "other.json", "/workload/hash", "00".into());
    forge(dir.path(), "new.json", "/version", 99.into());
    forge(dir.path(), "demo.json", "/arguments/0", "demo".into());
    forge(dir.path(), "schema.json", "/schema", "x".into());
    forge(dir.path(), "bare.json", "/schema", Value::Null);

    let same = call("bench compare a.json a.json --json").expect(0);
    let same = same.json("comparison");
    assert_eq!(same["differs"], Value::Array(Vec::new()));
    assert_eq!(same["changes"][0]["change_percent"], 0.0);
    let apart = call("bench compare a.json fast.json").expect(0);
    assert!(apart.stdout.contains("tps_final"), "{}", apart.stdout);
    let apart = call("bench compare a.json other.json").expect(0);
    assert!(apart.stdout.contains("workload hash: "), "{}", apart.stdout);

    // The run was kept: the rerun leaves that folder alone.
    let again = call("bench reproduce a.json --tolerance 100% --json").expect(0);
    let again = again.json("reproduction");
    assert_eq!(
        (&again["reproduced"], &again["same_work"]),
        (&true.into(), &true.into())
    );
    call("replay kept/data").expect(0);
    // A page for a browser, which needs nothing but itself.
    call("bench page a.json a.html").expect(0);
    let page = std::fs::read_to_string(dir.path().join("a.html")).expect("written");
    for words in ["How long payments took", "Answers a second", "--keep kept"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("http"), "it fetches nothing");
    let rows = [
        ("bench reproduce fast.json", 4, "slower than recorded"),
        (
            "bench reproduce other.json --tolerance 100",
            3,
            "use the same files and seed",
        ),
        ("bench reproduce demo.json", 1, "run its own command again"),
        ("bench compare a.json new.json", 1, "report of version 99"),
        (
            "bench compare a.json schema.json",
            1,
            "it has the schema \"x\"",
        ),
        ("bench compare bare.json a.json", 1, "it has no schema"),
        ("bench compare a.json none.json", 5, "check the path"),
        ("bench page none.json a.html", 5, "check the path"),
        ("bench page a.json none/a.html", 2, "name a file to make"),
        ("bench page a.json a.json", 2, "nothing is overwritten"),
        ("bench page a.json -", 2, "never to standard output"),
        ("bench --html none/a.html", 2, "name a file to make"),
        ("bench --json b --html b", 2, "nothing is overwritten"),
        ("bench compare a.json", 2, "<AFTER>"),
    ];
    for (words, code, message) in rows {
        let said = call(words).expect(code).said();
        assert!(said.contains(message), "{words}: {said}");
    }
    // Of two fields of one name each reader may take another one.
    let text = std::fs::read_to_string(dir.path().join("a.json")).expect("read");
    let doubled = text.replacen('{', "{\"tps_final\":1e9,", 1);
    std::fs::write(dir.path().join("doubled.json"), doubled).expect("written");
    let said = call("bench compare a.json doubled.json").expect(3).said();
    assert!(said.contains("`tps_final` is there twice"), "{said}");
}

#[test]
fn each_kind_of_work_is_cleared_and_a_wrong_signature_is_refused() {
    let dir = tempdir().expect("a temporary folder");
    let shape = "--account-count 100 --count 500 --stream-len 50 --overdraft-permille 0";
    for (work, settled) in [("hold", 490), ("return", 490), ("linked", 480)] {
        let words = format!("bench --workload {work} --invalid-permille 20 {shape} --json");
        let report = call(dir.path(), &words).expect(0).json("run");
        let codes = &report["codes"];
        assert_eq!(codes["BadSignature"], 10, "{work}: {codes}");
        // A payment without its other half settles alone, but for one that is linked to it.
        let found = report["settled"].as_u64().expect("a number");
        assert!(found.abs_diff(settled) <= 10, "{work}: {codes}");
    }
    let rows = [
        ("bench --workload hold --stream-len 51", "a multiple of 2"),
        ("bench --workload uniform --zipf 2", "has no slope"),
        ("bench --workload hot-debt", "'hot'"),
    ];
    for (words, message) in rows {
        let said = call(dir.path(), words).expect(2).said();
        assert!(said.contains(message), "{words}: {said}");
    }
}

#[test]
fn a_report_that_failed_its_checks_or_contradicts_itself_is_refused() {
    let dir = tempdir().expect("a temporary folder");
    let call = |words: &str| call(dir.path(), words);
    call(BENCH).expect(0);
    let rows: [(&str, Value, &[&str]); 20] = [
        ("/checks/conserved", false.into(), &["failed its checks"]),
        ("/checks/roots_equal", false.into(), &["failed its checks"]),
        ("/checks/replay_ok", false.into(), &["failed its checks"]),
        (
            "/tps_final",
            1e12.into(),
            &["/tps_final", "/settled / /seconds"],
        ),
        (
            "/settled",
            499.into(),
            &["/settled + /rejected", "/sent is 500"],
        ),
        (
            "/sent",
            501.into(),
            &["/settled + /rejected is 500", "/sent is 501"],
        ),
        (
            "/workload/payments",
            9.into(),
            &["/sent is 500", "/workload/payments is 9"],
        ),
        (
            "/response_us/p99",
            0.into(),
            &["/response_us/p50", "/response_us/p99 is 0"],
        ),
        ("/cpu_seconds", 1e6.into(), &["/cpu_seconds"]),
        (
            "/hints_used",
            1_000_000_000.into(),
            &["/hints_used is 1000000000", "/signatures_verified"],
        ),
        (
            "/signatures_verified",
            1_000_000_000.into(),
            &["/signatures_verified is 1000000000", "/copies_sent is 500"],
        ),
        (
            "/signatures_fallback",
            501.into(),
            &["/signatures_fallback is 501", "/signatures_verified is 500"],
        ),
        (
            "/response_us/p100",
            1_000_000_000.into(),
            &["/response_us/p100 is 1000000000", "/seconds"],
        ),
        ("/cpu_seconds", 0.into(), &["/cpu_seconds is 0"]),
        ("/replay_seconds", (-1).into(), &["/replay_seconds"]),
        ("/height", (-1).into(), &["/height"]),
        (
            "/workload/accounts",
            0.into(),
            &["/workload/accounts is 0", "/sent is 500"],
        ),
        (
            "/load/connections",
            0.into(),
            &["/load/connections is 0", "/sent is 500"],
        ),
        ("/balances_root", "zz".into(), &["/balances_root is \"zz\""]),
        (
            "/durability",
            "as told".into(),
            &["/disk/durable is", "/durability is \"as told\""],
        ),
    ];
    for (pointer, value, words) in rows {
        forge(dir.path(), "forged.json", pointer, value);
        for command in [
            "bench compare a.json forged.json",
            "bench compare forged.json a.json",
            "bench reproduce forged.json",
        ] {
            let said = call(command).expect(3).said();
            for word in words {
                assert!(said.contains(word), "{pointer}, {command}: {said}");
            }
        }
    }
}

/// Where each leaf of a report stands.
fn leaves(value: &Value, pointer: &str, into: &mut Vec<String>) {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                leaves(value, &format!("{pointer}/{}", escaped(name)), into);
            }
        }
        Value::Array(values) => {
            for (place, value) in values.iter().enumerate() {
                leaves(value, &format!("{pointer}/{place}"), into);
            }
        }
        _ => into.push(pointer.to_owned()),
    }
}

#[test]
fn whatever_is_edited_in_a_report_is_noticed() {
    let dir = tempdir().expect("a temporary folder");
    let call = |words: &str| call(dir.path(), words);
    call(BENCH).expect(0);
    let text = std::fs::read_to_string(dir.path().join("a.json")).expect("read");
    let report: Value = serde_json::from_str(&text).expect("a report");
    let mut all = Vec::new();
    leaves(&report, "", &mut all);
    assert!(all.len() > 90, "{all:?}");
    for pointer in &all {
        let mut edited = report.clone();
        let leaf = edited.pointer_mut(pointer).expect(pointer);
        *leaf = match leaf {
            Value::String(text) => format!("{text}x").into(),
            Value::Bool(value) => (!*value).into(),
            Value::Number(number) => match number.as_u64() {
                Some(whole) => whole.wrapping_add(1).into(),
                None => (number.as_f64().expect("a number") + 1.0).into(),
            },
            _ => 1.into(),
        };
        std::fs::write(dir.path().join("edited.json"), edited.to_string()).expect("written");
        let refused = call("bench compare a.json edited.json");
        let (code, words) = match pointer.as_str() {
            "/schema" => (1, "is no report: it has the schema"),
            "/version" => (1, "is a report of version"),
            _ => (3, "edited or damaged"),
        };
        let said = refused.expect(code).said();
        assert!(said.contains(words), "{pointer}: {said}");
    }
    let mut bare = report;
    bare.as_object_mut().expect("an object").remove("digest");
    std::fs::write(dir.path().join("bare.json"), bare.to_string()).expect("written");
    let said = call("bench compare a.json bare.json").expect(3).said();
    assert!(said.contains("it has no digest"), "{said}");
}

#[test]
fn a_rerun_is_judged_by_its_latency_and_by_the_recorded_claims_too() {
    let dir = tempdir().expect("a temporary folder");
    let call = |words: &str| call(dir.path(), words);
    call(&format!("{BENCH} {HARD}")).expect(4);
    let again = call("bench reproduce a.json --tolerance 100 --json").expect(4);
    assert!(again.said().contains("tps_final>1e9"), "{}", again.said());
    let again = again.json("reproduction");
    assert_eq!(again["reproduced"], false);
    assert_eq!(again["missed"][0], "tps_final>1e9");

    call(BENCH).expect(0);
    // Only the latencies are better than any: the rate may be anything.
    let text = std::fs::read_to_string(dir.path().join("a.json")).expect("read");
    let mut report: Value = serde_json::from_str(&text).expect("a report");
    for of in ["response_us", "service_us"] {
        for percentile in ["p1", "p50", "p99", "p999", "p100"] {
            report[of][percentile] = 1.into();
        }
    }
    write(dir.path(), "quick.json", report);
    let again = call("bench reproduce quick.json --tolerance 99").expect(4);
    assert!(again.said().contains("p99_us"), "{}", again.said());
}

#[test]
fn a_claim_that_measures_nothing_and_a_flag_without_effect_are_wrong_usage() {
    let dir = tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("p.csv"), "").expect("written");
    let rows = [
        ("bench --assert tps_final>nan", "--assert"),
        ("bench --assert tps_final<inf", "--assert"),
        ("bench --assert tps_final>", "--assert"),
        ("bench --assert p99>1", "--assert"),
        (
            "bench --payments p.csv --accounts p.csv --count 5",
            "--count",
        ),
        (
            "bench --payments p.csv --accounts p.csv --account-count 5",
            "--account-count",
        ),
        ("bench --payments p.csv --accounts p.csv --zipf 2", "--zipf"),
        (
            "bench --payments p.csv --accounts p.csv --overdraft-permille 0",
            "--overdraft-permille",
        ),
        ("bench --payments p.csv --accounts p.csv --quick", "--quick"),
        ("bench --quick --payments p.csv --accounts p.csv", "--quick"),
        ("demo --payments p.csv --accounts p.csv --quick", "--quick"),
        ("bench --ordered --connections 2", "--connections"),
        ("bench --ordered --streams 2", "--streams"),
        ("bench --ramp p99<50", "--ramp"),
        ("bench --ramp p99<50ms --rate 5000", "--rate"),
        ("bench --ramp p99<50ms --count 5000", "--count"),
        (
            "bench --ramp p99<50ms --payments p.csv --accounts p.csv",
            "--ramp",
        ),
        ("bench --duration 5", "--rate"),
        ("bench --duration 5 --rate 50000000", "--duration"),
        ("bench --duration 5 --rate 5000 --count 5", "--count"),
        ("bench --in-flight 100", "a multiple of 32"),
        ("bench --in-flight 1000000", "at most 262144"),
        ("bench --in-flight 64 --rate 5000", "--rate"),
        ("bench --in-flight 64 --stream-len 8", "--stream-len"),
    ];
    for (words, named) in rows {
        let said = call(dir.path(), words).expect(2).said();
        assert!(said.contains(named), "{words}: {said}");
    }
}

#[test]
fn the_load_has_the_number_in_flight_or_the_duration_that_was_asked_for() {
    let dir = tempdir().expect("a temporary folder");
    let report = |words: &str| {
        let call = format!("bench --account-count 100 --json {words}");
        call_json(dir.path(), &call, 0, "run")
    };
    let closed = report("--count 500 --in-flight 48 --connections 2 --streams 3");
    assert_eq!(closed["load"]["stream_len"], 8);
    let open = report("--rate 700 --duration 1");
    assert_eq!(
        (&open["sent"], &open["load"]["rate"]),
        (&700.into(), &"700".into())
    );
}

#[test]
fn a_ramp_measures_down_to_the_lowest_rate_and_says_that_none_is_held() {
    let dir = tempdir().expect("a temporary folder");
    let other = r#"{"schema":"clearway/ramp/1","runs":[]}"#;
    std::fs::write(dir.path().join("ramp.json"), other).expect("written");
    let said = call(dir.path(), "bench compare ramp.json ramp.json")
        .expect(1)
        .said();
    assert!(said.contains("schema \"clearway/ramp/1\""), "{said}");
    let call = "bench --ramp p50<1us --duration 1 --account-count 100 --json";
    let ramp = call_json(dir.path(), call, 4, "ramp");
    assert_eq!(
        (&ramp["knee"], &ramp["bound"]),
        (&Value::Null, &"p50<1us".into())
    );
    let runs = ramp["runs"].as_array().expect("a list");
    let rates = runs.iter().map(|run| run["rate"].as_f64());
    let mut rates: Vec<f64> = rates.map(|rate| rate.expect("a number")).collect();
    // A miss has to show three times.
    let same = |three: &[f64]| three.iter().all(|rate| rate == &three[0]);
    assert!(rates.chunks(3).all(same), "{rates:?}");
    rates.dedup();
    assert_eq!(rates, [20_000.0, 10_000.0, 5000.0, 2500.0, 1250.0, 625.0]);
    for run in runs {
        assert_eq!(run["missed"], "above the bound");
        assert_eq!(
            (&run["held"], &run["report"]["checks"]["replay_ok"]),
            (&false.into(), &true.into())
        );
    }
}

/// The JSON of a run of the program.
fn call_json(dir: &Path, words: &str, code: i32, schema: &str) -> Value {
    call(dir, words).expect(code).json(schema)
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
