//! A report: its table, its JSON, and that no forged figure adds up.

use super::*;

fn latency(us: u64) -> Percentiles {
    Percentiles {
        p1: us,
        p50: 2 * us,
        p99: 3 * us,
        p999: 4 * us,
        p100: 5 * us,
    }
}

/// Two points of the same.
fn spectrum(us: u64) -> Vec<Point> {
    let points = [(0.5, 2 * us), (1.0, 5 * us)];
    points.map(|(quantile, us)| Point { quantile, us }).to_vec()
}

/// A report whose figures add up.
pub(crate) fn sample() -> Report {
    Report {
        version: REPORT_VERSION,
        tps_final: 1.0,
        sent: 3,
        copies_sent: 3,
        settled: 2,
        rejected: 1,
        codes: BTreeMap::from([("Settled".into(), 2), ("InsufficientFunds".into(), 1)]),
        response_us: latency(2),
        service_us: latency(1),
        seconds: 2.0,
        cpu_seconds: 3.0,
        stage_times: vec![StageTimes {
            stage: "verify".into(),
            busy: 0.5,
            wait: 1.0,
            backpressure: 0.0,
        }],
        spectrum: Some(Spectrum {
            response: spectrum(2),
            service: spectrum(1),
        }),
        timeline: Some(TimelineRows {
            interval_ms: 100,
            answered: vec![1, 0, 2],
            p50_us: vec![4, 0, 4],
            p99_us: vec![4, 0, 10],
            max_us: vec![4, 0, 10],
        }),
        stage_cpu_seconds: BTreeMap::from([("verify".into(), 2.0), ("load".into(), 0.5)]),
        bytes_written: 384,
        memory_peak_bytes: 5,
        nodes: 1,
        backend: "portable".into(),
        durability: "fdatasync before each answer (ext4)".into(),
        checks: Checks {
            conserved: true,
            roots_equal: true,
            replay_ok: true,
        },
        signatures_verified: 3,
        hints_used: 3,
        signatures_fallback: 0,
        height: 9,
        balances_root: "0a".repeat(32),
        replay_seconds: 0.5,
        seed: 42,
        arguments: vec!["bench".into(), "--quick".into()],
        load: LoadShape {
            rate: "max".into(),
            connections: 1,
            streams_in_flight: 1,
            stream_len: 1,
            processes: 0,
            ordered: false,
            hints: true,
        },
        workload: WorkloadInfo {
            name: "zipf".into(),
            accounts: 1,
            payments: 3,
            hash: "00".into(),
            rows: None,
        },
        commit: COMMIT.to_owned(),
        machine: Machine {
            cores: 2,
            memory_bytes: 6,
            ..Machine::detect()
        },
        disk: Disk {
            file_system: "ext4".into(),
            durable: true,
            sync_us_p50: 1,
            sync_us_max: 2,
        },
        config: BTreeMap::new(),
    }
}

#[test]
fn the_table_ends_with_the_three_checks_and_the_json_has_every_promised_field() {
    let report = sample();
    let rows = report.rows();
    let last: Vec<String> = rows[rows.len() - 3..]
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    assert_eq!(last, ["conserved yes", "roots equal yes", "replay ok"]);
    assert!(
        rows.iter()
            .any(|(_, value)| value == "1 (1 InsufficientFunds)")
    );
    let shares = "verify 67 %, load 17 %".to_owned();
    assert!(rows.contains(&("by stage", shares)));
    let json = serde_json::to_value(&report).expect("it can be written");
    let fields = [
        "tps_final",
        "settled",
        "rejected",
        "response_us",
        "cpu_seconds",
        "bytes_written",
        "nodes",
        "backend",
        "durability",
        "checks",
        "signatures_verified",
        "commit",
        "seed",
        "balances_root",
    ];
    for field in fields {
        assert!(json.get(field).is_some(), "{field}");
    }
    let again: Report = serde_json::from_value(json).expect("it reads back");
    assert_eq!(again, report);
}

