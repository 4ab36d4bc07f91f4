//! The genesis: everything a cluster starts from, its rules and its hash.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::account::Role;
use crate::codec::Writer;
use crate::domain::prefix;
use crate::hex;
use crate::limits;
use crate::units::{AccountId, Digest, LedgerId, ParticipantId, TimeMs, ValidatorNumber};

/// Everything a cluster starts from; `clearway node init` writes it as TOML.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// Name of the cluster; part of the hash.
    pub name: String,
    /// Cluster time of the genesis block, milliseconds since 1970-01-01.
    pub time: TimeMs,
    /// Bounds and thresholds.
    #[serde(default)]
    pub rules: Rules,
    /// The validators, in the order of their numbers.
    pub validators: Vec<GenesisValidator>,
    /// The first participants; at least one operator.
    pub participants: Vec<GenesisParticipant>,
    /// The first ledgers.
    #[serde(default)]
    pub ledgers: Vec<GenesisLedger>,
    /// The first accounts; many of them are better kept in a CSV file beside this one.
    #[serde(default)]
    pub accounts: Vec<GenesisAccount>,
}

/// Bounds and thresholds that all validators share.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Longest life of an envelope, seconds (MAX_TTL).
    pub ttl_s_max: u32,
    /// How long a payment can be returned, seconds of cluster time after it settled.
    pub return_window_s: u32,
    /// Operators who must approve LEDGER_DEFINE and PARTICIPANT_SET.
    pub operator_threshold: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            ttl_s_max: limits::TTL_S_DEFAULT,
            return_window_s: limits::RETURN_WINDOW_S_DEFAULT,
            operator_threshold: 1,
        }
    }
}

/// One validator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisValidator {
    /// Its number, not 0.
    pub number: ValidatorNumber,
    /// Name for people.
    pub name: String,
    /// Where members reach its QUIC door, `HOST:PORT`. No part of the hash: a host may move.
    pub members_address: String,
    /// Where the other validators reach it as `HOST:PORT`, empty where there are none. No part of
    /// the hash. Checked, but not used yet: validators do not connect to each other so far.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub peer_address: String,
    /// Ed25519 key of its connections, hexadecimal, 32 bytes.
    pub public_key: HexBytes<32>,
    /// BLS12-381 G2 key of its votes, compressed, 96 bytes.
    pub bls_public_key: HexBytes<96>,
    /// Proof that it holds the BLS secret, G1 compressed, 48 bytes.
    pub bls_proof: HexBytes<48>,
}

/// One participant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisParticipant {
    /// Its number, not 0.
    pub id: ParticipantId,
    /// What it may do.
    pub role: Role,
    /// Who may open accounts for it; 0 for operators only.
    #[serde(default)]
    pub sponsor: ParticipantId,
    /// ISO 17442 identifier or empty.
    #[serde(default)]
    pub lei: String,
    /// ISO 9362 identifier or empty.
    #[serde(default)]
    pub bic: String,
    /// Ed25519 key in slot 0, hexadecimal.
    pub public_key: HexBytes<32>,
}

/// One ledger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisLedger {
    /// Its number, not 0.
    pub id: LedgerId,
    /// ISO 4217 code or asset name, at most 8 upper-case letters and digits.
    pub code: String,
    /// Decimal places of the minor unit.
    pub exponent: u8,
    /// Participant who may ISSUE and REDEEM.
    pub issuer: ParticipantId,
    /// Account that is debited for all money in being; opened here, owned by the issuer.
    pub issuer_account: AccountId,
}

/// One account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisAccount {
    /// Its number; the high half is the owner.
    pub id: AccountId,
    /// Its ledger.
    pub ledger: LedgerId,
    /// Opening balance in minor units, issued by the ledger's issuer account.
    #[serde(default)]
    pub balance: u64,
    /// How far debits may exceed credits.
    #[serde(default)]
    pub credit_line: u64,
}

/// Fixed-length bytes written as hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HexBytes<const N: usize>(pub [u8; N]);

impl<const N: usize> Serialize for HexBytes<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for HexBytes<N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode_array(&text).map(Self).ok_or_else(|| {
            let digits = N.saturating_mul(2);
            serde::de::Error::custom(format!("expected {digits} hexadecimal digits"))
        })
    }
}

