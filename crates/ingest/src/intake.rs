//! The way of a submit stream's envelopes into frames.

use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use clearway_types::code::ResultCode;
use clearway_types::envelope::{ENVELOPE_BYTES, envelopes};
use clearway_types::limits::CHAIN_LEN_MAX;
use clearway_types::messages::FrameBatch;
use clearway_types::wire::{CloseCode, HINT_BYTES};
use quinn::RecvStream;
use tokio::io::AsyncReadExt;

use crate::config::IngestConfig;
use crate::door::{Visit, close_code};
use crate::fill_room::{Claim, Evicted};
use crate::frame::{ChainCutter, Piece};
use crate::router::WaitingStream;
use crate::slab::{ArrivingSlab, FIRST_ROOM_LEN};
use crate::stream::Break;

/// Takes envelopes in, a frame at a time.
pub(crate) struct Intake<'a> {
    visit: &'a Visit,
    stream: &'a WaitingStream,
    /// Whether each envelope has its hint beside it.
    hinted: bool,
    /// Envelopes announced.
    total: usize,
    /// Envelopes offered or refused.
    taken: usize,
    cutter: ChainCutter,
}

/// What a read brought.
enum Read {
    /// Bytes.
    Some,
    /// The end of the stream.
    End,
    /// The door closes.
    Stopped,
}

/// How long a frame's bytes are waited for: a fixed time, and more for all that has come.
#[derive(Clone, Copy, Debug)]
struct FillTime {
    fixed: Duration,
    bytes_per_s_min: u32,
    waited: Duration,
    moved_bytes: u64,
}

impl FillTime {
    fn new(config: &IngestConfig) -> Self {
        Self {
            fixed: config.frame_fill_max,
            bytes_per_s_min: config.fill_bytes_per_s_min,
            waited: Duration::ZERO,
            moved_bytes: 0,
        }
    }

    /// How long the next bytes may take.
    fn left(&self) -> Duration {
        let us = self.moved_bytes.saturating_mul(1_000_000) / u64::from(self.bytes_per_s_min);
        (self.fixed + Duration::from_micros(us)).saturating_sub(self.waited)
    }
}

/// How filling a slab ended.
enum Filled {
    /// With whole envelopes up to a place where a frame may end.
    Whole(ArrivingSlab),
    /// With the end of the stream, before all that was announced.
    Truncated,
    /// With the door closing.
    Stopped,
}

impl<'a> Intake<'a> {
    pub(crate) fn new(
        visit: &'a Visit,
        stream: &'a WaitingStream,
        total: usize,
        hinted: bool,
    ) -> Self {
        Self {
            visit,
            stream,
            hinted,
            total,
            taken: 0,
            cutter: ChainCutter::default(),
        }
    }

    /// Takes in all that was announced, a frame at a time, or refuses the rest.
    pub(crate) async fn take_all(&mut self, recv: &mut RecvStream) -> Result<(), Break> {
        let config = &self.visit.door.config;
        while self.taken < self.total {
            let frame_len = config.frame_envelopes.min(self.total - self.taken);
            if !self.wait_for_rate(frame_len).await {
                self.refuse_rest(ResultCode::RateLimited);
                // Fails only when the member has sent all of it already.
                let _ = recv.stop(close_code(CloseCode::Done));
                return Ok(());
            }
            let fills = self.visit.fills.acquire().await;
            let _fill = fills.expect("a connection's fills are never closed");
            let claim = self.visit.door.fill_room.claim(self.visit.member.id);
            // The room is taken until the frame has gone on: until then its bytes are here.
            match self.fill(recv, frame_len, &claim).await? {
                Filled::Whole(slab) => self.offer(slab).await,
                Filled::Truncated => {
                    self.visit.fault(CloseCode::Malformed);
                    self.refuse_rest(ResultCode::Malformed);
                    return Ok(());
                }
                Filled::Stopped => {
                    self.refuse_rest(ResultCode::Unavailable);
                    let _ = recv.stop(close_code(CloseCode::Stopping));
                    return Ok(());
                }
            }
        }
        self.expect_end(recv).await
    }

