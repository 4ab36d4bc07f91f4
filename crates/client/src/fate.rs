//! What became of an envelope where no answer says so: ask the log, and cluster time beside it.

use std::time::{Duration, Instant};

use clearway_types::codec::Reader;
use clearway_types::envelope::Envelope;
use clearway_types::limits::LOOKUPS_MAX;
use clearway_types::units::{TimeMs, UnixSeconds};
use clearway_types::wire::Op;
use clearway_types::wire::query::{Found, Lookup, StatusView};

use crate::answer::{Answer, Run};
use crate::client::Client;
use crate::error::ClientError;

/// Cluster time must have passed an envelope's end by this much before its absence is believed.
const END_MARGIN_MS: u64 = 1000;
/// Cluster time that was heard, or asked for, more recently is not asked for again.
const TIME_FRESH: Duration = Duration::from_secs(1);
/// Longest wait for cluster time while results are there to be given on.
const TIME_TIMEOUT: Duration = Duration::from_millis(500);

/// An envelope to ask about: its name, and when it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Named {
    /// Signer and identifier.
    pub name: Lookup,
    /// When no copy of it can be executed any more.
    pub expires_at: UnixSeconds,
}

impl Named {
    /// The name and the end of this envelope.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Self {
        Self {
            name: Lookup::of(envelope),
            expires_at: envelope.body.expires_at(),
        }
    }

    /// Whether at this cluster time no copy of it can be executed any more.
    #[must_use]
    pub fn is_over(&self, time: TimeMs) -> bool {
        let end = u64::from(self.expires_at.0).saturating_mul(1000);
        time.0 >= end.saturating_add(END_MARGIN_MS)
    }
}

/// What became of an envelope, whatever copies of it were sent. One node's word, as an answer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It was executed, and this result stays.
    Executed(Found),
    /// It was not executed, or only refused without using up its identifier, and cluster time has
    /// passed its end: it never will be. The last copy that was refused in a block, if any.
    Never(Option<Found>),
    /// It was not executed yet; a copy that is on its way still may be.
    Open(Option<Found>),
}

impl Fate {
    /// The one rule: a result counts where it uses up the identifier; absence counts once the time
    /// for the envelope is over. `time` was heard before `found`.
    pub(crate) fn new(found: Option<Found>, named: &Named, time: TimeMs) -> Self {
        match found {
            Some(found) if found.outcome.spends_id() => Self::Executed(found),
            found if named.is_over(time) => Self::Never(found),
            found => Self::Open(found),
        }
    }
}

impl Client {
    /// What became of an envelope, and the cluster time that the same server told before.
    ///
    /// # Errors
    /// When no server answers, or the node may not tell.
    pub async fn fate(&self, named: Named) -> Result<(Fate, TimeMs), ClientError> {
        let started = Instant::now();
        let mut failure_count = 0;
        loop {
            let server = self.preferred();
            match self.fates_of(server, &[named]).await {
                Ok((fates, time)) => return Ok((fates[0], time)),
                Err(error) => {
                    self.after_failure(server, &mut failure_count, started, error)
                        .await?;
                }
            }
        }
    }

    /// What one server knows of these envelopes, at most [`LOOKUPS_MAX`]. Time is asked before the
    /// log, of the same server: what the log lacks then cannot come into it in time.
    pub(crate) async fn fates_of(
        &self,
        server: usize,
        named: &[Named],
    ) -> Result<(Vec<Fate>, TimeMs), ClientError> {
        assert!(named.len() <= LOOKUPS_MAX, "callers ask piece by piece");
        self.metrics().questions.add(2);
        let status = self.status_of(server).await?;
        let mut body = Vec::with_capacity(named.len() * 20);
        for one in named {
            one.name.encode(&mut body);
        }
        let found = self
            .ask_of(server, Op::Lookup, named.len(), &body, |answer| {
                let mut reader = Reader::new(answer);
                let found: Result<Vec<_>, _> =
                    named.iter().map(|_| Found::decode(&mut reader)).collect();
                reader.finish()?;
                found
            })
            .await?;
        let fates = named.iter().zip(found);
        let fates = fates.map(|(one, found)| Fate::new(found, one, status.time));
        Ok((fates.collect(), status.time))
    }

