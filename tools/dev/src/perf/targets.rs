//! What shall be measured, and what we want it to be.

/// A figure that PERF.md must show or else list as missing.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) suite: &'static str,
    /// The row's name, or the part of it before the slash.
    pub(crate) name: &'static str,
    pub(crate) goal: &'static str,
}

const fn target(suite: &'static str, name: &'static str, goal: &'static str) -> Target {
    Target { suite, name, goal }
}

/// On two cores of a current server CPU unless the name says otherwise.
pub(crate) const TARGETS: &[Target] = &[
    target(
        "pipeline",
        "one_node_tps_final",
        "at least 380,000/s, p99 below 100 ms",
    ),
    target(
        "pipeline",
        "one_node_open_loop_response_us_p50",
        "below 5 ms at a tenth of the load",
    ),
    target(
        "pipeline",
        "one_node_stage_cpu_us_per_payment",
        "stated beside the throughput",
    ),
    target(
        "pipeline",
        "four_nodes_tps_final",
        "at least 80,000/s, p99 below 400 ms",
    ),
    target(
        "pipeline",
        "four_nodes_open_loop_response_us_p50",
        "below 25 ms at a tenth of the load",
    ),
    target(
        "pipeline",
        "invalid_share_tps",
        "at least 0.40 M/s a core at 1 % and at 100 % invalid",
    ),
    target(
        "pipeline",
        "replay_tps",
        "at least 0.8 M/s with every check",
    ),
    target(
        "pipeline",
        "restart_seconds",
        "below 5 s after 10 M transfers",
    ),
    target(
        "pipeline",
        "checkpoint_pause",
        "below 100 ms with 10 M accounts",
    ),
    target(
        "pipeline",
        "one_node_memory_peak_bytes",
        "flat; 1 M accounts below 1 GiB",
    ),
    target(
        "stages",
        "order_only_tps",
        "at least 310,000/s of 192 B with four nodes",
    ),
    target(
        "stages",
        "execute_tps",
        "at least 3 M/s uniform, 5 M/s on one hot account",
    ),
    target(
        "stages",
        "store_bytes_rate",
        "at least 80 % of the disk's sequential rate",
    ),
    target(
        "kernels",
        "verify_shared_keys",
        "at least 1.0 M/s a core with 32 keys, n = 8,192",
    ),
    target(
        "kernels",
        "verify_distinct_keys",
        "at least 0.45 M/s a core",
    ),
    target(
        "kernels",
        "verify_single_known_keys",
        "at least 0.55 M/s a core",
    ),
    target("kernels", "verify_with_hints", "at least 1.8 M/s a core"),
    target(
        "kernels",
        "verify_gpu_cold_keys",
        "at least 5 M/s on one H100, aim 10 to 20 M/s",
    ),
    target("kernels", "verify_gpu_cached_keys", "stated, one H100"),
    target("kernels", "verify_gpu_with_hints", "stated, one H100"),
    target(
        "kernels",
        "verify_gpu_crossover_len",
        "stated: the batch from which it is faster than one core",
    ),
    target("kernels", "sha256_node_gpu", "stated, one H100"),
    target("pipeline", "one_node_gpu_tps_final", "stated, one H100"),
    target("kernels", "sha512_208_bytes", "at least 9 M/s a core"),
    target("kernels", "sha256_node", "at least 30 M/s a core"),
    target("first-run", "clone_to_table_seconds", "stated"),
    target("first-run", "demo_quick_seconds", "at most 20 s"),
];

#[cfg(test)]
mod tests {
    use super::super::row::SUITES;
    use super::*;

    #[test]
    fn every_target_stands_once_in_a_known_suite() {
        for (index, target) in TARGETS.iter().enumerate() {
            assert!(
                SUITES.iter().any(|(suite, _)| *suite == target.suite),
                "{target:?}"
            );
            let is_twin = |other: &Target| (other.suite, other.name) == (target.suite, target.name);
            assert!(
                !TARGETS[..index].iter().any(is_twin),
                "{target:?} stands twice"
            );
        }
    }
}
