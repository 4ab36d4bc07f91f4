//! Counters of the door.

use clearway_flow::Counter;
use clearway_types::code::ResultCode;
use clearway_types::drop_reason::DropReason;
use clearway_types::wire::{AnswerStatus, CloseCode};

/// Counters of the door; `node` exports them.
#[derive(Debug, Default)]
pub struct IngestMetrics {
    /// Connections of members that were let in.
    pub connections: Counter,
    /// Connections open now.
    pub connections_open: Counter,
    /// Handshakes under way now.
    pub handshakes_open: Counter,
    /// Handshakes that failed: unknown key, wrong protocol, no answer, or displaced.
    pub handshake_failures: Counter,
    /// Handshakes sent back to prove their address.
    pub handshakes_retried: Counter,
    /// Handshakes refused: no place that might be taken, too many from one socket or of late from
    /// one address, or too many closed ones that QUIC still keeps.
    pub handshakes_refused: Counter,
    /// Handshakes that lost their place to one of an address that holds less.
    pub handshakes_displaced: Counter,
    /// Frames whose bytes stalled and whose room a member that holds less needed.
    pub fills_evicted: Counter,
    /// Submit streams opened.
    pub submit_streams: Counter,
    /// Questions asked.
    pub queries: Counter,
    /// Cores that questions and feeds may keep busy; set by who answers them.
    pub question_cores: Counter,
    /// Questions refused because too many are being answered.
    pub queries_busy: Counter,
    /// Questions whose asker went away before the answer: their work was stopped.
    pub queries_abandoned: Counter,
    /// Feeds that ended at a height that cannot be given; the log names it.
    pub feeds_broken: Counter,
    /// Bytes of envelopes taken in.
    pub envelope_bytes: Counter,
    /// Envelopes offered to verification.
    pub envelopes: Counter,
    /// Frames offered to verification.
    pub frames: Counter,
    /// Nanoseconds that frames waited for room in `ingest_verify`.
    pub sink_wait_ns: Counter,
    /// Nanoseconds that streams waited for their member's contracted rate.
    pub rate_wait_ns: Counter,
    /// Envelopes answered to a stream that still waited.
    pub answers: Counter,
    /// Bytes of answers handed to QUIC.
    pub answer_bytes: Counter,
    /// Answers for streams that had gone away.
    pub answers_undelivered: Counter,
    /// Refusals that no drop reason stands for: header checks.
    pub refusals_other: Counter,
    /// Questions answered without what was asked for, by status; a member that asks for what is
    /// not its own grows `NotAllowed`.
    queries_refused: [Counter; AnswerStatus::ALL.len()],
    /// Envelopes refused before order, by reason; a reason that grows names what to look at.
    drops: [Counter; DropReason::ALL.len()],
    /// Connections closed and streams reset, by code; a member whose codes grow needs help.
    closes: [Counter; CloseCode::ALL.len()],
}

impl IngestMetrics {
    /// Envelopes refused before order for this reason.
    #[must_use]
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize].value()
    }

    /// Connections closed and streams reset with this code.
    #[must_use]
    pub fn closes(&self, code: CloseCode) -> u64 {
        self.closes[code as usize].value()
    }

    /// Questions answered with this status instead of what was asked for.
    #[must_use]
    pub fn queries_refused(&self, status: AnswerStatus) -> u64 {
        self.queries_refused[status as usize].value()
    }

    pub(crate) fn count_query_refused(&self, status: AnswerStatus) {
        self.queries_refused[status as usize].add(1);
    }

    pub(crate) fn count_close(&self, code: CloseCode) {
        self.closes[code as usize].add(1);
    }

    /// Counts refused envelopes under the reason that answers with this code.
    pub(crate) fn count_refusals(&self, code: ResultCode, count: usize) {
        match DropReason::of(code) {
            Some(reason) => self.drops[reason as usize].add_count(count),
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
        for &status in AnswerStatus::ALL {
            metrics.count_query_refused(status);
            assert_eq!(metrics.queries_refused(status), 1, "{status:?}");
        }
        metrics.count_refusals(ResultCode::KeySlotEmpty, 4);
        assert_eq!(metrics.drops(DropReason::UnknownSigner), 7);
        metrics.count_refusals(ResultCode::VersionUnknown, 2);
        assert_eq!(metrics.refusals_other.value(), 2);
    }
}
