//! One submit stream: bytes out, runs of answers in, and the resend when a server goes silent.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use clearway_types::code::ResultCode;
use clearway_types::limits::{LOOKUPS_MAX, STREAM_ENVELOPES_MAX};
use clearway_types::units::Height;
use clearway_types::wire::{
    AnswerStatus, CloseCode, FrameError, OUTCOME_BYTES, RUN_HEADER_BYTES, RunHeader, StreamHeader,
    parse_outcomes,
};
use quinn::VarInt;
use tokio::sync::oneshot;

use crate::answer::{Answer, Copies, Run, doubtful};
use crate::client::Client;
use crate::error::ClientError;
use crate::fate::{Named, decided};
use crate::slab::Slab;

/// Envelopes given to the transport at once: progress is noted after each.
const WRITE_ENVELOPES: usize = 640;
/// Bytes taken from the transport at once.
const READ_BYTES: usize = 64 << 10;

/// One stream's worth of envelopes on its way.
///
/// When a server breaks off or goes silent, the rest goes to the next server as the same bytes,
/// from the head of the chain that was reached. Dropping a submission does not undo it.
///
/// A refusal of bytes that were sent before may speak of their last copy alone: they come too late,
/// or too fast, while the first copy was settled and its answer lost. Such an answer is not given
/// on: the envelope is looked up until the log has it, or until cluster time has passed its end and
/// the log still lacks it. The same holds for `Expired` in any case, so that it always means: not
/// executed, and it never will be. What the log has goes by name alone ([`Answer::by_name`]).
#[derive(Debug)]
pub struct Submission {
    client: Client,
    slab: Slab,
    total: usize,
    answered: usize,
    attempt: Option<Attempt>,
    copies: Copies,
    /// Whether this submission, or an earlier sender of its envelopes, has sent anything.
    sent: bool,
    /// Answers that were read and not given on yet.
    pending: Option<Run>,
    failure_count: usize,
    /// Failures since the last answer that time does not heal.
    hopeless_count: usize,
    /// When the last answer came, or the first attempt was made.
    last_answer: Option<Instant>,
    /// Why the node refuses the copy that was sent, which says nothing of other copies.
    refused: Option<ResultCode>,
}

impl Submission {
    pub(crate) fn new(client: Client, slab: Slab, copies: Copies) -> Result<Self, ClientError> {
        slab.check()?;
        let (count, max) = (slab.len(), STREAM_ENVELOPES_MAX);
        if count == 0 || count > max {
            return Err(ClientError::StreamLen { count, max });
        }
        Ok(Self {
            client,
            slab,
            total: count,
            answered: 0,
            attempt: None,
            copies,
            sent: copies == Copies::Further,
            pending: None,
            failure_count: 0,
            hopeless_count: 0,
            last_answer: None,
            refused: None,
        })
    }

