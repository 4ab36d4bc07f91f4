//! Snapshots: the state at one height as bytes, taken without stopping execution.
//!
//! Taking one clones references to pages; execution copies a page when it writes to it next. Live
//! identifiers are left out, since the log has them: a snapshot says from which height on.
//!
//! Layout, little-endian: magic, genesis hash, height, time, execution head, state root, first
//! height of the log that is needed, SHA-256 of all these; then participants, directory versions,
//! ledgers, approvals, accounts, holds, limits, each a u64 count and that many records.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Read, Write};

use clearway_crypto::hash::sha256;
use clearway_types::account::{Account, KeyEntry, Ledger, Limit, Participant, Role};
use clearway_types::limits::{
    ACCOUNTS_MAX, APPROVALS_MAX, KEY_LAG_MAX, LEDGERS_MAX, LIMITS_MAX, PARTICIPANTS_MAX,
};
use clearway_types::units::{AccountId, Digest, Height, LedgerId, ParticipantId, TimeMs};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use crate::clock::Clock;
use crate::error::ExecuteError;
use crate::state::State;
use crate::state_root::state_root;
use crate::tables::approvals::{Approval, Approvals};
use crate::tables::currencies::{Currencies, CurrencyEntry, Totals};
use crate::tables::holds::Hold;
use crate::tables::participants::Participants;
use crate::tables::slots::Pages;

/// First bytes; the last one is the version of the layout.
const MAGIC: [u8; 8] = *b"CWSTATE\x01";

/// The state at one height.
pub struct Snapshot {
    pub(crate) head: Head,
    pub(crate) participants: Participants,
    pub(crate) currencies: Currencies,
    pub(crate) approvals: Approvals,
    pub(crate) accounts: Pages<Account>,
    pub(crate) holds: Pages<Hold>,
    pub(crate) debit_limits: Pages<Limit>,
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
        out.extend_from_slice(&self.genesis.0);
        out.extend_from_slice(&self.clock.height.0.to_le_bytes());
        out.extend_from_slice(&self.clock.time.0.to_le_bytes());
        out.extend_from_slice(&self.exec_head.0);
        out.extend_from_slice(&self.state_root.0);
        out.extend_from_slice(&self.log_from.0.to_le_bytes());
        out
    }
}

impl Snapshot {
    pub(crate) fn of(state: &mut State) -> Self {
        let root = state_root(state);
        let next = state.clock.height.next();
        Self {
            head: Head {
                genesis: state.genesis,
                clock: state.clock,
                exec_head: state.exec_head,
                state_root: root,
                log_from: state.ids.first_height().unwrap_or(next),
            },
            participants: state.participants.clone(),
            currencies: state.currencies.clone(),
            approvals: state.approvals.clone(),
            accounts: state.accounts.slots.pages(),
            holds: state.holds.slots.pages(),
            debit_limits: state.debit_limits.slots.pages(),
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
        let mut out = self.head.encode();
        let seal = sha256(&[&out]);
        out.extend_from_slice(&seal.0);
        put_count(&mut out, self.participants.len());
        for participant in self.participants.iter() {
            participant.encode(&mut out);
            flush_when_large(&mut out, to)?;
        }
        put_count(&mut out, self.participants.versions().len());
        for version in self.participants.versions() {
            out.extend_from_slice(&version.0.to_le_bytes());
        }
        put_count(&mut out, self.currencies.len());
        for entry in self.currencies.iter() {
            entry.encode(&mut out);
        }
        put_count(&mut out, self.approvals.waiting.len());
        self.approvals.encode(&mut out);
        put_records(&mut out, &self.accounts, to)?;
        put_records(&mut out, &self.holds, to)?;
        put_records(&mut out, &self.debit_limits, to)?;
        to.write_all(&out)
    }

    /// Reads what [`Snapshot::write`] wrote.
    pub(crate) fn read(from: &mut dyn Read) -> Result<Self, ExecuteError> {
        let mut from = Source { from };
        if from.array()? != MAGIC {
            return Err(ExecuteError::Snapshot { field: "magic" });
        }
        let head = Head {
            genesis: Digest(from.array()?),
            clock: Clock {
                height: Height(from.u64()?),
                time: TimeMs(from.u64()?),
            },
            exec_head: Digest(from.array()?),
            state_root: Digest(from.array()?),
            log_from: Height(from.u64()?),
        };
        if Digest(from.array()?) != sha256(&[&head.encode()]) {
            return Err(ExecuteError::Snapshot { field: "seal" });
        }
        let participants = read_participants(&mut from)?;
        let mut currencies = read_currencies(&mut from)?;
        let approvals = read_approvals(&mut from)?;
        let accounts: Pages<Account> = read_records(&mut from, ACCOUNTS_MAX, "accounts")?;
        currencies.count_money(accounts.iter());
        let snapshot = Self {
            head,
            participants,
            currencies,
            approvals,
            accounts,
            // The number of holds is bounded by members, not in all: a slot number is 32 bits.
            holds: read_records(&mut from, u32::MAX as usize, "holds")?,
            debit_limits: read_records(&mut from, LIMITS_MAX, "limits")?,
        };
        match from.from.read(&mut [0])? {
            0 => Ok(snapshot),
            _ => Err(ExecuteError::Snapshot { field: "end" }),
        }
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u64).to_le_bytes());
}

