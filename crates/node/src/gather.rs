//! The figures of every stage under the names of the metrics page.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clearway_crypto::backend::Backend;
use clearway_execute::ExecuteMetrics;
use clearway_flow::{Counter, InFlight, LinkStats, WorkerTimes};
use clearway_ingest::IngestMetrics;
use clearway_order::OrderMetrics;
use clearway_store::StoreMetrics;
use clearway_types::drop_reason::DropReason;
use clearway_types::wire::{AnswerStatus, CloseCode};
use clearway_verify::VerifyMetrics;

use crate::admin::AdminMetrics;
use crate::clock::ClockMetrics;
use crate::disk::DiskMetrics;
use crate::keeper::KeeperMetrics;
use crate::log_index::LogIndex;
use crate::samples::SampleKind::{Counter as Total, Gauge};
use crate::samples::{Gather, Metric, SampleKind};

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
    /// Counters of the keeper.
    pub keeper: Arc<KeeperMetrics>,
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
        let mut metrics = Vec::new();
        self.pipes(&mut metrics);
        self.clocks(&mut metrics);
        self.door(&mut metrics);
        self.verification(&mut metrics);
        self.ordering(&mut metrics);
        self.ledger(&mut metrics);
        self.storage(&mut metrics);
        metrics.sort_by_key(|metric| metric.name);
        metrics
    }
}

