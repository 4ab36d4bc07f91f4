//! What happened between two moments of a node: rates, means, shares.

use super::sample::Sample;

/// Only grows while a process lives: where it fell, another one has begun.
const CLOCK_OF_STAGES: &str = "clearway_stage_seconds_total";

/// Two moments of one process, or one where nothing is known of the time before.
pub(super) struct Change<'a> {
    before: Option<&'a Sample>,
    pub(super) now: &'a Sample,
}

impl<'a> Change<'a> {
    /// From `before` to `now`. A node that was started again in between began at zero: then there
    /// is no before.
    pub(super) fn new(before: Option<&'a Sample>, now: &'a Sample) -> Self {
        let goes_on = |before: &&Sample| {
            let clock = |sample: &Sample| sample.sum(CLOCK_OF_STAGES, &[]);
            clock(before) <= clock(now)
        };
        Self {
            before: before.filter(goes_on),
            now,
        }
    }

    /// Seconds between the two.
    pub(super) fn seconds(&self) -> Option<f64> {
        let passed = self.now.at.checked_sub(self.before?.at)?;
        (!passed.is_zero()).then_some(passed.as_secs_f64())
    }

    /// By how much a counter has grown. Figures that are taken one after the other may seem to
    /// shrink for a moment.
    pub(super) fn grown(&self, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let before = self.before?.sum(metric, labels).unwrap_or(0.0);
        Some((self.now.sum(metric, labels)? - before).max(0.0))
    }

    /// The same for each second.
    pub(super) fn rate(&self, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
        Some(self.grown(metric, labels)? / self.seconds()?)
    }

    /// How much one counter has grown for each time that another has; `None` where it has not.
    pub(super) fn ratio(&self, of: &str, each: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let each = self.grown(each, labels)?;
        let of = self.grown(of, labels)?;
        (each > 0.0).then(|| of / each)
    }

    /// Mean in seconds of the times that were recorded under this name.
    pub(super) fn mean(&self, times: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let [sum, count] = ["sum_seconds_total", "count_total"].map(|end| format!("{times}_{end}"));
        self.ratio(&sum, &count, labels)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    /// A sample of these lines, taken these seconds after the watcher began.
    pub(in super::super) fn sample(seconds: u64, lines: &str) -> Sample {
        let text = format!("clearway_block_height 1\n{lines}");
        let at = Duration::from_secs(seconds);
        Sample::read(at, "ready".to_owned(), &text).expect("a page")
    }

    #[test]
    fn rates_and_means_are_of_the_time_between() {
        let before = sample(
            10,
            "a_total 5\nb_total 7\nt_count_total{x=\"1\"} 2\nt_sum_seconds_total{x=\"1\"} 1\n",
        );
        let now = sample(
            14,
            "a_total 25\nb_total 6\nnew_total 8\nt_count_total{x=\"1\"} 6\n\
             t_sum_seconds_total{x=\"1\"} 3\n",
        );
        let change = Change::new(Some(&before), &now);
        assert_eq!(change.seconds(), Some(4.0));
        let rows = [
            ("a_total", Some(5.0)),
            ("b_total", Some(0.0)),
            ("new_total", Some(2.0)),
            ("none_total", None),
        ];
        for (metric, expected) in rows {
            assert_eq!(change.rate(metric, &[]), expected, "{metric}");
        }
        assert_eq!(change.mean("t", &[("x", "1")]), Some(0.5));
        assert_eq!(change.mean("t", &[("x", "2")]), None);
        assert_eq!(change.ratio("a_total", "b_total", &[]), None);
        assert_eq!(change.ratio("a_total", "new_total", &[]), Some(2.5));
    }

    #[test]
    fn nothing_is_told_of_a_time_that_is_not_known() {
        let clock = |seconds, spent: &str| {
            let line = format!("a_total 9\nclearway_stage_seconds_total{{stage=\"x\"}} {spent}\n");
            sample(seconds, &line)
        };
        let (first, later, again) = (clock(1, "50"), clock(2, "51"), clock(3, "2"));
        assert_eq!(Change::new(None, &first).rate("a_total", &[]), None);
        let same = Change::new(Some(&first), &first);
        assert_eq!(same.rate("a_total", &[]), None, "no time has passed");
        let change = Change::new(Some(&first), &later);
        assert_eq!(change.rate("a_total", &[]), Some(0.0));
        let restarted = Change::new(Some(&later), &again);
        assert_eq!(restarted.rate("a_total", &[]), None, "it began at zero");
        assert_eq!(restarted.seconds(), None);
    }
}