/// What is wrong with a genesis.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GenesisError {
    /// A list that must not be empty, or too long.
    #[error("genesis: {count} {what}; give between {min} and {max}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// Fewest allowed.
        min: usize,
        /// Most allowed.
        max: usize,
    },
    /// A number that is 0 or used twice.
    #[error("genesis: {} is zero or given twice; number each once, from 1", named(what, *id))]
    Id {
        /// What is numbered.
        what: &'static str,
        /// The number.
        id: u64,
    },
    /// A reference to something that is not in the genesis.
    #[error(
        "genesis: {} names {target} {missing}, which is not there; add it first",
        named(what, *id)
    )]
    Missing {
        /// What refers.
        what: &'static str,
        /// Its number.
        id: u64,
        /// What is referred to.
        target: &'static str,
        /// The number that is missing.
        missing: u64,
    },
    /// A value outside its range.
    #[error("genesis: {}: `{field}` is out of range; {help}", named(what, *id))]
    Value {
        /// What it belongs to.
        what: &'static str,
        /// Its number.
        id: u64,
        /// Which field.
        field: &'static str,
        /// What is allowed.
        help: &'static str,
    },
}

/// What is wrong, by the number that people know it by.
fn named(what: &str, id: u64) -> String {
    match what {
        "account" => format!("account {}", AccountId(id)),
        "rules" => "rules".to_owned(),
        _ => format!("{what} {id}"),
    }
}

impl Genesis {
    /// Checks numbers, references and ranges; keys are checked where they are used.
    ///
    /// # Errors
    /// The first thing that is wrong, with what to do.
    pub fn check(&self) -> Result<(), GenesisError> {
        count(
            "validators",
            self.validators.len(),
            1,
            limits::VALIDATORS_MAX,
        )?;
        count(
            "participants",
            self.participants.len(),
            1,
            limits::PARTICIPANTS_MAX,
        )?;
        count("ledgers", self.ledgers.len(), 0, limits::LEDGERS_MAX)?;
        count("accounts", self.accounts.len(), 0, limits::ACCOUNTS_MAX)?;
        self.check_rules()?;
        self.check_validators()?;
        self.check_participants()?;
        self.check_ledgers()?;
        self.check_accounts()
    }

    fn check_rules(&self) -> Result<(), GenesisError> {
        let operators = self
            .participants
            .iter()
            .filter(|p| p.role == Role::Operator)
            .count();
        let value = |field, help| GenesisError::Value {
            what: "rules",
            id: 0,
            field,
            help,
        };
        if self.rules.ttl_s_max == 0 || self.rules.ttl_s_max > limits::TTL_S_MAX {
            return Err(value("ttl_s_max", "between 1 and 3600 seconds"));
        }
        if self.rules.return_window_s > limits::TTL_S_MAX {
            return Err(value("return_window_s", "at most 3600 seconds"));
        }
        if self.rules.operator_threshold == 0 || self.rules.operator_threshold as usize > operators
        {
            return Err(value(
                "operator_threshold",
                "between 1 and the number of operators",
            ));
        }
        Ok(())
    }

