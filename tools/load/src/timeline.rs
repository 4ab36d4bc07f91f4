//! Answers over the time of a run, interval by interval, in bounded memory.

use std::collections::VecDeque;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
use serde::{Deserialize, Serialize};

use crate::measure::LATENCY_US_MAX;

/// How long an interval is when a run begins.
const INTERVAL_US: u64 = 100_000;
/// Intervals of a run at most; where it needs more, two become one.
const INTERVALS_MAX: u64 = 1200;

/// When answers came, and how long they took, to 10 %.
///
/// Times are microseconds on a clock that all clients of a run share.
#[derive(Clone, PartialEq, Debug)]
pub struct Timeline {
    interval_us: u64,
    /// Number of the first interval: its begin divided by its length.
    first: u64,
    intervals: VecDeque<Histogram<u32>>,
}

/// A timeline as a report has it: a figure an interval, from the first answer's on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimelineRows {
    /// Length of an interval, milliseconds; the first and the last one may be covered in part.
    pub interval_ms: u64,
    /// Answers.
    pub answered: Vec<u64>,
    /// Median latency from the intended send time, microseconds, to 10 %; 0 without an answer.
    pub p50_us: Vec<u64>,
    /// 99 of 100 are not slower.
    pub p99_us: Vec<u64>,
    /// The slowest.
    pub max_us: Vec<u64>,
}

/// A timeline on its way from one process to another: histograms in their own format (V2).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TimelineParts {
    interval_us: u64,
    first: u64,
    intervals: Vec<Vec<u8>>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            interval_us: INTERVAL_US,
            first: 0,
            intervals: VecDeque::new(),
        }
    }
}

fn interval() -> Histogram<u32> {
    let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, 1);
    histogram.expect("bounds and digits are within the histogram's own limits")
}

impl Timeline {
    /// Counts `count` answers that came at `at_us` after `latency_us`.
    pub fn record(&mut self, at_us: u64, latency_us: u64, count: u64) {
        let interval = self.interval_of(at_us);
        interval.saturating_record_n(latency_us.max(1), u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Adds another timeline of the same clock.
    pub fn add(&mut self, other: &Self) {
        while self.interval_us < other.interval_us {
            self.coarsen();
        }
        for (number, theirs) in (other.first..).zip(&other.intervals) {
            let own = self.interval_of(number * other.interval_us);
            own.add(theirs).expect("all intervals have the same bounds");
        }
    }

    /// The interval of a moment, which may be before the first one.
    fn interval_of(&mut self, at_us: u64) -> &mut Histogram<u32> {
        if self.intervals.is_empty() {
            self.first = at_us / self.interval_us;
        }
        let number = loop {
            let number = at_us / self.interval_us;
            let last = self.first + (self.intervals.len() as u64).saturating_sub(1);
            if number.max(last) - number.min(self.first) < INTERVALS_MAX {
                break number;
            }
            self.coarsen();
        };
        while number < self.first {
            self.intervals.push_front(interval());
            self.first -= 1;
        }
        let place = usize::try_from(number - self.first).expect("below INTERVALS_MAX");
        while self.intervals.len() <= place {
            self.intervals.push_back(interval());
        }
        &mut self.intervals[place]
    }

    /// Makes two intervals one.
    fn coarsen(&mut self) {
        let first = self.first / 2;
        let mut intervals: VecDeque<Histogram<u32>> = VecDeque::new();
        for (number, one) in (self.first..).zip(self.intervals.drain(..)) {
            let place = usize::try_from(number / 2 - first).expect("below INTERVALS_MAX");
            match intervals.get_mut(place) {
                Some(other) => other.add(one).expect("all have the same bounds"),
                None => intervals.push_back(one),
            }
        }
        self.interval_us *= 2;
        (self.first, self.intervals) = (first, intervals);
    }

    /// The figures of a report; nothing where no answer came.
    #[must_use]
    pub fn rows(&self) -> Option<TimelineRows> {
        let of = |figure: &dyn Fn(&Histogram<u32>) -> u64| {
            let figures = self.intervals.iter().map(|one| match one.len() {
                0 => 0,
                _ => figure(one),
            });
            figures.collect()
        };
        (!self.intervals.is_empty()).then(|| TimelineRows {
            interval_ms: self.interval_us / 1000,
            answered: of(&Histogram::len),
            p50_us: of(&|one| one.value_at_quantile(0.5)),
            p99_us: of(&|one| one.value_at_quantile(0.99)),
            max_us: of(&Histogram::max),
        })
    }

    /// What another process reads again.
    #[must_use]
    pub fn to_parts(&self) -> TimelineParts {
        let bytes = |interval: &Histogram<u32>| {
            let mut bytes = Vec::new();
            let written = V2Serializer::new().serialize(interval, &mut bytes);
            written.expect("memory takes every byte");
            bytes
        };
        TimelineParts {
            interval_us: self.interval_us,
            first: self.first,
            intervals: self.intervals.iter().map(bytes).collect(),
        }
    }

    /// Reads what [`Timeline::to_parts`] gave.
    #[must_use]
    pub fn from_parts(parts: &TimelineParts) -> Option<Self> {
        let read = |bytes: &Vec<u8>| {
            let mut own = interval();
            let read = Deserializer::new().deserialize(&mut &bytes[..]).ok()?;
            own.add::<&Histogram<u32>>(&read).ok()?;
            Some(own)
        };
        let intervals = parts.intervals.iter().map(read);
        Some(Self {
            interval_us: parts.interval_us,
            first: parts.first,
            intervals: intervals.collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_in_the_interval_in_which_they_came() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.rows(), None);
        timeline.record(1_250_000, 1000, 3);
        timeline.record(1_299_999, 9000, 1);
        timeline.record(1_500_000, 2000, 2);
        // Of another connection, whose first answer was earlier.
        let mut other = Timeline::default();
        other.record(1_199_000, 500, 1);
        other.record(1_300_000, 500, 5);
        timeline.add(&other);
        let rows = timeline.rows().expect("there are answers");
        assert_eq!(rows.interval_ms, 100);
        assert_eq!(rows.answered, [1, 4, 5, 0, 2]);
        let near = |found: u64, wanted: u64| found.abs_diff(wanted) * 10 <= wanted;
        assert!(
            near(rows.p50_us[1], 1000) && near(rows.max_us[1], 9000),
            "{rows:?}"
        );
        assert_eq!((rows.p50_us[3], rows.p99_us[3], rows.max_us[3]), (0, 0, 0));
        let again = Timeline::from_parts(&timeline.to_parts()).expect("its own parts");
        assert_eq!(again.rows(), Some(rows));
    }

    #[test]
    fn a_long_run_has_longer_intervals_and_loses_no_answer() {
        let mut timeline = Timeline::default();
        let seconds = 3 * 3600;
        for second in 0..seconds {
            timeline.record(7_000_000 + second * 1_000_000, 10, 2);
        }
        let mut short = Timeline::default();
        short.record(6_000_000, 10, 1);
        let mut both = short.clone();
        both.add(&timeline);
        timeline.add(&short);
        for rows in [timeline.rows(), both.rows()] {
            let rows = rows.expect("there are answers");
            assert_eq!(rows.answered.iter().sum::<u64>(), 2 * seconds + 1);
            assert!(
                rows.answered.len() as u64 <= INTERVALS_MAX,
                "{}",
                rows.answered.len()
            );
            assert_eq!(rows.interval_ms, 12_800);
        }
    }
}