    /// Envelopes answered so far; answers come in order, so these are the first ones.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.answered
    }

    /// The next run of answers; `None` when all have been given.
    ///
    /// # Errors
    /// [`ClientError::Unanswered`] when no server answers, or decides, in time;
    /// [`ClientError::OutcomeUnknown`] when sending again cannot help; [`ClientError::NotSent`]
    /// where nothing was sent. Cancelling the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Run>, ClientError> {
        self.last_answer.get_or_insert_with(Instant::now);
        while self.answered < self.total {
            match self.step().await {
                Ok(Some(run)) => return Ok(Some(run)),
                Ok(None) => {}
                Err(error) => self.failed(error).await?,
            }
        }
        Ok(None)
    }

    /// Reads answers and gives on those that can be believed.
    async fn step(&mut self) -> Result<Option<Run>, ClientError> {
        if self.pending.is_none() {
            self.pending = self.read().await?;
        }
        let Some(run) = &self.pending else {
            return Ok(None);
        };
        let copies = self.copies;
        let sure = run.answers().take_while(|r| !doubtful(r, copies)).count();
        if sure == 0 {
            return self.look_up().await;
        }
        if run
            .outcomes
            .iter()
            .any(|o| o.code == ResultCode::TtlTooLong)
        {
            self.client.renew_time().await;
        }
        Ok(self.take_pending(sure).map(|run| self.give(run)))
    }

    /// The first `count` answers that wait.
    fn take_pending(&mut self, count: usize) -> Option<Run> {
        let mut run = self.pending.take()?;
        if count == run.outcomes.len() {
            return Some(run);
        }
        let taken = run.take(count);
        self.pending = Some(run);
        Some(taken)
    }

    /// Counts answers that are given on.
    fn give(&mut self, run: Run) -> Run {
        self.answered += run.outcomes.len();
        self.failure_count = 0;
        self.hopeless_count = 0;
        self.last_answer = Some(Instant::now());
        self.refused = None;
        self.client
            .metrics()
            .envelopes_answered
            .add_count(run.outcomes.len());
        if self.answered == self.total
            && let Some(mut attempt) = self.attempt.take()
        {
            attempt.reader_done();
        }
        run
    }

    /// Reads one run; `None` when all of it had been answered before a resend.
    async fn read(&mut self) -> Result<Option<Run>, ClientError> {
        if self.attempt.is_none() {
            self.attempt = Some(self.start().await?);
            self.sent = true;
        }
        let attempt = self.attempt.as_mut().expect("made just above");
        let mut run = attempt.read(self.client.config().silence).await?;
        let known = self.answered.saturating_sub(run.first_index);
        run.outcomes.drain(..known.min(run.outcomes.len()));
        run.first_index = self.answered;
        Ok(Some(run).filter(|run| !run.outcomes.is_empty()))
    }

    /// Asks what became of the envelopes whose answers wait and cannot be believed as they are;
    /// gives on what the log, or the end of their time, has decided.
    async fn look_up(&mut self) -> Result<Option<Run>, ClientError> {
        let Some(run) = &self.pending else {
            return Ok(None);
        };
        let copies = self.copies;
        let waiting = run.answers().take_while(|r| doubtful(r, copies));
        let waiting: Vec<Answer> = waiting.take(LOOKUPS_MAX).collect();
        self.refused = waiting.first().map(|answer| answer.outcome.code);
        let places = self.answered..self.answered + waiting.len();
        let named: Vec<Named> = places.map(|at| Named::of(self.slab.envelope(at))).collect();
        let server = self.client.preferred();
        self.client.metrics().look_ups.add_count(named.len());
        match self.client.fates_of(server, &named).await {
            Ok((fates, _)) => match decided(self.answered, &waiting, &fates) {
                Some(run) => {
                    self.take_pending(run.outcomes.len());
                    return Ok(Some(self.give(run)));
                }
                None if waiting[0].transient() => {
                    let code = waiting[0].outcome.code;
                    return Err(ClientError::RefusedForNow { code });
                }
                None => {}
            },
            Err(ClientError::Status(AnswerStatus::NotReady)) => {}
            Err(error) if self.is_hopeless(&error) => return Err(self.unknown(error)),
            Err(error) => {
                tracing::debug!(%error, "cannot be looked up here now");
                self.client.move_on_from(server);
            }
        }
        self.failure_count += 1;
        self.pause().await?;
        Ok(None)
    }

    /// Opens a stream and starts to send what is not answered, from a chain's head on.
    async fn start(&self) -> Result<Attempt, ClientError> {
        let server = self.client.preferred();
        let opening = async {
            let connection = self.client.connection(server).await?;
            let (send, recv) = connection.open_bi().await?;
            Ok((connection, send, recv))
        };
        // A node that takes no further stream is as silent as one that sends nothing.
        let timeout = self.client.config().silence + self.client.config().connect_timeout;
        let opened: Result<_, ClientError> = tokio::time::timeout(timeout, opening)
            .await
            .unwrap_or(Err(ClientError::NoAnswer));
        let (connection, send, recv) = opened.inspect_err(|_| self.client.move_on_from(server))?;
        let base = self.slab.chain_head(self.answered);
        let slab = self.slab.slice(base, self.total);
        self.client
            .metrics()
            .envelopes_sent
            .add_count(self.total - base);
        let wrote_at = Arc::new(Progress::new());
        let (cancel, cancelled) = oneshot::channel();
        tokio::spawn(write(send, slab, Arc::clone(&wrote_at), cancelled));
        Ok(Attempt {
            server,
            base,
            connection,
            recv,
            runs: RunReader::new(self.total - base),
            wrote_at,
            _cancel: cancel,
        })
    }

    /// Decides whether to go on after a failure, and waits a little before that.
    async fn failed(&mut self, error: ClientError) -> Result<(), ClientError> {
        if matches!(
            error,
            ClientError::Unanswered { .. } | ClientError::OutcomeUnknown { .. }
        ) {
            return Err(error);
        }
        // What was read of this attempt comes again with the next.
        self.pending = None;
        if let Some(attempt) = self.attempt.take() {
            self.client.move_on_from(attempt.server);
            self.client.metrics().resends.add(1);
            self.copies = Copies::Further;
        }
        self.failure_count += 1;
        if self.is_hopeless(&error) {
            return Err(self.unknown(error));
        }
        tracing::debug!(%error, answered = self.answered, total = self.total, "sending again");
        match self.pause().await {
            Err(_) if !self.sent => Err(self.unknown(error)),
            paused => paused,
        }
    }

    /// Counts a failure; says whether to try again is useless: here, or with any other server.
    fn is_hopeless(&mut self, error: &ClientError) -> bool {
        self.hopeless_count += usize::from(!error.may_heal());
        !error.worth_another_try() || self.hopeless_count >= self.client.server_count()
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// [`ClientError::Unanswered`] when that would be too late, or why the node refuses the copy
    /// that was sent.
    async fn pause(&self) -> Result<(), ClientError> {
        let since = self.last_answer.map_or(Duration::ZERO, |at| at.elapsed());
        if since >= self.client.config().give_up_after {
            let (answered, total) = (self.answered, self.total);
            return Err(match self.refused {
                Some(code) => self.unknown(ClientError::RefusedForNow { code }),
                None => ClientError::Unanswered { answered, total },
            });
        }
        tokio::time::sleep(self.client.back_off(self.failure_count)).await;
        Ok(())
    }

    /// What an error that ends the submission means for its envelopes.
    fn unknown(&self, cause: ClientError) -> ClientError {
        let cause = Box::new(cause);
        match self.sent {
            false => ClientError::NotSent { cause },
            true => ClientError::OutcomeUnknown {
                answered: self.answered,
                total: self.total,
                cause,
            },
        }
    }
}

