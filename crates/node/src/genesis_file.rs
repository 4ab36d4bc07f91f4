//! The genesis as files: TOML for what people write, a CSV file beside it for a million accounts.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clearway_types::genesis::{
    Genesis, GenesisAccount, GenesisError, GenesisLedger, GenesisParticipant, GenesisValidator,
    Rules,
};
use clearway_types::limits::ACCOUNTS_MAX;
use clearway_types::units::{AccountId, LedgerId, TimeMs};
use serde::{Deserialize, Serialize};

use crate::config::line_of;

/// First line of an accounts file.
pub const ACCOUNTS_HEADER: &str = "id,ledger,balance,credit_line";
/// Accounts that are still written into the TOML file itself.
pub const ACCOUNTS_INLINE_MAX: usize = 1000;

/// The TOML file: a genesis, and where further accounts lie.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GenesisFile {
    name: String,
    time: TimeMs,
    /// CSV file beside this one; its rows follow the accounts given here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accounts_file: Option<PathBuf>,
    #[serde(default)]
    rules: Rules,
    validators: Vec<GenesisValidator>,
    participants: Vec<GenesisParticipant>,
    #[serde(default)]
    ledgers: Vec<GenesisLedger>,
    #[serde(default)]
    accounts: Vec<GenesisAccount>,
}

/// What is wrong with a genesis file, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum GenesisFileError {
    /// It cannot be read.
    #[error("genesis file {path}: {source}; check the path, or run `clearway node init`")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It, or the file of its accounts, cannot be written.
    #[error("cannot write {path}: {source}; make room there, or name another folder")]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not TOML, or not a genesis.
    #[error("{path}:{line}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A validator has its address as older programs wrote it.
    #[error(
        "{path}:{line}: a validator with `address` belongs to Clearway 0.1.0 up to commit ec4df89, \
         where the address was part of the genesis hash: that program reads it; for a new cluster \
         run `clearway node init`"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// The accounts file has another first line.
    #[error("{path}:1: the first line must be `{ACCOUNTS_HEADER}`")]
    Header {
        /// The file.
        path: PathBuf,
    },
    /// A row of the accounts file is wrong.
    #[error("{path}:{line}: {message}; a row is four whole numbers: {ACCOUNTS_HEADER}")]
    Row {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        message: &'static str,
    },
    /// Numbers, references or ranges are wrong.
    #[error("{path}: {source}")]
    Check {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: GenesisError,
    },
    /// A number that TOML cannot hold.
    #[error("genesis cannot be written as TOML: {message}; TOML numbers end at 2^63 - 1")]
    Unwritable {
        /// What the writer says.
        message: String,
    },
}

/// Reads and checks a genesis.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn load(path: &Path) -> Result<Genesis, GenesisFileError> {
    let text = crate::read::text(path).map_err(|source| GenesisFileError::Io {
        path: path.into(),
        source,
    })?;
    let file: GenesisFile =
        toml::from_str(&text).map_err(|error| unreadable(path.into(), &text, &error))?;
    let mut genesis = Genesis {
        name: file.name,
        time: file.time,
        rules: file.rules,
        validators: file.validators,
        participants: file.participants,
        ledgers: file.ledgers,
        accounts: file.accounts,
    };
    if let Some(accounts) = file.accounts_file {
        let folder = path.parent().unwrap_or(Path::new(""));
        load_accounts(&folder.join(accounts), &mut genesis.accounts)?;
    }
    genesis.check().map_err(|source| GenesisFileError::Check {
        path: path.into(),
        source,
    })?;
    Ok(genesis)
}

