//! Currencies and assets, each with the running sums that must balance.

use std::collections::BTreeMap;
use std::io;

use clearway_crypto::hash::sha256;
use clearway_types::account::{Account, Currency};
use clearway_types::codec::Writer;
use clearway_types::domain::prefix;
use clearway_types::limits::LEDGERS_MAX;
use clearway_types::units::{AccountId, Digest, LedgerId, ParticipantId};

use crate::clock::Clock;
use crate::error::{ExecuteError, InvariantViolation};
use crate::tables::accounts::money;
use crate::tables::codec::{Sink, Source};
use crate::tables::undo::Undo;
use crate::tables::{Table, part};

/// Place of a currency in the order of definition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CurrencyIndex(usize);

/// Sums of the four balances over all accounts in a currency, kept beside every move; the full scan
/// of `invariants` compares them with the accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) debits_posted: u128,
    pub(crate) credits_posted: u128,
    pub(crate) debits_pending: u128,
    pub(crate) credits_pending: u128,
    /// Money in being: what the members' accounts hold, those that hold any; see
    /// [`crate::tables::accounts::money`]. A function of the accounts, so neither in the state root
    /// nor in snapshots.
    pub(crate) in_being: u128,
}

impl Totals {
    /// Whether both sides are equal: invariant 1 of the domain.
    pub(crate) fn balanced(&self) -> bool {
        self.debits_posted == self.credits_posted && self.debits_pending == self.credits_pending
    }
}

/// A currency and its sums.
#[derive(Clone)]
pub(crate) struct CurrencyEntry {
    pub(crate) currency: Currency,
    pub(crate) totals: Totals,
}

impl CurrencyEntry {
    /// Canonical bytes, 89, without the money in being: in the state root and in snapshots.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let Self { currency, totals } = self;
        out.u32(currency.id.0);
        out.bytes(&currency.code);
        out.u8(currency.exponent);
        out.u32(currency.issuer.0);
        out.u64(currency.issuer_account.0);
        out.u128(totals.debits_posted);
        out.u128(totals.credits_posted);
        out.u128(totals.debits_pending);
        out.u128(totals.credits_pending);
    }

    /// Reads what [`CurrencyEntry::encode`] wrote.
    fn read(from: &mut Source<'_>) -> Result<Self, ExecuteError> {
        let currency = Currency {
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
        Ok(Self { currency, totals })
    }

    #[cfg(test)]
    fn sample(number: u32) -> Self {
        let currency = Currency {
            id: LedgerId(number),
            code: *b"EUR\0\0\0\0\0",
            exponent: 2,
            issuer: ParticipantId(1),
            issuer_account: AccountId::new(ParticipantId(1), number),
        };
        let totals = Totals::default();
        Self { currency, totals }
    }
}

/// All currencies and assets.
#[derive(Default)]
pub(crate) struct Currencies {
    entries: Vec<CurrencyEntry>,
    index: BTreeMap<LedgerId, usize>,
    /// Sums before the linked chain under way.
    undo: Undo<(CurrencyIndex, Totals)>,
    /// Currencies at its begin.
    begin_len: usize,
}

impl Currencies {
    pub(crate) fn index(&self, id: LedgerId) -> Option<CurrencyIndex> {
        self.index.get(&id).copied().map(CurrencyIndex)
    }

    pub(crate) fn by_id(&self, id: LedgerId) -> Option<&CurrencyEntry> {
        self.index.get(&id).map(|&index| &self.entries[index])
    }

    pub(crate) fn get(&self, index: CurrencyIndex) -> &Currency {
        &self.entries[index.0].currency
    }