    /// Waits until the member's contract covers `count` more signatures; false when that is too
    /// long. Meanwhile nothing is read, so the member is slowed down by flow control.
    async fn wait_for_rate(&self, count: usize) -> bool {
        let wait_max = self.visit.door.config.rate_wait_max;
        let Ok(wait) = self.visit.member.take(count, wait_max) else {
            return false;
        };
        if !wait.is_zero() {
            self.visit.door.metrics.rate_wait.add_ns(wait);
            tokio::time::sleep(wait).await;
        }
        true
    }

    /// Reads at least `frame_len` envelopes, and on to the end of the last chain.
    async fn fill(
        &self,
        recv: &mut RecvStream,
        frame_len: usize,
        claim: &Claim,
    ) -> Result<Filled, Break> {
        let slab_len = (frame_len + CHAIN_LEN_MAX).min(self.total - self.taken);
        let mut slab = ArrivingSlab::new(self.hinted);
        let mut fill = FillTime::new(&self.visit.door.config);
        let mut want = frame_len;
        loop {
            while let Some(mut room) = slab.room(want) {
                let read = {
                    let reading = std::pin::pin!(recv.read_buf(&mut room));
                    self.read(reading, claim, &mut fill).await?
                };
                match read {
                    Read::Some => slab.settle(),
                    Read::End => return Ok(Filled::Truncated),
                    Read::Stopped => return Ok(Filled::Stopped),
                }
            }
            if slab.room_len() < want {
                let len = match slab.room_len() {
                    0 => first_room_len(slab_len),
                    _ => slab_len,
                };
                let bytes = |len| ArrivingSlab::bytes(len, self.hinted);
                let more = bytes(len) - bytes(slab.room_len());
                tokio::select! {
                    grown = claim.grow(more) => {
                        grown.map_err(|evicted| self.on_evicted(evicted))?;
                        slab.reserve(len);
                    }
                    () = self.visit.door.stopped() => return Ok(Filled::Stopped),
                }
            } else if want == slab_len || self.cutter.may_end(slab.envelopes()) {
                return Ok(Filled::Whole(slab));
            } else {
                want += 1;
            }
        }
    }

