//! One stream: its header, then its envelopes in and its answers out; or a question.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::BufMut;
use clearway_types::code::ResultCode;
use clearway_types::wire::{
    AnswerHeader, AnswerStatus, CloseCode, FrameError, Op, STREAM_HEADER_BYTES, StreamHeader,
};
use quinn::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::door::{Visit, close_code};
use crate::intake::Intake;
use crate::query::{Asker, Feed, MemberTurn, Question, Turns, answer, refusal};
use crate::router::WaitingStream;

/// Room of a question's body grows by this much: an everyday question fits, and a peer that
/// announces a long one and stays silent holds no more.
const BODY_STEP_BYTES: usize = 1 << 10;

/// Why a stream ends before its work is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Break {
    /// The member or the connection has gone: nobody is left to tell.
    Gone,
    /// The member has made a mistake and is told this code.
    Fault(CloseCode),
    /// The member is told this code, and it does not count against its connection: the node is
    /// short of something, or stops.
    Blameless(CloseCode),
}

impl Visit {
    /// Serves one stream to its end.
    pub(crate) async fn serve_stream(&self, mut send: SendStream, mut recv: RecvStream) {
        let served = match self.read_header(&mut recv).await {
            Ok((op @ (Op::Submit | Op::SubmitHinted), count)) => {
                let hinted = op == Op::SubmitHinted;
                self.submit(count, hinted, &mut send, &mut recv).await
            }
            Ok((op, count)) => self.ask(op, count, &mut send, &mut recv).await,
            Err(broken) => Err(broken),
        };
        let code = match served {
            Ok(()) | Err(Break::Gone) => return,
            Err(Break::Fault(code)) => {
                self.fault(code);
                code
            }
            Err(Break::Blameless(code)) => {
                self.door.metrics.count_close(code);
                code
            }
        };
        // Both fail only when the member has given the stream up already.
        let _ = recv.stop(close_code(code));
        let _ = send.reset(close_code(code));
        if code == CloseCode::AnswersUnread {
            self.door.turn_away(&self.connection, code);
        }
    }

    async fn read_header(&self, recv: &mut RecvStream) -> Result<(Op, usize), Break> {
        let mut header = [0; STREAM_HEADER_BYTES];
        self.unless_stopped(self.read_exact(recv, &mut header))
            .await?;
        StreamHeader::parse(header).map_err(|error: FrameError| {
            let code = error.close_code();
            let answer = match code {
                CloseCode::Oversize => ResultCode::Oversize,
                _ => ResultCode::Malformed,
            };
            self.door.metrics.count_refusals(answer, 1);
            tracing::debug!(member = %self.member.id, %error, "stream refused");
            Break::Fault(code)
        })
    }

    /// What a member is waited for, unless the door closes meanwhile.
    async fn unless_stopped(
        &self,
        waiting: impl Future<Output = Result<(), Break>>,
    ) -> Result<(), Break> {
        tokio::select! {
            biased;
            done = waiting => done,
            () = self.door.stopped() => Err(Break::Blameless(CloseCode::Stopping)),
        }
    }

    /// Fills `bytes`, in the time that a frame may take.
    async fn read_exact(&self, recv: &mut RecvStream, bytes: &mut [u8]) -> Result<(), Break> {
        let reading = async { AsyncReadExt::read_exact(recv, bytes).await.map(drop) };
        self.in_time(reading).await
    }

