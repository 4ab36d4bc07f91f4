//! The tables of the state: each is a file here and a line of the list in `state.rs`, and knows
//! nothing of what stands above it.

use std::io;

use clearway_types::units::{Digest, Height};

use crate::clock::Clock;
use crate::error::{ExecuteError, InvariantViolation};
use crate::tables::codec::{Sink, Source};

pub(crate) mod accounts;
pub(crate) mod approvals;
pub(crate) mod codec;
pub(crate) mod currencies;
pub(crate) mod debit_limits;
pub(crate) mod holds;
pub(crate) mod ids;
pub(crate) mod part;
pub(crate) mod participants;
pub(crate) mod slots;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod undo;

/// A table of the state: what the block, the state root and a snapshot ask of each of them.
///
/// The calls come once a chain, a block, a root or a snapshot; payments use a table's own methods.
pub(crate) trait Table: Sized + 'static {
    /// Number of its part of the state root, see [`part`].
    const PART: u8;

    /// The table at one moment: cheap to take, untouched by later changes.
    type Frozen: Send;

    /// One change for each way in which the table is written within a chain, each to be made after
    /// those before it.
    #[cfg(test)]
    const CHANGES: &'static [fn(&mut Self)];

    /// The table that the changes are made to.
    #[cfg(test)]
    fn start() -> Self {
        Self::empty(Clock::ZERO)
    }

    /// A table with nothing in it.
    fn empty(clock: Clock) -> Self;

    /// From here on changes can be taken back.
    fn begin(&mut self);

    /// Keeps the changes since [`Table::begin`].
    fn commit(&mut self);

    /// Takes back the changes since [`Table::begin`]: as if they had not been made.
    fn roll_back(&mut self);

    /// Forgets what is over at `second`, when a block begins.
    fn forget(&mut self, _second: u32) {}

    /// Takes in what the block at `height` changed.
    fn end_block(&mut self, _height: Height) {}

    /// Its part of the state root; `None`, which counts as zero, while it holds nothing.
    fn root(&mut self) -> Option<Digest>;

    /// What a snapshot has of it; `None` when that is nothing.
    fn freeze(&self) -> Option<Self::Frozen>;

    /// Writes what [`Table::read`] reads.
    fn write(frozen: &Self::Frozen, to: &mut Sink<'_>) -> io::Result<()>;

    /// The table of a snapshot.
    fn read(from: &mut Source<'_>) -> Result<Self, ExecuteError>;

    /// Checks what the table promises by itself; `invariants` checks what tables promise together.
    fn check(&self) -> Result<(), InvariantViolation> {
        Ok(())
    }

    /// What neither the part of the root nor a snapshot shows, in an order of its own.
    #[cfg(test)]
    fn hidden(&self) -> String {
        String::new()
    }
}
