//! Everything that the monitor shows of a node, computed from two of its moments.

use std::cmp::Ordering;

use serde::Serialize;

use super::change::Change;
use super::figures::{self, Family, Line, Source, Tab, Work};
use super::sample::{Sample, Series};
use super::text::Unit;

/// All that is shown. What cannot be known is `None`: rates after one look, figures that another
/// version does not have.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub(super) struct Board {
    /// Seconds between the two looks.
    pub(super) interval_s: Option<f64>,
    #[serde(flatten)]
    pub(super) header: Header,
    pub(super) stages: Vec<Stage>,
    pub(super) links: Vec<Link>,
    pub(super) verification: Panel,
    pub(super) order: Panel,
    pub(super) members: Panel,
}

/// The node as a whole.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub(super) struct Header {
    pub(super) version: String,
    pub(super) backend: String,
    pub(super) readiness: String,
    /// Of the last durable block.
    pub(super) height: Option<f64>,
    pub(super) in_flight: Option<f64>,
    /// Envelopes that were applied.
    pub(super) payments_per_s: Option<f64>,
    /// Envelopes that were refused before order.
    pub(super) drops_per_s: Option<f64>,
    /// Mean of the interval.
    pub(super) finality_s: Option<f64>,
    /// Since the node's start.
    pub(super) finality_p50_s: Option<f64>,
    pub(super) finality_p99_s: Option<f64>,
    pub(super) conserved: Option<bool>,
}

/// The threads of one name. Shares are parts of the threads' time; what they are doing right now is
/// booked when it is over, so the three need not add up to one.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub(super) struct Stage {
    pub(super) stage: String,
    pub(super) threads: usize,
    pub(super) busy: Option<f64>,
    pub(super) wait: Option<f64>,
    pub(super) back_pressure: Option<f64>,
    pub(super) rate_per_s: Option<f64>,
    /// What the rate counts.
    pub(super) of: &'static str,
    /// How long a piece of its work took in the interval.
    pub(super) mean_s: Option<f64>,
}

/// A link between two stages.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub(super) struct Link {
    pub(super) link: String,
    pub(super) depth: Option<f64>,
    pub(super) capacity: Option<f64>,
    pub(super) rate_per_s: Option<f64>,
    /// Times that a sender had to wait for room.
    pub(super) waits_per_s: Option<f64>,
    pub(super) wait_mean_s: Option<f64>,
    /// Envelopes refused just before this link; `None` where nothing is ever refused.
    pub(super) drops_per_s: Option<f64>,
}

/// The figures of a tab.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub(super) struct Panel {
    pub(super) figures: Vec<Figure>,
    /// How many of them stand on the left.
    #[serde(skip)]
    pub(super) left: usize,
    pub(super) families: Vec<Counts>,
}

#[derive(Clone, PartialEq, Serialize, Debug)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) value: Option<f64>,
    pub(super) unit: Unit,
}

/// The series of one metric that have counted anything, the fastest first.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub(super) struct Counts {
    pub(super) title: &'static str,
    pub(super) series: Vec<Count>,
}

#[derive(Clone, PartialEq, Serialize, Debug)]
pub(super) struct Count {
    /// Values of its labels.
    pub(super) labels: String,
    pub(super) rate_per_s: Option<f64>,
    /// Since the node's start.
    pub(super) total: f64,
}

impl Board {
    /// What is known at `now`, with what happened since `before`.
    pub(super) fn new(before: Option<&Sample>, now: &Sample) -> Self {
        let change = Change::new(before, now);
        Self {
            interval_s: change.seconds(),
            header: header(&change),
            stages: stages(&change),
            links: links(&change),
            verification: panel(&change, &figures::VERIFICATION),
            order: panel(&change, &figures::ORDER),
            members: panel(&change, &figures::MEMBERS),
        }
    }
}

fn header(change: &Change) -> Header {
    let now = change.now;
    let build = now.series(figures::BUILD).first();
    let label = |name| {
        build
            .and_then(|build| build.label(name))
            .unwrap_or("?")
            .to_owned()
    };
    Header {
        version: label("version"),
        backend: label("backend"),
        readiness: now.readiness.clone(),
        height: now.sum(figures::HEIGHT, &[]),
        in_flight: now.sum(figures::IN_FLIGHT, &[]),
        payments_per_s: change.rate(figures::SETTLED, &[]),
        drops_per_s: rate_of_all(change, &figures::REFUSED),
        finality_s: change.mean(figures::FINALITY, &[]),
        finality_p50_s: quantile(change, figures::FINALITY, "0.5"),
        finality_p99_s: quantile(change, figures::FINALITY, "0.99"),
        conserved: now.sum(figures::CONSERVED, &[]).map(|value| value != 0.0),
    }
}

/// One of the quantiles since the start; there is none of nothing.
fn quantile(change: &Change, times: &str, quantile: &str) -> Option<f64> {
    let count = change.now.sum(&format!("{times}_count_total"), &[])?;
    let value = change
        .now
        .sum(&format!("{times}_seconds"), &[("quantile", quantile)]);
    value.filter(|_| count > 0.0)
}

