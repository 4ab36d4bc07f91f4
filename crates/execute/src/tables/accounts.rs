//! Accounts in slots of opening order, and the four ways in which a balance moves.

use std::collections::HashMap;

use clearway_crypto::hash::account_leaves;
use clearway_types::account::{Account, AccountFlags};
use clearway_types::units::{AccountId, Digest};
use zerocopy::little_endian::{U16, U32, U64, U128};

use crate::clock::Clock;
use crate::tables::slots::{Pages, Record, Slot, Slots};

impl Record for Account {
    fn leaf(&self) -> Digest {
        let [leaf] = account_leaves([self]);
        leaf
    }

    fn two_leaves(accounts: [&Self; 2]) -> [Digest; 2] {
        account_leaves(accounts)
    }
}

/// All accounts.
pub(crate) struct Accounts {
    pub(crate) slots: Slots<Account>,
    index: HashMap<AccountId, Slot>,
}

impl Accounts {
    /// The accounts of `pages`, in slot order.
    pub(crate) fn new(pages: Pages<Account>) -> Self {
        let slots = Slots::new(pages);
        let ids = slots.iter().map(Account::id);
        let index = ids.zip((0u32..).map(Slot)).collect();
        Self { slots, index }
    }

    pub(crate) fn slot(&self, id: AccountId) -> Option<Slot> {
        self.index.get(&id).copied()
    }

    pub(crate) fn by_id(&self, id: AccountId) -> Option<&Account> {
        self.slot(id).map(|slot| self.slots.get(slot))
    }

    pub(crate) fn get(&self, slot: Slot) -> &Account {
        self.slots.get(slot)
    }

    /// The account for writing; notes the height of the change.
    pub(crate) fn write(&mut self, slot: Slot, clock: Clock) -> &mut Account {
        let account = self.slots.write(slot);
        account.last_height = U32::new(clock.height_low());
        account
    }

    /// Opens an account with empty balances.
    pub(crate) fn open(&mut self, new: &NewAccount, clock: Clock) -> Slot {
        let slot = self.slots.push(Account {
            id: U64::new(new.id.0),
            owner: U32::new(new.id.owner().0),
            ledger: U32::new(new.ledger),
            debits_posted: U128::ZERO,
            credits_posted: U128::ZERO,
            debits_pending: U128::ZERO,
            credits_pending: U128::ZERO,
            credit_line: U64::new(new.credit_line),
            reserve: U64::ZERO,
            alias: new.alias,
            opened_at: U64::new(clock.height.0),
            last_height: U32::new(clock.height_low()),
            code: U16::new(new.code),
            flags: U16::new(new.flags),
        });
        let before = self.index.insert(new.id, slot);
        assert!(before.is_none(), "account numbers are checked before");
        slot
    }
}

/// What a new account starts with.
pub(crate) struct NewAccount {
    pub(crate) id: AccountId,
    pub(crate) ledger: u32,
    pub(crate) credit_line: u64,
    pub(crate) alias: [u8; 16],
    pub(crate) code: u16,
    pub(crate) flags: u16,
}

/// Whether ISSUE debits this account.
pub(crate) fn is_issuer(account: &Account) -> bool {
    account.flags().has(AccountFlags::ISSUER)
}

/// Whether `more` may leave a member's account: invariant 2 of the domain. `None` beyond u128.
pub(crate) fn covers(account: &Account, more: u64) -> Option<bool> {
    let spent = account
        .debits_posted
        .get()
        .checked_add(account.debits_pending.get())?
        .checked_add(u128::from(more))?;
    let cover = account
        .credits_posted
        .get()
        .checked_add(u128::from(account.credit_line.get()))?;
    Some(spent <= cover)
}

/// Money on an account: what it was credited more than debited. What a credit line allows beyond
/// that is not money, and an issuer account holds none.
pub(crate) fn money(account: &Account) -> u128 {
    match is_issuer(account) {
        true => 0,
        false => {
            let (credits, debits) = (account.credits_posted, account.debits_posted);
            credits.get().saturating_sub(debits.get())
        }
    }
}

/// Adds to a balance whose room was checked.
pub(crate) fn add(balance: &mut U128, amount: u64) {
    let sum = balance.get().checked_add(u128::from(amount));
    *balance = U128::new(sum.expect("the room of a balance is checked before it moves"));
}

/// Takes from a balance that holds it.
pub(crate) fn take(balance: &mut U128, amount: u64) {
    let rest = balance.get().checked_sub(u128::from(amount));
    *balance = U128::new(rest.expect("only what was added before is taken"));
}
