//! Counters of the door.

use clearway_types::code::ResultCode;
use clearway_types::drop_reason::DropReason;
use clearway_types::wire::{AnswerStatus, CloseCode};

clearway_flow::metrics! {
    /// Counters of the door; `node` exports them.
    pub struct IngestMetrics in "ingest" {
        /// Connections of members that were let in.
        connections: total,
        /// Connections open now.
        connections_open: gauge,
        /// Handshakes under way now.
        handshakes_open: gauge,
        /// Handshakes that failed: unknown key, wrong protocol, no answer, or displaced.
        handshake_failures: total,
        /// Handshakes sent back to prove their address.
        handshakes_retried: total,
        /// Handshakes refused: no place that might be taken, too many from one socket or of late
        /// from one address, or too many closed ones that QUIC still keeps.
        handshakes_refused: total,
        /// Handshakes that lost their place to one of an address that holds less.
        handshakes_displaced: total,
        /// Frames whose bytes stalled and whose room a member that holds less needed.
        fills_evicted: total,
        /// Submit streams opened.
        submit_streams: total,
        /// Questions asked.
        queries: total,
        /// Cores that questions and feeds may keep busy; set by who answers them.
        question_cores: gauge,
        /// Questions refused because too many are being answered.
        queries_busy: total,
        /// Questions whose asker went away before the answer: their work was stopped.
        queries_abandoned: total,
        /// Feeds that ended at a height that cannot be given; the log names it.
        feeds_broken: total,
        /// Bytes of envelopes taken in.
        envelope_bytes: total,
        /// Envelopes offered to verification.
        envelopes: total,
        /// Frames offered to verification.
        frames: total,
        /// How long frames waited for room on `ingest_verify`, where they had to.
        sink_wait: times,
        /// Time that streams waited for their member's contracted rate.
        rate_wait: seconds,
        /// Envelopes answered to a stream that still waited.
        answers: total,
        /// Time from a stream's head to its last answer, with what the member takes to send and to
        /// read.
        answer: times,
        /// Bytes of answers handed to QUIC.
        answer_bytes: total,
        /// Answers for streams that had gone away.
        answers_undelivered: total,
        /// Envelopes refused that no drop reason stands for: by a check of their header, or with a
        /// chain of which another member was refused.
        refusals_other: total,
        /// Questions answered without what was asked for, by status; a member that asks for what is
        /// not its own grows `NotAllowed`.
        queries_refused: family("status", refusing().map(AnswerStatus::name)),
        /// Envelopes refused before order, by the door or by verification, by reason
        /// (deploy/CODES.md#drop-REASON); a reason that grows names what to look at.
        drops: family("reason", DropReason::ALL.iter().map(|reason| reason.name())),
        /// Connections closed and streams reset, by code; a member whose codes grow needs help.
        closes: family("code", CloseCode::ALL.iter().map(|code| code.name())),
    }
}

/// Every status that is no answer.
fn refusing() -> impl Iterator<Item = AnswerStatus> {
    let all = AnswerStatus::ALL.iter().copied();
    all.filter(|status| *status != AnswerStatus::Ok)
}

impl IngestMetrics {
    /// Envelopes refused before order for this reason.
    #[must_use]
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.drops.at(reason as usize).value()
    }

    /// Connections closed and streams reset with this code.
    #[must_use]
    pub fn closes(&self, code: CloseCode) -> u64 {
        self.closes.at(code as usize).value()
    }

    /// Questions answered with this status instead of what was asked for; none with `Ok`.
    #[must_use]
    pub fn queries_refused(&self, status: AnswerStatus) -> u64 {
        let place = refusing().position(|one| one == status);
        place.map_or(0, |place| self.queries_refused.at(place).value())
    }

    /// # Panics
    /// For `Ok`, with which nothing is refused.
    pub(crate) fn count_query_refused(&self, status: AnswerStatus) {
        let place = refusing().position(|one| one == status);
        let place = place.expect("nothing is refused with an answer");
        self.queries_refused.at(place).add(1);
    }

    pub(crate) fn count_close(&self, code: CloseCode) {
        self.closes.at(code as usize).add(1);
    }

    /// Counts refused envelopes under the reason that answers with this code.
    pub(crate) fn count_refusals(&self, code: ResultCode, count: usize) {
        match DropReason::of(code) {
            Some(reason) => self.drops.at(reason as usize).add_count(count),
            None => self.refusals_other.add_count(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_and_close_code_has_a_counter_of_its_own() {
        let metrics = IngestMetrics::default();
        for &reason in DropReason::ALL {
            metrics.count_refusals(reason.code(), 3);
            assert_eq!(metrics.drops(reason), 3, "{reason:?}");
        }
        for &code in CloseCode::ALL {
            metrics.count_close(code);
            assert_eq!(metrics.closes(code), 1, "{code:?}");
        }
        for status in refusing() {
            metrics.count_query_refused(status);
            assert_eq!(metrics.queries_refused(status), 1, "{status:?}");
        }
        assert_eq!(refusing().count() + 1, AnswerStatus::ALL.len());
        assert_eq!(metrics.queries_refused(AnswerStatus::Ok), 0);
        metrics.count_refusals(ResultCode::KeySlotEmpty, 4);
        assert_eq!(metrics.drops(DropReason::UnknownSigner), 7);
        metrics.count_refusals(ResultCode::VersionUnknown, 2);
        metrics.count_refusals(ResultCode::LinkedFailed, 3);
        assert_eq!(metrics.refusals_other.value(), 5);
    }
}
