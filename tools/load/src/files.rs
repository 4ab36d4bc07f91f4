//! Payment files: CSV or gzipped CSV of accounts and payments becomes a workload, and back.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use clearway_types::amount::{Decimal, ParseAmountError, parse_minor};
use csv::StringRecord;

use crate::workload::{Opening, Payment, Workload, account_of};

/// Decimal places of the files' amounts.
pub const FILE_EXPONENT: u8 = 2;
/// Columns that a payments file must have; others are passed over.
pub const PAYMENT_COLUMNS: [&str; 3] = ["sourceNodeId", "targetNodeId", "value"];
/// Columns that an accounts file must have.
pub const ACCOUNT_COLUMNS: [&str; 2] = ["nodeid", "init_balance"];

/// What is wrong with a payment file, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened.
    #[error("{path}: {source}; check the path")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not CSV, or not gzip although its name ends so.
    #[error("{path}: {source}; give CSV, or CSV compressed by gzip with the ending .gz")]
    Csv {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        source: csv::Error,
    },
    /// A column is missing.
    #[error("{path}:1: no column `{column}`; the first line must name {needed}")]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// All columns needed.
        needed: String,
    },
    /// A field is no account number.
    #[error("{path}:{line}: `{text}` is no account number; write a whole number below 2^32")]
    Number {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The field.
        text: String,
    },
    /// A field is no amount.
    #[error("{path}:{line}: `{text}`: {source}")]
    Amount {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The field.
        text: String,
        /// Why.
        source: ParseAmountError,
    },
    /// A payment names an account that the accounts file lacks.
    #[error("{path}:{line}: account {number} is not in the accounts file; add it there")]
    UnknownAccount {
        /// The payments file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The account number.
        number: u32,
    },
    /// An account stands in the file twice.
    #[error("{path}:{line}: account {number} is there twice; keep one of the lines")]
    DoubleAccount {
        /// The accounts file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The account number.
        number: u32,
    },
    /// A file without a row.
    #[error("{path}: no rows after the first line")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a workload: accounts (`nodeid`, `init_balance`) and payments (`sourceNodeId`,
/// `targetNodeId`, `value`) in file order; values have at most two decimals.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn load(payments: &Path, accounts: &Path) -> Result<Workload, FileError> {
    let (openings, places) = load_accounts(accounts)?;
    let payments_read = load_payments(payments, &places)?;
    let name = payments.file_name().unwrap_or_default().to_string_lossy();
    Ok(Workload {
        name: name.into_owned(),
        accounts: openings,
        payments: payments_read,
    })
}

fn load_accounts(path: &Path) -> Result<(Vec<Opening>, HashMap<u32, u32>), FileError> {
    let mut openings = Vec::new();
    let mut places = HashMap::new();
    for_rows(path, ACCOUNT_COLUMNS, |row| {
        let number = row.number(0)?;
        let place = u32::try_from(openings.len()).expect("as many as distinct 32-bit numbers");
        if places.insert(number, place).is_some() {
            return Err(FileError::DoubleAccount {
                path: path.into(),
                line: row.line,
                number,
            });
        }
        openings.push(Opening {
            id: account_of(number),
            balance: row.amount(1)?,
        });
        Ok(())
    })?;
    Ok((openings, places))
}

fn load_payments(path: &Path, places: &HashMap<u32, u32>) -> Result<Vec<Payment>, FileError> {
    let mut payments = Vec::new();
    for_rows(path, PAYMENT_COLUMNS, |row| {
        let place = |column| {
            let number = row.number(column)?;
            let unknown = || FileError::UnknownAccount {
                path: path.into(),
                line: row.line,
                number,
            };
            places.get(&number).copied().ok_or_else(unknown)
        };
        payments.push(Payment {
            debit: place(0)?,
            credit: place(1)?,
            amount: row.amount(2)?,
        });
        Ok(())
    })?;
    Ok(payments)
}

struct Row<'a> {
    path: &'a Path,
    line: u64,
    fields: &'a [&'a str],
}

impl Row<'_> {
    fn number(&self, column: usize) -> Result<u32, FileError> {
        let text = self.fields[column];
        text.parse().map_err(|_| FileError::Number {
            path: self.path.into(),
            line: self.line,
            text: text.to_owned(),
        })
    }

    fn amount(&self, column: usize) -> Result<u64, FileError> {
        let text = self.fields[column];
        parse_minor(text, FILE_EXPONENT).map_err(|source| FileError::Amount {
            path: self.path.into(),
            line: self.line,
            text: text.to_owned(),
            source,
        })
    }
}

/// Calls `take` with the named columns of each row.
fn for_rows<const N: usize>(
    path: &Path,
    columns: [&'static str; N],
    mut take: impl FnMut(&Row<'_>) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let file = File::open(path).map_err(|source| FileError::Open {
        path: path.into(),
        source,
    })?;
    let bytes: Box<dyn Read> = if path.extension().is_some_and(|ending| ending == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(file)
    };
    let csv_error = |source| FileError::Csv {
        path: path.into(),
        source,
    };
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let places = column_places(path, columns, reader.headers().map_err(csv_error)?)?;
    let mut record = StringRecord::new();
    let mut empty = true;
    while reader.read_record(&mut record).map_err(csv_error)? {
        empty = false;
        let fields = places.map(|place| record.get(place).unwrap_or_default());
        let line = record.position().map_or(0, csv::Position::line);
        take(&Row {
            path,
            line,
            fields: &fields,
        })?;
    }
    if empty {
        return Err(FileError::Empty { path: path.into() });
    }
    Ok(())
}

