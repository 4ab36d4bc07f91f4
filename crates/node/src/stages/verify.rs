//! Stop 2 between its links: takes the frames of its sources, as many at once as wait, and gathers
//! more of them while there is time before the next proposal.

use std::time::{Duration, Instant};

use clearway_flow::{LinkReceiver, LinkSender, Worker};
use clearway_order::{Clock, OrderHandle};
use clearway_types::messages::{FrameBatch, Refusals, VerifiedBatch};
use clearway_verify::VerifyStage;
use clearway_verify::scheduler::FRAMES_TAKE_MAX;

use super::{Progress, Stage};
use crate::error::NodeError;

/// One verify worker.
pub(crate) struct Verify {
    stage: VerifyStage,
    frames: LinkReceiver<FrameBatch>,
    verified: LinkSender<VerifiedBatch>,
    refused: LinkSender<Refusals>,
    clock: Clock,
    order: OrderHandle,
    gathering: Gathering,
}

impl Verify {
    pub(crate) fn new(
        stage: &VerifyStage,
        frames: LinkReceiver<FrameBatch>,
        (verified, refused): &(LinkSender<VerifiedBatch>, LinkSender<Refusals>),
        (clock, order): (&Clock, &OrderHandle),
    ) -> Self {
        Self {
            stage: stage.clone(),
            frames,
            verified: verified.clone(),
            refused: refused.clone(),
            clock: Clock::clone(clock),
            order: order.clone(),
            gathering: Gathering::default(),
        }
    }

    fn take_waiting(&self, taken: &mut Vec<FrameBatch>) {
        while taken.len() < FRAMES_TAKE_MAX
            && let Ok(frame) = self.frames.try_receive()
        {
            taken.push(frame);
        }
    }

    /// How long more frames may be waited for.
    fn spare_time(&self, taken: &[FrameBatch]) -> Option<Duration> {
        if taken.len() == FRAMES_TAKE_MAX {
            return None;
        }
        let (count, due) = (envelope_count(taken), self.order.next_proposal());
        self.gathering.spare_time(count, due, (self.clock)().uptime)
    }
}

impl Stage for Verify {
    type Work = Vec<FrameBatch>;

    fn wait(&mut self) -> Option<Self::Work> {
        let mut taken = vec![self.frames.receive()?];
        loop {
            self.take_waiting(&mut taken);
            // The link's end is seen when there is nothing taken.
            let more = self.spare_time(&taken);
            match more.map(|wait| self.frames.receive_timeout(wait)) {
                Some(Ok(frame)) => taken.push(frame),
                Some(Err(_)) | None => return Some(taken),
            }
        }
    }

    fn poll(&mut self) -> Option<Self::Work> {
        let mut taken = vec![self.frames.try_receive().ok()?];
        self.take_waiting(&mut taken);
        Some(taken)
    }

    fn step(&mut self, taken: Self::Work, worker: &mut Worker) -> Result<Progress, NodeError> {
        let count = envelope_count(&taken);
        let since = Instant::now();
        let verdicts = tracing::trace_span!("ingest_verify", frames = taken.len())
            .in_scope(|| self.stage.on_batches(taken, (self.clock)().time));
        self.gathering
            .note(count, since.elapsed(), self.order.next_proposal());
        for verdict in verdicts {
            if let Some(batch) = verdict.verified
                && worker.send(&self.verified, batch).is_err()
            {
                return Ok(Progress::Ended);
            }
            for refusals in verdict.refusals {
                if worker.send(&self.refused, refusals).is_err() {
                    return Ok(Progress::Ended);
                }
            }
        }
        Ok(Progress::GoesOn)
    }
}

fn envelope_count(frames: &[FrameBatch]) -> usize {
    frames.iter().map(FrameBatch::envelope_count).sum()
}

/// Whether to wait for more before verifying. An equation costs the less for each signature the
/// more it has, and nothing leaves before the next proposal: so what comes until then is verified
/// together, just in time for it.
#[derive(Debug)]
struct Gathering {
    /// What an envelope costs, by the last steps.
    each: Duration,
    /// The proposal that comes next, and how many envelopes were verified for it.
    proposal: Duration,
    count: usize,
    /// How many were for the one before.
    count_before: usize,
}

impl Default for Gathering {
    fn default() -> Self {
        Self {
            each: Duration::from_micros(5),
            proposal: Duration::ZERO,
            count: 0,
            count_before: 0,
        }
    }
}

impl Gathering {
    /// With `count` envelopes at hand and a proposal due at an uptime.
    fn spare_time(&self, count: usize, due: Duration, now: Duration) -> Option<Duration> {
        let expected = self.count.max(self.count_before);
        if count >= COUNT_MAX || expected < COUNT_MIN {
            return None;
        }
        let factor = u32::try_from(count).expect("a few thousand");
        // Others use the same cores.
        let needed = self.each * factor * 3 / 2 + SLACK;
        due.checked_sub(now + needed)
            .filter(|spare| *spare >= WAIT_MIN)
    }

    /// Takes note of a step.
    fn note(&mut self, count: usize, took: Duration, due: Duration) {
        if due != self.proposal {
            (self.proposal, self.count_before, self.count) = (due, self.count, 0);
        }
        self.count += count;
        let each = took / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        self.each = (self.each * 3 + each) / 4;
    }
}

/// Envelopes before a proposal from which an equation over them is worth waiting for.
const COUNT_MIN: usize = 64;
/// With this many an equation is about as cheap as it gets.
const COUNT_MAX: usize = 2048;
/// From a worker to the proposal: the link, the lane, and threads that wake late.
const SLACK: Duration = Duration::from_micros(500);
/// Less is not worth a sleep.
const WAIT_MIN: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn what_comes_before_a_proposal_is_waited_for_as_long_as_there_is_time_to_verify_it() {
        let mut gathering = Gathering::default();
        let due = us(50_000);
        assert_eq!(gathering.spare_time(10, due, us(45_000)), None, "few come");
        gathering.note(400, us(800), us(44_000));
        gathering.note(0, us(0), us(44_000));
        gathering.each = us(2);
        // 10 x 2 x 1.5 us and the slack before it.
        let rows = [
            (10, us(45_000), Some(us(4470))),
            (100, us(45_000), Some(us(4200))),
            (1000, us(45_000), Some(us(1500))),
            (1000, us(46_450), None),
            (COUNT_MAX, us(1000), None),
            (10, us(60_000), None),
        ];
        for (count, now, expected) in rows {
            assert_eq!(gathering.spare_time(count, due, now), expected, "{count}");
        }
    }

    #[test]
    fn a_load_that_has_ended_is_no_reason_to_wait() {
        let mut gathering = Gathering::default();
        for proposal in 1..=3 {
            gathering.note(400, us(800), us(6000 * proposal));
            assert!(gathering.spare_time(1, us(90_000), us(80_000)).is_some());
        }
        gathering.note(1, us(5), us(80_000));
        assert!(gathering.spare_time(1, us(90_000), us(80_000)).is_some());
        gathering.note(1, us(5), us(86_000));
        assert_eq!(gathering.spare_time(1, us(90_000), us(80_000)), None);
    }
}
