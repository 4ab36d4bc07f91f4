//! The state root over its parts, and a root over balances for comparing runs.
//!
//! Accounts, holds and limits are dense Merkle trees over their slots, so a root costs what changed
//! since the last one. Live ids and returns are hash chains, one a bucket. The rest is small.

use clearway_crypto::hash::sha256;
use clearway_types::codec::Writer as _;
use clearway_types::domain::prefix;
use clearway_types::units::Digest;

use crate::clock::Clock;
use crate::tables::accounts::Accounts;
use crate::tables::part;

/// A place for each part, at its number; place 0 is not hashed.
pub(crate) type Parts = [Digest; part::MAX as usize + 1];

/// Parts with nothing in them.
pub(crate) const NO_PARTS: Parts = [Digest::ZERO; part::MAX as usize + 1];

/// The root after the block that the clock shows.
pub(crate) fn root_of(parts: &Parts, clock: Clock) -> Digest {
    let mut bytes = vec![prefix::STATE_ROOT];
    for part in &parts[1..] {
        bytes.digest(*part);
    }
    bytes.u64(clock.height.0);
    bytes.u64(clock.time.0);
    sha256(&[&bytes])
}

/// SHA-256 over identifier and balances of all accounts in the order of their numbers: the same for
/// any two runs that end with the same money in the same places.
pub(crate) fn balances_root(accounts: &Accounts) -> Digest {
    let mut accounts: Vec<_> = accounts.slots.iter().collect();
    accounts.sort_unstable_by_key(|account| account.id.get());
    let mut bytes = vec![prefix::BALANCES];
    for account in accounts {
        bytes.u64(account.id.get());
        for balance in [
            account.debits_posted,
            account.credits_posted,
            account.debits_pending,
            account.credits_pending,
        ] {
            bytes.u128(balance.get());
        }
    }
    sha256(&[&bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_has_a_place_for_each_of_31_parts_used_or_not() {
        let mut bytes = vec![prefix::STATE_ROOT];
        bytes.extend([0; 31 * 32]);
        let clock = Clock::at(0x0102);
        bytes.extend(0x0102u64.to_le_bytes());
        bytes.extend(0x0102_u64.saturating_mul(1000).to_le_bytes());
        assert_eq!(root_of(&NO_PARTS, clock), sha256(&[&bytes]));
        for number in 1..=31 {
            let mut parts = NO_PARTS;
            parts[number] = Digest([7; 32]);
            let mut bytes = bytes.clone();
            bytes[1..]
                .chunks_mut(32)
                .nth(number.saturating_sub(1))
                .expect("31 places")
                .fill(7);
            assert_eq!(root_of(&parts, clock), sha256(&[&bytes]), "part {number}");
        }
    }
}
