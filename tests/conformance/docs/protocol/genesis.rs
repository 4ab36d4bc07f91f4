//! The genesis on the page: its file and its canonical bytes, field by field.

use std::collections::BTreeSet;
use std::path::Path;

use clearway_harness::folder;
use clearway_node::genesis_file::{self, GenesisFileError};
use clearway_types::account::Role;
use clearway_types::domain::prefix;
use clearway_types::genesis::{
    Genesis, GenesisAccount, GenesisLedger, GenesisParticipant, GenesisValidator, HexBytes, Rules,
};
use clearway_types::units::{AccountId, LedgerId, ParticipantId, TimeMs, ValidatorNumber};
use serde_json::Value;

use super::Named;
use super::table::rows;
use crate::bytes::{fill, n32, n64};
use crate::program::program;

pub(super) fn all() -> Vec<Named> {
    vec![("genesis", canonical())]
}

/// One of everything, with another value in every field.
pub(crate) fn sample() -> Genesis {
    Genesis {
        name: "sample".into(),
        time: TimeMs(n64(0x10) >> 1),
        rules: Rules {
            ttl_s_max: n32(0x20),
            return_window_s: n32(0x24),
            operator_threshold: n32(0x28),
        },
        validators: vec![GenesisValidator {
            number: ValidatorNumber(n32(0x30)),
            name: "validator".into(),
            members_address: "members:1".into(),
            peer_address: "peers:1".into(),
            public_key: HexBytes(fill(0x40)),
            bls_public_key: HexBytes(fill(0x60)),
            bls_proof: HexBytes(fill(0xc0)),
        }],
        participants: vec![GenesisParticipant {
            id: ParticipantId(n32(0x50)),
            role: Role::Auditor,
            sponsor: ParticipantId(n32(0x54)),
            lei: "529900T8BM49AURSDO55".into(),
            bic: "CWAYDEFF".into(),
            public_key: HexBytes(fill(0x70)),
        }],
        ledgers: vec![GenesisLedger {
            id: LedgerId(n32(0x58)),
            code: "EUR".into(),
            exponent: 2,
            issuer: ParticipantId(n32(0x5c)),
            issuer_account: AccountId(n64(0x60) >> 1),
        }],
        accounts: vec![GenesisAccount {
            id: AccountId(n64(0x68) >> 1),
            ledger: LedgerId(n32(0x70)),
            balance: n64(0x74) >> 1,
            credit_line: n64(0x01) >> 1,
        }],
    }
}

/// How a field is hashed.
enum Hashed {
    /// As these bytes.
    Bytes(Vec<u8>),
    /// As its length and these bytes.
    Text(String),
    /// Not at all.
    Not,
}
use Hashed::{Bytes, Not, Text};