    /// Waits for bytes, as long as a frame may take.
    async fn in_time(&self, reading: impl Future<Output = io::Result<()>>) -> Result<(), Break> {
        match tokio::time::timeout(self.door.config.frame_fill_max, reading).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.door.metrics.count_refusals(ResultCode::Malformed, 1);
                Err(Break::Fault(CloseCode::Malformed))
            }
            Ok(Err(_)) => Err(Break::Gone),
            Err(_) => Err(Break::Fault(CloseCode::TooSlow)),
        }
    }

    async fn submit(
        &self,
        count: usize,
        hinted: bool,
        send: &mut SendStream,
        recv: &mut RecvStream,
    ) -> Result<(), Break> {
        self.door.metrics.submit_streams.add(1);
        let since = Instant::now();
        let stream = self.door.router.open(count, Arc::clone(&self.member));
        let mut intake = Intake::new(self, &stream, count, hinted);
        let reading = intake.take_all(recv);
        let writing = self.write_answers(&stream, since, send);
        let served = tokio::try_join!(reading, writing).map(|_| ());
        self.door.router.close(stream.key);
        served
    }

    /// Writes answers as they become known, then ends the stream.
    async fn write_answers(
        &self,
        stream: &WaitingStream,
        since: Instant,
        send: &mut SendStream,
    ) -> Result<(), Break> {
        let gone = send.stopped();
        tokio::pin!(gone);
        loop {
            let bytes = tokio::select! {
                bytes = stream.next_answer() => bytes,
                _ = &mut gone => return Err(Break::Gone),
            };
            let Some(bytes) = bytes else {
                break;
            };
            let len = bytes.len();
            let writing = send.write_chunk(bytes);
            match tokio::time::timeout(self.door.config.answer_take_max, writing).await {
                Ok(Ok(())) => self.door.metrics.answer_bytes.add_count(len),
                Ok(Err(_)) => return Err(Break::Gone),
                Err(_) => return Err(Break::Fault(CloseCode::AnswersUnread)),
            }
        }
        // Ending fails only when the member has given the stream up: it has all its answers.
        let _ = send.finish();
        self.door.metrics.answer.record(since.elapsed());
        self.until_taken(gone).await;
        Ok(())
    }

    /// Waits until the other side has acknowledged all of an ended stream, so that a closing door
    /// does not throw away answers that are on their way.
    async fn until_taken<T>(&self, taken: impl Future<Output = T>) {
        if tokio::time::timeout(self.door.config.answer_take_max, taken)
            .await
            .is_err()
        {
            tracing::debug!(member = %self.member.id, "an answer was never acknowledged");
        }
    }

    async fn ask(
        &self,
        op: Op,
        count: usize,
        send: &mut SendStream,
        recv: &mut RecvStream,
    ) -> Result<(), Break> {
        self.door.metrics.queries.add(1);
        let mut body = Vec::new();
        let reading = read_body(recv, count * op.item_bytes(), &mut body);
        self.unless_stopped(self.in_time(reading)).await?;
        let question = Question::parse(op, count, &body).map_err(Break::Fault)?;
        if let Question::Follow(request) = question {
            let feed = Feed {
                service: Arc::clone(&self.door.service),
                asker: Asker::new(self.member.id),
                turns: self.turns(),
                request,
                heights: self.door.router.heights(),
            };
            return self.follow(feed, send).await;
        }
        let answer = tokio::select! {
            answer = self.answer(question) => answer,
            // Reset, or the connection is gone: the work for it stops, too.
            _ = send.stopped() => {
                self.door.metrics.queries_abandoned.add(1);
                return Err(Break::Gone);
            }
        };
        match answer {
            Ok((bytes, turn)) => {
                self.write(send, bytes).await?;
                drop(turn);
                self.end(send).await
            }
            Err(status) => self.refuse(send, status).await,
        }
    }

    /// The bytes of an answer, and the member's turn, to be kept until they are handed over.
    /// Dropping the future tells the work to stop; its turn is taken until it has.
    async fn answer(&self, question: Question) -> Result<(Vec<u8>, MemberTurn), AnswerStatus> {
        let turn = self.turns().wait().await?;
        let (service, asker) = (Arc::clone(&self.door.service), Asker::new(self.member.id));
        let _waits = asker.waits();
        let answering = tokio::task::spawn_blocking(move || {
            let bytes = answer(&*service, &asker, question)?;
            Ok((bytes, turn.worked()))
        });
        answering.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a question was not answered");
            Err(AnswerStatus::Failed)
        })
    }

    fn turns(&self) -> Turns {
        Turns {
            member: Arc::clone(&self.member.questions),
            door: Arc::clone(&self.door.queries),
            wait_max: self.door.config.query_wait_max,
        }
    }

    /// Writes an account's feed until the member or the door ends it.
    async fn follow(&self, mut feed: Feed, send: &mut SendStream) -> Result<(), Break> {
        let Ok(_follow) = self.follows.try_acquire() else {
            return self.refuse(send, AnswerStatus::Busy).await;
        };
        let gone = send.stopped();
        tokio::pin!(gone);
        let _waits = feed.asker.waits();
        let first = tokio::select! {
            page = feed.read_page() => page,
            _ = &mut gone => return Err(Break::Gone),
        };
        let mut page = match first {
            Ok(page) => page,
            Err(AnswerStatus::Failed) => Some(feed.broken(AnswerStatus::Failed)),
            Err(status) => return self.refuse(send, status).await,
        };
        let head = AnswerHeader::new(AnswerStatus::Ok, 0);
        self.write(send, head.to_bytes().to_vec()).await?;
        loop {
            if let Some(page) = page {
                // Counted before it is told, so that who hears of it finds it on the page.
                self.door.metrics.feeds_broken.add(u64::from(page.last));
                self.write(send, page.bytes).await?;
                if page.last {
                    break;
                }
            }
            page = tokio::select! {
                page = feed.next_page() => Some(page),
                _ = &mut gone => return Err(Break::Gone),
                // The member sees its stream end and asks again, here or elsewhere.
                () = self.door.stopped() => break,
            };
        }
        let _ = send.finish();
        Ok(())
    }

    async fn write(&self, send: &mut SendStream, bytes: Vec<u8>) -> Result<(), Break> {
        let len = bytes.len();
        let writing = send.write_chunk(bytes.into());
        match tokio::time::timeout(self.door.config.answer_take_max, writing).await {
            Ok(Ok(())) => {
                self.door.metrics.answer_bytes.add_count(len);
                Ok(())
            }
            Ok(Err(_)) => Err(Break::Gone),
            Err(_) => Err(Break::Fault(CloseCode::AnswersUnread)),
        }
    }

    /// Answers a question with a status instead of what was asked for.
    async fn refuse(&self, send: &mut SendStream, status: AnswerStatus) -> Result<(), Break> {
        if status == AnswerStatus::Busy {
            self.door.metrics.queries_busy.add(1);
        }
        self.door.metrics.count_query_refused(status);
        self.write(send, refusal(status)).await?;
        self.end(send).await
    }

    /// Ends a stream behind its answer, and waits until the other side has it.
    async fn end(&self, send: &mut SendStream) -> Result<(), Break> {
        // Ending fails only when the member has given the stream up: it has its answer.
        let _ = send.finish();
        self.until_taken(send.stopped()).await;
        Ok(())
    }
}

