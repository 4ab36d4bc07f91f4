//! What can go wrong at the edges: a wrong genesis, a damaged snapshot, a log that does not fit.
//!
//! Execution itself never fails.

use clearway_crypto::keys::KeyError;
use clearway_types::genesis::GenesisError;
use clearway_types::units::{AccountId, Digest, Height, LedgerId, ParticipantId, TransferId};

/// Why there is no ledger.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The genesis contradicts itself.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// A participant's key cannot be registered.
    #[error("genesis: participant {participant}: its key is refused ({reason}); make a new pair")]
    Key {
        /// Whose key.
        participant: ParticipantId,
        /// What is wrong with it.
        reason: KeyError,
    },
    /// The snapshot could not be read to its end.
    #[error("snapshot cannot be read ({0}); use an older one, or replay from genesis")]
    Read(#[from] std::io::Error),
    /// The bytes are no snapshot of this version.
    #[error("snapshot: field `{field}` is not valid; use an older one, or replay from genesis")]
    Snapshot {
        /// Which field.
        field: &'static str,
    },
    /// The snapshot has a layout that this program does not read.
    #[error(
        "snapshot has layout version {found}, this program reads version {supported}; run the \
        program that wrote it, nothing was changed"
    )]
    SnapshotVersion {
        /// Version in the snapshot.
        found: u8,
        /// The version that this program reads.
        supported: u8,
    },
    /// The snapshot belongs to another cluster.
    #[error("snapshot is of the cluster {found}, this is {expected}; use its own data directory")]
    ForeignGenesis {
        /// Genesis hash of this cluster.
        expected: Digest,
        /// Genesis hash in the snapshot.
        found: Digest,
    },
    /// The blocks given are not the ones needed.
    #[error("restore needs the block at height {expected}, got {found}; give the log in order")]
    LogGap {
        /// Height needed next.
        expected: Height,
        /// Height given, or the last that is there.
        found: Height,
    },
    /// A block's envelopes and results do not fit together.
    #[error("log at height {height}: {envelopes} envelopes, {results} results; check the store")]
    LogShape {
        /// Height of the block.
        height: Height,
        /// Envelopes in its batches.
        envelopes: usize,
        /// Outcomes in its record.
        results: usize,
    },
    /// Snapshot and log do not give the state that the snapshot promised.
    #[error("state at height {height} has root {found}, expected {expected}; replay from genesis")]
    Root {
        /// Height of the snapshot.
        height: Height,
        /// Root that was promised.
        expected: Digest,
        /// Root that came out.
        found: Digest,
    },
    /// The restored state contradicts itself.
    #[error("restored state is wrong: {0}; replay from genesis")]
    Invariant(#[from] InvariantViolation),
}

/// Which promise of the ledger does not hold; only a bug or damaged memory can cause it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvariantViolation {
    /// Debits and credits of a ledger differ.
    #[error("ledger {0}: debits and credits differ")]
    Unbalanced(LedgerId),
    /// The running sums are not the sums of the accounts.
    #[error("ledger {0}: running sums differ from the accounts")]
    Totals(LedgerId),
    /// Members hold more than there may be.
    #[error("ledger {0}: members hold 2^64 minor units or more")]
    InBeing(LedgerId),
    /// An account belongs to a ledger that is not defined.
    #[error("account {0}: its ledger is not defined")]
    Ledger(AccountId),
    /// A member's account spent more than it has.
    #[error("account {0}: debits exceed credits and credit line")]
    Cover(AccountId),
    /// What is set aside on accounts is not what the open holds say.
    #[error("account {0}: pending balances differ from its open holds")]
    Pending(AccountId),
    /// A hold settled or gave back more than it may, or names what is not there.
    #[error("hold {1} of participant {0}: amounts or accounts contradict each other")]
    Hold(ParticipantId, TransferId),
    /// More was given back than was paid.
    #[error("payment {1} of participant {0}: more was returned than paid")]
    Returned(ParticipantId, TransferId),
}