    /// Sums up the money in being, which snapshots leave out.
    pub(crate) fn count_money<'a>(&mut self, accounts: impl Iterator<Item = &'a Account>) {
        for account in accounts {
            // Currencies that are not defined and sums out of range are found by the full scan.
            if let Some(&index) = self.index.get(&account.ledger()) {
                let in_being = &mut self.entries[index].totals.in_being;
                *in_being = in_being.saturating_add(money(account));
            }
        }
    }

    /// Money in being.
    pub(crate) fn in_being(&self, index: CurrencyIndex) -> u128 {
        self.entries[index.0].totals.in_being
    }

    /// The sums for writing.
    pub(crate) fn totals(&mut self, index: CurrencyIndex) -> &mut Totals {
        let totals = &mut self.entries[index.0].totals;
        self.undo.note(|| (index, *totals));
        totals
    }

    pub(crate) fn define(&mut self, entry: CurrencyEntry) -> CurrencyIndex {
        let index = self.entries.len();
        let before = self.index.insert(entry.currency.id, index);
        assert!(before.is_none(), "ledger numbers are checked before");
        self.entries.push(entry);
        CurrencyIndex(index)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All of them in the order of definition.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &CurrencyEntry> {
        self.entries.iter()
    }
}

impl Table for Currencies {
    const PART: u8 = part::LEDGERS;

    type Frozen = Vec<CurrencyEntry>;

    #[cfg(test)]
    const CHANGES: &'static [fn(&mut Self)] = &[
        |currencies| {
            currencies.define(CurrencyEntry::sample(1));
        },
        |currencies| {
            currencies.define(CurrencyEntry::sample(2));
        },
        |currencies| currencies.totals(CurrencyIndex(0)).in_being = 5,
        |currencies| currencies.totals(CurrencyIndex(0)).debits_posted = 5,
    ];

    fn empty(_: Clock) -> Self {
        Self::default()
    }

    fn begin(&mut self) {
        self.undo.begin();
        self.begin_len = self.entries.len();
    }

    fn commit(&mut self) {
        self.undo.commit();
    }

    fn roll_back(&mut self) {
        for (index, old) in self.undo.take() {
            self.entries[index.0].totals = old;
        }
        for entry in self.entries.drain(self.begin_len..) {
            self.index.remove(&entry.currency.id);
        }
    }

    fn root(&mut self) -> Option<Digest> {
        let mut bytes = vec![prefix::STATE_PART, part::LEDGERS];
        for entry in &self.entries {
            entry.encode(&mut bytes);
        }
        (!self.entries.is_empty()).then(|| sha256(&[&bytes]))
    }

    fn freeze(&self) -> Option<Self::Frozen> {
        (!self.entries.is_empty()).then(|| self.entries.clone())
    }

    fn write(frozen: &Self::Frozen, to: &mut Sink<'_>) -> io::Result<()> {
        to.count(frozen.len())?;
        for entry in frozen {
            to.put_with(|out| entry.encode(out))?;
        }
        Ok(())
    }

    fn read(from: &mut Source<'_>) -> Result<Self, ExecuteError> {
        let mut currencies = Self::default();
        for _ in 0..from.count(LEDGERS_MAX, "ledgers")? {
            let entry = CurrencyEntry::read(from)?;
            if currencies.index(entry.currency.id).is_some() {
                return Err(ExecuteError::Snapshot { field: "ledgers" });
            }
            currencies.define(entry);
        }
        Ok(currencies)
    }

    /// Invariant 1: both sides are equal, and the money in being is within its bound.
    fn check(&self) -> Result<(), InvariantViolation> {
        for entry in &self.entries {
            let id = entry.currency.id;
            if !entry.totals.balanced() {
                return Err(InvariantViolation::Unbalanced(id));
            }
            if entry.totals.in_being > u128::from(u64::MAX) {
                return Err(InvariantViolation::InBeing(id));
            }
        }
        Ok(())
    }

    #[cfg(test)]
    fn hidden(&self) -> String {
        let totals = self.entries.iter().map(|entry| entry.totals);
        format!("{:?} {:?}", self.index, totals.collect::<Vec<_>>())
    }
}

/// Adds to a running sum.
pub(crate) fn add(sum: &mut u128, amount: u64) {
    *sum = sum
        .checked_add(u128::from(amount))
        .expect("a sum of balances stays within 2^128: 2^64 payments of 2^64 do");
}

/// Takes from a running sum.
pub(crate) fn take(sum: &mut u128, amount: u64) {
    *sum = sum
        .checked_sub(u128::from(amount))
        .expect("only what was added before is taken");
}
