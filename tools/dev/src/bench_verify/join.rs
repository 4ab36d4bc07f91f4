//! Rows of ours and of rivals put together: each as a ratio to the best rival on the same input.

use serde_json::{Value, json};

/// What makes inputs the same.
const INPUT: [&str; 3] = ["keys", "batch_len", "invalid_percent"];
const RATE: &str = "signatures_per_second";

/// Adds to each row its `flags` and its `ratio` to the fastest rival on the same input; where no
/// rival has a row, the ratio is null.
pub(super) fn join(report: &mut Value, ours: &str, rivals: &str) -> Result<(), String> {
    let rows = report["rows"].as_array_mut().ok_or("it has no rows")?;
    let best: Vec<Option<f64>> = rows.iter().map(|row| best_rival(rows, row)).collect();
    for (row, best) in rows.iter_mut().zip(best) {
        let rate = row[RATE].as_f64().filter(|rate| *rate > 0.0);
        let rate = rate.ok_or_else(|| format!("a row has no {RATE}"))?;
        let flags = if is_rival(row)? { rivals } else { ours };
        row["flags"] = json!(flags);
        row["ratio"] = json!(best.map(|best| rate / best));
    }
    Ok(())
}

fn best_rival(rows: &[Value], row: &Value) -> Option<f64> {
    let same = |other: &&Value| INPUT.iter().all(|field| other[field] == row[field]);
    let rivals = rows.iter().filter(same).filter(|row| row["rival"] == true);
    rivals.filter_map(|row| row[RATE].as_f64()).reduce(f64::max)
}

fn is_rival(row: &Value) -> Result<bool, String> {
    let rival = row["rival"].as_bool();
    rival.ok_or_else(|| "a row does not say whether it is a rival's".to_owned())
}

/// The joined rows as text, a line each.
pub(super) fn table(report: &Value) -> String {
    let head = line(["implementation", "keys", "batch", "invalid %"].map(str::to_owned));
    let mut text = format!(
        "{head}{:>14} {:>9} {:>9}",
        "signatures/s", "spread %", "ratio"
    );
    for row in report["rows"].as_array().into_iter().flatten() {
        let plain = |field: &str| match &row[field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let cells = ["implementation", "keys", "batch_len", "invalid_percent"].map(plain);
        let number = |field: &str, digits: usize| match row[field].as_f64() {
            Some(number) => format!("{number:.digits$}"),
            None => "-".to_owned(),
        };
        text += &format!(
            "\n{}{:>14} {:>9} {:>9}",
            line(cells),
            number(RATE, 0),
            number("spread_percent", 1),
            number("ratio", 2)
        );
    }
    text
}

fn line([implementation, keys, batch, invalid]: [String; 4]) -> String {
    format!("{implementation:<22} {keys:<16} {batch:>6} {invalid:>10}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, rival: bool, keys: &str, invalid: f64, rate: f64) -> Value {
        json!({
            "implementation": name, "rival": rival, "keys": keys, "batch_len": 64,
            "invalid_percent": invalid, RATE: rate, "spread_percent": 1.0,
        })
    }

    #[test]
    fn every_row_is_a_ratio_to_the_best_rival_on_the_same_input() {
        let mut report = json!({ "rows": [
            row("ours", false, "shared32", 0.0, 900.0),
            row("fast", true, "shared32", 0.0, 300.0),
            row("slow", true, "shared32", 0.0, 150.0),
            row("ours", false, "shared32", 1.0, 100.0),
            row("slow", true, "shared32", 1.0, 200.0),
            row("fast", true, "distinct", 0.0, 7000.0),
            row("ours", false, "single", 0.0, 50.0),
        ]});
        join(&mut report, "plain", "native").expect("right rows");
        let rows = report["rows"].as_array().expect("rows");
        let ratios: Vec<Option<f64>> = rows.iter().map(|row| row["ratio"].as_f64()).collect();
        let (one, half) = (Some(1.0), Some(0.5));
        assert_eq!(ratios, [Some(3.0), one, half, half, one, one, None]);
        for row in rows {
            let flags = if row["rival"] == true {
                "native"
            } else {
                "plain"
            };
            assert_eq!(row["flags"], flags, "{row}");
        }
        let table = table(&report);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 8, "{table}");
        assert!(
            lines[1].ends_with("3.00") && lines[7].ends_with('-'),
            "{table}"
        );
        let widths: Vec<usize> = lines.iter().map(|line| line.len()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
    }

    #[test]
    fn a_report_without_figures_is_refused() {
        let mut cut = row("ours", false, "shared32", 0.0, 1.0);
        cut[RATE] = Value::Null;
        let mut unsaid = row("ours", false, "shared32", 0.0, 1.0);
        unsaid["rival"] = Value::Null;
        let zero = row("ours", false, "shared32", 0.0, 0.0);
        for bad in [cut, unsaid, zero] {
            assert!(
                join(&mut json!({ "rows": [bad.clone()] }), "", "").is_err(),
                "{bad}"
            );
        }
        assert!(join(&mut json!({}), "", "").is_err());
    }
}
