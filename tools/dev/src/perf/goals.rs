//! What shall be measured, and what we want it to be: the rows of the scoreboard.

use Wanted::{AtLeast, AtMost, Stated};

/// A figure that PERF.md must show or else list as missing.
#[derive(Debug)]
pub(crate) struct Goal {
    /// What is measured, in words.
    pub(crate) label: &'static str,
    pub(crate) suite: &'static str,
    /// The row's name without its implementation.
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    /// The command whose run counts, where several commands give figures of this name.
    pub(crate) command: Option<&'static str>,
    /// Whose figure it is; the best of ours that run on a processor when none is named.
    pub(crate) implementation: Option<&'static str>,
    pub(crate) wanted: Wanted,
    /// How many times the best rival's figure in the same run.
    pub(crate) rival_ratio: Option<f64>,
}

/// What a figure shall be, in the unit of its row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    /// Shown, and held to nothing.
    Stated,
}

impl Wanted {
    /// How much of the goal a figure reaches: 1 and more is enough.
    pub(crate) fn share(self, value: f64) -> Option<f64> {
        match self {
            Self::AtLeast(goal) => Some(value / goal),
            Self::AtMost(goal) => Some(goal / value),
            Self::Stated => None,
        }
    }
}

/// One node, everything on, as fast as answers come: the headline.
pub(crate) const FULL_LOAD: &str = "cargo run --release -- bench --json FILE";
/// One node at a stated rate, latency from the intended send time.
pub(crate) const OPEN_LOOP: &str =
    "cargo run --release -- bench --quick --count 100000 --rate 10000 --json FILE";
const AT_60K: &str =
    "cargo run --release -- bench --count 1200000 --account-count 100000 --rate 60000 --json FILE";
const AT_150K: &str =
    "cargo run --release -- bench --count 3000000 --account-count 100000 --rate 150000 --json FILE";
/// One node, as fast as its answers stay within a bound.
const KNEE_50: &str =
    "cargo run --release -- bench --ramp 'p99<50ms' --account-count 100000 --json FILE";
const ON_GPU: &str = "cargo run --release -- bench --set backend=gpu --json FILE";

/// A figure of the whole way of a payment.
const fn whole(
    label: &'static str,
    name: &'static str,
    unit: &'static str,
    command: Option<&'static str>,
    wanted: Wanted,
) -> Goal {
    Goal {
        label,
        suite: "pipeline",
        name,
        unit,
        command,
        implementation: None,
        wanted,
        rival_ratio: None,
    }
}

/// A figure of one stage alone.
const fn stage(label: &'static str, name: &'static str, unit: &'static str, goal: f64) -> Goal {
    let mut row = whole(label, name, unit, None, AtLeast(goal));
    row.suite = "stages";
    row
}

/// A rate of one core.
const fn core(label: &'static str, name: &'static str, unit: &'static str, goal: f64) -> Goal {
    let mut row = stage(label, name, unit, goal);
    row.suite = "kernels";
    row
}

const fn beside_rivals(mut row: Goal, ratio: f64) -> Goal {
    row.rival_ratio = Some(ratio);
    row
}

const fn gpu(label: &'static str, name: &'static str, unit: &'static str, wanted: Wanted) -> Goal {
    let mut row = whole(label, name, unit, None, wanted);
    row.suite = "kernels";
    row.implementation = Some("gpu");
    row
}

const fn first_run(label: &'static str, name: &'static str, wanted: Wanted) -> Goal {
    let mut row = whole(label, name, "s", None, wanted);
    row.suite = "first-run";
    row
}

const PAYMENTS: &str = "payments/s";
const SIGNATURES: &str = "signatures/s";
const HASHES: &str = "hashes/s";
const FULL: Option<&str> = Some(FULL_LOAD);
const OPEN: Option<&str> = Some(OPEN_LOOP);

