//! Currencies and assets, each with the running sums that must balance.

use std::collections::BTreeMap;

use clearway_types::account::{Account, Ledger};
use clearway_types::units::LedgerId;

use crate::tables::accounts::money;

/// Place of a ledger in the order of definition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CurrencyIndex(usize);

/// Sums of the four balances over all accounts of a ledger, kept beside every move; the full scan
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

/// A ledger and its sums.
#[derive(Clone)]
pub(crate) struct CurrencyEntry {
    pub(crate) ledger: Ledger,
    pub(crate) totals: Totals,
}

impl CurrencyEntry {
    /// Canonical bytes, 89, without the money in being: in the state root and in snapshots.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let Self { ledger, totals } = self;
        out.extend_from_slice(&ledger.id.0.to_le_bytes());
        out.extend_from_slice(&ledger.code);
        out.push(ledger.exponent);
        out.extend_from_slice(&ledger.issuer.0.to_le_bytes());
        out.extend_from_slice(&ledger.issuer_account.0.to_le_bytes());
        out.extend_from_slice(&totals.debits_posted.to_le_bytes());
        out.extend_from_slice(&totals.credits_posted.to_le_bytes());
        out.extend_from_slice(&totals.debits_pending.to_le_bytes());
        out.extend_from_slice(&totals.credits_pending.to_le_bytes());
    }
}

/// All currencies and assets.
#[derive(Clone, Default)]
pub(crate) struct Currencies {
    entries: Vec<CurrencyEntry>,
    index: BTreeMap<LedgerId, usize>,
    undo: Option<Vec<(CurrencyIndex, Totals)>>,
}

impl Currencies {
    pub(crate) fn index(&self, id: LedgerId) -> Option<CurrencyIndex> {
        self.index.get(&id).copied().map(CurrencyIndex)
    }

    pub(crate) fn by_id(&self, id: LedgerId) -> Option<&CurrencyEntry> {
        self.index.get(&id).map(|&index| &self.entries[index])
    }

    pub(crate) fn get(&self, index: CurrencyIndex) -> &Ledger {
        &self.entries[index.0].ledger
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
        if let Some(undo) = &mut self.undo {
            undo.push((index, *totals));
        }
        totals
    }

    pub(crate) fn define(&mut self, entry: CurrencyEntry) -> CurrencyIndex {
        let index = self.entries.len();
        let before = self.index.insert(entry.ledger.id, index);
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

    pub(crate) fn begin(&mut self) {
        self.undo = Some(Vec::new());
    }

    pub(crate) fn commit(&mut self) {
        self.undo = None;
    }

    pub(crate) fn roll_back(&mut self) {
        for (index, old) in self.undo.take().into_iter().flatten().rev() {
            self.entries[index.0].totals = old;
        }
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
