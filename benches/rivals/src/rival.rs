//! What a rival does, whatever library is behind it.

use crate::input::{Batch, Input};

/// One implementation.
pub(crate) trait Rival {
    /// How it comes to verdicts: `batch` equations, one by one (`single`), or many at once without
    /// an equation (`each`).
    fn mode(&self) -> &'static str;

    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// Gets ready, off the clock, what a user has ready before signatures come.
    fn prepare(&mut self, input: &Input);

    /// A verdict on each signature of the batch, which starts at index `first` of the input.
    fn verify(&mut self, batch: &Batch<'_>, first: usize, valid: &mut [bool]);
}
