//! Holds: money set aside until it is posted, voided or its time is over.
//!
//! A hold that ended stays known, as posted, voided or expired, until neither its own envelope nor
//! the one that ended it can come again, and a posted one until it can no longer be returned. Then
//! late envelopes are told what became of it, and its identifier stays taken.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use clearway_crypto::hash::sha256;
use clearway_types::domain::prefix;
use clearway_types::units::{AccountId, Digest, ParticipantId, TimeMs, TransferId};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::clock::Clock;
use crate::error::{ExecuteError, InvariantViolation};
use crate::tables::codec::{Sink, Source};
use crate::tables::slots::{Pages, Record, Slot, Slots};
use crate::tables::{Table, part};

/// What names a hold: its signer and its identifier.
pub type HoldKey = (ParticipantId, TransferId);

/// What became of a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HoldState {
    /// Money is set aside.
    Open,
    /// Settled, in whole or in part; the rest is freed.
    Posted,
    /// Freed by whom the hold names.
    Voided,
    /// Freed because its time was over.
    Expired,
}

/// One hold, 96 bytes, little-endian.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Hold {
    /// Offset 0: identifier of the HOLD.
    pub id: TransferId,
    /// Offset 16: signer of the HOLD, owner of the debited account.
    pub signer: U32,
    /// Offset 20: currency or asset.
    pub ledger: U32,
    /// Offset 24: account that pays.
    pub debit: U64,
    /// Offset 32: account that is paid.
    pub credit: U64,
    /// Offset 40: minor units set aside by the HOLD.
    pub amount: U64,
    /// Offset 48: cluster time from which it is over, milliseconds.
    pub deadline_ms: U64,
    /// Offset 56: minor units that its POST settled.
    pub posted: U64,
    /// Offset 64: minor units given back since.
    pub returned: U64,
    /// Offset 72: an ended hold is forgotten from this second on.
    pub known_until: U32,
    /// Offset 76: participant who may POST.
    pub post_by: U32,
    /// Offset 80: participant who may VOID.
    pub void_by: U32,
    /// Offset 84: 0 free slot, 1 open, 2 posted, 3 voided, 4 expired.
    pub state: u8,
    /// Offset 85: zero.
    pub reserved: [u8; 11],
}

const _: () = assert!(size_of::<Hold>() == 96);

impl Hold {
    /// Its name.
    #[must_use]
    pub fn key(&self) -> HoldKey {
        (ParticipantId(self.signer.get()), self.id)
    }

    /// What became of it; `None` for a free slot.
    #[must_use]
    pub fn state(&self) -> Option<HoldState> {
        match self.state {
            1 => Some(HoldState::Open),
            2 => Some(HoldState::Posted),
            3 => Some(HoldState::Voided),
            4 => Some(HoldState::Expired),
            _ => None,
        }
    }

    /// The accounts that pay and are paid.
    #[must_use]
    pub fn accounts(&self) -> (AccountId, AccountId) {
        (AccountId(self.debit.get()), AccountId(self.credit.get()))
    }

    /// The same hold in another state.
    #[must_use]
    pub(crate) fn ended(mut self, state: HoldState, known_until: u32) -> Self {
        self.state = state_number(state);
        self.known_until = U32::new(known_until);
        self
    }
}

/// The number that stands for a state in [`Hold::state`].
pub(crate) fn state_number(state: HoldState) -> u8 {
    match state {
        HoldState::Open => 1,
        HoldState::Posted => 2,
        HoldState::Voided => 3,
        HoldState::Expired => 4,
    }
}

impl Record for Hold {
    fn leaf(&self) -> Digest {
        sha256(&[&[prefix::STATE_PART, part::HOLDS], self.as_bytes()])
    }
}

/// All holds that are known.
pub(crate) struct Holds {
    pub(crate) slots: Slots<Hold>,
    index: HashMap<HoldKey, Slot>,
    free: BTreeSet<Slot>,
    /// Open holds by deadline.
    deadlines: BTreeSet<(u64, HoldKey)>,
    /// Ended holds by the second in which they are forgotten.
    ended: BTreeSet<(u32, HoldKey)>,
    /// Open holds of each member.
    open_counts: BTreeMap<ParticipantId, usize>,
}

impl Holds {
    /// The holds of `pages`; an empty record is a free slot.
    pub(crate) fn new(pages: Pages<Hold>) -> Self {
        let records: Vec<Hold> = pages.iter().copied().collect();
        let mut holds = Self {
            slots: Slots::new(pages),
            index: HashMap::new(),
            free: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            ended: BTreeSet::new(),
            open_counts: BTreeMap::new(),
        };
        for (hold, slot) in records.iter().zip((0u32..).map(Slot)) {
            match hold.state() {
                Some(_) => holds.link(slot, hold),
                None => {
                    holds.free.insert(slot);
                }
            }
        }
        holds
    }

    pub(crate) fn get(&self, key: HoldKey) -> Option<&Hold> {
        if self.index.is_empty() {
            return None;
        }
        self.index.get(&key).map(|&slot| self.slots.get(slot))
    }

    /// Open holds.
    pub(crate) fn open_count(&self) -> usize {
        self.deadlines.len()
    }

    /// Open holds of one member.
    pub(crate) fn open_count_of(&self, member: ParticipantId) -> usize {
        self.open_counts.get(&member).copied().unwrap_or(0)
    }

