//! The whole machine as two tables: the links with their capacities, the stages with their threads.

use std::sync::Arc;

use clearway_flow::{LinkReceiver, LinkSender, LinkStats, link};
use clearway_order::{BLOCKS_IN_FLIGHT_MAX, PERSIST_IN_FLIGHT_MAX};
use clearway_types::messages::{
    ExecHead, ExecutedBlock, FrameBatch, OrderedBlock, Persist, Persisted, Refusals, VerifiedBatch,
};

use crate::query::LedgerQuery;

/// One link: its two ends are in its name.
#[derive(Clone, Copy, Debug)]
pub struct LinkRow {
    /// The two ends, as in `verify_order`; metric and trace span are called the same.
    pub name: &'static str,
    /// What travels on it.
    pub message: &'static str,
    /// Messages that fit.
    pub capacity: usize,
    /// Why this many.
    pub why: &'static str,
}

/// Threads of one name, `<name>-<number>`, which measure what they spend under it.
#[derive(Clone, Copy, Debug)]
pub struct ThreadRow {
    /// The name.
    pub name: &'static str,
    /// How many, and what for.
    pub what: &'static str,
}

/// One stage and the threads that work for it.
#[derive(Clone, Copy, Debug)]
pub struct StageRow {
    /// Name of the stage.
    pub name: &'static str,
    /// Links it takes from.
    pub takes: &'static [&'static str],
    /// Links it fills.
    pub fills: &'static [&'static str],
    /// Its threads.
    pub threads: &'static [ThreadRow],
}

/// The row of the threads of this name.
#[must_use]
pub fn threads_named(name: &str) -> Option<&'static ThreadRow> {
    let rows = STAGES.iter().flat_map(|stage| stage.threads);
    rows.into_iter().find(|row| row.name == name)
}

const fn threads(name: &'static str, what: &'static str) -> ThreadRow {
    ThreadRow { name, what }
}

/// Both ends of a link.
pub type Link<T> = (LinkSender<T>, LinkReceiver<T>);

/// The first link is there once a verify worker, so it stands outside the table below.
pub(crate) const INGEST_VERIFY: LinkRow = LinkRow {
    name: "ingest_verify",
    message: "FrameBatch",
    capacity: 16,
    why: "16 frames x 2,048 envelopes: 0.3 s of work for the worker behind it",
};

macro_rules! links {
    ($($field:ident: $message:ty, $capacity:expr, $why:literal;)+) => {
        /// Every link, in the order of the walk; feedback links follow.
        pub const LINKS: &[LinkRow] = &[INGEST_VERIFY, $(LinkRow {
            name: stringify!($field),
            message: stringify!($message),
            capacity: $capacity,
            why: $why,
        },)+];

        /// Both ends of every link, taken apart when the stages start.
        #[derive(Debug)]
        pub struct Links {
            /// One a verify worker: the frames of a source all go to the same worker.
            pub ingest_verify: Vec<Link<FrameBatch>>,
            $(#[doc = $why] pub $field: Link<$message>,)+
        }

        impl Links {
            /// Makes every link of the table, for this many verify workers.
            #[must_use]
            pub fn new(verify_workers: usize) -> Self {
                let frames = || link(INGEST_VERIFY.name, INGEST_VERIFY.capacity);
                Self {
                    ingest_verify: (0..verify_workers).map(|_| frames()).collect(),
                    $($field: link(stringify!($field), $capacity),)+
                }
            }

            /// The figures of every link, for the metrics page.
            #[must_use]
            pub fn stats(&self) -> Vec<Arc<LinkStats>> {
                let frames = self.ingest_verify.iter().map(|link| link.0.stats());
                frames.chain([$(self.$field.0.stats(),)+]).map(Arc::clone).collect()
            }
        }
    };
}

links! {
    verify_order: VerifiedBatch, 64, "the lane window bounds what is behind it";
    order_store: Persist, PERSIST_IN_FLIGHT_MAX, "the lane window: the engine never waits";
    order_execute: OrderedBlock, BLOCKS_IN_FLIGHT_MAX, "EXEC_LAG_MAX: the engine never waits";
    execute_store: Arc<ExecutedBlock>, 16, "results wait for one group commit";
    store_ingest: Arc<ExecutedBlock>, 64, "answers are small and never wait long";
    verify_ingest: Refusals, 1024, "one message per frame with refusals";
    store_order: Vec<Persisted>, 64, "one message per group commit";
    execute_order: ExecHead, 64, "one message per block";
    query_execute: LedgerQuery, 64, "questions about balances, answered between blocks";
}

/// Every stage, in the order of the walk.
pub const STAGES: &[StageRow] = &[
    StageRow {
        name: "ingest",
        takes: &["store_ingest", "verify_ingest"],
        fills: &["ingest_verify"],
        threads: &[
            threads(
                "ingest",
                "a tokio runtime for QUIC, questions and the operators' page",
            ),
            threads("answers", "one, which routes answers to their streams"),
        ],
    },
    StageRow {
        name: "verify",
        takes: &["ingest_verify"],
        fills: &["verify_order", "verify_ingest"],
        threads: &[threads(
            "verify",
            "one per core by default, a link each: signatures are most of the work",
        )],
    },
    StageRow {
        name: "order",
        takes: &["verify_order", "store_order", "execute_order"],
        fills: &["order_store", "order_execute"],
        threads: &[
            threads(
                "order",
                "one feeds the lane, one is the runtime of the engine",
            ),
            threads("feedback", "one, which tells what is durable and executed"),
        ],
    },
    StageRow {
        name: "execute",
        takes: &["order_execute", "query_execute"],
        fills: &["execute_store", "execute_order"],
        threads: &[threads(
            "execute",
            "one: the serial ledger is the specification",
        )],
    },
    StageRow {
        name: "store",
        takes: &["order_store", "execute_store"],
        fills: &["store_order", "store_ingest"],
        threads: &[
            threads("store", "one writer"),
            threads("checkpointer", "one, for segments, indexes and checkpoints"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_is_filled_by_its_first_end_and_taken_by_its_second() {
        for row in LINKS {
            let (from, to) = row.name.split_once('_').expect("named by two ends");
            let stage = |name| STAGES.iter().find(|stage| stage.name == name);
            if from != "query" {
                let filler = stage(from).unwrap_or_else(|| panic!("{} fills nothing", row.name));
                assert!(
                    filler.fills.contains(&row.name),
                    "{from} fills {}",
                    row.name
                );
            }
            let taker = stage(to).unwrap_or_else(|| panic!("{} has no taker", row.name));
            assert!(taker.takes.contains(&row.name), "{to} takes {}", row.name);
        }
    }

    #[test]
    fn every_stage_names_links_that_exist() {
        for stage in STAGES {
            for link in stage.takes.iter().chain(stage.fills) {
                assert!(
                    LINKS.iter().any(|row| row.name == *link),
                    "{}: {link}",
                    stage.name
                );
            }
        }
    }
}