    /// Reads what is there, or waits for it, as long as the member may let us wait.
    async fn read(
        &self,
        mut reading: Pin<&mut impl Future<Output = std::io::Result<usize>>>,
        claim: &Claim,
        fill: &mut FillTime,
    ) -> Result<Read, Break> {
        let at_once = std::future::poll_fn(|context| match reading.as_mut().poll(context) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => Poll::Ready(None),
        });
        let read = match at_once.await {
            Some(read) => read,
            None => {
                let from = Instant::now();
                let _mark = claim.wait_mark();
                let read = tokio::select! {
                    biased;
                    read = reading => read,
                    () = self.visit.door.stopped() => return Ok(Read::Stopped),
                    () = claim.evicted() => return Err(self.on_evicted(Evicted)),
                    () = tokio::time::sleep(fill.left()) => {
                        return Err(Break::Fault(CloseCode::TooSlow));
                    }
                };
                fill.waited += from.elapsed();
                read
            }
        };
        match read {
            Ok(0) => Ok(Read::End),
            Ok(bytes) => {
                fill.moved_bytes += bytes as u64;
                Ok(Read::Some)
            }
            Err(_) => Err(Break::Gone),
        }
    }

    /// Another member needs the room: this stream's bytes stalled, and yet it is the node that is
    /// short of room.
    fn on_evicted(&self, _: Evicted) -> Break {
        self.visit.door.metrics.fills_evicted.add(1);
        Break::Blameless(CloseCode::TooSlow)
    }

    /// Offers the frames of a slab in order, and refuses its broken chains.
    async fn offer(&mut self, slab: ArrivingSlab) {
        let (slab, hints) = slab.freeze();
        let all = envelopes(&slab);
        let base = self.taken;
        self.taken += all.len();
        let pieces = self.cutter.cut(all, self.taken == self.total);
        for piece in pieces {
            match piece {
                Piece::Keep(range) => {
                    let first_index = base + range.start;
                    let bytes = |each| range.start * each..range.end * each;
                    let each_hint = if self.hinted { HINT_BYTES } else { 0 };
                    let frame = FrameBatch {
                        source: self.visit.source,
                        member: self.visit.member.id,
                        stream: self.stream.key,
                        first_index: u32::try_from(first_index).expect("streams are bounded"),
                        slab: slab.slice(bytes(ENVELOPE_BYTES)),
                        hints: hints.slice(bytes(each_hint)),
                    };
                    self.visit.door.offer(&self.visit.member, frame).await;
                }
                Piece::Broken(range) => {
                    let places = base + range.start..base + range.end;
                    let router = &self.visit.door.router;
                    router.refuse(self.stream, places, ResultCode::ChainBroken);
                }
            }
        }
    }

    fn refuse_rest(&mut self, code: ResultCode) {
        let rest = self.taken..self.total;
        self.taken = self.total;
        self.visit.door.router.refuse(self.stream, rest, code);
    }

    /// Nothing may follow what was announced; what was announced is answered all the same.
    async fn expect_end(&self, recv: &mut RecvStream) -> Result<(), Break> {
        let timeout = self.visit.door.config.frame_fill_max;
        let ended = tokio::select! {
            biased;
            ended = tokio::time::timeout(timeout, recv.read_chunk(1, true)) => ended,
            () = self.visit.door.stopped() => return Ok(()),
        };
        let code = match ended {
            Ok(Ok(Some(_))) => CloseCode::Malformed,
            Err(_) => CloseCode::TooSlow,
            // Its end, or that of the connection: the stream's other half tells whether somebody
            // still wants the answers.
            Ok(Ok(None) | Err(_)) => return Ok(()),
        };
        // Fails only when the member has given the stream up already.
        let _ = recv.stop(close_code(code));
        self.visit.fault(code);
        Ok(())
    }
}

/// Items that a slab has room for at first: all that it will hold where little would be missing.
///
/// There is no step between the first room and the whole. Frames keep what they hold while they
/// wait for more, and the budgets are checked to leave room for one whole frame beside the first
/// room of all of them; with a step between, frames on that step could use that room up, and none
/// could go on.
fn first_room_len(slab_len: usize) -> usize {
    match FIRST_ROOM_LEN * 2 > slab_len {
        true => slab_len,
        false => FIRST_ROOM_LEN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slab_has_little_room_at_first_or_all_where_little_would_be_missing() {
        for (slab_len, expected) in [(1, 1), (32, 32), (63, 63), (64, 32), (2112, 32), (8192, 32)] {
            assert_eq!(first_room_len(slab_len), expected, "{slab_len}");
        }
    }

    #[test]
    fn fill_time_grows_with_the_bytes_that_came_and_shrinks_with_the_time_they_took() {
        let mut config = IngestConfig::new(([127, 0, 0, 1], 0).into());
        config.frame_fill_max = Duration::from_secs(5);
        config.fill_bytes_per_s_min = 1000;
        let mut fill = FillTime::new(&config);
        assert_eq!(fill.left(), Duration::from_secs(5));
        fill.waited = Duration::from_secs(4);
        assert_eq!(fill.left(), Duration::from_secs(1));
        fill.moved_bytes = 2000;
        assert_eq!(fill.left(), Duration::from_secs(3));
        fill.waited = Duration::from_secs(60);
        assert_eq!(fill.left(), Duration::ZERO);
    }
}