impl Figures {
    /// Sums of links and of workers that have the same name: verification has one a worker.
    fn pipes(&self, out: &mut Vec<Metric>) {
        let version = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("backend", self.backend.name().to_owned()),
        ];
        let help = "1, with the version and the signature backend as labels";
        out.push(labelled("build_info", help, Gauge, vec![(version, 1.0)]));
        let depth = |link: &Arc<LinkStats>| link.depth();
        out.push(by_link(
            "queue_depth",
            "Messages waiting on a link",
            Gauge,
            &self.links,
            depth,
        ));
        let sent = |link: &Arc<LinkStats>| link.sent.value();
        out.push(by_link(
            "link_messages",
            "Messages sent on a link",
            Total,
            &self.links,
            sent,
        ));
        let help = "Seconds that a stage's worker worked, waited for work, waited for room";
        let samples = self.workers.iter().flat_map(|times| {
            let row = |state: &'static str, ns: &Counter| {
                let labels = vec![
                    ("stage", times.stage.to_owned()),
                    ("worker", times.worker.to_string()),
                    ("state", state.to_owned()),
                ];
                (labels, seconds(ns.value()))
            };
            [
                row("busy", &times.busy_ns),
                row("wait", &times.wait_ns),
                row("backpressure", &times.backpressure_ns),
            ]
        });
        out.push(labelled("stage_seconds", help, Total, samples.collect()));
        let waiting = self.in_flight.len() as u64;
        out.push(plain(
            "envelopes_in_flight",
            "Envelopes taken in and not answered",
            Gauge,
            waiting,
        ));
        let help =
            "Lines of the log that could not be written: nobody reads it, or its disk is full";
        let dropped = crate::log::LINES_DROPPED.value();
        out.push(plain("log_lines_dropped", help, Total, dropped));
    }

    fn clocks(&self, out: &mut Vec<Metric>) {
        let clock = &self.clock;
        let in_seconds = |ms: &Counter| number(ms.value()) / 1000.0;
        let help = "Seconds that cluster time is ahead of this machine's clock";
        let ahead = in_seconds(&clock.ahead_ms);
        out.push(Metric::plain("clock_ahead_seconds", help, Gauge, ahead));
        let help = "Times that the wall clock jumped against the monotonic one";
        out.push(plain("clock_jumps", help, Total, clock.jumps.value()));
        let help = "Seconds of the wall clock's last jump, below 0 when it went backwards";
        let jump = in_seconds(&clock.jump_forward_ms) - in_seconds(&clock.jump_backward_ms);
        out.push(Metric::plain("clock_jump_seconds", help, Gauge, jump));
    }

    fn door(&self, out: &mut Vec<Metric>) {
        let ingest = &self.ingest;
        for (name, help, kind, counter) in [
            (
                "connections",
                "Connections of members let in",
                Total,
                &ingest.connections,
            ),
            (
                "connections_open",
                "Connections open now",
                Gauge,
                &ingest.connections_open,
            ),
            (
                "handshakes_open",
                "Handshakes under way now",
                Gauge,
                &ingest.handshakes_open,
            ),
            (
                "handshakes_displaced",
                "Handshakes that lost their place to one of an address that holds less",
                Total,
                &ingest.handshakes_displaced,
            ),
            (
                "frames_evicted",
                "Frames whose bytes stalled while a member that holds less needed their room",
                Total,
                &ingest.fills_evicted,
            ),
            (
                "handshakes_failed",
                "Unknown key, wrong protocol, no answer, or displaced",
                Total,
                &ingest.handshake_failures,
            ),
            (
                "handshakes_retried",
                "Handshakes sent back to prove their address",
                Total,
                &ingest.handshakes_retried,
            ),
            (
                "handshakes_refused",
                "Refused: one address sends too many, or all together do",
                Total,
                &ingest.handshakes_refused,
            ),
            ("queries", "Questions asked", Total, &ingest.queries),
            (
                "queries_abandoned",
                "Questions whose asker went away",
                Total,
                &ingest.queries_abandoned,
            ),
            (
                "feeds_broken",
                "Feeds that ended at a height that cannot be given",
                Total,
                &ingest.feeds_broken,
            ),
            (
                "question_cores",
                "Cores that questions and feeds may keep busy",
                Gauge,
                &ingest.question_cores,
            ),
            (
                "admin_refused",
                "Requests to this page that ask for nothing it has",
                Total,
                &self.admin.refused,
            ),
        ] {
            out.push(plain(name, help, kind, counter.value()));
        }
        let refused = AnswerStatus::ALL.iter().skip(1).map(|&status| {
            let labels = vec![("status", status.name().to_owned())];
            (labels, number(ingest.queries_refused(status)))
        });
        let help = "Questions answered without what was asked for, by status";
        out.push(labelled("queries_refused", help, Total, refused.collect()));
        let closes = CloseCode::ALL.iter().map(|&code| {
            let labels = vec![("code", code.name().to_owned())];
            (labels, number(ingest.closes(code)))
        });
        let help = "Streams reset and connections closed by the door, by code";
        out.push(labelled("door_closes", help, Total, closes.collect()));
    }

    /// What the backend counts of its own, the values of one name together.
    fn backend_figures(&self, out: &mut Vec<Metric>) {
        for figure in self.backend.figures() {
            let label = figure.label.map(|(name, value)| (name, value.to_owned()));
            let sample = (label.into_iter().collect(), number(figure.value));
            match out.iter_mut().find(|metric| metric.name == figure.name) {
                Some(metric) => metric.samples.push(sample),
                None => out.push(Metric {
                    name: figure.name,
                    help: figure.help,
                    kind: if figure.gauge { Gauge } else { Total },
                    samples: vec![sample],
                }),
            }
        }
    }

    fn verification(&self, out: &mut Vec<Metric>) {
        let verify = &self.verify;
        let label = |name: &'static str| vec![("backend", name.to_owned())];
        // Read first: it never runs ahead of the sum that it is taken from.
        let fallback = verify.signatures_fallback.value();
        let verified = verify.signatures_verified.value().saturating_sub(fallback);
        let mut samples = vec![(label(self.backend.name()), number(verified))];
        let other = self.backend.fallback();
        samples.extend(other.map(|name| (label(name), number(fallback))));
        let help = "Signatures whose verdict was given, valid or not, by the backend that gave it";
        out.push(labelled("signatures_verified", help, Total, samples));
        self.backend_figures(out);
        if !out.iter().any(|metric| metric.name == "gpu_ready") {
            let help = "1 while the GPU answers, 0 in quarantine or where there is none";
            out.push(plain("gpu_ready", help, Gauge, 0));
        }
        let hints = [
            ("right", &verify.hints_right),
            ("wrong", &verify.hints_wrong),
        ];
        let hints = hints.map(|(kind, counter)| {
            let labels = vec![("hint", kind.to_owned())];
            (labels, number(counter.value()))
        });
        let help = "Hints that came with signatures of batch equations: a right one spares work";
        out.push(labelled("signature_hints", help, Total, hints.into()));
        let reasons = DropReason::ALL.iter().map(|&reason| {
            let dropped = self.ingest.drops(reason);
            (vec![("reason", reason.name().to_owned())], number(dropped))
        });
        let help = "Envelopes refused before they were ordered, by reason";
        out.push(labelled(
            "envelopes_dropped",
            help,
            Total,
            reasons.collect(),
        ));
        for (name, help, counter) in [
            (
                "envelopes_received",
                "Envelopes taken in by verification",
                &verify.envelopes_in,
            ),
            (
                "envelopes_joined",
                "Envelopes that waited for the same bytes",
                &verify.joined,
            ),
            (
                "envelopes_refused_header",
                "Envelopes refused by their header",
                &verify.refused_header,
            ),
            (
                "envelopes_refused_linked",
                "Refused with their chain",
                &verify.refused_linked,
            ),
        ] {
            out.push(plain(name, help, Total, counter.value()));
        }
    }

    fn ordering(&self, out: &mut Vec<Metric>) {
        let order = &self.order;
        for (name, help, kind, counter) in [
            (
                "batches_sealed",
                "Lane batches sealed",
                Total,
                &order.batches_sealed,
            ),
            (
                "lane_window_used",
                "Batches sealed, not final",
                Gauge,
                &order.lane_window_used,
            ),
            ("proposals", "Manifests built here", Total, &order.proposals),
            (
                "proposals_empty",
                "Manifests without a batch",
                Total,
                &order.proposals_empty,
            ),
            ("view", "View of the newest certificate", Gauge, &order.view),
            (
                "nullifications",
                "Views given up",
                Total,
                &order.nullifications,
            ),
            (
                "journal_pauses",
                "Times that ordering stopped because its journal's disk was full",
                Total,
                &order.journal_pauses,
            ),
            (
                "journals_lost",
                "Starts without the ordering engine's journal, from the newest certificate",
                Total,
                &order.journals_lost,
            ),
            (
                "consensus_faults",
                "Evidence against validators",
                Total,
                &order.faults,
            ),
        ] {
            out.push(plain(name, help, kind, counter.value()));
        }
        let own = order.proposals.value().max(1);
        let mean = seconds(order.finality_ns.value()) / number(own);
        let help = "Mean time from manifest to finality, seconds";
        out.push(Metric::plain("finality_seconds", help, Gauge, mean));
    }

    fn ledger(&self, out: &mut Vec<Metric>) {
        let execute = &self.execute;
        let height = self.index.durable_height().0;
        out.push(plain(
            "block_height",
            "Last final block that is durable",
            Gauge,
            height,
        ));
        for (name, help, kind, counter) in [
            ("blocks_executed", "Blocks executed", Total, &execute.blocks),
            (
                "envelopes_settled",
                "Envelopes applied",
                Total,
                &execute.settled,
            ),
            (
                "envelopes_duplicate",
                "Answered with the first result",
                Total,
                &execute.duplicates,
            ),
            ("holds_open", "Holds open", Gauge, &execute.holds_open),
            (
                "holds_expired",
                "Holds ended by time",
                Total,
                &execute.holds_expired,
            ),
            (
                "live_ids",
                "Identifiers remembered",
                Gauge,
                &execute.live_ids,
            ),
            ("accounts", "Accounts", Gauge, &execute.accounts),
            (
                "ledger_conserved",
                "1 while every ledger balances",
                Gauge,
                &execute.conserved,
            ),
        ] {
            out.push(plain(name, help, kind, counter.value()));
        }
        let outcomes = execute.outcomes().map(|(kind, code, count)| {
            let kind = kind.map_or_else(|| "unknown".to_owned(), |kind| format!("{kind:?}"));
            (
                vec![("kind", kind), ("result", code.to_string())],
                number(count),
            )
        });
        let help = "Envelopes executed, by kind and result";
        out.push(labelled("envelopes", help, Total, outcomes.collect()));
    }

    fn storage(&self, out: &mut Vec<Metric>) {
        let (store, keeper) = (&self.store, &self.keeper);
        let help = "1 while payments wait for room on the disk";
        out.push(plain("disk_full", help, Gauge, self.disk.full.value()));
        let (help, free) = ("Bytes free under the data folder", &self.disk.free_bytes);
        out.push(plain("disk_free_bytes", help, Gauge, free.value()));
        for (name, help, kind, counter) in [
            (
                "store_records",
                "Records stored",
                Total,
                &store.record_count,
            ),
            (
                "store_written_bytes",
                "Bytes written to the log",
                Total,
                &store.written_bytes,
            ),
            ("store_groups", "Group commits", Total, &store.group_count),
            (
                "store_segments_rolled",
                "Segments begun",
                Total,
                &store.segment_rolled_count,
            ),
            (
                "store_segments_unprepared",
                "Begun in haste",
                Total,
                &store.segment_unprepared_count,
            ),
            (
                "store_disk_full",
                "Times the disk was full",
                Total,
                &store.disk_full_count,
            ),
            (
                "store_write_failures",
                "Failed writes and syncs",
                Total,
                &store.write_failed_count,
            ),
            (
                "store_corrupt",
                "Damaged records met",
                Total,
                &store.corrupt_count,
            ),
            (
                "store_durable_sequence",
                "Newest durable record",
                Gauge,
                &store.durable_sequence,
            ),
        ] {
            out.push(plain(name, help, kind, relaxed(counter)));
        }
        let help = "Seconds spent waiting for syncs";
        let sync = seconds(relaxed(&store.sync_ns_total));
        out.push(Metric::plain("store_sync_seconds", help, Total, sync));
        for (name, help, kind, counter) in [
            (
                "checkpoints",
                "Checkpoints written",
                Total,
                &keeper.checkpoints,
            ),
            (
                "checkpoint_height",
                "Height of the newest",
                Gauge,
                &keeper.checkpoint_height,
            ),
            (
                "keeper_failures",
                "Failed work off the hot path",
                Total,
                &keeper.failures,
            ),
        ] {
            out.push(plain(name, help, kind, counter.value()));
        }
    }
}

fn labelled(
    name: &'static str,
    help: &'static str,
    kind: SampleKind,
    samples: Vec<(Vec<(&'static str, String)>, f64)>,
) -> Metric {
    Metric {
        name,
        help,
        kind,
        samples,
    }
}

fn plain(name: &'static str, help: &'static str, kind: SampleKind, value: u64) -> Metric {
    Metric::plain(name, help, kind, number(value))
}

fn by_link(
    name: &'static str,
    help: &'static str,
    kind: SampleKind,
    links: &[Arc<LinkStats>],
    value: impl Fn(&Arc<LinkStats>) -> u64,
) -> Metric {
    let mut samples: Vec<(Vec<(&'static str, String)>, f64)> = Vec::new();
    for link in links {
        let labels = vec![("link", link.name.to_owned())];
        match samples.last_mut().filter(|(last, _)| *last == labels) {
            Some((_, sum)) => *sum += number(value(link)),
            None => samples.push((labels, number(value(link)))),
        }
    }
    Metric {
        name,
        help,
        kind,
        samples,
    }
}

fn relaxed(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "figures above 2^53 need no last digit"
)]
fn number(value: u64) -> f64 {
    value as f64
}

fn seconds(ns: u64) -> f64 {
    number(ns) / 1e9
}
