//! Net debit limits: how much an account may pay net, a day, to one participant or to everyone.
//!
//! A settled payment counts: TRANSFER, POST and RETURN add to the payer's net and take from the
//! payee's. A HOLD is checked against the limit as if it settled now, and counts when it is posted,
//! on the day of the POST, which is refused when the limit is used up by then; the hold stays open.
//! ISSUE and REDEEM do not count: they make and take money, nobody pays.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::RangeInclusive;

use clearway_crypto::hash::sha256;
use clearway_types::account::Limit;
use clearway_types::code::ResultCode;
use clearway_types::domain::prefix;
use clearway_types::limits::LIMITS_MAX;
use clearway_types::units::{AccountId, Digest, ParticipantId};
use zerocopy::little_endian::{U16, U32, U64, U128};
use zerocopy::{FromZeros, IntoBytes};

use crate::clock::Clock;
use crate::error::ExecuteError;
use crate::tables::codec::{Sink, Source};
use crate::tables::slots::{Pages, Record, Slot, Slots};
use crate::tables::{Table, part};

/// Whose payments to whom: account, and counterparty or 0 for everyone.
type LimitKey = (AccountId, ParticipantId);

/// The counterparty that stands for everyone.
const EVERYONE: ParticipantId = ParticipantId(0);

impl Record for Limit {
    fn leaf(&self) -> Digest {
        sha256(&[&[prefix::STATE_PART, part::LIMITS], self.as_bytes()])
    }
}

/// All limits.
pub(crate) struct DebitLimits {
    pub(crate) slots: Slots<Limit>,
    /// In order, to list those of an account.
    index: BTreeMap<LimitKey, Slot>,
    free: BTreeSet<Slot>,
}

impl DebitLimits {
    /// The limits of `pages`; an empty record is a free slot.
    pub(crate) fn new(pages: Pages<Limit>) -> Self {
        let slots = Slots::new(pages);
        let (mut index, mut free) = (BTreeMap::new(), BTreeSet::new());
        for (limit, slot) in slots.iter().zip((0u32..).map(Slot)) {
            if limit.from.get() == 0 {
                free.insert(slot);
            } else {
                index.insert(key(limit), slot);
            }
        }
        Self { slots, index, free }
    }