/// One try to get the rest answered by one server.
#[derive(Debug)]
struct Attempt {
    server: usize,
    /// Position in the submission of the stream's first envelope.
    base: usize,
    connection: quinn::Connection,
    recv: quinn::RecvStream,
    runs: RunReader,
    wrote_at: Arc<Progress>,
    /// Dropped with the attempt: tells the writer to stop.
    _cancel: oneshot::Sender<()>,
}

impl Attempt {
    /// The next run, with its place in the submission.
    async fn read(&mut self, silence: Duration) -> Result<Run, ClientError> {
        loop {
            if let Some(mut run) = self.runs.poll_run()? {
                run.first_index += self.base;
                return Ok(run);
            }
            let heard = self.datagrams_heard();
            let reading = self.recv.read_chunk(READ_BYTES, true);
            match tokio::time::timeout(silence, reading).await {
                Ok(Ok(Some(chunk))) => self.runs.push(&chunk.bytes),
                Ok(Ok(None)) => {
                    let bytes = self.runs.answered * OUTCOME_BYTES;
                    return Err(ClientError::Cut { bytes });
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_) if self.wrote_at.age() < silence => {}
                Err(_) => {
                    if self.datagrams_heard() == heard {
                        // A server that only has no answer yet acknowledges what it gets. This one
                        // is gone, or was started anew and does not know the connection: the next
                        // attempt makes a new one instead of waiting for this one's idle time.
                        let code = VarInt::from_u32(CloseCode::Cancelled as u32);
                        self.connection
                            .close(code, CloseCode::Cancelled.name().as_bytes());
                    }
                    return Err(ClientError::NoAnswer);
                }
            }
        }
    }

    /// Datagrams that came on the connection so far.
    fn datagrams_heard(&self) -> u64 {
        self.connection.stats().udp_rx.datagrams
    }

    /// Takes the end of the stream if it is here, so that no "stop" needs to be sent.
    fn reader_done(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let end = pin!(self.recv.read_chunk(1, true));
        if let Poll::Ready(Err(error)) = end.poll(&mut context) {
            tracing::debug!(%error, "stream broke after its last answer");
        }
    }
}

