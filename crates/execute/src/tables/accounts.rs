//! Accounts in slots of opening order, and the four ways in which a balance moves.

#[cfg(test)]
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::io;

use clearway_crypto::hash::account_leaves;
use clearway_types::account::{Account, AccountFlags};
use clearway_types::limits::ACCOUNTS_MAX;
#[cfg(test)]
use clearway_types::units::ParticipantId;
use clearway_types::units::{AccountId, Digest};
use zerocopy::little_endian::{U16, U32, U64, U128};

use crate::clock::Clock;
use crate::error::{ExecuteError, InvariantViolation};
use crate::tables::codec::{Sink, Source};
use crate::tables::slots::{Pages, Record, Slot, Slots};
use crate::tables::{Table, part};

impl Record for Account {
    fn leaf(&self) -> Digest {
        let [leaf] = account_leaves([self]);
        leaf
    }

    fn two_leaves(accounts: [&Self; 2]) -> [Digest; 2] {
        account_leaves(accounts)
    }
}

/// Envelopes whose accounts are looked up together: enough misses at once for any processor, and a
/// small part of its first cache.
pub(crate) const AHEAD: usize = 16;

/// Accounts in a table, 2 MiB, that is in the cache by itself: touching them first would cost more
/// than it saves.
const CACHED_ACCOUNTS: usize = 1 << 14;

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

    /// Brings accounts into the cache, [`AHEAD`] pairs at a time; changes nothing. In a large table
    /// each one costs about five cache misses, one after the other where it is looked up by itself:
    /// those of many that do not depend on each other overlap.
    pub(crate) fn touch(&self, pairs: impl Iterator<Item = [AccountId; 2]>) {
        if self.slots.len() <= CACHED_ACCOUNTS {
            return;
        }
        let mut slots = [[None; 2]; AHEAD];
        for (slots, ids) in slots.iter_mut().zip(pairs) {
            *slots = ids.map(|id| self.slot(id));
        }
        for slot in slots.into_iter().flatten().flatten() {
            self.slots.touch(slot);
        }
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

impl Table for Accounts {
    const PART: u8 = part::ACCOUNTS;

    type Frozen = Pages<Account>;

    #[cfg(test)]
    const CHANGES: &'static [fn(&mut Self)] = &[
        |accounts| {
            accounts.open(&NewAccount::sample(1), Clock::at(1));
        },
        |accounts| {
            accounts.open(&NewAccount::sample(2), Clock::at(2));
        },
        |accounts| accounts.write(Slot(0), Clock::at(3)).code = U16::new(7),
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
        for slot in self.slots.pushed() {
            self.index.remove(&self.slots.get(slot).id());
        }
        self.slots.roll_back();
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
        Ok(Self::new(from.records(ACCOUNTS_MAX, "accounts")?))
    }

    /// Invariant 2: no member spends what it has not.
    fn check(&self) -> Result<(), InvariantViolation> {
        let mut members = self.slots.iter().filter(|account| !is_issuer(account));
        match members.find(|account| covers(account, 0) != Some(true)) {
            Some(account) => Err(InvariantViolation::Cover(account.id())),
            None => Ok(()),
        }
    }

    #[cfg(test)]
    fn hidden(&self) -> String {
        let index: BTreeMap<_, _> = self.index.iter().collect();
        format!("{index:?}")
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

#[cfg(test)]
impl NewAccount {
    /// Account `number` of participant 1.
    fn sample(number: u32) -> Self {
        Self {
            id: AccountId::new(ParticipantId(1), number),
            ledger: 978,
            credit_line: 0,
            alias: [0; 16],
            code: 0,
            flags: 0,
        }
    }
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
