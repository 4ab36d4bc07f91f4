//! Re-checks a stored history from its first block: signatures, certificates, codes, roots.
//!
//! # In
//! A genesis and a log, opened read-only; nothing else is believed, no checkpoint, no index.
//! # Out
//! A [`Summary`] of what held, with the first [`Difference`] if something did not.
//! # Never
//! Writes to the store, asks the node, or takes a verdict from anybody: it has a gate, a ledger and
//! a certificate check of its own.
//! # Limits
//! Memory: the state, and [`GROUP_ENVELOPES`] envelopes with the hashes of each.
//! # Cost
//! Signatures are nearly all of it: they are verified on all cores; execution is serial.

mod chain;
mod check;
mod results;
mod signatures;

use std::collections::BTreeMap;
use std::sync::Arc;

use clearway_crypto::gate::{BackendId, Gate, GateError};
use clearway_crypto::validators::{ValidatorSet, ValidatorSetError};
use clearway_execute::{ExecuteError, Ledger};
use clearway_store::history::{History, HistoryError, StoredBlock};
use clearway_store::{Reader, Sequence};
use clearway_types::batch::Batch;
use clearway_types::code::{Outcome, OutcomeFlags, ResultCode};
use clearway_types::domain::DomainTag;
use clearway_types::genesis::Genesis;
use clearway_types::messages::OrderedBlock;
use clearway_types::units::{Digest, Height};
use serde::{Deserialize, Serialize};

use chain::Chain;
pub use check::{Check, Checks, Difference};
use signatures::{Directories, Verifier};

/// Envelopes that are verified together before they are executed: 64 tasks for the cores.
pub const GROUP_ENVELOPES: usize = 65_536;
/// Blocks that are gathered at most, so that empty blocks do not gather without end.
const GROUP_BLOCKS: usize = 1024;

/// How to replay.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is checked.
    pub checks: Checks,
    /// Who verifies signatures; `None` for the fastest backend of the processor.
    pub verified_by: Option<(Gate, BackendId)>,
    /// Last height to check; `None` for all.
    pub to: Option<Height>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            checks: Checks::all(),
            verified_by: None,
            to: None,
        }
    }
}

/// Why a history could not be replayed at all.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The log cannot be read as blocks.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The genesis does not make a ledger.
    #[error("genesis: {0}")]
    Genesis(#[from] ExecuteError),
    /// The genesis' validators do not make a set.
    #[error("genesis: {0}")]
    Validators(#[from] ValidatorSetError),
    /// There is no such backend, or it fails its self-test.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The one who watches has stopped it, and says why.
    #[error("stopped by the one who watches")]
    Stopped,
}

/// How far a replay is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Height done.
    pub height: Height,
    /// Records of the log read, of [`Progress::record_count`].
    pub record: u64,
    /// Records of the log.
    pub record_count: u64,
    /// Envelopes done.
    pub envelopes: u64,
}

/// What a replay has computed of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roots {
    /// The block.
    pub height: Height,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Merkle root of its receipts.
    pub receipts_root: Digest,
    /// State root, at heights where one is due.
    pub state_root: Option<Digest>,
    /// Execution head after it.
    pub exec_head: Digest,
}

/// Why one who watches lets a replay go no further.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Halt {
    /// The roots are not those that it knows: what was found and what was expected.
    Differs(String),
    /// It cannot go on itself.
    Stop,
}

/// Looks on while a history is replayed. A function of a [`Progress`] does.
pub trait Watch {
    /// After each group of blocks.
    fn progress(&mut self, progress: Progress);

    /// After each block that passed the other checks.
    ///
    /// # Errors
    /// The replay ends with this block.
    fn block(&mut self, _roots: &Roots) -> Result<(), Halt> {
        Ok(())
    }
}

impl<F: FnMut(Progress)> Watch for F {
    fn progress(&mut self, progress: Progress) {
        self(progress);
    }
}

/// What a replay found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Blocks that passed every check.
    pub blocks: u64,
    /// Height of the last of them.
    pub height: Height,
    /// Envelopes executed.
    pub envelopes: u64,
    /// Envelopes that settled or changed the directory, repetitions not counted.
    pub settled: u64,
    /// Envelopes with another result, repetitions not counted.
    pub rejected: u64,
    /// Envelopes that had been executed before.
    pub duplicates: u64,
    /// Signatures verified.
    pub signatures_verified: u64,
    /// Certificates checked.
    pub certificates_verified: u64,
    /// State roots compared.
    pub state_roots_compared: u64,
    /// Envelopes by result code.
    pub codes: BTreeMap<String, u64>,
    /// Backend that verified the signatures.
    pub backend: String,
    /// Genesis hash, hexadecimal.
    pub genesis_hash: String,
    /// Execution head after the last block, hexadecimal.
    pub exec_head: String,
    /// Hash of id and four balances of every account in id order, hexadecimal.
    pub balances_root: String,
    /// Debits equal credits on every ledger.
    pub conserved: bool,
    /// Supply of each ledger, minor units as text.
    pub supply: BTreeMap<String, String>,
    /// The first thing that is wrong.
    pub difference: Option<Difference>,
}