/// A row of the table: the field in the file, its default, how it is hashed, what it means.
type Row = (&'static str, &'static str, Hashed, &'static str);

fn number(value: impl Into<u64>, len: usize) -> Hashed {
    let bytes: u64 = value.into();
    Bytes(bytes.to_le_bytes()[..len].to_vec())
}

fn count(of: usize) -> Hashed {
    number(of as u64, 8)
}

fn table(genesis: &Genesis) -> Vec<Row> {
    let rules = &genesis.rules;
    let mut all = vec![
        (
            "name",
            "",
            Text(genesis.name.clone()),
            "name of the cluster",
        ),
        (
            "time",
            "",
            number(genesis.time.0, 8),
            "cluster time to begin with, ms since 1970",
        ),
        (
            "rules.ttl_s_max",
            "60",
            number(rules.ttl_s_max, 4),
            "longest life of an envelope, s",
        ),
        (
            "rules.return_window_s",
            "60",
            number(rules.return_window_s, 4),
            "for RETURN, s",
        ),
        (
            "rules.operator_threshold",
            "1",
            number(rules.operator_threshold, 4),
            "operators who must sign the same record",
        ),
        (
            "validators[]",
            "",
            count(genesis.validators.len()),
            "then each:",
        ),
    ];
    all.extend(genesis.validators.iter().flat_map(validator));
    all.push((
        "participants[]",
        "",
        count(genesis.participants.len()),
        "then each:",
    ));
    all.extend(genesis.participants.iter().flat_map(participant));
    all.push((
        "ledgers[]",
        "none",
        count(genesis.ledgers.len()),
        "then each:",
    ));
    all.extend(genesis.ledgers.iter().flat_map(ledger));
    all.push((
        "accounts[]",
        "none",
        count(genesis.accounts.len()),
        "then each:",
    ));
    all.extend(genesis.accounts.iter().flat_map(account));
    all.push((
        "accounts_file",
        "none",
        Not,
        "CSV file with further accounts, see below",
    ));
    all
}

fn validator(one: &GenesisValidator) -> Vec<Row> {
    vec![
        (
            "validators.number",
            "",
            number(one.number.0, 4),
            "its number, not 0, rising",
        ),
        ("validators.name", "", Text(one.name.clone()), "for people"),
        (
            "validators.members_address",
            "",
            Not,
            "its door, `HOST:PORT`",
        ),
        (
            "validators.peer_address",
            "\"\"",
            Not,
            "for other validators",
        ),
        (
            "validators.public_key",
            "",
            Bytes(one.public_key.0.to_vec()),
            "Ed25519 key of its connections, hexadecimal",
        ),
        (
            "validators.bls_public_key",
            "",
            Bytes(one.bls_public_key.0.to_vec()),
            "BLS key of its votes, hexadecimal",
        ),
        (
            "validators.bls_proof",
            "",
            Bytes(one.bls_proof.0.to_vec()),
            "proof that it holds the secret of that key, hexadecimal",
        ),
    ]
}

fn participant(one: &GenesisParticipant) -> Vec<Row> {
    vec![
        (
            "participants.id",
            "",
            number(one.id.0, 4),
            "its number, not 0",
        ),
        (
            "participants.role",
            "",
            Bytes(vec![one.role as u8]),
            "`\"member\"` 0, `\"operator\"` 1, `\"auditor\"` 2",
        ),
        (
            "participants.sponsor",
            "0",
            number(one.sponsor.0, 4),
            "who may open its accounts",
        ),
        (
            "participants.lei",
            "\"\"",
            Text(one.lei.clone()),
            "ISO 17442",
        ),
        (
            "participants.bic",
            "\"\"",
            Text(one.bic.clone()),
            "ISO 9362",
        ),
        (
            "participants.public_key",
            "",
            Bytes(one.public_key.0.to_vec()),
            "Ed25519 key in slot 0, hexadecimal",
        ),
    ]
}

fn ledger(one: &GenesisLedger) -> Vec<Row> {
    vec![
        ("ledgers.id", "", number(one.id.0, 4), "its number, not 0"),
        (
            "ledgers.code",
            "",
            Text(one.code.clone()),
            "1 to 8 capitals or digits",
        ),
        (
            "ledgers.exponent",
            "",
            Bytes(vec![one.exponent]),
            "decimals of the minor unit",
        ),
        (
            "ledgers.issuer",
            "",
            number(one.issuer.0, 4),
            "who may ISSUE and REDEEM",
        ),
        (
            "ledgers.issuer_account",
            "",
            number(one.issuer_account.0, 8),
            "its account for that",
        ),
    ]
}

fn account(one: &GenesisAccount) -> Vec<Row> {
    vec![
        ("accounts.id", "", number(one.id.0, 8), "its number"),
        (
            "accounts.ledger",
            "",
            number(one.ledger.0, 4),
            "its currency",
        ),
        (
            "accounts.balance",
            "0",
            number(one.balance, 8),
            "minor units to begin with",
        ),
        (
            "accounts.credit_line",
            "0",
            number(one.credit_line, 8),
            "minor units",
        ),
    ]
}

/// The table, whose bytes give the genesis hash and whose names are those of a file.
fn canonical() -> String {
    let genesis = sample();
    let all = table(&genesis);
    let defaults = all.iter().map(|(name, default, ..)| (*name, *default));
    check_defaults(&defaults.collect::<Vec<_>>());
    let mut bytes = vec![prefix::GENESIS];
    for (_, _, hashed, _) in &all {
        match hashed {
            Bytes(of) => bytes.extend_from_slice(of),
            Text(of) => {
                bytes.extend_from_slice(&(of.len() as u64).to_le_bytes());
                bytes.extend_from_slice(of.as_bytes());
            }
            Not => {}
        }
    }
    assert_eq!(blake3::hash(&bytes).as_bytes(), &genesis.hash().0);
    let names = all.iter().map(|(name, ..)| (*name).to_owned());
    let known = names.filter(|name| name != "accounts_file");
    assert_eq!(known.collect::<BTreeSet<_>>(), in_file(&genesis));
    let cells = all.into_iter().map(|(name, default, hashed, meaning)| {
        let size = match hashed {
            Bytes(of) => of.len().to_string(),
            Text(_) => "text".to_owned(),
            Not => "not hashed".to_owned(),
        };
        vec![
            format!("`{name}`"),
            default.to_owned(),
            size,
            meaning.to_owned(),
        ]
    });
    rows(&["in the file", "default", "bytes", "meaning"], cells)
}

/// Leaves fields out of a file: those with a default read as that, those without one are missed.
fn check_defaults(defaults: &[(&str, &str)]) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    folder::init(program(dir.path()));
    let path = dir.path().join("genesis.toml");
    let text = std::fs::read_to_string(&path).expect("made by init");
    let optional = |name: &str| {
        let mut rows = defaults.iter();
        rows.any(|(row, default)| *row == name && !default.is_empty())
    };
    let bare = without(&path, &text, |name| optional(name) && !name.ends_with("[]"));
    let bare = serde_json::to_value(bare.expect("it needs none of them")).expect("JSON");
    let empty = without(&path, &text, |name| optional(name) && name.ends_with("[]"));
    let empty = serde_json::to_value(empty.expect("it needs no such list")).expect("JSON");
    for (name, default) in defaults.iter().filter(|(name, _)| *name != "accounts_file") {
        match (name.split_once('.'), *default) {
            (_, "") => {
                let read = without(&path, &text, |other| other == *name);
                let missed = matches!(read, Err(GenesisFileError::Syntax { .. }));
                assert!(missed, "{name} has no default");
            }
            (None, default) => {
                let list = &empty[name.trim_end_matches("[]")];
                assert_eq!(
                    (default, list),
                    ("none", &Value::Array(Vec::new())),
                    "{name}"
                );
            }
            (Some((table, field)), default) => {
                let default: Value = serde_json::from_str(default).expect("as JSON has it");
                let rows = match &bare[table] {
                    Value::Array(rows) => rows.iter().collect(),
                    one => vec![one],
                };
                assert!(!rows.is_empty(), "no {table}");
                for row in rows {
                    // Text that is empty need not be written.
                    let read = row.get(field).cloned().unwrap_or_else(|| "".into());
                    assert_eq!(read, default, "{name}");
                }
            }
        }
    }
}

