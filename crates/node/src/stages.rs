//! The loops of the stages, taken apart into steps: threads wait for work, a simulation polls it.

pub(crate) mod answers;
pub(crate) mod execute;
pub(crate) mod order;
pub(crate) mod store;
pub(crate) mod verify;

use clearway_flow::Worker;

use crate::error::NodeError;

/// Whether a stage goes on after a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// There may be more to do.
    GoesOn,
    /// Nobody takes what it gives.
    Ended,
}

/// A stage between its links. It owns no thread: who drives it decides whether to wait.
pub(crate) trait Stage {
    /// What one step works on.
    type Work;

    /// Waits for work; `None` when its links have ended.
    fn wait(&mut self) -> Option<Self::Work>;

    /// Work that is there now.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "threads wait, simulations poll")
    )]
    fn poll(&mut self) -> Option<Self::Work>;

    /// Does it, and whatever else waits that is cheaper done together.
    ///
    /// # Errors
    /// What must end the node.
    fn step(&mut self, work: Self::Work, worker: &mut Worker) -> Result<Progress, NodeError>;

    /// Leaves behind what others go on with: called when its links have ended, not after `Ended` or
    /// an error.
    ///
    /// # Errors
    /// What those who stop the node must know.
    fn end(&mut self) -> Result<(), NodeError> {
        Ok(())
    }
}

/// Drives a stage on a thread of its own, until its links have ended.
///
/// # Errors
/// Of the stage.
pub(crate) fn run(mut stage: impl Stage, mut worker: Worker) -> Result<(), NodeError> {
    while let Some(work) = worker.waiting(|| stage.wait()) {
        if stage.step(work, &mut worker)? == Progress::Ended {
            return Ok(());
        }
    }
    stage.end()
}
