//! The state root: one hash over everything that can change a later result.
//!
//! Accounts, holds and limits are dense Merkle trees over their slots, so a root costs what changed
//! since the last one. Live ids and returns are hash chains, one a bucket. The rest is small.

use clearway_crypto::hash::sha256;
use clearway_types::domain::prefix;
use clearway_types::units::Digest;

use crate::state::State;
use crate::tables::part;

/// The root after the block that the state's clock shows.
pub(crate) fn state_root(state: &mut State) -> Digest {
    let parts = [
        state.accounts.slots.root(),
        state.holds.slots.root(),
        state.ids.root(),
        state.participants.root(),
        state.debit_limits.slots.root(),
        ledgers_root(state),
        state.approvals.root(),
    ];
    let mut bytes = vec![prefix::STATE_ROOT];
    for part in parts {
        bytes.extend_from_slice(&part.0);
    }
    bytes.extend_from_slice(&state.clock.height.0.to_le_bytes());
    bytes.extend_from_slice(&state.clock.time.0.to_le_bytes());
    sha256(&[&bytes])
}

fn ledgers_root(state: &State) -> Digest {
    let mut bytes = vec![prefix::STATE_PART, part::LEDGERS];
    for entry in state.currencies.iter() {
        entry.encode(&mut bytes);
    }
    sha256(&[&bytes])
}

/// SHA-256 over identifier and balances of all accounts in the order of their numbers: the same for
/// any two runs that end with the same money in the same places.
pub(crate) fn balances_root(state: &State) -> Digest {
    let mut accounts: Vec<_> = state.accounts.slots.iter().collect();
    accounts.sort_unstable_by_key(|account| account.id.get());
    let mut bytes = vec![prefix::BALANCES];
    for account in accounts {
        bytes.extend_from_slice(&account.id.get().to_le_bytes());
        for balance in [
            account.debits_posted,
            account.credits_posted,
            account.debits_pending,
            account.credits_pending,
        ] {
            bytes.extend_from_slice(&balance.get().to_le_bytes());
        }
    }
    sha256(&[&bytes])
}
