//! The whole state, and taking back what a linked chain did to it.

use clearway_types::domain::DomainTag;
use clearway_types::genesis::Rules;
use clearway_types::units::{AccountId, Digest, TransferId};

use crate::clock::Clock;
use crate::tables::accounts::Accounts;
use crate::tables::approvals::Approvals;
use crate::tables::currencies::Currencies;
use crate::tables::debit_limits::DebitLimits;
use crate::tables::holds::{Hold, Holds};
use crate::tables::ids::Ids;
use crate::tables::participants::Participants;

/// Everything that execution knows.
pub(crate) struct State {
    pub(crate) rules: Rules,
    pub(crate) genesis: Digest,
    pub(crate) tag: DomainTag,
    pub(crate) clock: Clock,
    pub(crate) exec_head: Digest,
    pub(crate) accounts: Accounts,
    pub(crate) currencies: Currencies,
    pub(crate) participants: Participants,
    pub(crate) debit_limits: DebitLimits,
    pub(crate) holds: Holds,
    pub(crate) approvals: Approvals,
    pub(crate) ids: Ids,
}

impl State {
    /// The second from which what settles now can no longer be returned.
    pub(crate) fn return_window_ends(&self) -> u32 {
        self.clock
            .second()
            .saturating_add(self.rules.return_window_s)
    }

    /// A hold by its payer and identifier.
    pub(crate) fn hold_of(&self, debit: AccountId, id: TransferId) -> Option<Hold> {
        self.holds.get((debit.owner(), id)).copied()
    }

    /// From here on changes can be taken back.
    pub(crate) fn begin(&mut self) {
        self.accounts.slots.begin();
        self.currencies.begin();
        self.debit_limits.begin();
        self.holds.begin();
        self.ids.begin();
    }

    /// Keeps the changes since [`State::begin`].
    pub(crate) fn commit(&mut self) {
        self.accounts.slots.commit();
        self.currencies.commit();
        self.debit_limits.commit();
        self.holds.commit();
        self.ids.commit();
    }

    /// Takes back the changes since [`State::begin`].
    pub(crate) fn roll_back(&mut self) {
        self.accounts.slots.roll_back();
        self.currencies.roll_back();
        self.debit_limits.roll_back();
        self.holds.roll_back();
        self.ids.roll_back();
    }
}