impl Summary {
    /// Whether no root, head or digest differs.
    #[must_use]
    pub fn roots_equal(&self) -> bool {
        !self.difference.as_ref().is_some_and(|difference| {
            matches!(
                difference.check,
                Check::ManifestExecHead
                    | Check::EnvelopesRoot
                    | Check::ReceiptsRoot
                    | Check::StateRoot
                    | Check::ExecHead
                    | Check::Recorded
            )
        })
    }

    /// Whether everything held.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.difference.is_none() && self.conserved
    }
}

/// Replays a log from its first block.
///
/// # Errors
/// When the log cannot be read, the genesis makes no cluster or `watch` stops it; what is wrong in
/// the history itself is in the summary.
pub fn replay(
    reader: &Reader,
    genesis: &Genesis,
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<Summary, ReplayError> {
    let (gate, backend) = match &options.verified_by {
        Some(chosen) => chosen.clone(),
        None => {
            let gate = Gate::new()?;
            let fastest = gate.preferred();
            (gate, fastest)
        }
    };
    let ledger = Ledger::from_genesis(genesis)?;
    let first = ledger.directory();
    let mut run = Run {
        chain: Chain::new(genesis, ValidatorSet::from_genesis(genesis)?),
        directories: Directories::from([(first.height, first)]),
        verifier: Verifier {
            gate: &gate,
            backend,
            tag: DomainTag::new(genesis.hash()),
            checks: &options.checks,
        },
        ledger,
        summary: Summary {
            blocks: 0,
            height: Height(0),
            envelopes: 0,
            settled: 0,
            rejected: 0,
            duplicates: 0,
            signatures_verified: 0,
            certificates_verified: 0,
            state_roots_compared: 0,
            codes: BTreeMap::new(),
            backend: gate.name(backend).to_owned(),
            genesis_hash: genesis.hash().to_string(),
            exec_head: String::new(),
            balances_root: String::new(),
            conserved: false,
            supply: BTreeMap::new(),
            difference: None,
        },
    };
    let mut blocks = History::new(reader, Sequence::FIRST, Height(1))
        .take_while(|block| {
            let height = block.as_ref().map(|block| block.record.height);
            options
                .to
                .is_none_or(|to| height.is_ok_and(|height| height <= to) || height.is_err())
        })
        .peekable();
    while blocks.peek().is_some() {
        let group = next_group(&mut blocks)?;
        let last = group.last().map_or(0, |block| block.sequence.0);
        match run.on_group(&group, watch) {
            Ok(()) => {}
            Err(End::Differs(difference)) => {
                run.summary.difference = Some(difference);
                break;
            }
            Err(End::Stopped) => return Err(ReplayError::Stopped),
        }
        watch.progress(Progress {
            height: run.summary.height,
            record: last,
            record_count: reader.durable().0,
            envelopes: run.summary.envelopes,
        });
    }
    Ok(run.finish(options))
}

/// Gathers blocks for one round of verification. A block whose batches name a directory version
/// that is only made inside the group starts the next one.
fn next_group(
    blocks: &mut std::iter::Peekable<impl Iterator<Item = Result<StoredBlock, HistoryError>>>,
) -> Result<Vec<StoredBlock>, HistoryError> {
    let mut group: Vec<StoredBlock> = Vec::new();
    let mut envelopes = 0;
    while let Some(next) = blocks.peek() {
        if let (Ok(block), Some(first)) = (next, group.first()) {
            let first = first.record.height;
            let newest = block
                .batches
                .iter()
                .map(|batch| batch.header.directory_height)
                .max();
            if newest.is_some_and(|height| height >= first) {
                break;
            }
        }
        let Some(block) = blocks.next().transpose()? else {
            break;
        };
        envelopes += block.manifest.manifest.envelope_count();
        group.push(block);
        if envelopes >= GROUP_ENVELOPES || group.len() == GROUP_BLOCKS {
            break;
        }
    }
    Ok(group)
}

/// Why a group is the last one.
enum End {
    Differs(Difference),
    Stopped,
}

impl From<Difference> for End {
    fn from(difference: Difference) -> Self {
        Self::Differs(difference)
    }
}

/// A replay under way.
struct Run<'a> {
    chain: Chain,
    directories: Directories,
    verifier: Verifier<'a>,
    ledger: Ledger,
    summary: Summary,
}

