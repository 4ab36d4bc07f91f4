//! Snapshots: the state at one height as bytes, taken without stopping execution.
//!
//! Taking one clones references to pages; execution copies a page when it writes to it next. Live
//! identifiers are left out, since the log has them: a snapshot says from which height on.
//!
//! Layout, little-endian: magic, genesis hash, height, time, execution head, state root, first
//! height of the log that is needed, SHA-256 of all these; then, in the order of the list in
//! `state.rs`, each table that holds something: the number of its part of the state root and its
//! bytes; then a zero. So a table that is added later changes no older snapshot.

use std::io::{self, Write};

use clearway_crypto::hash::sha256;
use clearway_types::codec::Writer;
use clearway_types::units::{Digest, Height, TimeMs};

use crate::clock::Clock;
use crate::error::ExecuteError;
use crate::state::{Frozen, State};
use crate::tables::codec::{Sink, Source};

/// First bytes; the last one is the version of the layout.
const MAGIC: [u8; 8] = *b"CWSTATE\x02";

/// The state at one height.
pub struct Snapshot {
    head: Head,
    tables: Frozen,
}

/// What a snapshot is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) genesis: Digest,
    pub(crate) clock: Clock,
    pub(crate) exec_head: Digest,
    pub(crate) state_root: Digest,
    pub(crate) log_from: Height,
}

impl Head {
    /// The first bytes of a snapshot. What follows them is covered by the state root.
    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.digest(self.genesis);
        out.u64(self.clock.height.0);
        out.u64(self.clock.time.0);
        out.digest(self.exec_head);
        out.digest(self.state_root);
        out.u64(self.log_from.0);
        out
    }

    /// Reads what [`Snapshot::write`] wrote first.
    pub(crate) fn read(from: &mut Source<'_>) -> Result<Self, ExecuteError> {
        match from.array::<8>()? {
            MAGIC => (),
            [name @ .., found] if name == MAGIC[..7] => {
                let supported = MAGIC[7];
                return Err(ExecuteError::SnapshotVersion { found, supported });
            }
            _ => return Err(ExecuteError::Snapshot { field: "magic" }),
        }
        let head = Self {
            genesis: Digest(from.array()?),
            clock: Clock {
                height: Height(from.u64()?),
                time: TimeMs(from.u64()?),
            },
            exec_head: Digest(from.array()?),
            state_root: Digest(from.array()?),
            log_from: Height(from.u64()?),
        };
        match Digest(from.array()?) == sha256(&[&head.encode()]) {
            true => Ok(head),
            false => Err(ExecuteError::Snapshot { field: "seal" }),
        }
    }
}

impl Snapshot {
    pub(crate) fn of(state: &mut State) -> Self {
        let root = state.root();
        let next = state.clock.height.next();
        Self {
            head: Head {
                genesis: state.genesis,
                clock: state.clock,
                exec_head: state.exec_head,
                state_root: root,
                log_from: state.ids.first_height().unwrap_or(next),
            },
            tables: state.freeze(),
        }
    }

    /// Height of the last block in it.
    #[must_use]
    pub fn height(&self) -> Height {
        self.head.clock.height
    }

    /// First height of the log that restoring needs; above [`Snapshot::height`] when none is.
    #[must_use]
    pub fn log_from(&self) -> Height {
        self.head.log_from
    }

    /// Execution head at its height.
    #[must_use]
    pub fn exec_head(&self) -> Digest {
        self.head.exec_head
    }

    /// State root at its height.
    #[must_use]
    pub fn state_root(&self) -> Digest {
        self.head.state_root
    }

    /// Writes the bytes, in pieces of at most about 64 KiB.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let head = self.head.encode();
        let mut to = Sink::new(to);
        to.put(&head)?;
        to.put(&sha256(&[&head]).0)?;
        self.tables.write(&mut to)?;
        to.finish()
    }
}