/// Sends header and slab; a cancelled stream is reset, so that the node does not take its first
/// part for the whole.
async fn write(
    mut send: quinn::SendStream,
    slab: Slab,
    wrote_at: Arc<Progress>,
    cancelled: oneshot::Receiver<()>,
) {
    let sending = async {
        let header = StreamHeader::new(slab.op(), slab.len());
        send.write_all(&header.to_bytes()).await?;
        for from in (0..slab.len()).step_by(WRITE_ENVELOPES) {
            let piece = slab.slice(from, slab.len().min(from + WRITE_ENVELOPES));
            send.write_chunk(piece.into_wire()).await?;
            wrote_at.note();
        }
        Ok::<(), quinn::WriteError>(())
    };
    let sent = tokio::select! {
        sent = sending => Some(sent),
        _ = cancelled => None,
    };
    match sent {
        // A stream that the node has stopped needs no end; its reading half has the reason.
        Some(Ok(())) => drop(send.finish()),
        Some(Err(error)) => tracing::debug!(%error, "not sent to the end"),
        None => drop(send.reset(VarInt::from_u32(CloseCode::Cancelled as u32))),
    }
}

/// When something was last done, readable from another task.
#[derive(Debug)]
struct Progress(AtomicU64);

/// Start of this process's clock for [`Progress`].
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Progress {
    fn new() -> Self {
        let progress = Self(AtomicU64::new(0));
        progress.note();
        progress
    }

    fn note(&self) {
        let ms = u64::try_from(EPOCH.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.store(ms, Ordering::Relaxed);
    }

    fn age(&self) -> Duration {
        let at = Duration::from_millis(self.0.load(Ordering::Relaxed));
        EPOCH.elapsed().saturating_sub(at)
    }
}

/// Cuts the bytes of an answer into runs that continue each other.
#[derive(Debug)]
struct RunReader {
    buffer: BytesMut,
    answered: usize,
    total: usize,
}

impl RunReader {
    fn new(total: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            answered: 0,
            total,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole run, positions counted from the start of the stream.
    fn poll_run(&mut self) -> Result<Option<Run>, FrameError> {
        let Some(head) = self.buffer.first_chunk::<RUN_HEADER_BYTES>() else {
            return Ok(None);
        };
        let head = RunHeader::parse(*head, self.answered, self.total)?;
        let count = head.count.get() as usize;
        let bytes = RUN_HEADER_BYTES + count * OUTCOME_BYTES;
        if self.buffer.len() < bytes {
            return Ok(None);
        }
        let outcomes = parse_outcomes(&self.buffer.split_to(bytes)[RUN_HEADER_BYTES..])?;
        let first_index = self.answered;
        self.answered += count;
        Ok(Some(Run {
            height: Height(head.height.get()),
            first_index,
            outcomes,
            by_name: false,
        }))
    }
}

#[cfg(test)]
mod tests {
    use clearway_types::code::Outcome;

    use super::*;

    fn answer(height: u64, first_index: u32, codes: &[ResultCode]) -> Vec<u8> {
        let count = u32::try_from(codes.len()).unwrap();
        let mut bytes = RunHeader::new(Height(height), first_index, count)
            .to_bytes()
            .to_vec();
        for &code in codes {
            bytes.extend_from_slice(&Outcome::new(code).to_bytes());
        }
        bytes
    }

    #[test]
    fn runs_are_cut_alike_however_the_bytes_arrive() {
        let all = [
            answer(7, 0, &[ResultCode::Settled; 2]),
            answer(0, 2, &[ResultCode::BadSignature]),
            answer(8, 3, &[ResultCode::InsufficientFunds; 3]),
        ]
        .concat();
        for piece_len in 1..=all.len() {
            let mut reader = RunReader::new(6);
            let mut found = Vec::new();
            for piece in all.chunks(piece_len) {
                reader.push(piece);
                while let Some(run) = reader.poll_run().unwrap() {
                    found.push((run.height.0, run.first_index, run.outcomes.len()));
                }
            }
            assert_eq!(
                found,
                [(7, 0, 2), (0, 2, 1), (8, 3, 3)],
                "pieces of {piece_len}"
            );
        }
    }

    #[test]
    fn a_run_that_repeats_leaves_a_gap_or_runs_over_the_end_is_refused() {
        for (first_index, len) in [(1, 1), (0, 7), (0, 0)] {
            let mut reader = RunReader::new(6);
            reader.push(&answer(1, first_index, &vec![ResultCode::Settled; len]));
            assert!(reader.poll_run().is_err(), "{first_index}+{len}");
        }
    }
}
