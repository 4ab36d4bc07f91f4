//! What the queue needs of a device: a ring of slots that take a batch and give results.

use std::time::Duration;

use crate::batch::Batch;

/// How much a device holds at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// Items of one batch.
    pub items_max: usize,
    /// Words of one batch, all of its messages included.
    pub batch_words_max: usize,
    /// Keys that stay decoded.
    pub key_slots: usize,
    /// Batches that are under way at once.
    pub ring_len: usize,
}

/// Why a device gave no results. Whatever it is, the batch is verified elsewhere.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeviceError {
    /// No adapter fits what was asked for.
    #[error("no GPU is used: {why}; `clearway doctor` lists the adapters")]
    NoAdapter {
        /// What was found.
        why: String,
    },
    /// The adapter lacks something that the kernels need.
    #[error("GPU {adapter} is not used: it lacks {lacks}; `clearway doctor` lists all adapters")]
    Unfit {
        /// The adapter.
        adapter: String,
        /// A feature or a limit.
        lacks: String,
    },
    /// The driver refused or lost something.
    #[error("the GPU's driver failed at {at}: {why}")]
    Driver {
        /// The step.
        at: &'static str,
        /// The driver's words.
        why: String,
    },
}

/// A device with the kernels of [`crate::kernels::VERIFICATION`].
///
/// Batches run in the order of their submission, each on the tables that the ones before left.
pub trait Device: Send {
    /// What it holds.
    fn size(&self) -> Size;

    /// Starts the batch in a slot of the ring that holds none.
    ///
    /// # Errors
    /// When the device cannot; it is then given up.
    fn submit(&mut self, slot: usize, batch: &Batch<'_>) -> Result<(), DeviceError>;

    /// Puts the results of a slot's batch into `results`, ten words an item; false while it runs
    /// on. Returns after `timeout` at the latest, as far as the driver lets it.
    ///
    /// # Errors
    /// When the device cannot; it is then given up.
    fn collect(
        &mut self,
        slot: usize,
        timeout: Duration,
        results: &mut Vec<u32>,
    ) -> Result<bool, DeviceError>;
}
