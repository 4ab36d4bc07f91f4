//! Figures of ordering, exported by the node.

clearway_flow::metrics! {
    /// Counters of this stage; all since start.
    pub struct OrderMetrics in "order" {
        /// Envelopes taken from `verify_order`.
        envelopes: total,
        /// Lane batches sealed.
        batches_sealed: total,
        /// Bytes of envelopes in sealed batches.
        batch_bytes: total,
        /// Sealed batches that are not final yet.
        lane_window_used: gauge,
        /// Times that the lane window was full when envelopes came.
        lane_full: total,
        /// Manifests built here.
        proposals: total,
        /// Manifests built without a batch, by heartbeat or to certify results.
        proposals_empty: total,
        /// Manifests proposed again in a later view because the first view failed.
        proposals_again: total,
        /// Proposals checked and found permanently wrong.
        proposals_refused: total,
        /// Blocks delivered to execution.
        blocks: total,
        /// Blocks delivered that only a descendant's certificate covers.
        blocks_uncertified: total,
        /// Last delivered height.
        height: gauge,
        /// Cluster time of the last delivered block, since 1970.
        time: gauge_ms,
        /// View of the newest certificate.
        view: gauge,
        /// Views given up.
        nullifications: total,
        /// Pieces of evidence against a validator.
        faults: total,
        /// Time from building a manifest to its finalization, of blocks proposed here.
        finality: times,
        /// Times that the engine was stopped because its journal's disk was full.
        journal_pauses: total,
        /// Times that ordering went on from the newest stored certificate without its journal,
        /// which was damaged and set aside.
        journals_mended: total,
        /// Times that a lost journal was replaced by the newest stored certificate at start.
        journals_lost: total,
    }
}