/// Writes a genesis; more than [`ACCOUNTS_INLINE_MAX`] accounts go into `accounts.csv` beside it.
///
/// # Errors
/// When a file cannot be written or a number does not fit TOML.
pub fn save(path: &Path, genesis: &Genesis) -> Result<(), GenesisFileError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let many = genesis.accounts.len() > ACCOUNTS_INLINE_MAX;
    let accounts_file = many.then(|| PathBuf::from("accounts.csv"));
    if let Some(name) = &accounts_file {
        save_accounts(&folder.join(name), &genesis.accounts)?;
    }
    let file = GenesisFile {
        name: genesis.name.clone(),
        time: genesis.time,
        accounts_file,
        rules: genesis.rules.clone(),
        validators: genesis.validators.clone(),
        participants: genesis.participants.clone(),
        ledgers: genesis.ledgers.clone(),
        accounts: if many {
            Vec::new()
        } else {
            genesis.accounts.clone()
        },
    };
    let text = toml::to_string(&file).map_err(|error| GenesisFileError::Unwritable {
        message: error.to_string(),
    })?;
    std::fs::write(path, text).map_err(|source| GenesisFileError::Unwritten {
        path: path.into(),
        source,
    })
}

fn unreadable(path: PathBuf, text: &str, error: &toml::de::Error) -> GenesisFileError {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    // Nothing else in a genesis ever had this name.
    if error.message().starts_with("unknown field `address`") {
        return GenesisFileError::Older { path, line };
    }
    GenesisFileError::Syntax {
        path,
        line,
        message: error.message().to_owned(),
    }
}

fn load_accounts(path: &Path, accounts: &mut Vec<GenesisAccount>) -> Result<(), GenesisFileError> {
    let text = std::fs::read(path).map_err(|source| GenesisFileError::Io {
        path: path.into(),
        source,
    })?;
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    if lines.next() != Some(ACCOUNTS_HEADER.as_bytes()) {
        return Err(GenesisFileError::Header { path: path.into() });
    }
    for (line, row) in (2u64..).zip(lines) {
        if row.is_empty() {
            continue;
        }
        let at = |message| GenesisFileError::Row {
            path: path.into(),
            line,
            message,
        };
        if accounts.len() == ACCOUNTS_MAX {
            return Err(at("more accounts than a cluster can keep"));
        }
        accounts.push(account(row).map_err(at)?);
    }
    Ok(())
}

fn account(row: &[u8]) -> Result<GenesisAccount, &'static str> {
    let mut fields = row.split(|byte| *byte == b',');
    let mut number = || {
        let field = fields.next().ok_or("a field is missing")?;
        whole(field).ok_or("a field is not a whole number below 2^64")
    };
    let (id, ledger, balance, credit_line) = (number()?, number()?, number()?, number()?);
    if fields.next().is_some() {
        return Err("a field too many");
    }
    Ok(GenesisAccount {
        id: AccountId(id),
        ledger: LedgerId(u32::try_from(ledger).map_err(|_| "the ledger is not below 2^32")?),
        balance,
        credit_line,
    })
}

