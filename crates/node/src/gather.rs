//! The figures of every stage under the names of the metrics page.

use std::sync::Arc;
use std::time::Duration;

use clearway_crypto::backend::Backend;
use clearway_execute::ExecuteMetrics;
use clearway_flow::metric::MetricKind::{Counter, Gauge};
use clearway_flow::metric::{Metric, MetricKind, Times, number};
use clearway_flow::{InFlight, LinkStats, WorkerTimes};
use clearway_ingest::IngestMetrics;
use clearway_order::OrderMetrics;
use clearway_store::StoreMetrics;
use clearway_verify::VerifyMetrics;

use crate::admin::AdminMetrics;
use crate::backends;
use crate::checkpointer::CheckpointerMetrics;
use crate::clock::ClockMetrics;
use crate::disk::DiskMetrics;
use crate::log_index::LogIndex;
use crate::samples::Gather;
use crate::topology::INGEST_VERIFY;

/// Everything that counts, where it is counted.
pub struct Figures {
    pub(crate) links: Vec<Arc<LinkStats>>,
    pub(crate) workers: Vec<Arc<WorkerTimes>>,
    /// Counters of the operators' page.
    pub admin: Arc<AdminMetrics>,
    /// Figures of the clocks.
    pub clock: Arc<ClockMetrics>,
    /// Counters of stop 1.
    pub ingest: Arc<IngestMetrics>,
    /// Counters of stop 2.
    pub verify: Arc<VerifyMetrics>,
    /// Backend that verifies signatures.
    pub backend: Arc<dyn Backend>,
    /// Counters of stop 3.
    pub order: Arc<OrderMetrics>,
    /// Counters of stop 4.
    pub execute: Arc<ExecuteMetrics>,
    /// Counters of stop 5.
    pub store: Arc<StoreMetrics>,
    /// Figures of the data folder's disk.
    pub disk: Arc<DiskMetrics>,
    /// Counters of the checkpointer.
    pub checkpointer: Arc<CheckpointerMetrics>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) index: Arc<LogIndex>,
}

impl std::fmt::Debug for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}

impl Gather for Figures {
    fn gather(&self) -> Vec<Metric> {
        let tables = [
            self.ingest.gather(),
            self.verify.gather(),
            self.order.gather(),
            self.execute.gather(),
            self.store.gather(),
            self.disk.gather(),
            self.checkpointer.gather(),
            self.clock.gather(),
            self.admin.gather(),
        ];
        let mut metrics: Vec<Metric> = tables.into_iter().flatten().collect();
        self.node(&mut metrics);
        self.links(&mut metrics);
        self.workers(&mut metrics);
        self.outcomes(&mut metrics);
        self.backends(&mut metrics);
        metrics.sort_by_key(|metric| metric.name);
        metrics
    }
}

impl Figures {
    /// What belongs to no stage.
    fn node(&self, out: &mut Vec<Metric>) {
        let values = [env!("CARGO_PKG_VERSION"), self.backend.name()];
        let build = vec![(values.map(str::to_owned).to_vec(), 1.0)];
        let help = "1, with the version and the signature backend as labels";
        let labels = &["version", "backend"];
        out.push(Metric::labelled("build_info", help, Gauge, labels, build));
        let help = "Last final block that is durable";
        let height = self.index.durable_height().0;
        out.push(plain("block_height", help, Gauge, height));
        let help = "Envelopes taken in and not answered";
        let waiting = self.in_flight.len() as u64;
        out.push(plain("envelopes_in_flight", help, Gauge, waiting));
        let help =
            "Lines of the log that could not be written: nobody reads it, or its disk is full";
        let dropped = crate::log::LINES_DROPPED.value();
        out.push(plain("log_lines_dropped", help, Counter, dropped));
    }

