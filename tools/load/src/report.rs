//! The report of a run: what was cleared, how fast, on what, and whether it was checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::machine::{Disk, Machine};
use crate::measure::Tally;
use crate::sums::{self, SumError};
use crate::timeline::TimelineRows;
use crate::workload::FileRows;

/// Version of the report's fields; a reader refuses versions that it does not know.
pub const REPORT_VERSION: u32 = 3;

/// Percentiles of a latency, microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// Fastest in a hundred.
    pub p1: u64,
    /// Median.
    pub p50: u64,
    /// 99 of 100 are not slower.
    pub p99: u64,
    /// 999 of 1000 are not slower.
    pub p999: u64,
    /// Slowest.
    pub p100: u64,
}

/// A share of a run's answers, and the latency that none of them exceeds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Point {
    /// Share of the answers, 0 to 1.
    pub quantile: f64,
    /// Latency, microseconds.
    pub us: u64,
}

/// The whole distribution of the latencies.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Spectrum {
    /// From the intended send time.
    pub response: Vec<Point>,
    /// From the real send time.
    pub service: Vec<Point>,
}

/// What the workers of a stage did with their time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StageTimes {
    /// The stage.
    pub stage: String,
    /// Worker seconds at work.
    pub busy: f64,
    /// Worker seconds without anything to do.
    pub wait: f64,
    /// Worker seconds without room on the next link.
    pub backpressure: f64,
}

/// What was found when the history was checked again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Checks {
    /// Debits equal credits on every ledger; the issuer's debit equals the supply.
    pub conserved: bool,
    /// Every root and execution head that replay computed is the stored one.
    pub roots_equal: bool,
    /// Every other check of replay passed too.
    pub replay_ok: bool,
}

impl Checks {
    /// Whether everything held.
    #[must_use]
    pub fn all(&self) -> bool {
        self.conserved && self.roots_equal && self.replay_ok
    }
}

/// How the load was offered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LoadShape {
    /// `max`, or payments a second.
    pub rate: String,
    /// Connections.
    pub connections: usize,
    /// Streams in flight on each.
    pub streams_in_flight: usize,
    /// Envelopes on a stream.
    pub stream_len: usize,
    /// Load processes beside the node's.
    pub processes: usize,
    /// One stream after the other, in workload order.
    pub ordered: bool,
    /// Whether the payers sent hints with their signatures; left out where they did not, as in
    /// reports from before there were hints.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hints: bool,
}

/// What was cleared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkloadInfo {
    /// Name of the generator or of the file.
    pub name: String,
    /// Accounts.
    pub accounts: usize,
    /// Payments.
    pub payments: usize,
    /// Hash of both, hexadecimal.
    pub hash: String,
    /// What its files held, where it was read from files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<FileRows>,
}

/// Everything about one run; the JSON of `bench` and `demo`, which adds a [`crate::digest`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// Settled payments whose FINAL answer the client holds, a second, from the first byte sent to
    /// the last answer.
    pub tps_final: f64,
    /// Payments sent, those sent again not counted again.
    pub sent: u64,
    /// Copies of payments sent: one each, and one more each time that one was sent again.
    pub copies_sent: u64,
    /// Settled payments.
    pub settled: u64,
    /// Payments with any other result.
    pub rejected: u64,
    /// Payments by result code.
    pub codes: BTreeMap<String, u64>,
    /// From the intended send time to the FINAL answer.
    pub response_us: Percentiles,
    /// From the real send time to the FINAL answer.
    pub service_us: Percentiles,
    /// Seconds from the first byte sent to the last answer.
    pub seconds: f64,
    /// Processor seconds of node and load together during the run.
    pub cpu_seconds: f64,
    /// The same by stage, and `load` and `other`; empty where the system does not tell.
    #[serde(default)]
    pub stage_cpu_seconds: BTreeMap<String, f64>,
    /// What the node's stages did with their time, along the walk; left out in reports from before
    /// it was told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stage_times: Vec<StageTimes>,
    /// The latencies' distribution; left out in reports from before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spectrum: Option<Spectrum>,
    /// The answers over time; left out in reports from before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<TimelineRows>,
    /// Bytes written to disk during the run.
    pub bytes_written: u64,
    /// Most memory that the node's process held, bytes.
    pub memory_peak_bytes: u64,
    /// Validators.
    pub nodes: usize,
    /// Backend that verified signatures.
    pub backend: String,
    /// What stands between an answer and a power cut.
    pub durability: String,
    /// Replay's findings.
    pub checks: Checks,
    /// Signatures that the node verified.
    pub signatures_verified: u64,
    /// Hints that spared it a square root; those of a repeated equation count again.
    #[serde(default)]
    pub hints_used: u64,
    /// Signatures that the backend's fallback verified: those that a device did not.
    #[serde(default)]
    pub signatures_fallback: u64,
    /// Height of the last block.
    pub height: u64,
    /// Hash of id and four balances of every account, in id order, hexadecimal.
    pub balances_root: String,
    /// Seconds that the replay took.
    pub replay_seconds: f64,
    /// Seed of the workload.
    pub seed: u64,
    /// The command line behind the program's name: what runs it again.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// How the load was offered.
    pub load: LoadShape,
    /// What was cleared.
    pub workload: WorkloadInfo,
    /// [`COMMIT`].
    pub commit: String,
    /// The machine.
    pub machine: Machine,
    /// The disk.
    pub disk: Disk,
    /// The node's settings, by name.
    pub config: BTreeMap<String, String>,
}

