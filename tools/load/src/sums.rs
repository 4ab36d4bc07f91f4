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
}

/// Rates are stored as they were divided; text keeps 15 digits of them.
const RATE_TOLERANCE: f64 = 1e-6;
/// A histogram keeps three digits.
const LATENCY_TOLERANCE: f64 = 2e-3;
/// Processor time is read thread by thread while they go on.
const CPU_TOLERANCE: f64 = 0.1;
/// The same for short runs, seconds.
const CPU_SLACK_S: f64 = 1.0;

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
    sums.work()
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

    /// All numbers of an object.
    fn sum(&self, pointer: &str) -> Result<Named, SumError> {
        let fields = self.0.pointer(pointer).and_then(Value::as_object);
        let names: Vec<&String> = fields
            .into_iter()
            .flat_map(|fields| fields.keys())
            .collect();
        let mut sum = 0.0;
        for name in names {
            sum += self.number(&format!("{pointer}/{name}"))?;
        }
        Ok(Named(format!("the sum of {pointer}"), sum))
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
        let seconds = self.number("/seconds")?;
        let longest = seconds * 1e6 * (1.0 + LATENCY_TOLERANCE) + 2.0;
        let slowest = self.named("/service_us/p100")?;
        let run = Named("/seconds in microseconds".to_owned(), longest);
        at_most(slowest, run, "no answer takes longer than the run")
    }

    fn processor(&self) -> Result<(), SumError> {
        let cpu = self.number("/cpu_seconds")?;
        let stages = self.sum("/stage_cpu_seconds")?;
        // Empty where the system does not tell.
        if stages.1 > 0.0 {
            let slack = cpu * CPU_TOLERANCE + CPU_SLACK_S;
            let rule = "the stages' seconds are all of the processor's";
            equal(stages, self.named("/cpu_seconds")?, slack, rule)?;
        }
        let (seconds, cores) = (self.number("/seconds")?, self.number("/machine/cores")?);
        let most = (seconds * (1.0 + CPU_TOLERANCE) + CPU_SLACK_S) * cores;
        let most = Named("/seconds x /machine/cores with a margin".to_owned(), most);
        at_most(
            self.named("/cpu_seconds")?,
            most,
            "the machine has no more time than that",
        )
    }

    /// What the node did for the payments.
    fn work(&self) -> Result<(), SumError> {
        let verified =
            self.number("/signatures_verified")? + self.number("/signatures_fallback")?;
        let verified = Named(
            "/signatures_verified + /signatures_fallback".to_owned(),
            verified,
        );
        let settled = self.named("/settled")?;
        at_most(settled, verified, "nothing settles without its signature")?;
        let settled = self.number("/settled")?;
        let least = Named("the least number of blocks".to_owned(), settled.min(1.0));
        at_most(
            least,
            self.named("/height")?,
            "what settled stands in a block",
        )?;
        if self.0.pointer("/load/hints") != Some(&Value::Bool(true)) {
            let none = Named("the hints that were sent".to_owned(), 0.0);
            at_most(
                self.named("/hints_used")?,
                none,
                "only hints that were sent are used",
            )?;
        }
        let (median, slowest) = ("/disk/sync_us_p50", "/disk/sync_us_max");
        at_most(
            self.named(median)?,
            self.named(slowest)?,
            "percentiles rise",
        )?;
        let memory = self.named("/machine/memory_bytes")?;
        // 0 where the system does not say.
        if memory.1 > 0.0 {
            let peak = self.named("/memory_peak_bytes")?;
            at_most(peak, memory, "a process holds no more than the machine has")?;
        }
        Ok(())
    }
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