    /// Links of one name together: verification has one for each worker.
    fn links(&self, out: &mut Vec<Metric>) {
        let by_name: Vec<_> = self.links.chunk_by(|a, b| a.name == b.name).collect();
        let sum = |name, help, kind, value: fn(&LinkStats) -> u64| {
            let samples = by_name.iter().map(|links| {
                let sum = links.iter().map(|link| value(link)).sum();
                (vec![links[0].name.to_owned()], number(sum))
            });
            Metric::labelled(name, help, kind, &["link"], samples.collect())
        };
        let help = "Messages waiting on a link";
        out.push(sum("link_depth", help, Gauge, LinkStats::depth));
        let help = "Messages that fit on a link; an ingest_verify of each verify worker, added up";
        let capacity = |link: &LinkStats| link.capacity as u64;
        out.push(sum("link_capacity", help, Gauge, capacity));
        let help = "Messages sent on a link";
        out.push(sum("link_messages", help, Counter, |link| {
            link.sent.value()
        }));
        let mut quantiles = Vec::new();
        let (mut counts, mut sums) = (Vec::new(), Vec::new());
        // The door asks again instead of waiting there, and times that itself.
        for links in by_name
            .iter()
            .filter(|links| links[0].name != INGEST_VERIFY.name)
        {
            let link = || vec![links[0].name.to_owned()];
            let waits = Times::merged(links.iter().map(|link| &link.waits));
            quantiles.extend(waits.quantiles().map(|(quantile, seconds)| {
                let labels = vec![links[0].name.to_owned(), quantile.to_owned()];
                (labels, seconds)
            }));
            counts.push((link(), number(waits.count())));
            sums.push((link(), waits.sum().as_secs_f64()));
        }
        let (name, labels) = ("link_wait_seconds", &["link", "quantile"]);
        let help = "How long senders waited for room on a link, where they had to; for \
                    ingest_verify see clearway_ingest_sink_wait_seconds";
        out.push(Metric::labelled(name, help, Gauge, labels, quantiles));
        let (name, help) = ("link_wait_count", "Times in clearway_link_wait_seconds");
        out.push(Metric::labelled(name, help, Counter, &["link"], counts));
        let help = "Sum of the times in clearway_link_wait_seconds";
        let name = "link_wait_sum_seconds";
        out.push(Metric::labelled(name, help, Counter, &["link"], sums));
    }

    /// Of each worker, along the walk: its stage, its number within that, and how long it
    /// has worked, waited for work and waited for room.
    pub fn worker_times(&self) -> impl Iterator<Item = (&'static str, usize, [Duration; 3])> {
        self.workers.iter().map(|times| {
            let states = [&times.busy_ns, &times.wait_ns, &times.backpressure_ns];
            let spent = states.map(|ns| Duration::from_nanos(ns.value()));
            (times.stage, times.worker, spent)
        })
    }

    fn workers(&self, out: &mut Vec<Metric>) {
        let samples = self.worker_times().flat_map(|(stage, worker, spent)| {
            let states = ["busy", "wait", "backpressure"];
            std::array::from_fn::<_, 3, _>(|at| {
                let labels = [stage.to_owned(), worker.to_string(), states[at].to_owned()];
                (labels.to_vec(), spent[at].as_secs_f64())
            })
        });
        let help = "Seconds that a stage's worker worked, waited for work, waited for room";
        let labels = &["stage", "worker", "state"];
        let samples = samples.collect();
        out.push(Metric::labelled(
            "stage_seconds",
            help,
            Counter,
            labels,
            samples,
        ));
    }

    fn outcomes(&self, out: &mut Vec<Metric>) {
        let samples = self.execute.outcomes().map(|(kind, code, count)| {
            let kind = kind.map_or_else(|| "unknown".to_owned(), |kind| format!("{kind:?}"));
            (vec![kind, code.to_string()], number(count))
        });
        let help =
            "Envelopes executed, by kind and result (deploy/CODES.md#RESULT), duplicates aside";
        let labels = &["kind", "result"];
        let samples = samples.collect();
        out.push(Metric::labelled(
            "execute_outcomes",
            help,
            Counter,
            labels,
            samples,
        ));
    }

    /// Verdicts by backend, and what the device counts of its own.
    fn backends(&self, out: &mut Vec<Metric>) {
        let verify = &self.verify;
        // Read first: it never runs ahead of the sum that it is taken from.
        let fallback = verify.signatures_fallback.value();
        let verified = verify.signatures_verified.value().saturating_sub(fallback);
        let mut samples = vec![(vec![self.backend.name().to_owned()], number(verified))];
        let other = self.backend.fallback();
        samples.extend(other.map(|name| (vec![name.to_owned()], number(fallback))));
        let help = "Signatures whose verdict was given, valid or not, by the backend that gave it";
        let labels = &["backend"];
        out.push(Metric::labelled(
            "verify_verdicts",
            help,
            Counter,
            labels,
            samples,
        ));
        out.extend(backends::figures(self.backend.as_ref()));
    }
}

fn plain(name: &'static str, help: &str, kind: MetricKind, value: u64) -> Metric {
    Metric::plain(name, help, kind, number(value))
}