/// Reads the file again without the lines of some fields, a list being named `name[]`.
fn without(
    path: &Path,
    text: &str,
    left_out: impl Fn(&str) -> bool,
) -> Result<Genesis, GenesisFileError> {
    let (mut within, mut skipped) = (String::new(), false);
    let mut kept = String::new();
    for line in text.lines() {
        if let Some(list) = line.strip_prefix("[[") {
            let list = list.trim_end_matches(']');
            within = format!("{list}.");
            skipped = left_out(&format!("{list}[]"));
        } else if let Some(table) = line.strip_prefix('[') {
            within = format!("{}.", table.trim_end_matches(']'));
            skipped = false;
        }
        let field = line.split_once(" = ");
        let is_out = field.is_some_and(|(name, _)| left_out(&format!("{within}{name}")));
        if !skipped && !is_out {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    std::fs::write(path, kept).expect("written");
    genesis_file::load(path)
}

/// Names of all tables and fields of the file that the program writes.
fn in_file(genesis: &Genesis) -> BTreeSet<String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("genesis.toml");
    genesis_file::save(&path, genesis).expect("written");
    let text = std::fs::read_to_string(&path).expect("read");
    let mut within = String::new();
    let mut names = BTreeSet::new();
    for line in text.lines() {
        if let Some(list) = line.strip_prefix("[[") {
            let list = list.trim_end_matches(']');
            names.insert(format!("{list}[]"));
            within = format!("{list}.");
        } else if let Some(table) = line.strip_prefix('[') {
            within = format!("{}.", table.trim_end_matches(']'));
        } else if let Some((name, _)) = line.split_once(" = ") {
            names.insert(format!("{within}{name}"));
        }
    }
    names
}