    /// Takes in a new hold.
    pub(crate) fn open(&mut self, hold: Hold) {
        assert!(
            !self.index.contains_key(&hold.key()),
            "keys are checked before"
        );
        let slot = match self.free.first() {
            Some(&slot) => slot,
            None => {
                let slot = self.slots.push(Hold::new_zeroed());
                self.free.insert(slot);
                slot
            }
        };
        self.put(slot, hold);
    }

    /// Replaces a hold that is known.
    pub(crate) fn replace(&mut self, hold: Hold) {
        let slot = *self
            .index
            .get(&hold.key())
            .expect("the caller has looked it up");
        self.put(slot, hold);
    }

    /// The open hold whose time was over first, if one is over at `time`.
    pub(crate) fn first_overdue(&self, time: TimeMs) -> Option<Hold> {
        let (deadline_ms, key) = self.deadlines.first()?;
        if *deadline_ms > time.0 {
            return None;
        }
        self.get(*key).copied()
    }

    /// The records in slot order, free slots included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Hold> {
        self.slots.iter()
    }

    fn put(&mut self, slot: Slot, new: Hold) {
        let old = *self.slots.get(slot);
        self.unlink(slot, &old);
        *self.slots.write(slot) = new;
        self.link(slot, &new);
    }

    fn link(&mut self, slot: Slot, hold: &Hold) {
        let Some(state) = hold.state() else {
            self.free.insert(slot);
            return;
        };
        self.free.remove(&slot);
        self.index.insert(hold.key(), slot);
        if state == HoldState::Open {
            self.deadlines.insert((hold.deadline_ms.get(), hold.key()));
            let count = self.open_counts.entry(hold.key().0).or_default();
            *count = count.saturating_add(1);
        } else {
            self.ended.insert((hold.known_until.get(), hold.key()));
        }
    }

    fn unlink(&mut self, slot: Slot, hold: &Hold) {
        let Some(state) = hold.state() else {
            self.free.remove(&slot);
            return;
        };
        self.index.remove(&hold.key());
        if state == HoldState::Open {
            self.deadlines.remove(&(hold.deadline_ms.get(), hold.key()));
            let count = self.open_counts.get_mut(&hold.key().0);
            let count = count.expect("an open hold is counted");
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.open_counts.remove(&hold.key().0);
            }
        } else {
            self.ended.remove(&(hold.known_until.get(), hold.key()));
        }
    }
}

impl Table for Holds {
    const PART: u8 = part::HOLDS;

    type Frozen = Pages<Hold>;

    #[cfg(test)]
    const CHANGES: &'static [fn(&mut Self)] = &[
        |holds| holds.open(Hold::sample(1)),
        |holds| holds.open(Hold::sample(2)),
        |holds| holds.replace(Hold::sample(1).ended(HoldState::Posted, 9)),
        |holds| {
            holds.replace(Hold::sample(2).ended(HoldState::Voided, 3));
            holds.forget(3);
            holds.open(Hold::sample(3));
        },
    ];

    fn empty(_: Clock) -> Self {
        Self::new(Pages::new())
    }

    fn begin(&mut self) {
        self.slots.begin();
    }

    fn commit(&mut self) {
        self.slots.commit();
    }

    fn roll_back(&mut self) {
        for (slot, old) in self.slots.written() {
            self.put(slot, old);
        }
        for slot in self.slots.pushed() {
            self.free.remove(&slot);
        }
        self.slots.drop_pushed();
    }

    /// Forgets ended holds that nothing can ask for any more.
    fn forget(&mut self, second: u32) {
        while let Some(&(until, key)) = self.ended.first() {
            if until > second {
                break;
            }
            let slot = *self
                .index
                .get(&key)
                .expect("every ended hold is in the index");
            self.put(slot, Hold::new_zeroed());
        }
    }

    fn root(&mut self) -> Option<Digest> {
        self.slots.root_if_any()
    }

    fn freeze(&self) -> Option<Self::Frozen> {
        self.slots.freeze()
    }

    fn write(frozen: &Self::Frozen, to: &mut Sink<'_>) -> io::Result<()> {
        to.records(frozen)
    }

    fn read(from: &mut Source<'_>) -> Result<Self, ExecuteError> {
        // The number of holds is bounded by members, not in all: a slot number is 32 bits.
        Ok(Self::new(from.records(u32::MAX as usize, "holds")?))
    }

    /// Invariants 5 and 7: posted <= held, returned <= posted.
    fn check(&self) -> Result<(), InvariantViolation> {
        let sound = |hold: &&Hold| {
            hold.posted.get() <= hold.amount.get() && hold.returned.get() <= hold.posted.get()
        };
        let mut known = self.iter().filter(|hold| hold.state().is_some());
        match known.find(|hold| !sound(hold)) {
            Some(hold) => Err(InvariantViolation::Hold(hold.key().0, hold.id)),
            None => Ok(()),
        }
    }

    #[cfg(test)]
    fn hidden(&self) -> String {
        let index: BTreeMap<_, _> = self.index.iter().collect();
        let (free, counts) = (&self.free, &self.open_counts);
        let (deadlines, ended) = (&self.deadlines, &self.ended);
        format!("{index:?} {free:?} {deadlines:?} {ended:?} {counts:?}")
    }
}

#[cfg(test)]
impl Hold {
    /// An open hold of participant 1.
    fn sample(number: u8) -> Self {
        Self {
            id: TransferId([number; 16]),
            signer: U32::new(1),
            amount: U64::new(5),
            deadline_ms: U64::new(number.into()),
            state: state_number(HoldState::Open),
            ..Hold::new_zeroed()
        }
    }
}