fn put_records<T: IntoBytes + Immutable + Copy + FromZeros>(
    out: &mut Vec<u8>,
    pages: &Pages<T>,
    to: &mut dyn Write,
) -> io::Result<()> {
    put_count(out, pages.len());
    for record in pages.iter() {
        out.extend_from_slice(record.as_bytes());
        flush_when_large(out, to)?;
    }
    Ok(())
}

fn flush_when_large(out: &mut Vec<u8>, to: &mut dyn Write) -> io::Result<()> {
    if out.len() >= 64 << 10 {
        to.write_all(out)?;
        out.clear();
    }
    Ok(())
}

/// Reads fields; never allocates for what has not been read yet.
struct Source<'a> {
    from: &'a mut dyn Read,
}

impl Source<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ExecuteError> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u8(&mut self) -> Result<u8, ExecuteError> {
        Ok(self.array::<1>()?[0])
    }

    fn flag(&mut self) -> Result<bool, ExecuteError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(ExecuteError::Snapshot { field: "flag" }),
        }
    }

    fn u32(&mut self) -> Result<u32, ExecuteError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, ExecuteError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn u128(&mut self) -> Result<u128, ExecuteError> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    fn count(&mut self, max: usize, field: &'static str) -> Result<usize, ExecuteError> {
        match usize::try_from(self.u64()?) {
            Ok(count) if count <= max => Ok(count),
            _ => Err(ExecuteError::Snapshot { field }),
        }
    }
}

fn read_participants(from: &mut Source<'_>) -> Result<Participants, ExecuteError> {
    let mut all = BTreeMap::new();
    for _ in 0..from.count(PARTICIPANTS_MAX, "participants")? {
        let participant = read_participant(from)?;
        all.insert(participant.id, participant);
    }
    let mut versions = VecDeque::new();
    let versions_max = usize::try_from(KEY_LAG_MAX)
        .expect("a small constant")
        .saturating_add(1);
    for _ in 0..from.count(versions_max, "versions")? {
        versions.push_back(Height(from.u64()?));
    }
    Ok(Participants::new(all, versions))
}

fn read_participant(from: &mut Source<'_>) -> Result<Participant, ExecuteError> {
    let id = ParticipantId(from.u32()?);
    let role = Role::from_u8(from.u8()?).ok_or(ExecuteError::Snapshot { field: "role" })?;
    let mut participant = Participant {
        id,
        role,
        suspended: from.flag()?,
        sponsor: ParticipantId(from.u32()?),
        lei: from.array()?,
        bic: from.array()?,
        keys: [None; 4],
    };
    for key in &mut participant.keys {
        let present = from.flag()?;
        let entry = KeyEntry {
            public_key: from.array()?,
            valid_from: Height(from.u64()?),
            valid_to: Height(from.u64()?),
        };
        let unused = entry.valid_from.0 | entry.valid_to.0 == 0 && entry.public_key == [0; 32];
        if !present && !unused {
            return Err(ExecuteError::Snapshot { field: "key" });
        }
        *key = present.then_some(entry);
    }
    Ok(participant)
}

fn read_currencies(from: &mut Source<'_>) -> Result<Currencies, ExecuteError> {
    let mut currencies = Currencies::default();
    for _ in 0..from.count(LEDGERS_MAX, "ledgers")? {
        let ledger = Ledger {
            id: LedgerId(from.u32()?),
            code: from.array()?,
            exponent: from.u8()?,
            issuer: ParticipantId(from.u32()?),
            issuer_account: AccountId(from.u64()?),
        };
        let totals = Totals {
            debits_posted: from.u128()?,
            credits_posted: from.u128()?,
            debits_pending: from.u128()?,
            credits_pending: from.u128()?,
            in_being: 0,
        };
        if currencies.index(ledger.id).is_some() {
            return Err(ExecuteError::Snapshot { field: "ledgers" });
        }
        currencies.define(CurrencyEntry { ledger, totals });
    }
    Ok(currencies)
}

fn read_approvals(from: &mut Source<'_>) -> Result<Approvals, ExecuteError> {
    let mut approvals = Approvals::default();
    for _ in 0..from.count(APPROVALS_MAX, "approvals")? {
        let content = Digest(from.array()?);
        let until = from.u32()?;
        let mut operators = BTreeSet::new();
        let count = from.u32()? as usize;
        if count > PARTICIPANTS_MAX {
            return Err(ExecuteError::Snapshot { field: "operators" });
        }
        for _ in 0..count {
            operators.insert(ParticipantId(from.u32()?));
        }
        let approval = Approval {
            until,
            operators,
            body: None,
        };
        approvals.waiting.insert(content, approval);
    }
    Ok(approvals)
}

fn read_records<T: Copy + FromZeros + FromBytes + IntoBytes>(
    from: &mut Source<'_>,
    max: usize,
    field: &'static str,
) -> Result<Pages<T>, ExecuteError> {
    let mut pages = Pages::new();
    for _ in 0..from.count(max, field)? {
        let mut record = T::new_zeroed();
        from.from.read_exact(record.as_mut_bytes())?;
        pages.push(record);
    }
    Ok(pages)
}
