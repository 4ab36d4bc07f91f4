//! Counters of verification; `node` puts them on the metrics page.

use clearway_crypto::backend::Work;
use clearway_flow::Counter;
use clearway_types::code::ResultCode;
use clearway_types::drop_reason::DropReason;

clearway_flow::metrics! {
    /// What the stage has done since it was made.
    ///
    /// `envelopes_in` = `passed` + `joined` + all refused ones.
    pub struct VerifyMetrics in "verify" {
        /// Frames taken in.
        frames: total,
        /// Equations, or rounds of single verdicts: over frames of one source, or of several clean
        /// ones.
        groups: total,
        /// Equations over several sources that failed: each source's frames were verified apart.
        pools_failed: total,
        /// Envelopes taken in.
        envelopes_in: total,
        /// Envelopes passed on to ordering.
        passed: total,
        /// Envelopes that wait for the same bytes already in flight.
        joined: total,
        /// Slabs passed on as they came, without a copy.
        slabs_untouched: total,
        /// Envelopes refused for their header: version, kind, flags, identifier.
        refused_header: total,
        /// Envelopes refused because another member of their chain was.
        refused_linked: total,
        /// Signatures whose verdict was given, valid or not, by the backend in use.
        signatures_verified: total,
        /// Those of them that the backend's fallback answered, or was given.
        signatures_fallback: total,
        /// Signatures that went through batch equations, repeated ones counted again.
        signatures_batched: total,
        /// Signatures that were verified on their own.
        signatures_single: total,
        /// Hints that spared a square root, repeated ones counted again.
        hints_right: total,
        /// Hints that were wrong: x was found without them.
        hints_wrong: total,
        /// Time of a group's verdicts: its signatures, checked together or one by one.
        group: times,
        /// Groups that were verified in small batches or one by one because of their source's past.
        groups_cautious: total,
        /// Envelopes that verification refused, by reason; the door counts all of them once more,
        /// with its own, in `clearway_ingest_drops`.
        refused: family("reason", DropReason::ALL.iter().map(|reason| reason.name())),
    }
}

impl VerifyMetrics {
    /// Envelopes refused for a reason.
    #[must_use]
    pub fn refused_for(&self, reason: DropReason) -> &Counter {
        self.refused.at(reason as usize)
    }

    /// Envelopes refused, for whatever reason.
    #[must_use]
    pub fn refused_all(&self) -> u64 {
        self.refused.sum() + self.refused_header.value() + self.refused_linked.value()
    }

    /// Counts one refusal.
    pub(crate) fn note_refused(&self, code: ResultCode) {
        let counter = match code {
            ResultCode::SignerUnknown | ResultCode::KeySlotEmpty => {
                self.refused_for(DropReason::UnknownSigner)
            }
            ResultCode::BadSignature => self.refused_for(DropReason::BadSignature),
            ResultCode::Expired => self.refused_for(DropReason::Expired),
            ResultCode::ChainBroken => self.refused_for(DropReason::ChainBroken),
            ResultCode::LinkedFailed => &self.refused_linked,
            _ => &self.refused_header,
        };
        counter.add(1);
    }

    /// Counts what verdicts on `count` signatures cost.
    pub(crate) fn note_work(&self, count: usize, work: Work) {
        self.signatures_verified.add_count(count);
        self.signatures_fallback.add_count(work.fallback);
        self.signatures_batched.add_count(work.batched);
        self.signatures_single.add_count(work.single);
        self.hints_right.add_count(work.hints_right);
        self.hints_wrong.add_count(work.hints_wrong);
    }
}

const _: () = {
    let mut index = 0;
    while index < DropReason::ALL.len() {
        assert!(DropReason::ALL[index] as usize == index);
        index += 1;
    }
};
