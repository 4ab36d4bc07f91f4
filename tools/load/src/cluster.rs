//! The members of a load run: 32 banks, one operator and issuer, their keys and their genesis.

use clearway_crypto::hash::sha256;
use clearway_crypto::keys::SigningKey;
use clearway_types::account::Role;
use clearway_types::domain::DomainTag;
use clearway_types::genesis::{
    Genesis, GenesisAccount, GenesisLedger, GenesisParticipant, GenesisValidator, HexBytes, Rules,
};
use clearway_types::units::{AccountId, LedgerId, ParticipantId, TimeMs};

use crate::workload::Workload;

/// Member banks of a workload; account `a` is kept at bank `a` mod 32.
pub const BANK_COUNT: u32 = 32;
/// The one ledger of a workload.
pub const LEDGER: LedgerId = LedgerId(978);
/// Operator, issuer of the ledger.
pub const OPERATOR: ParticipantId = ParticipantId(1);
/// Life of a signed payment, seconds: signing all of them before the clock starts takes minutes.
pub const TTL_S: u32 = 1800;

/// Participant number of bank `index`.
///
/// # Panics
/// When there is no such bank.
#[must_use]
pub fn bank(index: u32) -> ParticipantId {
    assert!(index < BANK_COUNT, "there are 32 banks");
    ParticipantId(2 + index)
}

/// The keys of all participants, all derived from the run's seed: worth nothing outside the run.
pub struct Members {
    seed: u64,
    banks: Vec<SigningKey>,
}

impl Members {
    /// The keys of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            banks: (0..BANK_COUNT)
                .map(|index| derive_key(seed, bank(index)))
                .collect(),
        }
    }

    /// The key of a bank.
    ///
    /// # Panics
    /// When the participant is no bank.
    #[must_use]
    pub fn bank_key(&self, participant: ParticipantId) -> &SigningKey {
        let index = participant.0.checked_sub(2).expect("banks start at 2");
        &self.banks[index as usize]
    }

    /// The key of any participant of the run, once more.
    #[must_use]
    pub fn key(&self, participant: ParticipantId) -> SigningKey {
        derive_key(self.seed, participant)
    }

    /// The genesis that opens a workload's accounts with their balances.
    #[must_use]
    pub fn genesis(
        &self,
        workload: &Workload,
        validators: Vec<GenesisValidator>,
        now: TimeMs,
    ) -> Genesis {
        let participant = |id, role| GenesisParticipant {
            id,
            role,
            sponsor: OPERATOR,
            lei: String::new(),
            bic: String::new(),
            public_key: HexBytes(self.key(id).public_key()),
        };
        let banks = (0..BANK_COUNT).map(|index| participant(bank(index), Role::Member));
        Genesis {
            name: "clearway-load".into(),
            time: now,
            rules: Rules {
                ttl_s_max: TTL_S + 60,
                ..Rules::default()
            },
            validators,
            participants: std::iter::once(participant(OPERATOR, Role::Operator))
                .chain(banks)
                .collect(),
            ledgers: vec![GenesisLedger {
                id: LEDGER,
                code: "EUR".into(),
                exponent: 2,
                issuer: OPERATOR,
                issuer_account: AccountId::new(OPERATOR, 1),
            }],
            accounts: workload
                .accounts
                .iter()
                .map(|account| GenesisAccount {
                    id: account.id,
                    ledger: LEDGER,
                    balance: account.balance,
                    credit_line: 0,
                })
                .collect(),
        }
    }
}

fn derive_key(seed: u64, participant: ParticipantId) -> SigningKey {
    let (seed, participant) = (seed.to_le_bytes(), participant.0.to_le_bytes());
    SigningKey::from_seed(&sha256(&[b"clearway load key", &seed, &participant]).0)
}

/// The tag under which a genesis' members sign.
#[must_use]
pub fn tag(genesis: &Genesis) -> DomainTag {
    DomainTag::new(genesis.hash())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Generator;
    use clearway_types::units::ValidatorNumber;

    #[test]
    fn the_genesis_of_a_workload_is_right_and_keeps_its_money() {
        let workload = Generator {
            account_count: 100,
            payment_count: 1,
            ..Generator::default()
        }
        .generate();
        let validator = GenesisValidator::new(
            ValidatorNumber(1),
            "v".into(),
            "127.0.0.1:1".into(),
            [1; 32],
            [2; 96],
            [3; 48],
        );
        let genesis = Members::new(5).genesis(&workload, vec![validator], TimeMs(1));
        genesis.check().expect("it is right");
        let issued: u64 = genesis.accounts.iter().map(|account| account.balance).sum();
        assert_eq!(issued, 100 * crate::workload::OPENING_BALANCE);
        assert_eq!(genesis.participants.len(), 33);
    }

    #[test]
    fn keys_differ_by_seed_and_by_participant() {
        let keys = [
            Members::new(1).key(bank(0)),
            Members::new(1).key(bank(1)),
            Members::new(2).key(bank(0)),
        ];
        let public: std::collections::BTreeSet<_> =
            keys.iter().map(SigningKey::public_key).collect();
        assert_eq!(public.len(), 3);
        assert_eq!(
            Members::new(1).bank_key(bank(31)).public_key(),
            Members::new(1).key(bank(31)).public_key()
        );
    }
}