    /// Limits in force.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn get(&self, from: AccountId, counterparty: ParticipantId) -> Option<&Limit> {
        let slot = self.index.get(&(from, counterparty))?;
        Some(self.slots.get(*slot))
    }

    /// The limits of an account by counterparty, and what was paid net on the clock's day.
    pub(crate) fn of(&self, from: AccountId, clock: Clock) -> impl Iterator<Item = (&Limit, i128)> {
        let limits = self
            .index
            .range(all_of(from))
            .map(|(_, slot)| self.slots.get(*slot));
        limits.map(move |limit| (limit, net_on_day(limit, clock)))
    }

    /// How many limits an account has.
    pub(crate) fn count_of(&self, from: AccountId) -> usize {
        self.index.range(all_of(from)).count()
    }

    /// Whether a limit for this key exists or can be made.
    pub(crate) fn has_room(&self, from: AccountId, counterparty: ParticipantId) -> bool {
        self.index.len() < LIMITS_MAX || self.index.contains_key(&(from, counterparty))
    }

    /// Sets a limit; one that is set anew keeps what was paid on its day.
    pub(crate) fn set(&mut self, mut new: Limit, clock: Clock) {
        new.last_height = U32::new(clock.height_low());
        if let Some(&slot) = self.index.get(&key(&new)) {
            let limit = self.slots.write(slot);
            (limit.limit, limit.last_height) = (new.limit, new.last_height);
            return;
        }
        new.day = U16::new(clock.day().0);
        let slot = match self.free.first() {
            Some(&slot) => slot,
            None => {
                let slot = self.slots.push(Limit::new_zeroed());
                self.free.insert(slot);
                slot
            }
        };
        self.put(slot, new);
    }

    /// Lifts a limit, if there is one.
    pub(crate) fn lift(&mut self, from: AccountId, counterparty: ParticipantId) {
        if let Some(&slot) = self.index.get(&(from, counterparty)) {
            self.put(slot, Limit::new_zeroed());
        }
    }

    /// Whether the payer's limits leave room for `amount` today.
    pub(crate) fn check(
        &self,
        payer: AccountId,
        payee: AccountId,
        amount: u64,
        clock: Clock,
    ) -> Result<(), ResultCode> {
        if self.index.is_empty() {
            return Ok(());
        }
        for counterparty in [payee.owner(), EVERYONE] {
            let Some(limit) = self.get(payer, counterparty) else {
                continue;
            };
            let net = net_on_day(limit, clock).saturating_add(i128::from(amount));
            if net > i128::from(limit.limit.get()) {
                return Err(ResultCode::LimitExceeded);
            }
        }
        Ok(())
    }

    /// Notes a settled payment on both sides.
    pub(crate) fn note(&mut self, payer: AccountId, payee: AccountId, amount: u64, clock: Clock) {
        if self.index.is_empty() {
            return;
        }
        let paid = i128::from(amount);
        for counterparty in [payee.owner(), EVERYONE] {
            self.move_net((payer, counterparty), paid, clock);
        }
        for counterparty in [payer.owner(), EVERYONE] {
            self.move_net((payee, counterparty), paid.saturating_neg(), clock);
        }
    }

    /// Replaces a record and what leads to it; an empty record is a free slot.
    fn put(&mut self, slot: Slot, new: Limit) {
        let record = self.slots.write(slot);
        let old = std::mem::replace(record, new);
        if old.from.get() == 0 {
            self.free.remove(&slot);
        } else {
            self.index.remove(&key(&old));
        }
        if new.from.get() == 0 {
            self.free.insert(slot);
        } else {
            self.index.insert(key(&new), slot);
        }
    }

    fn move_net(&mut self, key: LimitKey, by: i128, clock: Clock) {
        let Some(&slot) = self.index.get(&key) else {
            return;
        };
        let limit = self.slots.write(slot);
        let net = net_on_day(limit, clock).saturating_add(by);
        limit.net = U128::new(net.cast_unsigned());
        limit.day = U16::new(clock.day().0);
        limit.last_height = U32::new(clock.height_low());
    }
}

impl Table for DebitLimits {
    const PART: u8 = part::LIMITS;

    type Frozen = Pages<Limit>;

    #[cfg(test)]
    const CHANGES: &'static [fn(&mut Self)] = &[
        |limits| limits.set(new_limit(AccountId(1), EVERYONE, 978, 5), Clock::at(1)),
        |limits| limits.set(new_limit(AccountId(2), EVERYONE, 978, 5), Clock::at(1)),
        |limits| limits.set(new_limit(AccountId(1), EVERYONE, 978, 9), Clock::at(2)),
        |limits| limits.note(AccountId(1), AccountId(2), 3, Clock::at(3)),
        |limits| {
            limits.lift(AccountId(1), EVERYONE);
            limits.set(new_limit(AccountId(3), EVERYONE, 978, 5), Clock::at(4));
        },
        |limits| limits.lift(AccountId(2), EVERYONE),
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
        Ok(Self::new(from.records(LIMITS_MAX, "limits")?))
    }

    #[cfg(test)]
    fn hidden(&self) -> String {
        format!("{:?} {:?}", self.index, self.free)
    }
}

/// The keys of an account's limits.
fn all_of(from: AccountId) -> RangeInclusive<LimitKey> {
    (from, EVERYONE)..=(from, ParticipantId(u32::MAX))
}

/// A new limit of `limit` minor units a day.
pub(crate) fn new_limit(
    from: AccountId,
    counterparty: ParticipantId,
    ledger: u32,
    limit: u64,
) -> Limit {
    Limit {
        from: U64::new(from.0),
        counterparty: U32::new(counterparty.0),
        ledger: U32::new(ledger),
        limit: U64::new(limit),
        ..Limit::new_zeroed()
    }
}

/// Paid minus received on the clock's day; a limit touched last on another day starts at zero.
fn net_on_day(limit: &Limit, clock: Clock) -> i128 {
    match limit.day.get() == clock.day().0 {
        true => limit.net.get().cast_signed(),
        false => 0,
    }
}

fn key(limit: &Limit) -> LimitKey {
    (
        AccountId(limit.from.get()),
        ParticipantId(limit.counterparty.get()),
    )
}