/// In the order of the scoreboard.
pub(crate) const GOALS: &[Goal] = &[
    whole(
        "payments, final, as fast as answers come",
        "one_node_tps_final",
        PAYMENTS,
        FULL,
        AtLeast(380_000.0),
    ),
    whole(
        "their answers, p99",
        "one_node_response_us_p99",
        "us",
        FULL,
        AtMost(100_000.0),
    ),
    whole(
        "their processor time, client included",
        "one_node_cpu_us_per_payment",
        "us",
        FULL,
        Stated,
    ),
    whole(
        "their bytes written",
        "one_node_written_bytes_per_payment",
        "bytes",
        FULL,
        Stated,
    ),
    whole(
        "peak memory, 1 M accounts",
        "one_node_memory_peak_bytes",
        "bytes",
        FULL,
        AtMost(1_073_741_824.0),
    ),
    whole(
        "answers at 10,000/s, p50",
        "one_node_open_loop_response_us_p50",
        "us",
        OPEN,
        AtMost(5_000.0),
    ),
    whole(
        "answers at 10,000/s, p99",
        "one_node_open_loop_response_us_p99",
        "us",
        OPEN,
        Stated,
    ),
    whole(
        "answers at 60,000/s, p99",
        "one_node_open_loop_response_us_p99",
        "us",
        Some(AT_60K),
        AtMost(15_000.0),
    ),
    whole(
        "answers at 150,000/s, p99",
        "one_node_open_loop_response_us_p99",
        "us",
        Some(AT_150K),
        AtMost(25_000.0),
    ),
    whole(
        "highest rate with p99 below 50 ms",
        "one_node_knee",
        "payments/s",
        Some(KNEE_50),
        AtLeast(250_000.0),
    ),
    whole(
        "replay with every check",
        "replay_tps",
        PAYMENTS,
        FULL,
        AtLeast(800_000.0),
    ),
    beside_rivals(
        core(
            "signatures, 32 keys",
            "verify_shared_keys/keys=shared32 n=8192 invalid=0",
            SIGNATURES,
            1_000_000.0,
        ),
        6.0,
    ),
    beside_rivals(
        core(
            "signatures, distinct keys, none seen before",
            "verify_distinct_keys/keys=distinct n=8192 invalid=0",
            SIGNATURES,
            450_000.0,
        ),
        3.5,
    ),
    core(
        "signatures, a verdict each, known keys",
        "verify_single_known_keys/keys=single n=8192 invalid=0",
        SIGNATURES,
        550_000.0,
    ),
    core(
        "signatures with hints",
        "verify_with_hints/keys=hinted n=8192 invalid=0",
        SIGNATURES,
        1_800_000.0,
    ),
    core(
        "signatures, 1 % invalid",
        "verify_with_invalid/keys=shared32 n=8192 invalid=1",
        SIGNATURES,
        400_000.0,
    ),
    core(
        "signatures, 100 % invalid",
        "verify_with_invalid/keys=shared32 n=8192 invalid=100",
        SIGNATURES,
        400_000.0,
    ),
    core(
        "SHA-512 of 208 bytes",
        "sha512_208_bytes",
        HASHES,
        9_000_000.0,
    ),
    core(
        "SHA-256 of a tree's node",
        "sha256_node",
        HASHES,
        30_000_000.0,
    ),
    first_run(
        "`demo --quick`, built before",
        "demo_quick_seconds",
        AtMost(20.0),
    ),
    first_run(
        "from `git clone` to the demo's table",
        "clone_to_table_seconds",
        Stated,
    ),
    whole(
        "four nodes: payments, final",
        "four_nodes_tps_final",
        PAYMENTS,
        None,
        AtLeast(80_000.0),
    ),
    whole(
        "four nodes: their answers, p99",
        "four_nodes_response_us_p99",
        "us",
        None,
        AtMost(400_000.0),
    ),
    whole(
        "four nodes: answers at a tenth of that, p50",
        "four_nodes_open_loop_response_us_p50",
        "us",
        None,
        AtMost(25_000.0),
    ),
    whole(
        "start of a node after 10 M payments",
        "restart_seconds",
        "s",
        None,
        AtMost(5.0),
    ),
    whole(
        "longest pause of a checkpoint, 10 M accounts",
        "checkpoint_pause_us_max",
        "us",
        None,
        AtMost(100_000.0),
    ),
    stage(
        "execution alone, 1 M accounts, uniform",
        "execute_tps/workload=uniform",
        PAYMENTS,
        3_000_000.0,
    ),
    stage(
        "execution alone, one hot account",
        "execute_tps/workload=hot",
        PAYMENTS,
        5_000_000.0,
    ),
    stage(
        "store alone, of the disk's sequential rate",
        "store_share_of_disk",
        "%",
        80.0,
    ),
    stage(
        "ordering alone, 192 bytes, four nodes",
        "order_only_tps",
        PAYMENTS,
        310_000.0,
    ),
    gpu(
        "GPU: signatures, distinct keys, none seen before",
        "verify_distinct_keys/keys=distinct n=1048576 invalid=0",
        SIGNATURES,
        AtLeast(10_000_000.0),
    ),
    gpu(
        "GPU: signatures, distinct keys, seen before",
        "verify_cached_keys/keys=distinct_cached n=1048576 invalid=0",
        SIGNATURES,
        Stated,
    ),
    gpu(
        "GPU: signatures, 32 keys, 16 callers at once",
        "verify_shared_keys/keys=shared32 n=8192 invalid=0 callers=16",
        SIGNATURES,
        AtLeast(10_000_000.0),
    ),
    gpu(
        "GPU: SHA-256 of a tree's node",
        "sha256_node",
        HASHES,
        Stated,
    ),
    whole(
        "GPU: payments, final",
        "one_node_tps_final",
        PAYMENTS,
        Some(ON_GPU),
        Stated,
    ),
];

#[cfg(test)]
mod tests {
    use super::super::row::SUITES;
    use super::*;

    #[test]
    fn every_goal_stands_once_in_a_known_suite_and_can_be_reached() {
        for (index, goal) in GOALS.iter().enumerate() {
            assert!(
                SUITES.iter().any(|(suite, _)| *suite == goal.suite),
                "{goal:?}"
            );
            let key = |goal: &Goal| (goal.suite, goal.name, goal.command, goal.implementation);
            let is_twin = |other: &Goal| key(other) == key(goal);
            assert!(!GOALS[..index].iter().any(is_twin), "{goal:?} stands twice");
            assert!(!goal.name.contains("implementation="), "{goal:?}");
            if let AtLeast(value) | AtMost(value) = goal.wanted {
                assert!(value > 0.0, "{goal:?}");
            }
        }
    }

    #[test]
    fn a_share_is_of_the_goal_whichever_way_it_points() {
        for (wanted, value, share) in [
            (AtLeast(200.0), 100.0, Some(0.5)),
            (AtLeast(200.0), 300.0, Some(1.5)),
            (AtMost(200.0), 400.0, Some(0.5)),
            (AtMost(200.0), 100.0, Some(2.0)),
            (Stated, 100.0, None),
        ] {
            assert_eq!(wanted.share(value), share, "{wanted:?} {value}");
        }
    }
}
