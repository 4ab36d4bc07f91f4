//! Questions: what became of an envelope, what an account holds, how far a node is, and why to
//! believe it.

use std::time::Instant;

use clearway_types::codec::{DecodeError, Reader};
use clearway_types::envelope::Envelope;
use clearway_types::limits::{LOOKUPS_MAX, PARTICIPANTS_MAX};
use clearway_types::units::{AccountId, ParticipantId, TransferId};
use clearway_types::wire::proof::SettlementProof;
use clearway_types::wire::query::{AccountView, Found, Lookup, StatusView};
use clearway_types::wire::roster::RosterView;
use clearway_types::wire::{ANSWER_HEADER_BYTES, AnswerHeader, AnswerStatus, Op, StreamHeader};

use crate::client::Client;
use crate::error::ClientError;
use crate::proof::{ClusterKeys, Receipt};

impl Client {
    /// Where an envelope was executed, or `None` when the node has not executed it.
    ///
    /// # Errors
    /// When no server answers, or the node may not tell.
    pub async fn lookup(
        &self,
        signer: ParticipantId,
        id: TransferId,
    ) -> Result<Option<Found>, ClientError> {
        let found = self.lookup_all(&[Lookup { signer, id }]).await?;
        Ok(found[0])
    }

    /// As [`Client::lookup`] for many envelopes, in order.
    ///
    /// # Errors
    /// As [`Client::lookup`].
    pub async fn lookup_all(&self, names: &[Lookup]) -> Result<Vec<Option<Found>>, ClientError> {
        let mut found = Vec::with_capacity(names.len());
        for names in names.chunks(LOOKUPS_MAX) {
            let mut body = Vec::with_capacity(names.len() * 20);
            for name in names {
                name.encode(&mut body);
            }
            let count = names.len();
            found.extend(
                self.ask(Op::Lookup, count, &body, |answer| {
                    let mut reader = Reader::new(answer);
                    let found: Result<Vec<_>, _> =
                        (0..count).map(|_| Found::decode(&mut reader)).collect();
                    reader.finish()?;
                    found
                })
                .await?,
            );
        }
        Ok(found)
    }

    /// The proof of an envelope's outcome, unchecked; `None` when the node has not executed it.
    ///
    /// # Errors
    /// As [`Client::lookup`]; [`AnswerStatus::NotReady`] while no certificate covers it yet.
    pub async fn proof(
        &self,
        signer: ParticipantId,
        id: TransferId,
    ) -> Result<Option<SettlementProof>, ClientError> {
        let mut body = Vec::new();
        Lookup { signer, id }.encode(&mut body);
        or_none(self.ask(Op::Proof, 1, &body, SettlementProof::decode).await)
    }

    /// As [`Client::proof`], and asks again while no certificate covers it yet, until this client
    /// gives up.
    ///
    /// # Errors
    /// As [`Client::proof`].
    pub async fn proof_when_ready(
        &self,
        name: Lookup,
    ) -> Result<Option<SettlementProof>, ClientError> {
        self.proof_until(name, Instant::now() + self.config().give_up_after)
            .await
    }

    async fn proof_until(
        &self,
        name: Lookup,
        until: Instant,
    ) -> Result<Option<SettlementProof>, ClientError> {
        let mut wait_count = 0;
        loop {
            match self.proof(name.signer, name.id).await {
                Err(ClientError::Status(AnswerStatus::NotReady)) if Instant::now() < until => {
                    wait_count += 1;
                    tokio::time::sleep(self.back_off(wait_count * self.server_count())).await;
                }
                proof => return proof,
            }
        }
    }

    /// Asks for the proof of an envelope's outcome until a certificate covers it, and checks it;
    /// `None` when the node has not executed it. A false proof is asked of the next server.
    ///
    /// # Errors
    /// The last server's fault.
    pub async fn prove(
        &self,
        keys: &ClusterKeys,
        envelope: &Envelope,
    ) -> Result<Option<Receipt>, ClientError> {
        let checked = self.checked_proof(keys, envelope).await?;
        Ok(checked.map(|(receipt, _)| receipt))
    }

