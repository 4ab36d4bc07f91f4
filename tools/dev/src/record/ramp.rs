//! Reports of `clearway bench --ramp` become a row: the highest rate that holds the bound.

use serde_json::{Value, json};

use super::recording::{Recording, conditions, number};
use super::run;

/// What marks a report of this kind.
pub(super) const SCHEMA: &str = "clearway/ramp/1";

/// The row of a report, or why it may not be recorded.
pub(super) fn rows(
    report: &Value,
    recording: &Recording,
    date: &str,
) -> Result<Vec<Value>, String> {
    let runs = report["runs"].as_array().ok_or("it has no `runs`")?;
    for run in runs {
        run::check(&run["report"])?;
    }
    let knee = number(report, "/knee")?;
    let is_knee = |run: &&Value| run["held"] == true && run["rate"].as_f64() == Some(knee);
    let run = runs.iter().find(is_knee).ok_or("no run held its knee")?;
    let mut conditions = conditions(&run["report"], recording, run::CONDITIONS);
    conditions["bound"] = report["bound"].clone();
    // They follow from what was measured.
    if let Some(all) = conditions.as_object_mut() {
        all.retain(|name, _| !["rate", "stream_len"].contains(&name.as_str()));
    }
    Ok(vec![json!({
        "suite": "pipeline", "name": "one_node_knee", "value": knee, "unit": "payments/s",
        "conditions": conditions, "command": recording.command,
        "commit": run["report"]["commit"], "date": date, "machine": recording.machine,
    })])
}

#[cfg(test)]
mod tests {
    use super::super::recording::samples::{recording, report};
    use super::*;

    fn ramp() -> Value {
        let run = |rate: u32, held: bool| {
            let mut report = report();
            report["load"]["rate"] = rate.to_string().into();
            json!({ "rate": f64::from(rate), "held": held, "report": report })
        };
        json!({
            "schema": SCHEMA, "bound": "p99<50ms", "knee": 40_000.0, "missed": 80_000.0,
            "runs": [run(20_000, true), run(40_000, true), run(80_000, false)],
        })
    }

    #[test]
    fn the_knee_becomes_a_row_that_the_page_can_read() {
        let found = rows(&ramp(), &recording(), "2026-01-31").expect("it is right");
        let [row] = &found[..] else {
            panic!("one row: {found:?}");
        };
        crate::perf::check_row(&row.to_string()).expect("a right row");
        assert_eq!(row["value"], 40_000.0);
        assert_eq!(row["conditions"]["bound"], "p99<50ms");
        assert_eq!(row["conditions"].get("rate"), None);
    }

    #[test]
    fn a_knee_that_no_sound_run_holds_is_not_recorded() {
        let edits: [(&str, Value); 5] = [
            ("/knee", Value::Null),
            ("/knee", json!(60_000.0)),
            ("/runs/1/held", json!(false)),
            ("/runs/0/report/checks/replay_ok", json!(false)),
            ("/runs/2/report/tps_final", json!(1.0)),
        ];
        for (pointer, value) in edits {
            let mut ramp = ramp();
            *ramp.pointer_mut(pointer).expect("in the sample") = value;
            let refused = rows(&ramp, &recording(), "2026-01-31");
            refused.expect_err(pointer);
        }
    }
}
