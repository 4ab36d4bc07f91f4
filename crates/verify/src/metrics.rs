//! Counters of verification; `node` puts them on the metrics page.

use clearway_crypto::backend::Work;
use clearway_flow::Counter;
use clearway_types::code::ResultCode;
use clearway_types::drop_reason::DropReason;

/// What the stage has done since it was made.
///
/// `envelopes_in` = `passed` + `joined` + all refused ones.
#[derive(Debug, Default)]
pub struct VerifyMetrics {
    /// Frames taken in.
    pub frames: Counter,
    /// Groups of frames, each one equation.
    pub groups: Counter,
    /// Envelopes taken in.
    pub envelopes_in: Counter,
    /// Envelopes passed on to ordering.
    pub passed: Counter,
    /// Envelopes that wait for the same bytes already in flight.
    pub joined: Counter,
    /// Slabs passed on as they came, without a copy.
    pub slabs_untouched: Counter,
    /// Envelopes refused for their header: version, kind, flags, identifier.
    pub refused_header: Counter,
    /// Envelopes refused because another member of their chain was.
    pub refused_linked: Counter,
    /// Signatures whose verdict was given, valid or not, by the backend in use.
    pub signatures_verified: Counter,
    /// Those of them that the backend's fallback answered, or was given.
    pub signatures_fallback: Counter,
    /// Signatures that went through batch equations, repeated ones counted again.
    pub signatures_batched: Counter,
    /// Signatures that were verified on their own.
    pub signatures_single: Counter,
    /// Hints that spared a square root, repeated ones counted again.
    pub hints_right: Counter,
    /// Hints that were wrong: x was found without them.
    pub hints_wrong: Counter,
    /// Groups that were verified in small batches or one by one because of their source's past.
    pub groups_cautious: Counter,
    /// Envelopes refused, by [`DropReason`].
    refused: [Counter; DropReason::ALL.len()],
}

impl VerifyMetrics {
    /// Envelopes refused for a reason.
    #[must_use]
    pub fn refused(&self, reason: DropReason) -> &Counter {
        &self.refused[reason as usize]
    }

    /// Envelopes refused, for whatever reason.
    #[must_use]
    pub fn refused_all(&self) -> u64 {
        let by_reason: u64 = self.refused.iter().map(Counter::value).sum();
        by_reason + self.refused_header.value() + self.refused_linked.value()
    }

    /// Counts one refusal.
    pub(crate) fn note_refused(&self, code: ResultCode) {
        let counter = match code {
            ResultCode::SignerUnknown | ResultCode::KeySlotEmpty => {
                self.refused(DropReason::UnknownSigner)
            }
            ResultCode::BadSignature => self.refused(DropReason::BadSignature),
            ResultCode::Expired => self.refused(DropReason::Expired),
            ResultCode::ChainBroken => self.refused(DropReason::ChainBroken),
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