    /// As [`Client::prove`], with the proof, for others to check.
    ///
    /// # Errors
    /// As [`Client::prove`].
    pub async fn checked_proof(
        &self,
        keys: &ClusterKeys,
        envelope: &Envelope,
    ) -> Result<Option<(Receipt, SettlementProof)>, ClientError> {
        let name = Lookup::of(envelope);
        let until = Instant::now() + self.config().give_up_after;
        let mut false_count = 0;
        loop {
            let server = self.preferred();
            let Some(proof) = self.proof_until(name, until).await? else {
                return Ok(None);
            };
            let error = match keys.check(envelope, &proof) {
                Ok(receipt) => return Ok(Some((receipt, proof))),
                Err(error) => error,
            };
            self.move_on_from(server);
            false_count += 1;
            if false_count >= self.server_count() || Instant::now() >= until {
                return Err(error.into());
            }
        }
    }

    /// An account, or `None` when there is none.
    ///
    /// # Errors
    /// As [`Client::lookup`].
    pub async fn account(&self, account: AccountId) -> Result<Option<AccountView>, ClientError> {
        let body = account.0.to_le_bytes();
        or_none(self.ask(Op::Account, 1, &body, AccountView::decode).await)
    }

    /// How far the preferred server is.
    ///
    /// # Errors
    /// As [`Client::lookup`].
    pub async fn status(&self) -> Result<StatusView, ClientError> {
        let status = self.ask(Op::Status, 0, &[], StatusView::decode).await?;
        self.time_ref().hear(&status);
        Ok(status)
    }

    /// Participants with their keys, ledgers, and approvals that wait (for operators and auditors),
    /// as of the height that it names. Where participants come in several answers, later ones may
    /// be of a later height, never of an earlier one.
    ///
    /// # Errors
    /// As [`Client::lookup`]; [`ClientError::Decode`] for participants without order or end.
    pub async fn roster(&self) -> Result<RosterView, ClientError> {
        let mut roster = self.roster_from(ParticipantId(0)).await?;
        while roster.next != ParticipantId(0) {
            let more = self.roster_from(roster.next).await?;
            join(&mut roster, more)?;
        }
        Ok(roster)
    }

    async fn roster_from(&self, first: ParticipantId) -> Result<RosterView, ClientError> {
        let body = first.0.to_le_bytes();
        self.ask(Op::Roster, 1, &body, RosterView::decode).await
    }

