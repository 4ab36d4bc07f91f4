//! Sums that a reader of a run's report can do again: figures that do not add up were not
//! measured together. Works on the report's JSON, for readers in other programs too.

use serde_json::Value;

/// Why a report is not believed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum SumError {
    /// A figure that every report has is missing, negative or no number.
    #[error("it has no number at {pointer}, or one below 0")]
    Missing {
        /// Where it should be.
        pointer: String,
    },
    /// Two figures that cannot both be right.
    #[error("{left} is {left_value} and {right} is {right_value}, but {rule}")]
    Differ {
        /// One figure: its place in the report, or a sum of such.
        left: String,
        /// Its value.
        left_value: f64,
        /// The other one.
        right: String,
        /// Its value.
        right_value: f64,
        /// What must hold between them.
        rule: &'static str,
    },
    /// Two words that cannot both be right.
    #[error("{left} is {left_value} and {right} is {right_value}, but {rule}")]
    Words {
        /// One of them: its place in the report.
        left: &'static str,
        /// Its value, as JSON.
        left_value: Value,
        /// The other one.
        right: &'static str,
        /// Its value, as JSON.
        right_value: Value,
        /// What must hold between them.
        rule: &'static str,
    },
    /// What should be a hash.
    #[error("{pointer} is {value}, but a hash has {HASH_DIGITS} hexadecimal digits")]
    Hash {
        /// Where it should be.
        pointer: &'static str,
        /// What stands there, as JSON.
        value: Value,
    },
}

/// Rates are stored as they were divided; text keeps 15 digits of them.
const RATE_TOLERANCE: f64 = 1e-6;
/// A histogram keeps three digits.
const LATENCY_TOLERANCE: f64 = 2e-3;
/// The histogram of an interval keeps one digit.
const INTERVAL_TOLERANCE: f64 = 0.1;
/// Processor time is read thread by thread while they go on.
const CPU_TOLERANCE: f64 = 0.1;
/// The same for short runs, seconds.
const CPU_SLACK_S: f64 = 1.0;
/// In an open loop the first payment may be sent so long after it was due, on a busy machine.
const START_SLACK_S: f64 = 10.0;
/// Bytes of an envelope, each of which is written to the log.
const ENVELOPE_BYTES: f64 = 192.0;
const HASH_DIGITS: usize = 64;
/// File systems whose kernel counts what is written to them; others may say 0.
const COUNTED: [&str; 6] = ["ext2", "ext3", "ext4", "xfs", "f2fs", "btrfs"];
/// Payments that spoil the equation that their signatures share.
const WRONG: &str = "/codes/BadSignature";
/// Equations that a signature is a part of at most, one after another: of all clean sources, of its
/// own one, of halves of that down to itself.
const REPEATS_MAX: f64 = 24.0;
/// The backends that have a fallback begin so.
const DEVICE: &str = "gpu";

const PERCENTILES: [&str; 5] = ["p1", "p50", "p99", "p999", "p100"];

/// Whether everything in a report that follows from other figures of it does.
///
/// # Errors
/// The first two figures that contradict each other.
pub fn check(report: &Value) -> Result<(), SumError> {
    let sums = Sums(report);
    sums.counts()?;
    sums.rate()?;
    sums.latency("/response_us")?;
    sums.latency("/service_us")?;
    sums.latencies()?;
    sums.processor()?;
    sums.signatures()?;
    sums.work()?;
    sums.drawn()?;
    sums.disk()?;
    sums.load()
}

struct Sums<'a>(&'a Value);

/// A figure with the name that people find it by.
struct Named(String, f64);

