//! Which figures of the page are shown, as what: the only place that names metrics.

use super::text::Unit;

/// How a figure comes about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// As it is.
    Now(&'static str),
    /// A counter's growth a second.
    Rate(&'static str),
    /// Growth of the first counter for each step of the second.
    Ratio(&'static str, &'static str),
    /// Mean of the times under this name, between two looks.
    Mean(&'static str),
    /// A quantile of the times under this name, since the node's start.
    Quantile(&'static str, &'static str),
}

/// A line of a tab.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) source: Source,
    pub(super) unit: Unit,
}

/// A metric whose series are told apart by labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) title: &'static str,
    pub(super) metric: &'static str,
    pub(super) labels: &'static [&'static str],
}

/// The figures of a tab.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tab {
    pub(super) left: &'static [Line],
    pub(super) right: &'static [Line],
    /// Below those on the right.
    pub(super) families: &'static [Family],
}

/// Counters, with the labels that choose among their series.
type Counters = &'static [(&'static str, &'static [(&'static str, &'static str)])];

/// What a stage gets done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) stage: &'static str,
    pub(super) counters: Counters,
    /// What they count, in a word of four letters.
    pub(super) of: &'static str,
    /// Times of one piece of it.
    pub(super) times: Option<&'static str>,
}

pub(super) const BUILD: &str = "clearway_build_info";
pub(super) const HEIGHT: &str = "clearway_block_height";
pub(super) const IN_FLIGHT: &str = "clearway_envelopes_in_flight";
pub(super) const SETTLED: &str = "clearway_execute_settled_total";
pub(super) const CONSERVED: &str = "clearway_execute_conserved";
pub(super) const FINALITY: &str = "clearway_order_finality";
pub(super) const STAGE_SECONDS: &str = "clearway_stage_seconds_total";
pub(super) const LINK_DEPTH: &str = "clearway_link_depth";
pub(super) const LINK_CAPACITY: &str = "clearway_link_capacity";
pub(super) const LINK_MESSAGES: &str = "clearway_link_messages_total";
pub(super) const LINK_WAIT: &str = "clearway_link_wait";
/// The door times its own waits for room on its link.
pub(super) const SINK_LINK: &str = "ingest_verify";
pub(super) const SINK_WAIT: &str = "clearway_ingest_sink_wait";

/// What the door and verification together refuse, which the door counts; and what of it
/// verification did. Links drop nothing.
pub(super) const REFUSED: [&str; 2] = [
    "clearway_ingest_drops_total",
    "clearway_ingest_refusals_other_total",
];
pub(super) const REFUSED_BY_VERIFY: [&str; 3] = [
    "clearway_verify_refused_total",
    "clearway_verify_refused_header_total",
    "clearway_verify_refused_linked_total",
];
/// The link behind verification.
pub(super) const VERIFIED_LINK: &str = "verify_order";

/// In the order of the walk. The door's threads are not timed: it is asynchronous.
pub(super) const WORK: &[Work] = &[
    Work {
        stage: "ingest",
        counters: &[("clearway_ingest_envelopes_total", &[])],
        of: "env",
        times: Some("clearway_ingest_answer"),
    },
    Work {
        stage: "verify",
        counters: &[("clearway_verify_envelopes_in_total", &[])],
        of: "env",
        times: Some("clearway_verify_group"),
    },
    Work {
        stage: "order",
        counters: &[("clearway_order_envelopes_total", &[])],
        of: "env",
        times: Some(FINALITY),
    },
    Work {
        stage: "feedback",
        counters: &[
            (LINK_MESSAGES, &[("link", "store_order")]),
            (LINK_MESSAGES, &[("link", "execute_order")]),
        ],
        of: "msg",
        times: None,
    },
    Work {
        stage: "execute",
        counters: &[("clearway_execute_envelopes_total", &[])],
        of: "env",
        times: None,
    },
    Work {
        stage: "store",
        counters: &[("clearway_store_records_total", &[])],
        of: "rec",
        times: Some("clearway_store_sync"),
    },
    Work {
        stage: "answers",
        counters: &[("clearway_ingest_answers_total", &[])],
        of: "env",
        times: None,
    },
    Work {
        stage: "checkpointer",
        counters: &[("clearway_checkpointer_checkpoints_total", &[])],
        of: "chk",
        times: None,
    },
];

const fn now(name: &'static str, metric: &'static str) -> Line {
    line(name, Source::Now(metric), Unit::Number)
}

const fn rate(name: &'static str, metric: &'static str) -> Line {
    line(name, Source::Rate(metric), Unit::PerSecond)
}

const fn mean(name: &'static str, times: &'static str) -> Line {
    line(name, Source::Mean(times), Unit::Seconds)
}