impl Run<'_> {
    fn on_group(&mut self, group: &[StoredBlock], watch: &mut dyn Watch) -> Result<(), End> {
        let batches = self.verifier.verify(group, &self.directories)?;
        for (block, batches) in group.iter().zip(batches) {
            let roots = self.on_block(block, batches)?;
            watch.block(&roots).map_err(|halt| match halt {
                Halt::Differs(reason) => {
                    Difference::at(Check::Recorded, roots.height, reason).into()
                }
                Halt::Stop => End::Stopped,
            })?;
        }
        Ok(())
    }

    fn on_block(
        &mut self,
        block: &StoredBlock,
        batches: Vec<Arc<Batch>>,
    ) -> Result<Roots, Difference> {
        let checks = self.verifier.checks;
        self.chain.on_block(block, checks)?;
        let height = block.record.height;
        // Execution asserts what consensus promises; a forged chain must not reach the assertion.
        if block.manifest.manifest.height != self.ledger.height().next()
            || block.manifest.manifest.time < self.ledger.time()
        {
            let check = Check::ManifestChain;
            return Err(Difference::at(
                check,
                height,
                "height or time falls".to_owned(),
            ));
        }
        let executed = self.ledger.execute(OrderedBlock {
            manifest: Arc::new(block.manifest.manifest.clone()),
            digest: block.manifest.digest,
            batches,
            certificate: block.record.certificate.clone(),
        });
        results::compare(&block.record, &executed, block.sequence.0, checks)?;
        self.chain.on_executed(height, executed.exec_head);
        let directory = self.ledger.directory();
        self.directories
            .entry(directory.height)
            .or_insert(directory);
        self.count(block, &executed.results);
        Ok(Roots {
            height,
            manifest: block.manifest.digest,
            receipts_root: executed.receipts_root,
            state_root: executed.state_root,
            exec_head: executed.exec_head,
        })
    }

    fn count(&mut self, block: &StoredBlock, results: &[Outcome]) {
        let summary = &mut self.summary;
        summary.blocks += 1;
        summary.height = block.record.height;
        summary.envelopes += results.len() as u64;
        summary.duplicates += block.record.duplicates.len() as u64;
        summary.certificates_verified += u64::from(block.record.certificate.is_some());
        summary.state_roots_compared += u64::from(block.record.state_root.is_some());
        if self.verifier.checks.has(Check::Signature) {
            summary.signatures_verified += results.len() as u64;
        }
        let repeated = OutcomeFlags::DUPLICATE;
        for outcome in results
            .iter()
            .filter(|outcome| outcome.flags.0 & repeated == 0)
        {
            if outcome.code == ResultCode::Settled {
                summary.settled += 1;
            } else {
                summary.rejected += 1;
            }
        }
        // A few codes are nearly all: count runs, not single results.
        for run in results.chunk_by(|a, b| a.code == b.code) {
            let name = run[0].code.to_string();
            *summary.codes.entry(name).or_default() += run.len() as u64;
        }
    }

    fn finish(mut self, options: &Options) -> Summary {
        let height = self.summary.height;
        let head: Digest = self.ledger.exec_head();
        self.summary.exec_head = head.to_string();
        self.summary.balances_root = self.ledger.balances_root().to_string();
        self.summary.conserved = true;
        for ledger in self.ledger.conserved() {
            self.summary.conserved &= ledger.conserved;
            let supply = ledger.supply.to_string();
            self.summary
                .supply
                .insert(ledger.ledger.to_string(), supply);
        }
        let broken = self.ledger.check_invariants().err();
        self.summary.conserved &= broken.is_none();
        if self.summary.difference.is_some() {
            return self.summary;
        }
        // The end of a part of the history may well be covered by a block beyond it.
        let end = match options.to {
            None if options.checks.has(Check::Certificate) => self.chain.on_end().err(),
            _ => None,
        };
        let broken = broken.filter(|_| options.checks.has(Check::Conserved));
        let broken =
            broken.map(|error| Difference::at(Check::Conserved, height, error.to_string()));
        self.summary.difference = end.or(broken);
        self.summary
    }
}