impl Sums<'_> {
    fn number(&self, pointer: &str) -> Result<f64, SumError> {
        let number = self.0.pointer(pointer).and_then(Value::as_f64);
        let number = number.filter(|number| number.is_finite() && *number >= 0.0);
        number.ok_or_else(|| SumError::Missing {
            pointer: pointer.to_owned(),
        })
    }

    fn named(&self, pointer: &str) -> Result<Named, SumError> {
        Ok(Named(pointer.to_owned(), self.number(pointer)?))
    }

    /// All numbers of an object or a list.
    fn numbers(&self, pointer: &str) -> Result<Vec<f64>, SumError> {
        let names: Vec<String> = match self.0.pointer(pointer) {
            Some(Value::Object(fields)) => fields.keys().cloned().collect(),
            Some(Value::Array(list)) => (0..list.len()).map(|place| place.to_string()).collect(),
            _ => Vec::new(),
        };
        let numbers = names
            .iter()
            .map(|name| self.number(&format!("{pointer}/{name}")));
        numbers.collect()
    }

    fn sum(&self, pointer: &str) -> Result<Named, SumError> {
        let sum = self.numbers(pointer)?.iter().sum();
        Ok(Named(format!("the sum of {pointer}"), sum))
    }

    fn most(&self, pointer: &str) -> Result<Named, SumError> {
        let most = self.numbers(pointer)?.into_iter().fold(0.0, f64::max);
        Ok(Named(format!("the most of {pointer}"), most))
    }

    /// Each payment of the workload was sent, and each that was sent has one result.
    fn counts(&self) -> Result<(), SumError> {
        let (settled, rejected) = (self.number("/settled")?, self.number("/rejected")?);
        let answered = || Named("/settled + /rejected".to_owned(), settled + rejected);
        let sent = || self.named("/sent");
        let rule = "every payment that was sent was answered once";
        equal(answered(), sent()?, 0.0, rule)?;
        let rule = "every payment of the workload was sent once";
        equal(sent()?, self.named("/workload/payments")?, 0.0, rule)?;
        if self
            .0
            .pointer("/workload/rows")
            .is_some_and(|rows| !rows.is_null())
        {
            let rows = self.named("/workload/rows/payments")?;
            equal(rows, sent()?, 0.0, "every row is a payment that was sent")?;
        }
        equal(
            self.sum("/codes")?,
            answered(),
            0.0,
            "each answer has a code",
        )?;
        let code = match self.0.pointer("/codes/Settled") {
            Some(_) => self.named("/codes/Settled")?,
            None => Named("/codes/Settled".to_owned(), 0.0),
        };
        equal(
            code,
            self.named("/settled")?,
            0.0,
            "they count the same payments",
        )
    }

    fn rate(&self) -> Result<(), SumError> {
        let (settled, seconds) = (self.number("/settled")?, self.number("/seconds")?);
        let rate = if seconds > 0.0 {
            settled / seconds
        } else {
            0.0
        };
        let expected = Named("/settled / /seconds".to_owned(), rate);
        let slack = rate * RATE_TOLERANCE;
        equal(
            self.named("/tps_final")?,
            expected,
            slack,
            "they are one rate",
        )
    }

    fn latency(&self, pointer: &str) -> Result<(), SumError> {
        let at = |name| self.named(&format!("{pointer}/{name}"));
        for pair in PERCENTILES.windows(2) {
            at_most(at(pair[0])?, at(pair[1])?, "percentiles rise")?;
        }
        Ok(())
    }

    fn latencies(&self) -> Result<(), SumError> {
        for name in PERCENTILES {
            let response = self.named(&format!("/response_us/{name}"))?;
            let service = self.named(&format!("/service_us/{name}"))?;
            at_most(service, response, "no payment is sent before it is due")?;
        }
        let run_us = self.number("/seconds")? * 1e6 * (1.0 + LATENCY_TOLERANCE) + 2.0;
        let run = || "/seconds in microseconds".to_owned();
        let slowest = self.named("/service_us/p100")?;
        let rule = "no answer takes longer than the run";
        at_most(slowest, Named(run(), run_us), rule)?;
        let slack_us = match self.0.pointer("/load/rate").and_then(Value::as_str) {
            None | Some("max") => 0.0,
            Some(_) => START_SLACK_S * 1e6,
        };
        let slowest = self.named("/response_us/p100")?;
        at_most(slowest, Named(run(), run_us + slack_us), rule)
    }

    fn processor(&self) -> Result<(), SumError> {
        let cpu = self.number("/cpu_seconds")?;
        let stages = self.sum("/stage_cpu_seconds")?;
        // Empty where the system does not tell.
        if stages.1 > 0.0 {
            let slack = cpu * CPU_TOLERANCE + CPU_SLACK_S;
            let rule = "the stages' seconds are all of the processor's";
            let half = Named(format!("half of {}", stages.0), stages.1 / 2.0);
            equal(stages, self.named("/cpu_seconds")?, slack, rule)?;
            // The slack is more than a short run takes.
            at_most(half, self.named("/cpu_seconds")?, rule)?;
        }
        self.needs("/sent", "/cpu_seconds", "payments take processor time")?;
        let (seconds, cores) = (self.number("/seconds")?, self.number("/machine/cores")?);
        let most = (seconds * (1.0 + CPU_TOLERANCE) + CPU_SLACK_S) * cores;
        let most = Named("/seconds x /machine/cores with a margin".to_owned(), most);
        at_most(
            self.named("/cpu_seconds")?,
            most,
            "the machine has no more time than that",
        )
    }

    /// What the node did for the payments' signatures.
    fn signatures(&self) -> Result<(), SumError> {
        let verified = || self.named("/signatures_verified");
        let rule = "nothing settles without its signature";
        at_most(self.named("/settled")?, verified()?, rule)?;
        let copies = || self.named("/copies_sent");
        let rule = "each payment was sent at least once";
        at_most(self.named("/sent")?, copies()?, rule)?;
        let rule = "a signature is verified once each time that it is sent";
        at_most(verified()?, copies()?, rule)?;
        let fallback = || self.named("/signatures_fallback");
        let rule = "the fallback's signatures are some of those verified";
        at_most(fallback()?, verified()?, rule)?;
        let backend = self.0.pointer("/backend").cloned().unwrap_or_default();
        let is_device = backend
            .as_str()
            .is_some_and(|name| name.starts_with(DEVICE));
        if fallback()?.1 > 0.0 && !is_device {
            return Err(SumError::Words {
                left: "/signatures_fallback",
                left_value: fallback()?.1.into(),
                right: "/backend",
                right_value: backend,
                rule: "only a device has a fallback",
            });
        }
        // What a device did wrong is done twice.
        let hinted = Named(
            "/signatures_verified + /signatures_fallback".to_owned(),
            verified()?.1 + fallback()?.1,
        );
        let is_wrong = self.0.pointer(WRONG).and_then(Value::as_u64) > Some(0);
        let hinted = match is_wrong {
            false => hinted,
            true => Named(
                format!("{REPEATS_MAX} x ({})", hinted.0),
                hinted.1 * REPEATS_MAX,
            ),
        };
        let rule = "a signature has one hint, used again where an equation fails";
        at_most(self.named("/hints_used")?, hinted, rule)?;
        if self.0.pointer("/load/hints") == Some(&Value::Bool(true)) {
            return Ok(());
        }
        let none = Named("the hints that were sent".to_owned(), 0.0);
        let rule = "only hints that were sent are used";
        at_most(self.named("/hints_used")?, none, rule)
    }

    /// What the node stored, what replay found, and what both held.
    fn work(&self) -> Result<(), SumError> {
        self.needs("/settled", "/height", "what settled stands in a block")?;
        self.needs("/height", "/replay_seconds", "reading blocks takes time")?;
        let root = self.0.pointer("/balances_root");
        let root = root.cloned().unwrap_or_default();
        if !root.as_str().is_some_and(is_hash) {
            return Err(SumError::Hash {
                pointer: "/balances_root",
                value: root,
            });
        }
        let memory = self.named("/machine/memory_bytes")?;
        // 0 where the system does not say.
        if memory.1 > 0.0 {
            let peak = self.named("/memory_peak_bytes")?;
            at_most(peak, memory, "a process holds no more than the machine has")?;
        }
        Ok(())
    }

    /// What is drawn of the latencies and over the time of the run, where the report has it.
    fn drawn(&self) -> Result<(), SumError> {
        let has = |pointer| {
            self.0
                .pointer(pointer)
                .is_some_and(|value| !value.is_null())
        };
        if has("/timeline") {
            let sent = self.named("/sent")?;
            equal(
                self.sum("/timeline/answered")?,
                sent,
                0.0,
                "each answer came once",
            )?;
            let slowest = self.most("/timeline/max_us")?;
            let bound = self.number("/response_us/p100")? * (1.0 + INTERVAL_TOLERANCE) + 1.0;
            let bound = Named("/response_us/p100 with a margin".to_owned(), bound);
            at_most(slowest, bound, "no answer took longer than the slowest")?;
            self.needs("/sent", "/timeline/interval_ms", "an interval takes time")?;
            let figures = ["p50_us", "p99_us", "max_us"];
            let lists = figures.map(|name| format!("/timeline/{name}"));
            for place in 0..self.numbers("/timeline/answered")?.len() {
                for pair in lists.windows(2) {
                    let at = |list: &String| self.named(&format!("{list}/{place}"));
                    at_most(at(&pair[0])?, at(&pair[1])?, "percentiles rise")?;
                }
            }
        }
        let stages = self.0.pointer("/stage_times").and_then(Value::as_array);
        for place in 0..stages.map_or(0, Vec::len) {
            for state in ["busy", "wait", "backpressure"] {
                self.number(&format!("/stage_times/{place}/{state}"))?;
            }
        }
        for of in ["response", "service"] {
            let points = format!("/spectrum/{of}");
            let Some(Value::Array(list)) = self.0.pointer(&points) else {
                continue;
            };
            for (place, of) in
                (1..list.len()).flat_map(|place| [(place, "us"), (place, "quantile")])
            {
                let at = |place: usize| self.named(&format!("{points}/{place}/{of}"));
                at_most(at(place - 1)?, at(place)?, "a spectrum rises")?;
            }
            let all = self.named(&format!(
                "{points}/{}/quantile",
                list.len().saturating_sub(1)
            ))?;
            equal(
                all,
                Named("1".to_owned(), 1.0),
                0.0,
                "a spectrum ends with the slowest",
            )?;
            let last = self.named(&format!("{points}/{}/us", list.len().saturating_sub(1)))?;
            let slack = last.1 * LATENCY_TOLERANCE + 1.0;
            let slowest = self.named(&format!("/{of}_us/p100"))?;
            equal(last, slowest, slack, "a spectrum ends with the slowest")?;
        }
        Ok(())
    }

    fn disk(&self) -> Result<(), SumError> {
        let (median, slowest) = ("/disk/sync_us_p50", "/disk/sync_us_max");
        at_most(
            self.named(median)?,
            self.named(slowest)?,
            "percentiles rise",
        )?;
        let value = |pointer| self.0.pointer(pointer).cloned().unwrap_or_default();
        let (durable, promised) = (value("/disk/durable"), value("/durability"));
        let promises = promised.as_str().map(|text| text.starts_with("fdatasync"));
        if durable.as_bool().is_none() || durable.as_bool() != promises {
            return Err(SumError::Words {
                left: "/disk/durable",
                left_value: durable,
                right: "/durability",
                right_value: promised,
                rule: "one follows from the other",
            });
        }
        let written = self.named("/bytes_written")?;
        let name = value("/disk/file_system");
        // 0 elsewhere: the system does not say.
        if written.1 > 0.0 || name.as_str().is_some_and(|name| COUNTED.contains(&name)) {
            let settled = self.number("/settled")?;
            let least = format!("/settled x {ENVELOPE_BYTES} bytes");
            let least = Named(least, settled * ENVELOPE_BYTES);
            at_most(least, written, "every envelope is written")?;
        }
        Ok(())
    }

    /// Nothing is sent from nowhere.
    fn load(&self) -> Result<(), SumError> {
        let rule = "a payment is sent by someone, over something, to someone";
        for pointer in [
            "/workload/accounts",
            "/load/connections",
            "/load/streams_in_flight",
            "/load/stream_len",
            "/nodes",
        ] {
            self.needs("/sent", pointer, rule)?;
        }
        Ok(())
    }

    /// Where one figure is above 0, the other is too.
    fn needs(&self, what: &str, needed: &'static str, rule: &'static str) -> Result<(), SumError> {
        let (what, needed) = (self.named(what)?, self.named(needed)?);
        match what.1 > 0.0 && needed.1 <= 0.0 {
            true => Err(differ(needed, what, rule)),
            false => Ok(()),
        }
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn equal(left: Named, right: Named, slack: f64, rule: &'static str) -> Result<(), SumError> {
    match (left.1 - right.1).abs() <= slack {
        true => Ok(()),
        false => Err(differ(left, right, rule)),
    }
}

fn at_most(left: Named, right: Named, rule: &'static str) -> Result<(), SumError> {
    match left.1 <= right.1 {
        true => Ok(()),
        false => Err(differ(left, right, rule)),
    }
}

fn differ(left: Named, right: Named, rule: &'static str) -> SumError {
    SumError::Differ {
        left: left.0,
        left_value: left.1,
        right: right.0,
        right_value: right.1,
        rule,
    }
}