    /// Asks for cluster time anew, unless it was asked for just now. Without an answer, for which
    /// results wait only briefly, the old one stays.
    pub(crate) async fn renew_time(&self) {
        if !self.time_ref().ask_again(TIME_FRESH) {
            return;
        }
        let asking = tokio::time::timeout(TIME_TIMEOUT, self.status_of(self.preferred()));
        if !matches!(asking.await, Ok(Ok(_))) {
            tracing::debug!("cluster time is not renewed");
        }
    }

    /// How far one server is; what it says about time is kept. A server that has lost a part of its
    /// history, or follows another cluster's, is not believed about what it lacks.
    pub(crate) async fn status_of(&self, server: usize) -> Result<StatusView, ClientError> {
        let before = self.height_told(server);
        let status = self
            .ask_of(server, Op::Status, 0, &[], StatusView::decode)
            .await?;
        self.check_history(server, before, &status)?;
        self.time_ref().hear(&status);
        Ok(status)
    }
}

/// The answers at the head of those that wait as far as they are decided and of one height: what
/// was executed has its own, what never will be, and what lost its identifier to another, keeps the
/// refusal that came.
pub(crate) fn decided(first_index: usize, waiting: &[Answer], fates: &[Fate]) -> Option<Run> {
    let answers = waiting.iter().zip(fates);
    let mut answers = answers.map_while(|(refused, fate)| match fate {
        Fate::Executed(found) if refused.lost_to(found) => Some(*refused),
        Fate::Executed(found) => Some(Answer {
            height: found.height,
            outcome: found.outcome,
            by_name: true,
        }),
        Fate::Never(_) => Some(*refused),
        Fate::Open(_) => None,
    });
    let first = answers.next()?;
    let told_by = |answer: &Answer| (answer.height, answer.by_name);
    let same = answers.take_while(|answer| told_by(answer) == told_by(&first));
    let outcomes = std::iter::once(first)
        .chain(same)
        .map(|answer| answer.outcome);
    Some(Run {
        height: first.height,
        first_index,
        outcomes: outcomes.collect(),
        by_name: first.by_name,
    })
}

#[cfg(test)]
mod tests {
    use clearway_types::code::{Outcome, OutcomeFlags, ResultCode};
    use clearway_types::units::{Height, ParticipantId, TransferId};

    use super::*;
    use crate::answer::sample as answer;

    fn found(code: ResultCode, flags: u16) -> Option<Found> {
        let mut outcome = Outcome::new(code);
        outcome.flags.0 |= flags;
        Some(Found {
            height: Height(7),
            index: 0,
            outcome,
        })
    }