impl Report {
    /// Puts in what the clients measured.
    pub fn set_tally(&mut self, tally: &Tally) {
        self.sent = tally.sent;
        self.settled = tally.settled();
        self.rejected = tally.rejected();
        self.codes = tally.codes_by_name();
        self.response_us = tally.response.percentiles();
        self.service_us = tally.service.percentiles();
        self.spectrum = Some(Spectrum {
            response: tally.response.spectrum(),
            service: tally.service.spectrum(),
        });
        self.timeline = tally.timeline.rows();
        self.seconds = tally.seconds();
        self.tps_final = tally.tps_final();
    }

    /// Whether figures that follow from each other do.
    ///
    /// # Errors
    /// The first two that contradict each other.
    ///
    /// # Panics
    /// Never: a report is plain fields.
    pub fn check_sums(&self) -> Result<(), SumError> {
        sums::check(&serde_json::to_value(self).expect("a report has only plain fields"))
    }

    /// The lines of the table that people read, top to bottom.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let yes = |value: bool| if value { "yes" } else { "NO" }.to_owned();
        let codes: Vec<String> = self
            .codes
            .iter()
            .filter(|(name, _)| *name != "Settled")
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        let rejected = match codes.is_empty() {
            true => self.rejected.to_string(),
            false => format!("{} ({})", self.rejected, codes.join(", ")),
        };
        let response = &self.response_us;
        let mut rows = vec![
            (
                "workload",
                format!("{}, seed {}", self.workload.name, self.seed),
            ),
            ("accounts", self.workload.accounts.to_string()),
            ("payments", self.workload.payments.to_string()),
            ("sent", self.sent.to_string()),
            ("settled", self.settled.to_string()),
            ("rejected", rejected),
            ("final a second", format!("{:.0}", self.tps_final)),
            ("response p50", milliseconds(response.p50)),
            ("response p99", milliseconds(response.p99)),
            ("response p99.9", milliseconds(response.p999)),
            ("CPU seconds", format!("{:.1}", self.cpu_seconds)),
            ("by stage", self.stage_shares()),
            ("bytes written", self.bytes_written.to_string()),
            ("durability", self.durability.clone()),
            ("sync p50", milliseconds(self.disk.sync_us_p50)),
            ("backend", self.backend.clone()),
            ("nodes", self.nodes.to_string()),
            ("blocks", self.height.to_string()),
            ("signatures verified", self.signatures_verified.to_string()),
            ("hints used", self.hints_used.to_string()),
            ("balances root", self.balances_root.clone()),
            ("replay seconds", format!("{:.1}", self.replay_seconds)),
            ("conserved", yes(self.checks.conserved)),
            ("roots equal", yes(self.checks.roots_equal)),
            (
                "replay",
                if self.checks.replay_ok {
                    "ok"
                } else {
                    "FAILED"
                }
                .to_owned(),
            ),
        ];
        if let Some(read) = &self.workload.rows {
            let empty = match read.empty_lines {
                0 => String::new(),
                count => format!(", empty lines passed over: {count}"),
            };
            let read = format!(
                "{} payments, {} accounts{empty}",
                read.payments, read.accounts
            );
            let place = rows.iter().position(|(name, _)| *name == "sent");
            rows.insert(place.unwrap_or(0), ("rows read", read));
        }
        rows
    }
}

impl Report {
    /// The stages' shares of the processor time, the largest first.
    fn stage_shares(&self) -> String {
        let mut stages: Vec<(&String, &f64)> = self.stage_cpu_seconds.iter().collect();
        stages.sort_by(|a, b| b.1.total_cmp(a.1));
        let share = |seconds: f64| 100.0 * seconds / self.cpu_seconds;
        let shown = stages
            .iter()
            .map(|(stage, seconds)| format!("{stage} {:.0} %", share(**seconds)));
        shown.collect::<Vec<_>>().join(", ")
    }
}

pub(crate) fn milliseconds(us: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
    let ms = us as f64 / 1000.0;
    format!("{ms:.2} ms")
}

/// The commit that this program was built from, `-dirty` behind it where the checkout had changes;
/// `unknown` for a build outside a repository.
pub const COMMIT: &str = env!("CLEARWAY_COMMIT");
/// What `--version` says: version and commit.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("CLEARWAY_COMMIT"),
    ")"
);

#[cfg(test)]
#[path = "report_tests.rs"]
pub(crate) mod tests;