/// Reads a body of this length into room that grows as they come.
async fn read_body(
    from: &mut (impl AsyncRead + Unpin),
    bytes: usize,
    body: &mut Vec<u8>,
) -> io::Result<()> {
    while body.len() < bytes {
        let left = bytes - body.len();
        if body.len() == body.capacity() {
            body.reserve_exact(left.min(BODY_STEP_BYTES));
        }
        if from.read_buf(&mut (&mut *body).limit(left)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_stalled_question_holds_what_has_come_of_it_and_a_step() {
        let announced = 20_000;
        for come in [0, 1, 1023, 1024, 1025, 5000, 19_999] {
            let (mut member, mut door) = tokio::io::duplex(announced);
            member.write_all(&vec![7; come]).await.expect("it fits");
            let mut body = Vec::new();
            tokio::select! {
                biased;
                read = read_body(&mut door, announced, &mut body) => panic!("{come}: {read:?}"),
                // The one before has read all that there is by now.
                () = std::future::ready(()) => {}
            }
            assert_eq!(body.len(), come);
            let held = body.capacity();
            assert!(held <= come + BODY_STEP_BYTES, "{come} bytes hold {held}");
            member
                .write_all(&vec![7; announced])
                .await
                .expect("it fits");
            let read = read_body(&mut door, announced, &mut body).await;
            read.expect("all has come");
            assert_eq!(body, vec![7; announced], "{come}: no byte of what follows");
        }
    }

    #[tokio::test]
    async fn a_question_that_ends_early_is_told_from_one_that_breaks() {
        let (mut member, mut door) = tokio::io::duplex(100);
        member.write_all(&[7; 60]).await.expect("it fits");
        drop(member);
        let mut body = Vec::new();
        let read = read_body(&mut door, 61, &mut body).await;
        assert_eq!(
            read.expect_err("short").kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
