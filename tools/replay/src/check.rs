//! The checks of a replay by name, and what a check that failed says.

use std::collections::BTreeSet;

use clearway_types::units::Height;
use serde::{Deserialize, Serialize};

macro_rules! checks {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {
        /// One thing that a replay verifies, in the order in which a block goes through them.
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum Check {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Check {
            /// Every check.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What it verifies, as documented.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

checks! {
    /// The manifest's digest is the hash of its bytes, and the one that the results name.
    ManifestDigest;
    /// Heights follow each other, each manifest names its parent, epoch and leader exist.
    ManifestChain;
    /// Cluster time never falls.
    ManifestTime;
    /// The manifest names the execution head that this replay computed for that height.
    ManifestExecHead;
    /// Each batch is the one that the manifest names: lane, position, count, digest of its head.
    BatchDigest;
    /// Each batch names the one before it in its lane.
    LaneLink;
    /// The batch's head commits to exactly its envelopes.
    EnvelopesRoot;
    /// Each envelope is signed by its signer's key under this cluster's tag.
    Signature;
    /// A quorum signed the block, or a block above it.
    Certificate;
    /// Each envelope got the result code that executing it again gives.
    Outcomes;
    /// Repeated envelopes are answered with the height of their first execution.
    Duplicates;
    /// What execution did by itself is what executing again does.
    Events;
    /// The receipts root is the one of the results.
    ReceiptsRoot;
    /// The state root is the one of the state that executing again gives.
    StateRoot;
    /// The execution head chains all results up to the block.
    ExecHead;
    /// The roots are those that the caller knows, of an earlier replay for example.
    Recorded;
    /// Money is conserved on every ledger, and every other promise holds for the last state.
    Conserved;
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The checks that a replay makes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checks(BTreeSet<Check>);

impl Checks {
    /// All of them: what every command uses.
    #[must_use]
    pub fn all() -> Self {
        Self(Check::ALL.iter().copied().collect())
    }

    /// All but one, so that a test can show what that one finds.
    #[must_use]
    pub fn without(check: Check) -> Self {
        let mut checks = Self::all();
        checks.0.remove(&check);
        checks
    }

    /// Whether `check` is made.
    #[must_use]
    pub fn has(&self, check: Check) -> bool {
        self.0.contains(&check)
    }
}

/// The first thing in a history that is not what it should be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("block {height}{}: {check}: {reason}", place(*.index, *.sequence))]
pub struct Difference {
    /// Which check found it.
    pub check: Check,
    /// The block.
    pub height: Height,
    /// Position of the envelope in the block, where one envelope is to blame.
    pub index: Option<u32>,
    /// Record of the log, where one is to blame.
    pub sequence: Option<u64>,
    /// What was found and what was expected.
    pub reason: String,
}

fn place(index: Option<u32>, sequence: Option<u64>) -> String {
    let index = index.map_or(String::new(), |index| format!(", envelope {index}"));
    let sequence = sequence.map_or(String::new(), |sequence| format!(", record {sequence}"));
    index + &sequence
}

impl Difference {
    pub(crate) fn at(check: Check, height: Height, reason: String) -> Self {
        Self {
            check,
            height,
            index: None,
            sequence: None,
            reason,
        }
    }

    pub(crate) fn differs(
        check: Check,
        height: Height,
        what: &str,
        stored: impl std::fmt::Display,
        expected: impl std::fmt::Display,
    ) -> Self {
        Self::at(
            check,
            height,
            format!("{what} is {stored}, expected {expected}"),
        )
    }

    pub(crate) fn envelope(mut self, index: usize) -> Self {
        self.index = u32::try_from(index).ok();
        self
    }

    pub(crate) fn record(mut self, sequence: u64) -> Self {
        self.sequence = Some(sequence);
        self
    }
}
