//! What the clients measure: result codes, latencies, the time from first byte to last answer.

use std::collections::BTreeMap;

use clearway_types::code::ResultCode;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

use crate::report::{Percentiles, Point};
use crate::timeline::Timeline;

/// Longest latency that is told apart, microseconds: an hour.
pub(crate) const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Points of a spectrum each time that half of what is left is slower.
const SPECTRUM_STEPS: u32 = 4;

/// A latency histogram in microseconds with three digits.
#[derive(Clone, PartialEq, Debug)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3);
        Self(histogram.expect("bounds and digits are within the histogram's own limits"))
    }
}

impl Latency {
    /// Counts `count` answers of one latency.
    pub fn record(&mut self, us: u64, count: u64) {
        self.0.saturating_record_n(us.max(1), count);
    }

    /// Adds another histogram.
    pub fn add(&mut self, other: &Self) {
        let added = self.0.add(&other.0);
        added.expect("all latencies have the same bounds");
    }

    /// Answers counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The figures of a report.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.0.value_at_quantile(quantile);
        Percentiles {
            p1: at(0.01),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            p100: self.0.max(),
        }
    }

    /// Points of the spectrum, from the fastest to the slowest, closer together the rarer they are.
    #[must_use]
    pub fn spectrum(&self) -> Vec<Point> {
        let points = self.0.iter_quantiles(SPECTRUM_STEPS).map(|step| Point {
            quantile: step.quantile(),
            us: step.value_iterated_to(),
        });
        points.collect()
    }

    /// The histogram in its own exchange format (V2).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let written = V2Serializer::new().serialize(&self.0, &mut bytes);
        written.expect("memory takes every byte");
        bytes
    }

    /// Reads what [`Latency::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let histogram = Deserializer::new().deserialize(&mut &*bytes).ok()?;
        let mut latency = Self::default();
        latency.0.add(&histogram).ok()?;
        Some(latency)
    }
}

/// Everything that one or more clients measured.
///
/// Times are microseconds on a clock that all clients of the run share.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tally {
    /// Payments sent, those sent again not counted again.
    pub sent: u64,
    /// Copies of payments sent: one each, and one more each time that one was sent again.
    pub copies_sent: u64,
    /// Payments by result code number.
    pub codes: BTreeMap<u16, u64>,
    /// From the intended send time.
    pub response: Latency,
    /// From the real send time.
    pub service: Latency,
    /// When they came, and how long they took from the intended send time.
    pub timeline: Timeline,
    /// When the first byte was sent.
    pub first_sent_us: Option<u64>,
    /// When the last answer came.
    pub last_answer_us: Option<u64>,
}

impl Tally {
    /// Counts `count` answers that came at `now_us` and were due at `due_us`.
    pub fn respond(&mut self, due_us: u64, now_us: u64, count: u64) {
        let us = now_us.saturating_sub(due_us);
        self.response.record(us, count);
        self.timeline.record(now_us, us, count);
    }

    /// Counts answers of one code.
    pub fn record(&mut self, code: ResultCode, count: u64) {
        *self.codes.entry(code.as_u16()).or_default() += count;
    }

    /// Counts payments that are sent, and widens the run by the moment.
    pub fn sent_at(&mut self, us: u64, count: u64) {
        self.sent += count;
        let first = self.first_sent_us.get_or_insert(us);
        *first = us.min(*first);
    }

    /// Widens the run by a moment of answering.
    pub fn answered_at(&mut self, us: u64) {
        let last = self.last_answer_us.get_or_insert(us);
        *last = us.max(*last);
    }

    /// Adds what another client measured.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.copies_sent += other.copies_sent;
        for (code, count) in &other.codes {
            *self.codes.entry(*code).or_default() += count;
        }
        self.response.add(&other.response);
        self.service.add(&other.service);
        self.timeline.add(&other.timeline);
        if let Some(us) = other.first_sent_us {
            self.sent_at(us, 0);
        }
        if let Some(us) = other.last_answer_us {
            self.answered_at(us);
        }
    }

    /// Settled payments.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.codes
            .get(&ResultCode::Settled.as_u16())
            .copied()
            .unwrap_or(0)
    }

    /// Payments with any other code.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.codes.values().sum::<u64>() - self.settled()
    }

    /// Seconds from the first byte to the last answer.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        let us = match (self.first_sent_us, self.last_answer_us) {
            (Some(first), Some(last)) => last.saturating_sub(first),
            _ => 0,
        };
        #[expect(clippy::cast_precision_loss, reason = "a run is shorter than 2^53 us")]
        let us = us as f64;
        us / 1e6
    }

    /// Settled payments a second; 0 for a run without time.
    #[must_use]
    pub fn tps_final(&self) -> f64 {
        let seconds = self.seconds();
        if seconds <= 0.0 {
            return 0.0;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a run has fewer than 2^53 payments"
        )]
        let settled = self.settled() as f64;
        settled / seconds
    }

    /// The codes by name, for the report.
    #[must_use]
    pub fn codes_by_name(&self) -> BTreeMap<String, u64> {
        self.codes
            .iter()
            .map(|(code, count)| {
                let name = ResultCode::from_u16(*code);
                (
                    name.map_or_else(|| code.to_string(), |code| code.to_string()),
                    *count,
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_of_two_clients_add_up_to_one_run() {
        let mut a = Tally::default();
        a.record(ResultCode::Settled, 3);
        a.sent_at(1_000_000, 3);
        a.answered_at(2_000_000);
        a.respond(1_999_500, 2_000_000, 3);
        let mut b = Tally::default();
        b.record(ResultCode::Settled, 1);
        b.record(ResultCode::InsufficientFunds, 2);
        b.sent_at(500_000, 3);
        b.answered_at(2_500_000);
        b.respond(2_498_500, 2_500_000, 3);
        a.add(&b);
        assert_eq!((a.sent, a.settled(), a.rejected()), (6, 4, 2));
        assert!((a.seconds() - 2.0).abs() < 1e-9);
        assert!((a.tps_final() - 2.0).abs() < 1e-9);
        assert_eq!(a.response.count(), 6);
        let timeline = a.timeline.rows().expect("there are answers");
        assert_eq!(timeline.answered, [3, 0, 0, 0, 0, 3]);
        assert_eq!(a.codes_by_name()["InsufficientFunds"], 2);
    }

    #[test]
    fn a_latency_comes_back_from_its_bytes_with_the_same_percentiles() {
        let mut latency = Latency::default();
        for us in 1..=1000 {
            latency.record(us, 1);
        }
        let again = Latency::from_bytes(&latency.to_bytes()).expect("its own bytes");
        assert_eq!(again.percentiles(), latency.percentiles());
        let percentiles = again.percentiles();
        assert_eq!(
            (percentiles.p50, percentiles.p99, percentiles.p100),
            (500, 990, 1000)
        );
        assert_eq!(Latency::from_bytes(b"no histogram"), None);
        let spectrum = latency.spectrum();
        let last = spectrum.last().expect("it has points");
        assert_eq!((last.quantile, last.us), (1.0, 1000));
        let rises =
            |pair: &[Point]| pair[0].quantile <= pair[1].quantile && pair[0].us <= pair[1].us;
        assert!(spectrum.windows(2).all(rises), "{spectrum:?}");
    }

    #[test]
    fn an_empty_run_has_no_rate() {
        assert!(Tally::default().tps_final() < f64::MIN_POSITIVE);
    }
}
