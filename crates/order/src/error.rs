//! What can stop ordering, and what to do about it.
use std::path::PathBuf;

use clearway_types::batch::LaneId;
use clearway_types::codec::DecodeError;
use clearway_types::manifest::EpochId;
use clearway_types::units::{Digest, Height, ValidatorNumber};

/// Ordering cannot start or has to stop.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OrderError {
    /// The validator is not in the genesis.
    #[error(
        "validator {number} is not among the genesis's {count}; use the key file \
             that was made with this genesis"
    )]
    NotAValidator {
        /// Its number.
        number: ValidatorNumber,
        /// Validators of the genesis.
        count: usize,
    },
    /// More validators than this build can run.
    #[error(
        "the genesis has {count} validators; this version orders with a single one: use a \
             genesis with one validator"
    )]
    ClusterNotActive {
        /// Validators of the genesis.
        count: usize,
    },
    /// A validator's key bytes are no key.
    #[error(
        "validator {number}: its `{field}` is not a valid key; make the genesis again with \
             `clearway node init`"
    )]
    Key {
        /// Its number.
        number: ValidatorNumber,
        /// Which key.
        field: &'static str,
    },
    /// The vote secret does not belong to this validator.
    #[error(
        "the vote secret does not match validator {number}'s key in the genesis; use the key \
             file that was made with this genesis"
    )]
    SecretMismatch {
        /// Its number.
        number: ValidatorNumber,
    },
    /// Pace, heartbeat and time-outs contradict each other.
    #[error("`{field}` is out of order: {help}")]
    Timing {
        /// Which setting.
        field: &'static str,
        /// What is allowed.
        help: &'static str,
    },
    /// Another result was notarized than this node computed.
    #[error(
        "block {height} names execution head {named} at height {state_height}, this node has \
             {own}: the node stops; compare both with `clearway replay`"
    )]
    Diverged {
        /// Height of the block.
        height: Height,
        /// Height whose result it names.
        state_height: Height,
        /// What it names.
        named: Digest,
        /// What was computed here.
        own: Digest,
    },
    /// Two different blocks were finalized at one height: more than f validators are faulty.
    #[error(
        "a certificate finalizes {digest}, which does not extend the final block at height \
             {height}: the node stops; keep the data directory as evidence"
    )]
    Conflict {
        /// Last final height here.
        height: Height,
        /// Manifest that was finalized.
        digest: Digest,
    },
    /// The newest stored certificate does not verify.
    #[error(
        "the stored certificate of view {view} does not verify with the genesis's keys: the \
             data directory is damaged or of another cluster; restore it from a backup"
    )]
    CertificateRejected {
        /// View of the certificate.
        view: u64,
    },
    /// The engine's journal knows blocks that the store does not have.
    #[error(
        "the engine's journal names manifest {digest}, which the store lost: the store is older \
             than the journal; restore both from the same moment"
    )]
    StoreBehind {
        /// Manifest that is missing.
        digest: Digest,
    },
    /// The engine cannot read its journal.
    #[error(
        "the ordering engine cannot read its journal in {}: {reason}; put that folder back from a \
             backup taken at the same moment as the log. With a single validator, and only if \
             the log is the newest one of this validator and no older copy, move the journal's \
             folder (never the log) away and start again: the node goes on from its newest \
             stored certificate, and nothing that was answered is lost",
        dir.display()
    )]
    JournalDamaged {
        /// Where it lies.
        dir: PathBuf,
        /// What the engine said last.
        reason: String,
    },
    /// Something else stands where the engine has a file.
    #[error(
        "{} is not a file, and the ordering engine keeps one there: find out who put it there, \
             move it away and start again",
        path.display()
    )]
    JournalForeign {
        /// Where it stands.
        path: PathBuf,
    },
    /// The engine ended by itself, most likely because its journal could not be written.
    #[error(
        "the ordering engine stopped: {reason}; check the disk under the data directory, then \
             start the node again"
    )]
    EngineStopped {
        /// What it said last.
        reason: String,
    },
}

/// The stored records do not add up to a chain.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecoveryError {
    /// A manifest's or batch's bytes do not decode.
    #[error("stored record is damaged: {0}; restore the data directory from a backup")]
    Record(#[from] DecodeError),
    /// A manifest was made in another epoch, or by other validators.
    #[error(
        "manifest of height {height} is of {found}, the genesis begins {expected}: the data \
             directory is of another cluster; use its genesis"
    )]
    Epoch {
        /// Height of the manifest.
        height: Height,
        /// Its epoch.
        found: EpochId,
        /// The epoch of the genesis.
        expected: EpochId,
    },
    /// A checkpoint, batch or manifest names a lane of somebody who is no validator.
    #[error(
        "the log or a checkpoint names a lane of validator {owner}, which the genesis does not \
             have: the data directory is damaged or of another cluster; use its genesis, or \
             restore it from a backup"
    )]
    LaneOwner {
        /// Owner of the lane.
        owner: ValidatorNumber,
    },
    /// A final record has no manifest before it in the log.
    #[error(
        "final record of height {height} names manifest {digest}, which is not stored before \
             it; restore the data directory from a backup"
    )]
    ManifestMissing {
        /// Height of the record.
        height: Height,
        /// Manifest it names.
        digest: Digest,
    },
    /// A final record does not follow the one before.
    #[error(
        "final record of height {found} follows height {last}, or does not extend its block; \
             restore the data directory from a backup"
    )]
    Gap {
        /// Last height before it.
        last: Height,
        /// Its height.
        found: Height,
    },
    /// A batch named by a manifest is not stored, though manifests are voted for after their
    /// batches are durable.
    #[error(
        "final block {height} names batch {digest}, which is not stored; restore the data \
             directory from a backup"
    )]
    BatchMissing {
        /// Height of the block.
        height: Height,
        /// The batch.
        digest: Digest,
    },
    /// A stored batch's envelopes are not those of its header.
    #[error(
        "stored batch {index} of lane {lane} does not have the Merkle root of its header; \
             restore the data directory from a backup"
    )]
    BatchRoot {
        /// Lane of the batch.
        lane: LaneId,
        /// Position in the lane.
        index: u64,
    },
}