    #[test]
    fn only_what_uses_up_the_identifier_is_believed_before_the_end_and_anything_after() {
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        enum Is {
            Executed,
            Never,
            Open,
        }
        let (again, transient) = (OutcomeFlags::DUPLICATE, OutcomeFlags::TRANSIENT);
        // What the log has, what that is before the end of the envelope, and what after.
        let rows = [
            (None, Is::Open, Is::Never),
            (found(ResultCode::Settled, 0), Is::Executed, Is::Executed),
            (
                found(ResultCode::Settled, again),
                Is::Executed,
                Is::Executed,
            ),
            (
                found(ResultCode::InsufficientFunds, 0),
                Is::Executed,
                Is::Executed,
            ),
            (
                found(ResultCode::LinkedFailed, 0),
                Is::Executed,
                Is::Executed,
            ),
            (
                found(ResultCode::LinkedFailed, transient),
                Is::Open,
                Is::Never,
            ),
            (found(ResultCode::Expired, 0), Is::Open, Is::Never),
            (
                found(ResultCode::SignerSuspended, transient),
                Is::Open,
                Is::Never,
            ),
            (
                found(ResultCode::KeyNotValid, transient),
                Is::Open,
                Is::Never,
            ),
            (found(ResultCode::IdConflict, 0), Is::Open, Is::Never),
            (found(ResultCode::HoldTableFull, 0), Is::Open, Is::Never),
        ];
        let named = Named {
            name: Lookup {
                signer: ParticipantId(2),
                id: TransferId([1; 16]),
            },
            expires_at: UnixSeconds(60),
        };
        for (found, before, after) in rows {
            // A second passes until absence counts.
            for (time_ms, expected) in [(59_999, before), (60_999, before), (61_000, after)] {
                let fate = Fate::new(found, &named, TimeMs(time_ms));
                let is = match fate {
                    Fate::Executed(_) => Is::Executed,
                    Fate::Never(_) => Is::Never,
                    Fate::Open(_) => Is::Open,
                };
                assert_eq!(is, expected, "{found:?} at {time_ms}");
            }
        }
    }

    #[test]
    fn what_is_decided_is_given_on_run_by_run_up_to_the_first_that_is_open() {
        let expired = answer(0, ResultCode::Expired, 0);
        let executed = |height, code| {
            Fate::Executed(Found {
                height: Height(height),
                index: 0,
                outcome: Outcome::new(code),
            })
        };
        let settled = |height| executed(height, ResultCode::Settled);
        type Given = Option<(u64, Vec<ResultCode>)>;
        let rows: [(&[Fate], Given); 5] = [
            (&[Fate::Open(None), settled(3)], None),
            (
                &[settled(3), Fate::Open(None)],
                Some((3, vec![ResultCode::Settled])),
            ),
            (
                &[settled(3), executed(3, ResultCode::DebitFrozen), settled(4)],
                Some((3, vec![ResultCode::Settled, ResultCode::DebitFrozen])),
            ),
            (
                &[Fate::Never(None), Fate::Never(None), settled(3)],
                Some((0, vec![ResultCode::Expired; 2])),
            ),
            (
                &[settled(3), Fate::Never(None)],
                Some((3, vec![ResultCode::Settled])),
            ),
        ];
        for (fates, expected) in rows {
            let run = decided(7, &vec![expired; fates.len()], fates);
            let given = run.map(|run| {
                assert_eq!(run.first_index, 7);
                let codes = run.outcomes.iter().map(|outcome| outcome.code);
                (run.height.0, codes.collect())
            });
            assert_eq!(given, expected, "{fates:?}");
        }
    }

    #[test]
    fn what_the_log_has_by_name_is_told_as_that_and_never_of_what_lost_the_name_to_it() {
        let passing = OutcomeFlags::TRANSIENT;
        let executed = |height| {
            Fate::Executed(Found {
                height: Height(height),
                index: 0,
                outcome: Outcome::new(ResultCode::Settled),
            })
        };
        let by_name = |height| Answer {
            by_name: true,
            ..answer(height, ResultCode::Settled, 0)
        };
        let conflict = answer(5, ResultCode::IdConflict, passing);
        let expired = answer(0, ResultCode::Expired, 0);
        let rows = [
            (expired, executed(3), Some(by_name(3))),
            (expired, Fate::Never(None), Some(expired)),
            (conflict, executed(4), Some(conflict)),
            (conflict, executed(5), Some(conflict)),
            // After what took the name has ended, another copy had its turn.
            (conflict, executed(6), Some(by_name(6))),
            (conflict, Fate::Never(None), Some(conflict)),
            (conflict, Fate::Open(None), None),
        ];
        for (refused, fate, expected) in rows {
            let run = decided(0, &[refused], &[fate]);
            let told = run.and_then(|run| run.answers().next());
            assert_eq!(told, expected, "{refused:?}, {fate:?}");
        }
    }
}