    fn check_validators(&self) -> Result<(), GenesisError> {
        let numbers = self.validators.iter().map(|v| v.number);
        unique("validator", numbers.map(|number| u64::from(number.0)))?;
        let value = |validator: &GenesisValidator, field, help| GenesisError::Value {
            what: "validator",
            id: u64::from(validator.number.0),
            field,
            help,
        };
        for pair in self.validators.windows(2) {
            if pair[1].number < pair[0].number {
                let help = "list validators in the order of numbers";
                return Err(value(&pair[1], "number", help));
            }
        }
        for validator in &self.validators {
            if !address_shape(&validator.members_address) {
                let help = "name its door as HOST:PORT";
                return Err(value(validator, "members_address", help));
            }
            match (self.validators.len(), validator.peer_address.is_empty()) {
                (1, false) => {
                    let help = "leave it out: a single validator has no peers";
                    return Err(value(validator, "peer_address", help));
                }
                (2.., _) if !address_shape(&validator.peer_address) => {
                    let help = "name as HOST:PORT where the other validators reach it";
                    return Err(value(validator, "peer_address", help));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_participants(&self) -> Result<(), GenesisError> {
        unique(
            "participant",
            self.participants.iter().map(|p| u64::from(p.id.0)),
        )?;
        let mut keys = BTreeSet::new();
        for participant in &self.participants {
            let id = u64::from(participant.id.0);
            let value = |field, help| GenesisError::Value {
                what: "participant",
                id,
                field,
                help,
            };
            if !keys.insert(participant.public_key.0) {
                let help = "each participant has a key of its own; make another key pair";
                return Err(value("public_key", help));
            }
            if !participant.lei.is_empty() && !lei_shape(&participant.lei) {
                return Err(value(
                    "lei",
                    "18 capitals or digits and 2 check digits, or empty",
                ));
            }
            if !participant.bic.is_empty() && !bic_shape(&participant.bic) {
                return Err(value(
                    "bic",
                    "8 or 11 capitals or digits as in ISO 9362, or empty",
                ));
            }
            if participant.sponsor != ParticipantId(0) {
                self.known(("participant", id), participant.sponsor)?;
            }
        }
        Ok(())
    }

    fn check_ledgers(&self) -> Result<(), GenesisError> {
        unique("ledger", self.ledgers.iter().map(|l| u64::from(l.id.0)))?;
        for ledger in &self.ledgers {
            let id = u64::from(ledger.id.0);
            let value = |field, help| GenesisError::Value {
                what: "ledger",
                id,
                field,
                help,
            };
            if !ledger_code_shape(ledger.code.as_bytes()) {
                return Err(value("code", "1 to 8 capitals or digits"));
            }
            if ledger.exponent > limits::EXPONENT_MAX {
                return Err(value("exponent", "at most 18 decimal places"));
            }
            self.known(("ledger", id), ledger.issuer)?;
            if ledger.issuer_account.owner() != ledger.issuer {
                return Err(value(
                    "issuer_account",
                    "its high 32 bits must be the issuer",
                ));
            }
        }
        Ok(())
    }

    fn check_accounts(&self) -> Result<(), GenesisError> {
        let issuers = self.ledgers.iter().map(|l| l.issuer_account.0);
        unique(
            "account",
            issuers.chain(self.accounts.iter().map(|a| a.id.0)),
        )?;
        let participants: BTreeMap<_, _> = self.participants.iter().map(|p| (p.id, ())).collect();
        let mut issued: BTreeMap<LedgerId, u64> = self.ledgers.iter().map(|l| (l.id, 0)).collect();
        for account in &self.accounts {
            let missing = |target, missing| GenesisError::Missing {
                what: "account",
                id: account.id.0,
                target,
                missing,
            };
            if !participants.contains_key(&account.id.owner()) {
                return Err(missing("participant", u64::from(account.id.owner().0)));
            }
            let sum = issued
                .get_mut(&account.ledger)
                .ok_or_else(|| missing("ledger", u64::from(account.ledger.0)))?;
            *sum = sum
                .checked_add(account.balance)
                .ok_or(GenesisError::Value {
                    what: "account",
                    id: account.id.0,
                    field: "balance",
                    help: "opening balances of a ledger together stay below 2^64",
                })?;
        }
        Ok(())
    }

    fn known(
        &self,
        (what, id): (&'static str, u64),
        target: ParticipantId,
    ) -> Result<(), GenesisError> {
        if self.participants.iter().any(|p| p.id == target) {
            return Ok(());
        }
        let missing = u64::from(target.0);
        Err(GenesisError::Missing {
            what,
            id,
            target: "participant",
            missing,
        })
    }

    /// BLAKE3 over the canonical bytes, which hold all but the addresses: names the cluster, seeds
    /// the domain tag, is the parent of the first manifest.
    #[must_use]
    pub fn hash(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.u8(prefix::GENESIS);
        self.hash_head(&mut hasher);
        put_count(&mut hasher, self.accounts.len());
        let mut out = Vec::new();
        // Many at a time: the hash takes large pieces several times as fast as single numbers.
        for accounts in self.accounts.chunks(4096) {
            out.clear();
            for account in accounts {
                out.u64(account.id.0);
                out.u32(account.ledger.0);
                out.u64(account.balance);
                out.u64(account.credit_line);
            }
            hasher.update(&out);
        }
        Digest(*hasher.finalize().as_bytes())
    }

    fn hash_head(&self, hasher: &mut blake3::Hasher) {
        put_text(hasher, &self.name);
        hasher.u64(self.time.0);
        hasher.u32(self.rules.ttl_s_max);
        hasher.u32(self.rules.return_window_s);
        hasher.u32(self.rules.operator_threshold);
        put_count(hasher, self.validators.len());
        for validator in &self.validators {
            validator.hash_into(hasher);
        }
        put_count(hasher, self.participants.len());
        for participant in &self.participants {
            hasher.u32(participant.id.0);
            hasher.u8(participant.role as u8);
            hasher.u32(participant.sponsor.0);
            put_text(hasher, &participant.lei);
            put_text(hasher, &participant.bic);
            hasher.bytes(&participant.public_key.0);
        }
        put_count(hasher, self.ledgers.len());
        for ledger in &self.ledgers {
            hasher.u32(ledger.id.0);
            put_text(hasher, &ledger.code);
            hasher.u8(ledger.exponent);
            hasher.u32(ledger.issuer.0);
            hasher.u64(ledger.issuer_account.0);
        }
    }
}

impl GenesisValidator {
    /// A row without an address for peers: its number, its name, the address of its door, the keys
    /// of its connections and of its votes, and the proof that it holds the latter.
    #[must_use]
    pub fn new(
        number: ValidatorNumber,
        name: String,
        members_address: String,
        public_key: [u8; 32],
        bls_public_key: [u8; 96],
        bls_proof: [u8; 48],
    ) -> Self {
        Self {
            number,
            name,
            members_address,
            peer_address: String::new(),
            public_key: HexBytes(public_key),
            bls_public_key: HexBytes(bls_public_key),
            bls_proof: HexBytes(bls_proof),
        }
    }

    fn hash_into(&self, hasher: &mut blake3::Hasher) {
        let Self {
            number,
            name,
            members_address: _,
            peer_address: _,
            public_key,
            bls_public_key,
            bls_proof,
        } = self;
        hasher.u32(number.0);
        put_text(hasher, name);
        hasher.bytes(&public_key.0);
        hasher.bytes(&bls_public_key.0);
        hasher.bytes(&bls_proof.0);
    }
}

/// Whether `text` is `HOST:PORT`, an IPv6 address in brackets; whether the host exists shows when
/// it is asked for.
#[must_use]
pub fn address_shape(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let inside = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|inside| !inside.is_empty()),
        None => Some(host).filter(|host| !host.contains([':', ']'])),
    };
    let host_fits = inside.is_some_and(|host| {
        let is_plain = |character: char| !character.is_whitespace() && character != '[';
        !host.is_empty() && host.chars().all(is_plain)
    });
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    host_fits && digits && port.parse::<u16>().is_ok()
}

/// Whether `text` has the shape of an ISO 17442 identifier; its check digits are not computed.
#[must_use]
pub fn lei_shape(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 20
        && bytes
            .iter()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && bytes[18..].iter().all(u8::is_ascii_digit)
}

/// Whether `text` has the shape of an ISO 9362 identifier.
#[must_use]
pub fn bic_shape(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes.len(), 8 | 11)
        && bytes
            .iter()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && bytes[4..6].iter().all(u8::is_ascii_uppercase)
}

/// Whether `code` (without padding) can name a ledger: 1 to 8 capitals or digits.
#[must_use]
pub fn ledger_code_shape(code: &[u8]) -> bool {
    (1..=8).contains(&code.len())
        && code
            .iter()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

fn count(what: &'static str, count: usize, min: usize, max: usize) -> Result<(), GenesisError> {
    if (min..=max).contains(&count) {
        Ok(())
    } else {
        Err(GenesisError::Count {
            what,
            count,
            min,
            max,
        })
    }
}

fn unique(what: &'static str, ids: impl Iterator<Item = u64>) -> Result<(), GenesisError> {
    let mut ids: Vec<u64> = ids.collect();
    ids.sort_unstable();
    if ids.first() == Some(&0) {
        return Err(GenesisError::Id { what, id: 0 });
    }
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(GenesisError::Id { what, id: pair[0] }),
        None => Ok(()),
    }
}

/// A u64, unlike a `Writer`'s count: the hash of every genesis stands on it.
fn put_count(hasher: &mut blake3::Hasher, count: usize) {
    hasher.u64(count as u64);
}

fn put_text(hasher: &mut blake3::Hasher, text: &str) {
    put_count(hasher, text.len());
    hasher.bytes(text.as_bytes());
}

#[cfg(test)]
mod tests;
