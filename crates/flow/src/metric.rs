//! Figures of a stage, said once: the table gives name, kind, unit and meaning, and from it follow
//! the counters, the metrics page and its documentation.
//!
//! ```
//! use clearway_flow::metrics;
//! metrics! {
//!     /// What the lift has done.
//!     pub struct LiftMetrics in "lift" {
//!         /// Rides begun.
//!         rides: total,
//!         /// Floor where it stands.
//!         floor: gauge,
//!         /// Time that it stood with open doors.
//!         waited: seconds,
//!         /// Rides refused, by reason.
//!         refused: family("reason", ["too heavy", "no power"]),
//!         /// Time of a ride.
//!         ride: times,
//!     }
//! }
//! let lift = LiftMetrics::default();
//! lift.rides.add(1);
//! lift.refused.at(1).add(1);
//! lift.ride.record(std::time::Duration::from_millis(8));
//! assert_eq!(lift.gather()[0].name, "lift_rides");
//! ```

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::{Mutex, MutexGuard};

use crate::Counter;

/// Whether a figure only grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricKind {
    /// Only grows; shown with the suffix `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One metric: a name, its help and a value for each set of labels.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Name without the prefix `clearway_` and without `_total`.
    pub name: &'static str,
    /// What it counts, in which unit.
    pub help: String,
    /// Counter or gauge.
    pub kind: MetricKind,
    /// Names of its labels. Labels have few values, never account numbers.
    pub labels: Vec<&'static str>,
    /// Values of the labels, and the value.
    pub samples: Vec<(Vec<String>, f64)>,
}

impl Metric {
    /// A metric without labels. Help may come as lines of a doc comment.
    #[must_use]
    pub fn plain(name: &'static str, help: &str, kind: MetricKind, value: f64) -> Self {
        Self::labelled(name, help, kind, &[], vec![(Vec::new(), value)])
    }

    /// A metric with labels.
    #[must_use]
    pub fn labelled(
        name: &'static str,
        help: &str,
        kind: MetricKind,
        labels: &[&'static str],
        samples: Vec<(Vec<String>, f64)>,
    ) -> Self {
        Self {
            name,
            help: help.trim().trim_end_matches('.').to_owned(),
            kind,
            labels: labels.to_vec(),
            samples,
        }
    }
}

/// Counters of one meaning, one for each value of a label.
#[derive(Debug)]
pub struct Family {
    label: &'static str,
    counters: Vec<(&'static str, Counter)>,
}

impl Family {
    /// A counter for each of these values.
    #[must_use]
    pub fn new(label: &'static str, values: impl IntoIterator<Item = &'static str>) -> Self {
        let counters = values.into_iter().map(|value| (value, Counter::default()));
        Self {
            label,
            counters: counters.collect(),
        }
    }

    /// The counter of the value at this place of the list.
    ///
    /// # Panics
    /// When the list is shorter.
    #[must_use]
    pub fn at(&self, index: usize) -> &Counter {
        &self.counters[index].1
    }

    /// The sum of all of them.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.counters
            .iter()
            .map(|(_, counter)| counter.value())
            .sum()
    }
}

/// Times of something that happens at most some thousand times a second, as a histogram.
pub struct Times(Mutex<Recorded>);

struct Recorded {
    histogram: Histogram<u64>,
    sum: Duration,
}

impl Times {
    /// What is recorded lies between these; anything else counts as the nearer one.
    const NS: (u64, u64) = (1, 3_600_000_000_000);
    /// Two digits: 1 % of a value, in some 40 KB.
    const DIGITS: u8 = 2;
    const QUANTILES: [(&'static str, f64); 4] =
        [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99), ("1", 1.0)];

    /// Adds one time.
    pub fn record(&self, time: Duration) {
        let (low, high) = Self::NS;
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let ns = ns.clamp(low, high);
        let mut recorded = self.lock();
        recorded.histogram.saturating_record(ns);
        recorded.sum = recorded.sum.saturating_add(Duration::from_nanos(ns));
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.lock().histogram.len()
    }

    /// The sum of what was recorded.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.lock().sum
    }

    /// The recorded time that so large a part of all does not exceed; zero when there is none.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        self.lock().quantile(part)
    }

    /// All that was recorded in any of these.
    #[must_use]
    pub fn merged<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        let merged = Self::default();
        for times in all {
            let more = times.lock();
            let mut into = merged.lock();
            let added = into.histogram.add(&more.histogram);
            added.expect("histograms of the same bounds");
            into.sum = into.sum.saturating_add(more.sum);
        }
        merged
    }

    /// Names and values in seconds of the quantiles that are shown, all of one moment.
    pub fn quantiles(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.lock().quantiles().into_iter()
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock()
    }
}

impl Recorded {
    fn quantile(&self, part: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_quantile(part))
    }

    fn quantiles(&self) -> [(&'static str, f64); 4] {
        Times::QUANTILES.map(|(name, part)| (name, self.quantile(part).as_secs_f64()))
    }
}