const fn quantile(name: &'static str, times: &'static str, quantile: &'static str) -> Line {
    line(name, Source::Quantile(times, quantile), Unit::Seconds)
}

const fn line(name: &'static str, source: Source, unit: Unit) -> Line {
    Line { name, source, unit }
}

const fn family(
    title: &'static str,
    metric: &'static str,
    labels: &'static [&'static str],
) -> Family {
    Family {
        title,
        metric,
        labels,
    }
}

const GROUPS: &str = "clearway_verify_groups_total";
const VERIFIED: &str = "clearway_verify_signatures_verified_total";

/// Stop 2, and the device that it may use.
pub(super) const VERIFICATION: Tab = Tab {
    left: &[
        rate("verdicts", VERIFIED),
        rate("in equations", "clearway_verify_signatures_batched_total"),
        rate("on their own", "clearway_verify_signatures_single_total"),
        rate(
            "by the fallback",
            "clearway_verify_signatures_fallback_total",
        ),
        rate("groups", GROUPS),
        line(
            "verdicts a group",
            Source::Ratio(VERIFIED, GROUPS),
            Unit::Number,
        ),
        mean("group, mean", "clearway_verify_group"),
        quantile("group, p99 since start", "clearway_verify_group", "0.99"),
        rate("cautious groups", "clearway_verify_groups_cautious_total"),
        rate("failed pools", "clearway_verify_pools_failed_total"),
        rate("right hints", "clearway_verify_hints_right_total"),
        rate("wrong hints", "clearway_verify_hints_wrong_total"),
        rate("joined copies", "clearway_verify_joined_total"),
        rate("slabs untouched", "clearway_verify_slabs_untouched_total"),
        rate("passed on", "clearway_verify_passed_total"),
    ],
    right: &[
        line("GPU answers", Source::Now("clearway_gpu_ready"), Unit::Flag),
        now("GPU opened", "clearway_gpu_opened_total"),
        rate("GPU batches", "clearway_gpu_batches_total"),
        rate("accepted", "clearway_gpu_accepted_total"),
        rate("refused, seen again", "clearway_gpu_refused_total"),
        rate("sampled, seen again", "clearway_gpu_sampled_total"),
        rate("unproven, seen again", "clearway_gpu_unproven_total"),
        rate("unanswered", "clearway_gpu_unanswered_total"),
    ],
    families: &[
        family(
            "verdicts by",
            "clearway_verify_verdicts_total",
            &["backend"],
        ),
        family("GPU given up for", "clearway_gpu_doubts_total", &["reason"]),
        family("refused for", "clearway_verify_refused_total", &["reason"]),
    ],
};

const BLOCKS: &str = "clearway_order_blocks_total";
const ORDERED: &str = "clearway_order_envelopes_total";

/// Stop 3, and the store that finality waits for.
pub(super) const ORDER: Tab = Tab {
    left: &[
        now("height delivered", "clearway_order_height"),
        now("height executed", "clearway_execute_height"),
        now("height durable", HEIGHT),
        now("view", "clearway_order_view"),
        rate("blocks", BLOCKS),
        line(
            "envelopes a block",
            Source::Ratio(ORDERED, BLOCKS),
            Unit::Number,
        ),
        rate("batches sealed", "clearway_order_batches_sealed_total"),
        now("lane window used", "clearway_order_lane_window_used"),
        rate("lane full", "clearway_order_lane_full_total"),
        mean("finality, mean", FINALITY),
        quantile("finality, p50 since start", FINALITY, "0.5"),
        quantile("finality, p99 since start", FINALITY, "0.99"),
        quantile("finality, longest", FINALITY, "1"),
        rate("proposals", "clearway_order_proposals_total"),
        rate("empty proposals", "clearway_order_proposals_empty_total"),
        now(
            "proposals made again",
            "clearway_order_proposals_again_total",
        ),
        now(
            "proposals refused",
            "clearway_order_proposals_refused_total",
        ),
        now("views given up", "clearway_order_nullifications_total"),
        now("evidence against others", "clearway_order_faults_total"),
    ],
    right: &[
        rate("records stored", "clearway_store_records_total"),
        line(
            "written",
            Source::Rate("clearway_store_written_bytes_total"),
            Unit::BytesPerSecond,
        ),
        mean("sync, mean", "clearway_store_sync"),
        quantile("sync, p99 since start", "clearway_store_sync", "0.99"),
        quantile("sync, longest", "clearway_store_sync", "1"),
        line(
            "disk free",
            Source::Now("clearway_disk_free_bytes"),
            Unit::Bytes,
        ),
        line("disk full", Source::Now("clearway_disk_full"), Unit::Flag),
        now("checkpoint at", "clearway_checkpointer_checkpoint_height"),
        now("checkpoints failed", "clearway_checkpointer_failures_total"),
        now("damaged records met", "clearway_store_corrupt_total"),
        now("files restored", "clearway_store_files_restored_total"),
        line(
            "clock ahead",
            Source::Now("clearway_clock_ahead_seconds"),
            Unit::Seconds,
        ),
        now("clock jumps", "clearway_clock_jumps_total"),
        now("accounts", "clearway_execute_accounts"),
        now("holds open", "clearway_execute_holds_open"),
        now("identifiers live", "clearway_execute_live_ids"),
    ],
    families: &[],
};