/// Digits as a number; a million of them take a few hundredths of a second.
fn whole(field: &[u8]) -> Option<u64> {
    if field.is_empty() {
        return None;
    }
    field.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

fn save_accounts(path: &Path, accounts: &[GenesisAccount]) -> Result<(), GenesisFileError> {
    let write = || {
        let mut out = BufWriter::new(std::fs::File::create(path)?);
        writeln!(out, "{ACCOUNTS_HEADER}")?;
        for account in accounts {
            let GenesisAccount {
                id,
                ledger,
                balance,
                credit_line,
            } = account;
            writeln!(out, "{},{ledger},{balance},{credit_line}", id.0)?;
        }
        out.flush()
    };
    write().map_err(|source| GenesisFileError::Unwritten {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use clearway_types::account::Role;
    use clearway_types::genesis::HexBytes;
    use clearway_types::units::{ParticipantId, ValidatorNumber};

    use super::*;

    fn sample(account_count: u32) -> Genesis {
        let operator = ParticipantId(1);
        Genesis {
            name: "test".into(),
            time: TimeMs(1_700_000_000_000),
            rules: Rules::default(),
            validators: vec![GenesisValidator::new(
                ValidatorNumber(1),
                "v".into(),
                "127.0.0.1:7400".into(),
                [1; 32],
                [2; 96],
                [3; 48],
            )],
            participants: vec![GenesisParticipant {
                id: operator,
                role: Role::Operator,
                sponsor: ParticipantId(0),
                lei: String::new(),
                bic: String::new(),
                public_key: HexBytes([4; 32]),
            }],
            ledgers: vec![GenesisLedger {
                id: LedgerId(978),
                code: "EUR".into(),
                exponent: 2,
                issuer: operator,
                issuer_account: AccountId::new(operator, 0),
            }],
            accounts: (1..=account_count)
                .map(|number| GenesisAccount {
                    id: AccountId::new(operator, number),
                    ledger: LedgerId(978),
                    balance: u64::from(number),
                    credit_line: 7,
                })
                .collect(),
        }
    }

    #[test]
    fn a_genesis_comes_back_the_same_with_few_and_with_many_accounts() {
        for count in [0, 3, 1000, 1001] {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let path = dir.path().join("genesis.toml");
            save(&path, &sample(count)).expect("written");
            let again = load(&path).expect("read");
            assert_eq!(again, sample(count), "{count} accounts");
            let beside = dir.path().join("accounts.csv").exists();
            assert_eq!(beside, count > 1000, "{count} accounts");
        }
    }

    #[test]
    fn each_bad_file_is_refused_with_its_line() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("genesis.toml");
        save(&path, &sample(1)).expect("written");
        let good = std::fs::read_to_string(&path).expect("read");
        let rows = [
            ("name = 3".to_owned(), ":1: "),
            (
                good.replace("balance", "balanse"),
                "unknown field `balanse`",
            ),
            (good.replace("time", "# time"), "missing field `time`"),
            (
                good.replace("members_address", "address"),
                ":12: a validator with `address` belongs to Clearway 0.1.0 up to",
            ),
            (
                good.replace("0404", "zz04"),
                "expected 64 hexadecimal digits",
            ),
            (good.replace("\"EUR\"", "\"eur\""), "`code` is out of range"),
            (format!("port = 1\n{good}"), ":1: unknown field `port`"),
            (format!("accounts_file = \"none.csv\"\n{good}"), "none.csv"),
        ];
        for (text, expected) in rows {
            std::fs::write(&path, &text).expect("written");
            let error = load(&path).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
    }

    #[test]
    fn each_bad_row_of_an_accounts_file_is_refused_with_its_line() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("accounts.csv");
        let rows = [
            ("", ":1: the first line"),
            ("id,balance\n", ":1: the first line"),
            (
                "id,ledger,balance,credit_line\n1,2,3\n",
                ":2: a field is missing",
            ),
            (
                "id,ledger,balance,credit_line\n\n1,2,3,4,5\n",
                ":3: a field too many",
            ),
            (
                "id,ledger,balance,credit_line\n1,2,-3,4",
                ":2: a field is not a whole",
            ),
            (
                "id,ledger,balance,credit_line\n1,,3,4",
                ":2: a field is not a whole",
            ),
            (
                "id,ledger,balance,credit_line\n1,4294967296,3,4",
                "the ledger is not below",
            ),
            (
                "id,ledger,balance,credit_line\n1,1,18446744073709551616,4",
                "a field is not a whole number below 2^64",
            ),
        ];
        for (text, expected) in rows {
            std::fs::write(&path, text).expect("written");
            let error = load_accounts(&path, &mut Vec::new())
                .expect_err(expected)
                .to_string();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
        std::fs::write(&path, "id,ledger,balance,credit_line\r\n1,2,3,4\r\n").expect("written");
        let mut accounts = Vec::new();
        load_accounts(&path, &mut accounts).expect("other line ends are fine");
        assert_eq!(accounts.len(), 1);
    }
}