impl Default for Times {
    fn default() -> Self {
        let (low, high) = Self::NS;
        let histogram = Histogram::new_with_bounds(low, high, Self::DIGITS);
        Self(Mutex::new(Recorded {
            histogram: histogram.expect("bounds a factor apart, and few digits"),
            sum: Duration::ZERO,
        }))
    }
}

impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Times({})", self.count())
    }
}

/// How a field of a table is shown: by name and help, as one metric or several.
#[doc(hidden)]
pub trait Shown {
    /// Appends the metrics of the field.
    fn show(&self, row: &Row, out: &mut Vec<Metric>);
}

/// What the table says of a field.
#[doc(hidden)]
pub struct Row {
    pub name: &'static str,
    /// For [`Times`]: how many, and their sum.
    pub count_name: &'static str,
    pub sum_name: &'static str,
    pub help: &'static str,
    pub kind: RowKind,
}

/// The kinds of the table.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    Total,
    Gauge,
    GaugeMs,
    Seconds,
}

impl Shown for Counter {
    fn show(&self, row: &Row, out: &mut Vec<Metric>) {
        let value = number(self.value());
        let (kind, value) = match row.kind {
            RowKind::Total => (MetricKind::Counter, value),
            RowKind::Gauge => (MetricKind::Gauge, value),
            RowKind::GaugeMs => (MetricKind::Gauge, value / 1e3),
            RowKind::Seconds => (MetricKind::Counter, value / 1e9),
        };
        out.push(Metric::plain(row.name, row.help, kind, value));
    }
}

impl Shown for Family {
    fn show(&self, row: &Row, out: &mut Vec<Metric>) {
        let sample = |(value, counter): &(&'static str, Counter)| {
            (vec![(*value).to_owned()], number(counter.value()))
        };
        let samples = self.counters.iter().map(sample).collect();
        let kind = MetricKind::Counter;
        out.push(Metric::labelled(
            row.name,
            row.help,
            kind,
            &[self.label],
            samples,
        ));
    }
}

impl Shown for Times {
    fn show(&self, row: &Row, out: &mut Vec<Metric>) {
        // Of one moment, so that number, sum and quantiles speak of the same times.
        let (quantiles, count, sum) = {
            let recorded = self.lock();
            let (count, sum) = (recorded.histogram.len(), recorded.sum);
            (recorded.quantiles(), count, sum)
        };
        let samples = quantiles
            .into_iter()
            .map(|(label, seconds)| (vec![label.to_owned()], seconds));
        let samples = samples.collect();
        let labels = &["quantile"];
        out.push(Metric::labelled(
            row.name,
            row.help,
            MetricKind::Gauge,
            labels,
            samples,
        ));
        let help = format!("Times in clearway_{}", row.name);
        let count = number(count);
        out.push(Metric::plain(
            row.count_name,
            &help,
            MetricKind::Counter,
            count,
        ));
        let help = format!("Sum of the times in clearway_{}", row.name);
        let sum = sum.as_secs_f64();
        out.push(Metric::plain(row.sum_name, &help, MetricKind::Counter, sum));
    }
}

/// A count as the page shows it.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "figures above 2^53 need no last digit"
)]
pub fn number(value: u64) -> f64 {
    value as f64
}