    /// Asks server after server until one answers.
    async fn ask<T>(
        &self,
        op: Op,
        count: usize,
        body: &[u8],
        decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, ClientError> {
        let started = Instant::now();
        let mut failure_count = 0;
        loop {
            let server = self.preferred();
            self.metrics().questions.add(1);
            match self.ask_of(server, op, count, body, &decode).await {
                Ok(value) => return Ok(value),
                Err(error) => {
                    self.after_failure(server, &mut failure_count, started, error)
                        .await?;
                }
            }
        }
    }

    /// After a question that failed: moves on to the next server and waits a little.
    ///
    /// # Errors
    /// The question's own, when no server will do better in time.
    pub(crate) async fn after_failure(
        &self,
        server: usize,
        failure_count: &mut usize,
        started: Instant,
        error: ClientError,
    ) -> Result<(), ClientError> {
        if !error.worth_another_try() {
            return Err(error);
        }
        self.move_on_from(server);
        *failure_count += 1;
        let tried_all = *failure_count >= self.server_count();
        let late = started.elapsed() >= self.config().give_up_after;
        if tried_all && (!error.may_heal() || late) {
            return Err(error);
        }
        tokio::time::sleep(self.back_off(*failure_count)).await;
        Ok(())
    }

    /// Asks one server, once.
    pub(crate) async fn ask_of<T>(
        &self,
        server: usize,
        op: Op,
        count: usize,
        body: &[u8],
        decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, ClientError> {
        let timeout = self.config().silence + self.config().connect_timeout;
        let asking = self.ask_once(server, op, count, body);
        let answer = tokio::time::timeout(timeout, asking).await;
        let bytes = answer.unwrap_or(Err(ClientError::NoAnswer))?;
        Ok(decode(&bytes)?)
    }

    async fn ask_once(
        &self,
        server: usize,
        op: Op,
        count: usize,
        body: &[u8],
    ) -> Result<Vec<u8>, ClientError> {
        let mut recv = self.open(server, op, count, body).await?;
        let bytes = read_answer_head(&mut recv).await?;
        let mut answer = vec![0; bytes];
        read_exact(&mut recv, &mut answer).await?;
        Ok(answer)
    }

    /// Opens a stream, sends a question, and gives the side that the answer comes by.
    pub(crate) async fn open(
        &self,
        server: usize,
        op: Op,
        count: usize,
        body: &[u8],
    ) -> Result<quinn::RecvStream, ClientError> {
        let (mut send, recv) = self.connection(server).await?.open_bi().await?;
        send.write_all(&StreamHeader::new(op, count).to_bytes())
            .await?;
        send.write_all(body).await?;
        // A stream that the node has stopped needs no end; its reading half has the reason.
        drop(send.finish());
        Ok(recv)
    }
}

/// The head of an answer: how many bytes follow.
pub(crate) async fn read_answer_head(recv: &mut quinn::RecvStream) -> Result<usize, ClientError> {
    let mut head = [0; ANSWER_HEADER_BYTES];
    read_exact(recv, &mut head).await?;
    match AnswerHeader::parse(head)? {
        (AnswerStatus::Ok, bytes) => Ok(bytes),
        (status, _) => Err(ClientError::Status(status)),
    }
}

/// Fills `bytes`.
pub(crate) async fn read_exact(
    recv: &mut quinn::RecvStream,
    bytes: &mut [u8],
) -> Result<(), ClientError> {
    match recv.read_exact(bytes).await {
        Ok(()) => Ok(()),
        Err(quinn::ReadExactError::FinishedEarly(bytes)) => Err(ClientError::Cut { bytes }),
        Err(quinn::ReadExactError::ReadError(error)) => Err(error.into()),
    }
}

/// Adds the participants of a further answer.
fn join(roster: &mut RosterView, more: RosterView) -> Result<(), ClientError> {
    // A node that goes back would keep the client for ever, one with more participants than there
    // can be nearly so.
    let last = roster.participants.last().map(|one| one.id);
    let count = roster.participants.len() + more.participants.len();
    if more.participants.first().map(|one| one.id) <= last || count > PARTICIPANTS_MAX {
        return Err(DecodeError::Invalid { field: "next" }.into());
    }
    // Another server answered, and is behind.
    if more.height < roster.height {
        return Err(ClientError::Status(AnswerStatus::NotReady));
    }
    roster.participants.extend(more.participants);
    roster.next = more.next;
    Ok(())
}

fn or_none<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(ClientError::Status(AnswerStatus::NotFound)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use clearway_types::account::{Participant, Role};
    use clearway_types::units::{Height, TimeMs};

    use super::*;

    fn answer(height: u64, numbers: std::ops::Range<u32>, next: u32) -> RosterView {
        let participants =
            numbers.map(|number| Participant::new(ParticipantId(number), Role::Member));
        RosterView {
            height: Height(height),
            time: TimeMs(0),
            operator_threshold: 1,
            next: ParticipantId(next),
            participants: participants.collect(),
            ledgers: Vec::new(),
            approvals: None,
        }
    }

    #[test]
    fn a_roster_goes_on_in_order_at_no_earlier_height_and_ends() {
        let too_many = u32::try_from(PARTICIPANTS_MAX).unwrap() + 1;
        let rows = [
            (answer(7, 3..5, 0), true),
            (answer(8, 3..5, 5), true),
            (answer(6, 3..5, 0), false),
            (answer(7, 2..5, 0), false),
            (answer(7, 0..0, 3), false),
            (answer(7, 3..too_many, 0), true),
            (answer(7, 3..too_many + 1, 0), false),
        ];
        for (more, fits) in rows {
            let mut roster = answer(7, 1..3, 3);
            let (next, count) = (more.next, more.participants.len());
            let joined = join(&mut roster, more);
            assert_eq!(joined.is_ok(), fits, "{next:?} {count}: {joined:?}");
            if fits {
                assert_eq!((roster.next, roster.participants.len()), (next, 2 + count));
            }
        }
    }
}