fn column_places<const N: usize>(
    path: &Path,
    columns: [&'static str; N],
    header: &StringRecord,
) -> Result<[usize; N], FileError> {
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        let found = header.iter().position(|name| name.trim() == column);
        *place = found.ok_or_else(|| FileError::Column {
            path: path.into(),
            column,
            needed: columns.join(", "),
        })?;
    }
    Ok(places)
}

/// Writes a workload as the two files that [`load`] reads; gzipped where the name ends in `.gz`.
///
/// # Errors
/// When a file cannot be written.
pub fn save(workload: &Workload, payments: &Path, accounts: &Path) -> Result<(), FileError> {
    let decimal = |minor: u64| Decimal {
        minor: minor.into(),
        exponent: FILE_EXPONENT,
    };
    let number = |place: u32| workload.accounts[place as usize].id.0 & u64::from(u32::MAX);
    write_lines(accounts, |out| {
        writeln!(out, "nodeid,init_balance")?;
        for account in &workload.accounts {
            let number = account.id.0 & u64::from(u32::MAX);
            writeln!(out, "{number},{}", decimal(account.balance))?;
        }
        Ok(())
    })?;
    write_lines(payments, |out| {
        writeln!(out, "sourceNodeId,targetNodeId,value,time")?;
        for (time, payment) in workload.payments.iter().enumerate() {
            let (from, to) = (number(payment.debit), number(payment.credit));
            writeln!(out, "{from},{to},{},{time}", decimal(payment.amount))?;
        }
        Ok(())
    })
}

fn write_lines(
    path: &Path,
    lines: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), FileError> {
    let write = || {
        let mut file = std::io::BufWriter::new(File::create(path)?);
        if path.extension().is_some_and(|ending| ending == "gz") {
            let level = flate2::Compression::default();
            let mut packed = flate2::write::GzEncoder::new(&mut file, level);
            lines(&mut packed)?;
            packed.finish()?;
        } else {
            lines(&mut file)?;
        }
        file.flush()
    };
    write().map_err(|source| FileError::Open {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Generator;

    #[test]
    fn a_generated_workload_comes_back_from_plain_and_packed_files() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let workload = Generator {
            account_count: 50,
            payment_count: 200,
            ..Generator::default()
        }
        .generate();
        for ending in ["csv", "csv.gz"] {
            let payments = dir.path().join(format!("payments.{ending}"));
            let accounts = dir.path().join(format!("accounts.{ending}"));
            save(&workload, &payments, &accounts).expect("written");
            let again = load(&payments, &accounts).expect("read");
            assert_eq!(again.digest(), workload.digest(), "{ending}");
        }
    }

    #[test]
    fn account_numbers_name_their_bank_and_values_become_minor_units() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (payments, accounts) = (dir.path().join("p.csv"), dir.path().join("a.csv"));
        std::fs::write(
            &accounts,
            "nodeid,isFraud,init_balance,x\n33,0,184.4,-1\n0,0,7,-1\n",
        )
        .expect("written");
        std::fs::write(
            &payments,
            "sourceNodeId,targetNodeId,value,time\n0,33,103.55,1\n",
        )
        .expect("written");
        let workload = load(&payments, &accounts).expect("read");
        assert_eq!(workload.accounts[0].balance, 18_440);
        assert_eq!(workload.accounts[0].id.owner(), crate::cluster::bank(1));
        assert_eq!(workload.payments[0].amount, 10_355);
        assert_eq!(
            (workload.payments[0].debit, workload.payments[0].credit),
            (1, 0)
        );
    }

    #[test]
    fn each_bad_file_is_refused_with_its_line() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (payments, accounts) = (dir.path().join("p.csv"), dir.path().join("a.csv"));
        let good_accounts = "nodeid,init_balance\n1,10.00\n2,5\n";
        let good_payments = "sourceNodeId,targetNodeId,value,time\n1,2,3.50,0\n";
        let rows = [
            ("", good_payments, "no column `nodeid`"),
            (
                "nodeid,balance\n1,2\n",
                good_payments,
                "no column `init_balance`",
            ),
            ("nodeid,init_balance\n", good_payments, "no rows"),
            (
                "nodeid,init_balance\n1,2\n1,3\n",
                good_payments,
                ":3: account 1 is there twice",
            ),
            (
                "nodeid,init_balance\nx,2\n",
                good_payments,
                ":2: `x` is no account number",
            ),
            (
                "nodeid,init_balance\n1,-2\n",
                good_payments,
                ":2: `-2`: not a decimal amount",
            ),
            ("nodeid,init_balance\n1\n", good_payments, "give CSV"),
            (good_accounts, "a,b\n", "no column `sourceNodeId`"),
            (
                good_accounts,
                "sourceNodeId,targetNodeId,value\n1,9,1\n",
                ":2: account 9 is not in",
            ),
            (
                good_accounts,
                "sourceNodeId,targetNodeId,value\n1,2,1.234\n",
                ":2: `1.234`: more decimals",
            ),
            (
                good_accounts,
                "sourceNodeId,targetNodeId,value\n",
                "no rows",
            ),
        ];
        for (accounts_text, payments_text, expected) in rows {
            std::fs::write(&accounts, accounts_text).expect("written");
            std::fs::write(&payments, payments_text).expect("written");
            let error = load(&payments, &accounts).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
        let packed = dir.path().join("a.csv.gz");
        std::fs::write(&packed, good_accounts).expect("written");
        let error = load(&payments, &packed).expect_err("not gzip").to_string();
        assert!(error.contains("compressed by gzip"), "{error}");
        let error = load(&payments, Path::new("none.csv")).expect_err("not there");
        assert!(error.to_string().contains("check the path"), "{error}");
    }
}