/// Makes the struct of a stage's figures from their table.
///
/// A row is `/// meaning`, `name: kind`. Kinds: `total` counts, `gauge` goes up and down (both are
/// [`Counter`]s); `seconds` is a [`Counter`] of nanoseconds, `gauge_ms` one of milliseconds that
/// goes up and down, both shown in seconds; `family(label,
/// values)` is a [`Family`]; `times` is a [`Times`], shown as quantiles since the start with their
/// number. The metric's name is `clearway_`, the stage, the field, the unit where there is one, and
/// `_total` where it only grows. Rows of another type stand behind the table in `+ { .. }` and are
/// not shown by it.
#[macro_export]
macro_rules! metrics {
    (
        $(#[$doc:meta])*
        $visibility:vis struct $name:ident in $stage:literal {
            $(
                $(#[doc = $help:literal])+
                $field:ident : $kind:ident $( ($label:literal, $values:expr) )?,
            )*
        }
        $(+ { $( $(#[$other_doc:meta])* $other:ident : $other_type:ty, )* })?
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        $visibility struct $name {
            $(
                $(#[doc = $help])+
                $visibility $field: $crate::metrics!(@type $kind),
            )*
            $($( $(#[$other_doc])* $other: $other_type, )*)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $( $field: $crate::metrics!(@new $kind $( ($label, $values) )?), )*
                    $($( $other: <$other_type>::default(), )*)?
                }
            }
        }

        impl $name {
            /// Every figure of the table as it is now.
            #[must_use]
            $visibility fn gather(&self) -> Vec<$crate::metric::Metric> {
                let mut out = Vec::new();
                $(
                    let row = $crate::metrics!(@row $kind $stage $field concat!($($help),+));
                    $crate::metric::Shown::show(&self.$field, &row, &mut out);
                )*
                out
            }
        }
    };

    (@type total) => { $crate::Counter };
    (@type gauge) => { $crate::Counter };
    (@type seconds) => { $crate::Counter };
    (@type gauge_ms) => { $crate::Counter };
    (@type family) => { $crate::metric::Family };
    (@type times) => { $crate::metric::Times };

    (@new family ($label:literal, $values:expr)) => {
        $crate::metric::Family::new($label, $values)
    };
    (@new $kind:ident) => { Default::default() };

    (@row seconds $stage:literal $field:ident $help:expr) => {
        $crate::metrics!(@row_of Seconds $stage $field "_seconds" $help)
    };
    (@row gauge_ms $stage:literal $field:ident $help:expr) => {
        $crate::metrics!(@row_of GaugeMs $stage $field "_seconds" $help)
    };
    (@row times $stage:literal $field:ident $help:expr) => {
        $crate::metrics!(@row_of Gauge $stage $field "_seconds" $help)
    };
    (@row gauge $stage:literal $field:ident $help:expr) => {
        $crate::metrics!(@row_of Gauge $stage $field "" $help)
    };
    (@row $kind:ident $stage:literal $field:ident $help:expr) => {
        $crate::metrics!(@row_of Total $stage $field "" $help)
    };
    (@row_of $kind:ident $stage:literal $field:ident $unit:literal $help:expr) => {
        $crate::metric::Row {
            name: concat!($stage, "_", stringify!($field), $unit),
            count_name: concat!($stage, "_", stringify!($field), "_count"),
            sum_name: concat!($stage, "_", stringify!($field), "_sum_seconds"),
            help: $help,
            kind: $crate::metric::RowKind::$kind,
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::metrics! {
        /// A table with a row of each kind.
        struct Sample in "sample" {
            /// Things done
            /// and counted.
            things: total,
            /// Things at hand.
            level: gauge,
            /// Time spent.
            spent: seconds,
            /// Time ahead.
            ahead: gauge_ms,
            /// Things refused.
            refused: family("reason", ["late", "bad"]),
            /// Time of a thing.
            thing: times,
        }
        + {
            /// Not shown.
            other: Vec<u8>,
        }
    }

    #[test]
    fn each_kind_is_shown_with_its_name_unit_and_meaning() {
        let sample = Sample::default();
        assert!(sample.other.is_empty());
        sample.things.add(3);
        sample.level.set(2);
        sample.spent.add_ns(Duration::from_millis(1500));
        sample.ahead.set(250);
        sample.refused.at(1).add(4);
        for ms in 1..=100 {
            sample.thing.record(Duration::from_millis(ms));
        }
        let shown = sample.gather();
        let rows: Vec<_> = shown
            .iter()
            .map(|metric| (metric.name, metric.help.as_str(), metric.kind))
            .collect();
        use MetricKind::{Counter, Gauge};
        let expected = [
            ("sample_things", "Things done and counted", Counter),
            ("sample_level", "Things at hand", Gauge),
            ("sample_spent_seconds", "Time spent", Counter),
            ("sample_ahead_seconds", "Time ahead", Gauge),
            ("sample_refused", "Things refused", Counter),
            ("sample_thing_seconds", "Time of a thing", Gauge),
            (
                "sample_thing_count",
                "Times in clearway_sample_thing_seconds",
                Counter,
            ),
            (
                "sample_thing_sum_seconds",
                "Sum of the times in clearway_sample_thing_seconds",
                Counter,
            ),
        ];
        assert_eq!(rows, expected);
        let value = |at: usize, sample: usize| shown[at].samples[sample].1;
        assert_eq!((value(0, 0), value(1, 0)), (3.0, 2.0));
        assert_eq!((value(2, 0), value(3, 0)), (1.5, 0.25));
        assert_eq!(shown[4].samples[1], (vec!["bad".to_owned()], 4.0));
        assert_eq!((value(4, 0), value(6, 0), value(7, 0)), (0.0, 100.0, 5.05));
        for (at, expected) in [(0, 0.050), (1, 0.090), (2, 0.099), (3, 0.100)] {
            let found = value(5, at);
            assert!(
                (found / expected - 1.0).abs() < 0.011,
                "{found} for {expected}"
            );
        }
        assert_eq!(sample.refused.sum(), 4);
    }

    #[test]
    fn times_beyond_the_bounds_are_kept_at_them() {
        let times = Times::default();
        assert_eq!(times.quantile(0.5), Duration::ZERO);
        times.record(Duration::ZERO);
        times.record(Duration::MAX);
        assert_eq!(times.count(), 2);
        let kept = Duration::from_secs(3600) + Duration::from_nanos(1);
        assert_eq!(times.sum(), kept);
        let both = Times::merged([&times, &times].into_iter());
        assert_eq!((both.count(), both.sum()), (4, 2 * kept));
        assert!(times.quantile(1.0) >= Duration::from_secs(3500));
    }
}
