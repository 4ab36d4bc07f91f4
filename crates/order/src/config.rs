//! What the node decides for ordering: identity, pace, time-outs, where the engine's journal lies.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clearway_crypto::validators::genesis_epoch;
use clearway_types::genesis::Genesis;
use clearway_types::manifest::EpochId;
use clearway_types::units::{Digest, ValidatorNumber};

use crate::error::OrderError;
use crate::room::{AmpleRoom, JournalRoom};

/// Usual time between two proposals at least, milliseconds: measured, see the decisions of `node`.
pub const VIEW_PACE_MS: u32 = 6;
/// Usual time after which an empty block is proposed, milliseconds.
pub const HEARTBEAT_MS: u32 = 250;

/// How this validator fills its lane and paces its proposals.
#[derive(Clone, Debug)]
pub struct OrderConfig {
    /// Hash of the genesis: digest of height 0.
    pub genesis: Digest,
    /// Epoch of the manifests that are made and accepted here.
    pub epoch: EpochId,
    /// This validator.
    pub me: ValidatorNumber,
    /// All validators, in the order of their numbers.
    pub validators: Vec<ValidatorNumber>,
    /// Shortest time between two proposals. A view costs some 2 ms of processor time whatever it
    /// carries, so pacing trades latency against processor time at load.
    pub view_pace: Duration,
    /// A proposal is made at the latest this long after the one before, empty if need be; must lie
    /// below the engine's leader time-out, or idle views would be nullified.
    pub heartbeat: Duration,
    /// An open batch is sealed at the latest after this long while proposals are being made; with
    /// the engine waiting for data it is sealed at once.
    pub seal_linger: Duration,
    /// Manifests may name own batches that are not durable yet: one commit of the store takes both,
    /// and a vote waits for it. For a validator whose batches nobody else has: one that is lost
    /// must not be in anybody's hands. An open batch is then sealed with the proposal that names
    /// it, and never for the time it has waited.
    pub propose_unsynced: bool,
}

impl OrderConfig {
    /// The defaults for validator `me` of `genesis`: [`VIEW_PACE_MS`], [`HEARTBEAT_MS`], batches
    /// sealed within 3 ms.
    ///
    /// # Errors
    /// `me` is not in the genesis.
    pub fn new(genesis: &Genesis, me: ValidatorNumber) -> Result<Self, OrderError> {
        let validators: Vec<_> = genesis.validators.iter().map(|one| one.number).collect();
        if !validators.contains(&me) {
            let (number, count) = (me, validators.len());
            return Err(OrderError::NotAValidator { number, count });
        }
        Ok(Self {
            genesis: genesis.hash(),
            epoch: genesis_epoch(genesis),
            me,
            validators,
            view_pace: Duration::from_millis(VIEW_PACE_MS.into()),
            heartbeat: Duration::from_millis(HEARTBEAT_MS.into()),
            seal_linger: Duration::from_millis(3),
            propose_unsynced: genesis.validators.len() == 1,
        })
    }
}

/// One validator as the engine knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validator {
    /// Its number.
    pub number: ValidatorNumber,
    /// Ed25519 key of its connections.
    pub identity: [u8; 32],
    /// BLS key of its votes, G2 compressed.
    pub vote_key: [u8; 96],
}

/// Keys, time-outs and the journal of the engine.
pub struct EngineConfig {
    /// All validators, in the order of their numbers; their proofs of possession have been checked.
    pub validators: Vec<Validator>,
    /// BLS secret of this validator's votes: a big-endian scalar.
    pub vote_secret: zeroize::Zeroizing<[u8; 32]>,
    /// Directory of the engine's journal, `<data>/engine`; made when missing.
    pub journal_dir: PathBuf,
    /// The disk under it.
    pub journal_room: Arc<dyn JournalRoom>,
    /// Threads of the engine's runtime.
    pub worker_count: usize,
    /// A view without a proposal is given up after this long.
    pub leader_timeout: Duration,
    /// A view without certification is given up after this long; above the leader time-out. After a
    /// crash in the middle of a view this is also what a restart waits for before it goes on.
    pub certification_timeout: Duration,
}

impl EngineConfig {
    /// The defaults for a validator of `genesis`: one thread; a single validator has nobody to wait
    /// for and gives up a view after 0.4 and 0.6 s, a cluster after 1 and 2 s. The journal's disk
    /// is taken for ample.
    #[must_use]
    pub fn new(
        genesis: &Genesis,
        vote_secret: zeroize::Zeroizing<[u8; 32]>,
        journal_dir: PathBuf,
    ) -> Self {
        let validators = genesis.validators.iter().map(|validator| Validator {
            number: validator.number,
            identity: validator.public_key.0,
            vote_key: validator.bls_public_key.0,
        });
        let validators: Vec<_> = validators.collect();
        let (leader_ms, certification_ms) = match validators.len() {
            1 => (400, 600),
            _ => (1000, 2000),
        };
        Self {
            validators,
            vote_secret,
            journal_dir,
            journal_room: Arc::new(AmpleRoom),
            worker_count: 1,
            leader_timeout: Duration::from_millis(leader_ms),
            certification_timeout: Duration::from_millis(certification_ms),
        }
    }
}
