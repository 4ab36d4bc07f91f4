//! Payment files: CSV or gzipped CSV of accounts and payments becomes a workload, and back.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use clearway_types::amount::{Decimal, ParseAmountError, parse_minor};
use csv::ByteRecord;

pub use crate::lines::LineFault;
use crate::lines::Lines;
use crate::workload::{FileRows, Opening, Pattern, Payment, Workload, account_of};

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
    /// It is not CSV.
    #[error("{path}: {source}; give CSV, or CSV compressed by gzip with the ending .gz")]
    Csv {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        source: csv::Error,
    },
    /// Its name ends in `.gz`, and it is not packed.
    #[error("{path}: it is not compressed by gzip, as its ending says; give CSV, or pack it")]
    NotPacked {
        /// The file.
        path: PathBuf,
    },
    /// It is packed, and cannot be unpacked to its end.
    #[error(
        "{path}: it cannot be unpacked to its end ({source}); the file is cut or damaged, or \
        something follows the packed data: get it again"
    )]
    Packed {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        source: csv::Error,
    },
    /// A line that may hide rows.
    #[error("{path}:{line}: {fault}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong with it, and what to do.
        fault: LineFault,
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
    /// A column is there twice.
    #[error("{path}:1: the column `{column}` is there twice; keep the one that counts")]
    DoubleColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
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
    /// All accounts of a file are of one ledger, which holds less than they have.
    #[error(
        "{path}:{line}: account {number}: with it the balances come to 2^64 minor units or more, \
        and a ledger holds less; open with smaller ones"
    )]
    TooMuch {
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
/// `targetNodeId`, `value`) in file order; values have at most two decimals. Each line after the
/// first is a row, empty ones are counted, and the bytes of other columns do not matter.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn load(payments: &Path, accounts: &Path) -> Result<Workload, FileError> {
    let accounts = load_accounts(accounts)?;
    let (payments_read, empty_in_payments) = load_payments(payments, &accounts.places)?;
    let name = payments.file_name().unwrap_or_default().to_string_lossy();
    Ok(Workload {
        name: name.into_owned(),
        rows: Some(FileRows {
            payments: payments_read.len() as u64,
            accounts: accounts.openings.len() as u64,
            empty_lines: accounts.empty_lines + empty_in_payments,
        }),
        accounts: accounts.openings,
        payments: payments_read,
        pattern: Pattern::Transfers,
        invalid_permille: 0,
    })
}

/// What an accounts file holds.
struct Accounts {
    openings: Vec<Opening>,
    /// Places among the openings by account number.
    places: HashMap<u32, u32>,
    empty_lines: u64,
}

fn load_accounts(path: &Path) -> Result<Accounts, FileError> {
    let mut openings = Vec::new();
    let mut places = HashMap::new();
    let mut sum: u64 = 0;
    let empty_lines = for_rows(path, ACCOUNT_COLUMNS, |row| {
        let number = row.number(0)?;
        let place = u32::try_from(openings.len()).expect("as many as distinct 32-bit numbers");
        if places.insert(number, place).is_some() {
            return Err(FileError::DoubleAccount {
                path: path.into(),
                line: row.line,
                number,
            });
        }
        let balance = row.amount(1)?;
        sum = sum.checked_add(balance).ok_or_else(|| FileError::TooMuch {
            path: path.into(),
            line: row.line,
            number,
        })?;
        openings.push(Opening {
            id: account_of(number),
            balance,
        });
        Ok(())
    })?;
    Ok(Accounts {
        openings,
        places,
        empty_lines,
    })
}

fn load_payments(
    path: &Path,
    places: &HashMap<u32, u32>,
) -> Result<(Vec<Payment>, u64), FileError> {
    let mut payments = Vec::new();
    let empty = for_rows(path, PAYMENT_COLUMNS, |row| {
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
    Ok((payments, empty))
}

struct Row<'a> {
    path: &'a Path,
    line: u64,
    fields: &'a [&'a [u8]],
}

