//! Why a node does not start, or stops by itself.

use std::io;
use std::net::SocketAddr;

use clearway_crypto::gate::GateError;
use clearway_crypto::validators::ValidatorSetError;
use clearway_execute::ExecuteError;
use clearway_ingest::IngestError;
use clearway_order::{OrderError, RecoveryError};
use clearway_store::StoreError;
use clearway_store::history::HistoryError;
use clearway_types::codec::DecodeError;
use clearway_types::genesis::GenesisError;
use clearway_types::units::{Digest, Height};
use clearway_verify::VerifyError;

/// Why a node does not start, or stops by itself.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The genesis is not acceptable.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// A validator's keys in the genesis are wrong.
    #[error(transparent)]
    Validators(#[from] ValidatorSetError),
    /// The key file holds the keys of nobody in the genesis.
    #[error("the key file's validator is not in the genesis: give the keys that genesis names")]
    NotInGenesis,
    /// The signature backends fail their self-test.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A setting of verification, or a backend that this machine does not have.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The operators' page would be reachable from outside.
    #[error("admin_listen {address} is not on loopback: metrics stay on this machine")]
    AdminAddress {
        /// As configured.
        address: SocketAddr,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another node running?")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The members' door.
    #[error(transparent)]
    Door(#[from] IngestError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log cannot be read as blocks.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The newest checkpoint holds a state that the log does not lead to.
    #[error(
        "the checkpoint stands at height {state}, the log ends at height {log}: blocks that were \
         final are missing, as after an older copy of the log was put back; put back a backup of \
         the whole data folder whose log reaches height {state}"
    )]
    LogBehind {
        /// Last final block in the log.
        log: Height,
        /// Height of the state.
        state: Height,
    },
    /// A final record does not decode.
    #[error("a final record of the log does not decode: {0}; restore a backup")]
    Record(DecodeError),
    /// A checkpoint does not decode.
    #[error("the checkpoint does not decode: {0}; remove it, the log has everything")]
    Checkpoint(DecodeError),
    /// Executing a stored block again gave something else.
    #[error(
        "block {height} executes to {executed} here, {stored} is stored: \
         do not run this data with this version"
    )]
    Divergence {
        /// The block.
        height: Height,
        /// Execution head in the log.
        stored: Digest,
        /// Execution head now.
        executed: Digest,
    },
    /// The ledger.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// Ordering.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// Ordering's part of recovery.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// A thread cannot be started, or the runtime.
    #[error("cannot start thread or runtime: {0}; raise the limit of processes")]
    Thread(io::Error),
    /// A thread panicked: a bug.
    #[error("thread {thread} broke an assumption and stopped; the log has its words")]
    Panic {
        /// Its name.
        thread: &'static str,
    },
}
