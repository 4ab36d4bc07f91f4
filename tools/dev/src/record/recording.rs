//! What every kind of report is recorded with.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

/// What the person who measured says about a run.
#[derive(Debug, clap::Args)]
pub(crate) struct Recording {
    /// Folder of the machine in benches/results; its machine.md must stand there already.
    #[arg(long)]
    pub(super) machine: String,
    /// The command that gives the figures again.
    #[arg(long)]
    pub(super) command: String,
    /// A further condition of the run, as in `load=closed-loop`.
    #[arg(long = "condition", value_name = "NAME=VALUE", value_parser = condition)]
    pub(super) conditions: Vec<(String, String)>,
    /// Reports that the command wrote with `--json FILE`, one a run; the median of each figure is
    /// recorded.
    #[arg(required = true)]
    pub(super) reports: Vec<PathBuf>,
}

/// A figure is of a commit that everybody can build.
pub(super) fn check_build(report: &Value) -> Result<(), String> {
    let commit = report["commit"].as_str().unwrap_or_default();
    if commit.len() < 7 || !commit.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!(
            "commit {commit:?} is none; measure a build of a clean checkout"
        ));
    }
    if report["dirty"] == json!(true) {
        return Err("the build had uncommitted changes; commit them and measure again".into());
    }
    Ok(())
}

/// The conditions that the person named, and those of the table that the report says.
pub(super) fn conditions(report: &Value, recording: &Recording, table: &[(&str, &str)]) -> Value {
    let named = recording.conditions.iter();
    let mut conditions: Map<String, Value> = named
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    for (name, pointer) in table {
        if let Some(value) = report.pointer(pointer).filter(|value| !value.is_null()) {
            conditions.insert((*name).to_owned(), value.clone());
        }
    }
    Value::Object(conditions)
}

pub(super) fn number(report: &Value, pointer: &str) -> Result<f64, String> {
    let value = report.pointer(pointer).and_then(Value::as_f64);
    value.ok_or_else(|| format!("it has no number at {pointer}"))
}

fn condition(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    pub(in crate::record) fn recording() -> Recording {
        Recording {
            machine: "two-cores".into(),
            command: "clearway bench".into(),
            conditions: vec![("load".into(), "closed-loop".into())],
            reports: Vec::new(),
        }
    }

    pub(in crate::record) fn report() -> Value {
        json!({
            "tps_final": 61_000.5, "seconds": 2_000_000.0 / 61_000.5,
            "sent": 2_000_003, "copies_sent": 2_000_003, "settled": 2_000_000, "rejected": 3,
            "codes": {"Settled": 2_000_000, "InsufficientFunds": 3}, "cpu_seconds": 40.0,
            "response_us": {"p1": 1, "p50": 900, "p99": 4000, "p999": 9000, "p100": 9001},
            "service_us": {"p1": 1, "p50": 900, "p99": 4000, "p999": 9000, "p100": 9001},
            "bytes_written": 500_000_000, "memory_peak_bytes": 1, "replay_seconds": 20.0,
            "signatures_verified": 2_000_003, "signatures_fallback": 0, "hints_used": 0,
            "height": 9, "disk": {"durable": true, "sync_us_p50": 1, "sync_us_max": 2},
            "balances_root": "0a".repeat(32),
            "load": {"connections": 4, "streams_in_flight": 8, "stream_len": 2048},
            "machine": {"cores": 2, "memory_bytes": 0},
            "workload": {"name": "zipf", "accounts": 9, "payments": 2_000_003},
            "nodes": 1, "backend": "portable", "durability": "fdatasync", "seed": 7,
            "checks": {"conserved": true, "roots_equal": true, "replay_ok": true},
            "stage_cpu_seconds": {"verify": 36.0, "execute": 4.0}, "commit": "0123abcdef",
        })
    }
}