impl Row<'_> {
    /// The field without the blanks around it; `None` where it is not UTF-8.
    fn text(&self, column: usize) -> Option<&str> {
        std::str::from_utf8(self.fields[column].trim_ascii()).ok()
    }

    fn shown(&self, column: usize) -> String {
        String::from_utf8_lossy(self.fields[column]).into_owned()
    }

    fn number(&self, column: usize) -> Result<u32, FileError> {
        let text = self.text(column).unwrap_or_default();
        // `parse` would take a sign.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.ok_or_else(|| FileError::Number {
            path: self.path.into(),
            line: self.line,
            text: self.shown(column),
        })
    }

    fn amount(&self, column: usize) -> Result<u64, FileError> {
        let text = self.text(column).ok_or(ParseAmountError::Shape);
        let amount = text.and_then(|text| parse_minor(text, FILE_EXPONENT));
        amount.map_err(|source| FileError::Amount {
            path: self.path.into(),
            line: self.line,
            text: self.shown(column),
            source,
        })
    }
}

/// First bytes of what gzip has packed.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

fn named_gz(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("gz"))
}

/// The file's text, unpacked where it is packed; the answer says whether it is.
fn open(path: &Path) -> Result<(Box<dyn BufRead>, bool), FileError> {
    let opened = |source| FileError::Open {
        path: path.into(),
        source,
    };
    let mut file = BufReader::new(File::open(path).map_err(opened)?);
    let packed = file.fill_buf().map_err(opened)?.starts_with(&GZIP_MAGIC);
    if packed {
        let unpacked = flate2::bufread::MultiGzDecoder::new(file);
        return Ok((Box::new(BufReader::new(unpacked)), true));
    }
    match named_gz(path) {
        true => Err(FileError::NotPacked { path: path.into() }),
        false => Ok((Box::new(file), false)),
    }
}

/// Calls `take` with the named columns of each row; answers how many lines were empty.
fn for_rows<const N: usize>(
    path: &Path,
    columns: [&'static str; N],
    mut take: impl FnMut(&Row<'_>) -> Result<(), FileError>,
) -> Result<u64, FileError> {
    let (input, packed) = open(path)?;
    let csv_error = |source| csv_error(path, packed, source);
    let mut reader = csv::ReaderBuilder::new().from_reader(Lines::new(input));
    let places = column_places(path, columns, reader.byte_headers().map_err(csv_error)?)?;
    let mut record = ByteRecord::new();
    let mut none = true;
    while reader.read_byte_record(&mut record).map_err(csv_error)? {
        none = false;
        let fields = places.map(|place| record.get(place).unwrap_or_default());
        let line = record.position().map_or(0, csv::Position::line);
        take(&Row {
            path,
            line,
            fields: &fields,
        })?;
    }
    if none {
        return Err(FileError::Empty { path: path.into() });
    }
    Ok(reader.get_ref().empty_count())
}

fn csv_error(path: &Path, packed: bool, source: csv::Error) -> FileError {
    let path = path.into();
    let csv::ErrorKind::Io(error) = source.kind() else {
        return FileError::Csv { path, source };
    };
    match LineFault::of(error) {
        Some((line, fault)) => FileError::Line { path, line, fault },
        None if packed => FileError::Packed { path, source },
        None => FileError::Csv { path, source },
    }
}

fn column_places<const N: usize>(
    path: &Path,
    columns: [&'static str; N],
    header: &ByteRecord,
) -> Result<[usize; N], FileError> {
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        let named = header.iter().enumerate();
        let mut named = named.filter(|(_, name)| name.trim_ascii() == column.as_bytes());
        let (found, _) = named.next().ok_or_else(|| FileError::Column {
            path: path.into(),
            column,
            needed: columns.join(", "),
        })?;
        if named.next().is_some() {
            return Err(FileError::DoubleColumn {
                path: path.into(),
                column,
            });
        }
        *place = found;
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
        if named_gz(path) {
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
#[path = "files_tests.rs"]
mod tests;
