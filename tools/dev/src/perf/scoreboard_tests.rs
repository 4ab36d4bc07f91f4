//! Tests of the scoreboard: verdicts on samples, and the page as it stands.

use super::super::row::tests::row;
use super::*;
use serde_json::{Value, json};

fn machine(rows: Vec<Row>) -> Machine {
    Machine {
        name: "two-cores".into(),
        description: "Two cores.".into(),
        rows,
    }
}

fn headline(value: f64) -> Row {
    row(&[
        ("name", json!("one_node_tps_final")),
        ("unit", json!("payments/s")),
        ("command", json!(FULL_LOAD)),
        ("value", json!(value)),
    ])
}

fn signatures(implementation: &str, value: f64, changes: &[(&str, Value)]) -> Row {
    let name = "verify_shared_keys/keys=shared32 n=8192 invalid=0 implementation=";
    let mut all = vec![
        ("suite", json!("kernels")),
        ("name", json!(format!("{name}{implementation}"))),
        ("unit", json!("signatures/s")),
        ("value", json!(value)),
    ];
    all.extend_from_slice(changes);
    row(&all)
}

#[test]
fn a_figure_is_compared_with_its_goal_as_numbers() {
    for (value, cells) in [
        (
            379_999.0,
            "at least 380,000 payments/s | 379,999 payments/s | 99 %, **missed** |",
        ),
        (
            380_000.0,
            "at least 380,000 payments/s | 380,000 payments/s | 100 %, met |",
        ),
        (
            570_000.0,
            "at least 380,000 payments/s | 570,000 payments/s | 150 %, met |",
        ),
    ] {
        let page = page(&[machine(vec![headline(value)])]);
        assert!(page.contains(cells), "{cells} in {page}");
        let met_count = usize::from(value >= 380_000.0);
        let verdict = format!("**{met_count} of 1 goals are met.**");
        assert!(page.contains(&verdict), "{verdict} in {page}");
    }
}

#[test]
fn a_figure_of_another_command_or_unit_does_not_count() {
    let mut short = headline(400_000.0);
    short.command = FULL_LOAD.replace("bench", "bench --quick");
    let mut renamed = headline(400_000.0);
    renamed.unit = "k/s".into();
    for row in [short, renamed] {
        let page = page(&[machine(vec![row])]);
        assert!(page.contains("**0 of 0 goals are met.**"), "{page}");
        let missing = "| payments, final, as fast as answers come | at least 380,000 payments/s |";
        assert!(page.contains(missing), "{page}");
    }
}

#[test]
fn of_several_figures_the_best_is_the_one_that_the_goal_wants() {
    let p99 = |backend: &str, value: f64| {
        row(&[
            ("name", json!("one_node_response_us_p99")),
            ("unit", json!("us")),
            ("command", json!(FULL_LOAD)),
            ("value", json!(value)),
            ("conditions", json!({ "backend": backend })),
        ])
    };
    let rows = [p99("avx2", 120_000.0), p99("ifma8", 50_000.0)];
    let goal = GOALS.iter().find(|goal| goal.is_for(&rows[0]));
    let score = Score::of(goal.expect("it is a goal"), &[&rows[0], &rows[1]]);
    let score = score.expect("there are rows");
    assert!((score.row.value - 50_000.0).abs() < 1e-9);
    assert_eq!(score.is_met(), Some(true));
}

#[test]
fn the_best_rival_of_the_same_run_stands_beside_the_best_of_ours() {
    let other_run = [("commit", json!("fedcba9"))];
    let rows = vec![
        signatures("portable", 100_000.0, &[]),
        signatures("ifma8", 1_100_000.0, &[]),
        signatures("gpu", 9_000_000.0, &[]),
        signatures("ed25519-zebra", 200_000.0, &[]),
        signatures("ed25519-dalek", 150_000.0, &[]),
        signatures("ed25519-simd", 900_000.0, &other_run),
    ];
    let page = page(&[machine(rows)]);
    let cells = "| 1,100,000 signatures/s | 110 %, met | \
                 200,000 ed25519-zebra: 5.50 x of 6 x, **missed** |";
    assert!(page.contains(cells), "{cells} in {page}");
    assert!(page.contains("**0 of 1 goals are met.**"), "{page}");
}

#[test]
fn a_goal_beside_rivals_is_missed_without_one() {
    let page = page(&[machine(vec![signatures("ifma8", 1_100_000.0, &[])])]);
    assert!(page.contains("**0 of 1 goals are met.**"), "{page}");
}

#[test]
fn a_machine_has_at_most_twenty_rows_and_no_goal_is_lost() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let machines = super::super::results::read(&root.join("benches/results"));
    let page = page(&machines.expect("the results can be read"));
    let sections: Vec<&str> = page.split("\n## ").skip(1).collect();
    for section in sections.iter().filter(|text| text.starts_with("On `")) {
        let row_count = section
            .lines()
            .filter(|line| line.starts_with("| "))
            .count()
            - 1;
        assert!(row_count <= 20, "{row_count} rows in {section}");
    }
    for goal in GOALS {
        assert!(page.contains(&format!("| {} | ", goal.label)), "{goal:?}");
    }
}