/// Where a figure stands, what it is changed to, and the two names that are then told.
type Forged = (&'static str, f64, &'static str, &'static str);

fn check_named(rows: &[Forged]) {
    sample().check_sums().expect("the sample adds up");
    for (pointer, value, left, right) in rows {
        let mut json = serde_json::to_value(sample()).expect("it can be written");
        *json.pointer_mut(pointer).expect(pointer) = (*value).into();
        let said = sums::check(&json).expect_err(pointer).to_string();
        assert!(
            said.contains(left) && said.contains(right),
            "{pointer}: {said}"
        );
    }
}

#[test]
fn counts_and_latencies_that_contradict_each_other_are_named() {
    check_named(&[
        ("/sent", 4.0, "/settled + /rejected", "/sent"),
        ("/settled", 3.0, "/settled + /rejected", "/sent"),
        ("/rejected", 0.0, "/settled + /rejected", "/sent"),
        ("/workload/payments", 4.0, "/sent", "/workload/payments"),
        (
            "/timeline/answered/2",
            3.0,
            "the sum of /timeline/answered",
            "/sent",
        ),
        (
            "/timeline/max_us/2",
            20.0,
            "the most of /timeline/max_us",
            "/response_us/p100",
        ),
        (
            "/spectrum/response/0/us",
            11.0,
            "/spectrum/response/0/us",
            "/spectrum/response/1/us",
        ),
        (
            "/spectrum/service/1/us",
            9.0,
            "/spectrum/service/1/us",
            "/service_us/p100",
        ),
        (
            "/codes/Settled",
            3.0,
            "the sum of /codes",
            "/settled + /rejected",
        ),
        (
            "/codes/InsufficientFunds",
            0.0,
            "the sum of /codes",
            "/settled",
        ),
        ("/tps_final", 1.001, "/tps_final", "/settled / /seconds"),
        ("/seconds", 1.9, "/tps_final", "/settled / /seconds"),
        (
            "/response_us/p1",
            5.0,
            "/response_us/p1",
            "/response_us/p50",
        ),
        (
            "/response_us/p50",
            7.0,
            "/response_us/p50",
            "/response_us/p99",
        ),
        (
            "/response_us/p99",
            9.0,
            "/response_us/p99",
            "/response_us/p999",
        ),
        (
            "/response_us/p999",
            11.0,
            "/response_us/p999",
            "/response_us/p100",
        ),
        (
            "/service_us/p999",
            6.0,
            "/service_us/p999",
            "/service_us/p100",
        ),
        (
            "/service_us/p100",
            11.0,
            "/service_us/p100",
            "/response_us/p100",
        ),
        (
            "/response_us/p100",
            1e9,
            "/response_us/p100",
            "/seconds in microseconds",
        ),
    ]);
}

#[test]
fn figures_of_work_that_contradict_each_other_are_named() {
    check_named(&[
        ("/machine/cores", 0.0, "/cpu_seconds", "/machine/cores"),
        (
            "/stage_cpu_seconds/verify",
            4.0,
            "/stage_cpu_seconds",
            "/cpu_seconds",
        ),
        (
            "/stage_cpu_seconds/load",
            3.0,
            "/stage_cpu_seconds",
            "/cpu_seconds",
        ),
        (
            "/signatures_verified",
            1.0,
            "/settled",
            "/signatures_verified",
        ),
        ("/height", 0.0, "/height", "/settled"),
        ("/hints_used", 1e9, "/hints_used", "/signatures_verified"),
        (
            "/signatures_verified",
            1e9,
            "/signatures_verified",
            "/copies_sent",
        ),
        ("/copies_sent", 2.0, "/sent", "/copies_sent"),
        (
            "/signatures_fallback",
            4.0,
            "/signatures_fallback",
            "/signatures_verified",
        ),
        (
            "/signatures_fallback",
            3.0,
            "/signatures_fallback",
            "/backend",
        ),
        ("/bytes_written", 0.0, "/bytes_written", "/settled"),
        ("/bytes_written", 383.0, "/bytes_written", "/settled"),
        ("/replay_seconds", 0.0, "/replay_seconds", "/height"),
        ("/workload/accounts", 0.0, "/workload/accounts", "/sent"),
        ("/load/connections", 0.0, "/load/connections", "/sent"),
        (
            "/load/streams_in_flight",
            0.0,
            "/load/streams_in_flight",
            "/sent",
        ),
        ("/load/stream_len", 0.0, "/load/stream_len", "/sent"),
        ("/nodes", 0.0, "/nodes", "/sent"),
        (
            "/disk/sync_us_p50",
            3.0,
            "/disk/sync_us_p50",
            "/disk/sync_us_max",
        ),
        (
            "/memory_peak_bytes",
            7.0,
            "/memory_peak_bytes",
            "/machine/memory_bytes",
        ),
    ]);
}

#[test]
fn a_latency_beyond_the_run_and_hints_that_nobody_sent_are_found() {
    let mut report = sample();
    (report.response_us, report.service_us) = (latency(500_000), latency(500_000));
    let said = report.check_sums().expect_err("2.5 s of 2").to_string();
    assert!(said.contains("/service_us/p100 is 2500000"), "{said}");
    let mut report = sample();
    report.load.hints = false;
    let said = report
        .check_sums()
        .expect_err("three hints of none")
        .to_string();
    assert!(said.contains("/hints_used is 3"), "{said}");
    let mut report = sample();
    report.workload.rows = Some(FileRows {
        payments: 4,
        accounts: 1,
        empty_lines: 0,
    });
    let said = report
        .check_sums()
        .expect_err("a row was not sent")
        .to_string();
    assert!(said.contains("/workload/rows/payments is 4"), "{said}");
}

#[test]
fn words_that_contradict_each_other_are_named() {
    let rows: [(&str, serde_json::Value, &[&str]); 5] = [
        ("/balances_root", "zz".into(), &["/balances_root is \"zz\""]),
        (
            "/balances_root",
            "z".repeat(64).into(),
            &["/balances_root", "hexadecimal"],
        ),
        (
            "/disk/durable",
            false.into(),
            &["/disk/durable is false", "/durability is \"fdatasync"],
        ),
        (
            "/durability",
            "not durable (ext4)".into(),
            &["/disk/durable is true", "/durability is \"not durable"],
        ),
        ("/durability", "x".into(), &["/disk/durable", "/durability"]),
    ];
    for (pointer, value, words) in rows {
        let mut json = serde_json::to_value(sample()).expect("it can be written");
        *json.pointer_mut(pointer).expect(pointer) = value;
        let said = sums::check(&json).expect_err(pointer).to_string();
        for word in words {
            assert!(said.contains(word), "{pointer}: {said}");
        }
    }
}

/// A short run leaves room for what is read thread by thread, but not for half of it.
#[test]
fn no_short_run_takes_less_of_the_processor_than_its_stages() {
    let mut report = sample();
    report.stage_cpu_seconds = BTreeMap::from([("verify".into(), 0.23)]);
    report.cpu_seconds = 0.2;
    report.check_sums().expect("read a little later");
    for cpu_seconds in [0.0, 0.1] {
        report.cpu_seconds = cpu_seconds;
        let said = report.check_sums().expect_err("no time").to_string();
        assert!(said.contains("/stage_cpu_seconds"), "{said}");
        assert!(said.contains("/cpu_seconds is"), "{said}");
    }
    report.stage_cpu_seconds.clear();
    report.cpu_seconds = 0.0;
    let said = report.check_sums().expect_err("no time").to_string();
    assert!(said.contains("/cpu_seconds is 0"), "{said}");
}

#[test]
fn what_honest_runs_report_is_believed() {
    let changes: [fn(&mut Report); 5] = [
        // Sent again after a lost connection, and verified again.
        |report| {
            report.copies_sent = 6;
            (report.signatures_verified, report.hints_used) = (6, 6);
        },
        // A device that failed.
        |report| {
            report.backend = "gpu".into();
            (report.signatures_fallback, report.hints_used) = (3, 6);
        },
        // Due before anything was sent.
        |report| {
            report.load.rate = "1000".into();
            report.response_us.p100 = 2_500_000;
        },
        // A file system that does not say what was written, and memory.
        |report| {
            report.bytes_written = 0;
            report.disk.file_system = "overlay".into();
        },
        |report| {
            report.bytes_written = 0;
            report.durability = "not durable (tmpfs)".into();
            (report.disk.durable, report.disk.file_system) = (false, "tmpfs".into());
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut report = sample();
        change(&mut report);
        let spectrum = report.spectrum.as_mut().expect("the sample has one");
        spectrum.response[1].us = report.response_us.p100;
        spectrum.service[1].us = report.service_us.p100;
        let sums = report.check_sums();
        assert_eq!(sums, Ok(()), "change {number}");
    }
}

#[test]
fn a_figure_that_is_missing_negative_or_no_number_is_named() {
    for pointer in [
        "/sent",
        "/seconds",
        "/response_us/p99",
        "/machine/cores",
        "/codes/Settled",
        "/replay_seconds",
        "/bytes_written",
    ] {
        for value in [serde_json::Value::Null, "3".into(), (-1).into()] {
            let mut json = serde_json::to_value(sample()).expect("it can be written");
            *json.pointer_mut(pointer).expect(pointer) = value.clone();
            let said = sums::check(&json).expect_err(pointer).to_string();
            assert!(said.contains(pointer), "{pointer} = {value}: {said}");
        }
    }
}

#[test]
fn what_a_file_held_is_in_the_table() {
    let mut report = sample();
    report.workload.rows = Some(FileRows {
        payments: 3,
        accounts: 1,
        empty_lines: 2,
    });
    report.check_sums().expect("it adds up");
    let rows = report.rows();
    let read = "3 payments, 1 accounts, empty lines passed over: 2".to_owned();
    assert!(rows.contains(&("rows read", read)), "{rows:?}");
    assert!(rows.contains(&("sent", "3".to_owned())), "{rows:?}");
}