/// The door, from the members' side. No label names a member.
pub(super) const MEMBERS: Tab = Tab {
    left: &[
        now("connections open", "clearway_ingest_connections_open"),
        rate("connections let in", "clearway_ingest_connections_total"),
        now("handshakes open", "clearway_ingest_handshakes_open"),
        rate(
            "handshakes failed",
            "clearway_ingest_handshake_failures_total",
        ),
        rate(
            "handshakes refused",
            "clearway_ingest_handshakes_refused_total",
        ),
        rate(
            "handshakes displaced",
            "clearway_ingest_handshakes_displaced_total",
        ),
        rate("submit streams", "clearway_ingest_submit_streams_total"),
        rate("envelopes offered", "clearway_ingest_envelopes_total"),
        line(
            "taken in",
            Source::Rate("clearway_ingest_envelope_bytes_total"),
            Unit::BytesPerSecond,
        ),
        rate("answers", "clearway_ingest_answers_total"),
        rate(
            "answers undelivered",
            "clearway_ingest_answers_undelivered_total",
        ),
        mean("answer, mean", "clearway_ingest_answer"),
        quantile("answer, p50 since start", "clearway_ingest_answer", "0.5"),
        quantile("answer, p99 since start", "clearway_ingest_answer", "0.99"),
        rate(
            "stalled frames evicted",
            "clearway_ingest_fills_evicted_total",
        ),
        rate("questions", "clearway_ingest_queries_total"),
        rate(
            "questions refused, busy",
            "clearway_ingest_queries_busy_total",
        ),
        rate(
            "questions abandoned",
            "clearway_ingest_queries_abandoned_total",
        ),
        now("feeds broken", "clearway_ingest_feeds_broken_total"),
    ],
    right: &[],
    families: &[
        family("refused for", REFUSED[0], &["reason"]),
        family("closed with", "clearway_ingest_closes_total", &["code"]),
        family(
            "questions refused with",
            "clearway_ingest_queries_refused_total",
            &["status"],
        ),
        family(
            "executed",
            "clearway_execute_outcomes_total",
            &["result", "kind"],
        ),
    ],
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    /// Names of the page with their labels.
    fn documented() -> BTreeMap<&'static str, Vec<&'static str>> {
        let page = include_str!("../../../../deploy/METRICS.md");
        let rows = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `clearway_"));
        let rows = rows.map(|row| {
            let mut cells = row.split(" | ");
            let name = cells.next().expect("a name").trim_end_matches('`');
            let labels = cells.nth(1).expect("labels").trim().split(',');
            (name, labels.filter(|label| !label.is_empty()).collect())
        });
        rows.collect()
    }

    #[test]
    fn every_metric_that_is_named_is_on_the_page() {
        let metrics = documented();
        assert!(metrics.len() > 100, "{}", metrics.len());
        let (source, _) = include_str!("figures.rs")
            .split_once("#[cfg(test)]")
            .expect("tests");
        let named: Vec<&str> = source
            .split("\"clearway_")
            .skip(1)
            .filter_map(|text| text.split('"').next())
            .collect();
        assert!(named.len() > 70, "{}", named.len());
        for name in named {
            // Times are three metrics, which share the beginning of their names.
            let times = ["_seconds", "_count_total", "_sum_seconds_total"];
            let is_times = times
                .iter()
                .all(|end| metrics.contains_key(&*format!("{name}{end}")));
            assert!(metrics.contains_key(name) || is_times, "{name}");
        }
    }

    #[test]
    fn families_are_told_apart_by_labels_that_there_are() {
        let metrics = documented();
        for tab in [super::VERIFICATION, super::ORDER, super::MEMBERS] {
            for family in tab.families {
                let name = family.metric.strip_prefix("clearway_").expect("the prefix");
                let (mut has, mut named) = (metrics[name].clone(), family.labels.to_vec());
                has.sort_unstable();
                named.sort_unstable();
                assert_eq!(has, named, "{name}");
            }
        }
    }
}
