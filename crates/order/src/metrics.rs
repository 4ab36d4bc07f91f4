//! Figures of ordering, exported by the node.
use clearway_flow::Counter;

/// Counters of this stage; all since start.
#[derive(Debug, Default)]
pub struct OrderMetrics {
    /// Envelopes taken from `verify_order`.
    pub envelopes: Counter,
    /// Lane batches sealed.
    pub batches_sealed: Counter,
    /// Bytes of envelopes in sealed batches.
    pub batch_bytes: Counter,
    /// Sealed batches that are not final yet (gauge).
    pub lane_window_used: Counter,
    /// Times that the lane window was full when envelopes came.
    pub lane_full: Counter,
    /// Manifests built here.
    pub proposals: Counter,
    /// Manifests built without a batch, by heartbeat or to certify results.
    pub proposals_empty: Counter,
    /// Manifests proposed again in a later view because the first view failed.
    pub proposals_again: Counter,
    /// Proposals checked and found permanently wrong.
    pub proposals_refused: Counter,
    /// Blocks delivered to execution.
    pub blocks: Counter,
    /// Blocks delivered that only a descendant's certificate covers.
    pub blocks_uncertified: Counter,
    /// Last delivered height (gauge).
    pub height: Counter,
    /// Cluster time of the last delivered block, milliseconds (gauge).
    pub time_ms: Counter,
    /// View of the newest certificate (gauge).
    pub view: Counter,
    /// Views given up.
    pub nullifications: Counter,
    /// Pieces of evidence against a validator.
    pub faults: Counter,
    /// Time from building a manifest to its finalization, nanoseconds, summed over own blocks.
    pub finality_ns: Counter,
    /// Times that the engine was stopped because its journal's disk was full.
    pub journal_pauses: Counter,
    /// Times that a lost journal was replaced by the newest stored certificate at start.
    pub journals_lost: Counter,
}