fn rate_of_all(change: &Change, counters: &[&str]) -> Option<f64> {
    counters
        .iter()
        .map(|counter| change.rate(counter, &[]))
        .sum()
}

/// The door first, whose threads are not timed, then the rows of the page.
fn stages(change: &Change) -> Vec<Stage> {
    let timed = change.now.values(figures::STAGE_SECONDS, "stage");
    let untimed = figures::WORK.iter().map(|work| work.stage);
    let untimed = untimed.filter(|stage| !timed.contains(stage));
    let names = untimed.chain(timed.iter().copied());
    names.map(|name| stage(change, name)).collect()
}

fn stage(change: &Change, name: &str) -> Stage {
    let seconds = figures::STAGE_SECONDS;
    let threads = threads(change.now, name);
    let states = ["busy", "wait", "backpressure"]
        .map(|state| change.grown(seconds, &[("stage", name), ("state", state)]));
    let booked: f64 = states.iter().flatten().sum();
    // What took longer than the interval is booked in the one in which it ends.
    let elapsed = change.seconds().map(|seconds| seconds * count(threads));
    let whole = elapsed.map(|elapsed| elapsed.max(booked));
    let whole = whole.filter(|_| booked > 0.0);
    let [busy, wait, back_pressure] = states.map(|spent| Some(spent? / whole?));
    let work = figures::WORK.iter().find(|work| work.stage == name);
    Stage {
        stage: name.to_owned(),
        threads,
        busy,
        wait,
        back_pressure,
        rate_per_s: work.and_then(|work| rate_of_work(change, work)),
        of: work.map_or("", |work| work.of),
        mean_s: work.and_then(|work| change.mean(work.times?, &[])),
    }
}

fn rate_of_work(change: &Change, work: &Work) -> Option<f64> {
    let rate = |(counter, labels): &(&str, &[(&str, &str)])| change.rate(counter, labels);
    work.counters.iter().map(rate).sum()
}

/// Threads of a stage that book their time: some are another engine's.
fn threads(now: &Sample, stage: &str) -> usize {
    let workers = now.values(figures::STAGE_SECONDS, "worker");
    let booked = |worker: &&str| {
        let labels = [("stage", stage), ("worker", *worker)];
        now.sum(figures::STAGE_SECONDS, &labels) > Some(0.0)
    };
    workers.iter().filter(|worker| booked(worker)).count()
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}

fn links(change: &Change) -> Vec<Link> {
    let names = change.now.values(figures::LINK_DEPTH, "link");
    names.into_iter().map(|name| link(change, name)).collect()
}

fn link(change: &Change, name: &str) -> Link {
    let labels: &[(&str, &str)] = &[("link", name)];
    let (waits, of_waits) = match name {
        figures::SINK_LINK => (figures::SINK_WAIT, &[][..]),
        _ => (figures::LINK_WAIT, labels),
    };
    let by_verify = rate_of_all(change, &figures::REFUSED_BY_VERIFY);
    let drops_per_s = match name {
        // The door counts what verification refuses once more.
        figures::SINK_LINK => rate_of_all(change, &figures::REFUSED)
            .zip(by_verify)
            .map(|(all, by_verify)| (all - by_verify).max(0.0)),
        figures::VERIFIED_LINK => by_verify,
        _ => None,
    };
    Link {
        link: name.to_owned(),
        depth: change.now.sum(figures::LINK_DEPTH, labels),
        capacity: change.now.sum(figures::LINK_CAPACITY, labels),
        rate_per_s: change.rate(figures::LINK_MESSAGES, labels),
        waits_per_s: change.rate(&format!("{waits}_count_total"), of_waits),
        wait_mean_s: change.mean(waits, of_waits),
        drops_per_s,
    }
}

fn panel(change: &Change, tab: &Tab) -> Panel {
    let lines = tab.left.iter().chain(tab.right);
    let families = tab.families.iter().map(|family| counts(change, family));
    Panel {
        figures: lines.map(|line| figure(change, line)).collect(),
        left: tab.left.len(),
        families: families.collect(),
    }
}

fn figure(change: &Change, line: &Line) -> Figure {
    let value = match line.source {
        Source::Now(metric) => change.now.sum(metric, &[]),
        Source::Rate(metric) => change.rate(metric, &[]),
        Source::Ratio(of, each) => change.ratio(of, each, &[]),
        Source::Mean(times) => change.mean(times, &[]),
        Source::Quantile(times, part) => quantile(change, times, part),
    };
    Figure {
        name: line.name,
        value,
        unit: line.unit,
    }
}

fn counts(change: &Change, family: &Family) -> Counts {
    let count = |series: &Series| {
        let label = |name: &&'static str| (*name, series.label(name).unwrap_or_default());
        let values: Vec<(&str, &str)> = family.labels.iter().map(label).collect();
        let shown: Vec<&str> = values.iter().map(|(_, value)| *value).collect();
        Count {
            labels: shown.join(" "),
            rate_per_s: change.rate(family.metric, &values),
            total: series.value,
        }
    };
    let all = change.now.series(family.metric).iter();
    let mut series: Vec<Count> = all.filter(|one| one.value > 0.0).map(count).collect();
    let speed = |count: &Count| (count.rate_per_s.unwrap_or(0.0), count.total);
    series.sort_by(|one, other| {
        let order = speed(other).partial_cmp(&speed(one));
        order.unwrap_or(Ordering::Equal)
    });
    Counts {
        title: family.title,
        series,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A node's own page at two moments, while it cleared payments.
    pub(in super::super) fn samples() -> [Sample; 2] {
        let read = |seconds, readiness: &str, text| {
            let at = std::time::Duration::from_secs(seconds);
            Sample::read(at, readiness.to_owned(), text).expect("a page")
        };
        [
            read(0, "ready", include_str!("samples/before.txt")),
            read(2, "ready", include_str!("samples/after.txt")),
        ]
    }

    /// A board of these lines two seconds after those.
    fn board(before: &str, now: &str) -> Board {
        let sample = super::super::change::tests::sample;
        Board::new(Some(&sample(10, before)), &sample(12, now))
    }

    /// Seconds of a stage's worker: busy, wait, back-pressure.
    fn clock(stage: &str, worker: u32, seconds: [f64; 3]) -> String {
        let states = ["busy", "wait", "backpressure"].into_iter().zip(seconds);
        let line = |(state, seconds)| {
            let labels = format!("stage=\"{stage}\",worker=\"{worker}\",state=\"{state}\"");
            format!("clearway_stage_seconds_total{{{labels}}} {seconds}\n")
        };
        states.map(line).collect()
    }

    #[test]
    fn shares_are_of_the_time_of_the_threads_that_are_timed() {
        let before = [
            clock("verify", 0, [1.0, 1.0, 0.0]),
            clock("verify", 1, [1.0, 1.0, 0.0]),
            clock("order", 0, [1.0, 7.0, 0.0]),
            clock("order", 1, [0.0; 3]),
            clock("execute", 0, [1.0, 1.0, 1.0]),
            clock("store", 0, [1.0, 5.0, 0.0]),
        ];
        let now = [
            // One of two works all the time.
            clock("verify", 0, [3.0, 1.0, 0.0]),
            clock("verify", 1, [1.0, 2.0, 1.0]),
            // The other one is the engine's.
            clock("order", 0, [2.0, 8.0, 0.0]),
            clock("order", 1, [0.0; 3]),
            // What it does is not over yet.
            clock("execute", 0, [1.0, 1.0, 1.0]),
            // It waited long before.
            clock("store", 0, [2.0, 14.0, 0.0]),
        ];
        let board = board(&before.concat(), &now.concat());
        let row = |name: &str| {
            let stage = board.stages.iter().find(|stage| stage.stage == name);
            let stage = stage.expect("a row");
            let shares = [stage.busy, stage.wait, stage.back_pressure];
            (
                stage.threads,
                shares.map(|part| part.map(|part| (part * 100.0).round())),
            )
        };
        let rows = [
            ("verify", 2, [Some(50.0), Some(25.0), Some(25.0)]),
            ("order", 1, [Some(50.0), Some(50.0), Some(0.0)]),
            ("execute", 1, [None; 3]),
            ("store", 1, [Some(10.0), Some(90.0), Some(0.0)]),
            ("ingest", 0, [None; 3]),
        ];
        for (name, threads, shares) in rows {
            assert_eq!(row(name), (threads, shares), "{name}");
        }
    }

    #[test]
    fn drops_are_told_where_they_happen() {
        let links = ["ingest_verify", "verify_order", "order_store"];
        let depths = links.map(|link| format!("clearway_link_depth{{link=\"{link}\"}} 0\n"));
        let counters = |[all, other, refused, header]: [u32; 4]| {
            format!(
                "clearway_ingest_drops_total{{reason=\"Expired\"}} {all}\n\
                 clearway_ingest_refusals_other_total {other}\n\
                 clearway_verify_refused_total{{reason=\"Expired\"}} {refused}\n\
                 clearway_verify_refused_header_total {header}\n\
                 clearway_verify_refused_linked_total 0\n{}",
                depths.concat()
            )
        };
        // Verification refused 4 for their signature and 2 for their header, the door 8 by itself.
        let board = board(&counters([5, 5, 5, 5]), &counters([17, 7, 9, 7]));
        assert_eq!(board.header.drops_per_s, Some(7.0));
        let drops: Vec<_> = board.links.iter().map(|link| link.drops_per_s).collect();
        assert_eq!(drops, [Some(4.0), Some(3.0), None]);
        let refused = &board.members.families[0].series;
        assert_eq!(
            (refused[0].labels.as_str(), refused[0].total),
            ("Expired", 17.0)
        );
        assert_eq!(refused[0].rate_per_s, Some(6.0));
    }
}
