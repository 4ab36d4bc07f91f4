//! What `replay` and `inspect` share: the log of a data folder, opened for reading alone.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clearway_node::genesis_file;
use clearway_store::history::HistoryError;
use clearway_store::{Reader, RealIo, Recovery, Store, StoreError, StoreOptions, VerifyFrom};
use clearway_types::genesis::Genesis;
use serde::Serialize;

use crate::failure::{Failure, Kind};

/// Where the history lies.
#[derive(clap::Args, Debug)]
pub(crate) struct LogArgs {
    /// Data folder of a node, or a copy of it
    pub(crate) dir: PathBuf,
    /// Genesis file; without it the one beside the data folder
    #[arg(long, value_name = "FILE")]
    pub(crate) genesis: Option<PathBuf>,
}

impl LogArgs {
    /// The genesis.
    pub(crate) fn genesis(&self) -> Result<Genesis, Failure> {
        Ok(genesis_file::load(&self.genesis_path()?)?)
    }

    fn genesis_path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.genesis {
            return Ok(path.clone());
        }
        let beside = self
            .dir
            .parent()
            .unwrap_or(Path::new("."))
            .join("genesis.toml");
        let inside = self.dir.join("genesis.toml");
        [inside, beside]
            .into_iter()
            .find(|path| path.exists())
            .ok_or_else(|| {
                let dir = self.dir.display();
                let message = format!("no genesis.toml in or beside {dir}");
                Failure::new(Kind::NotFound, message).remedy("name it with --genesis FILE")
            })
    }

    /// The log, for reading, and how it ends.
    pub(crate) fn open(&self, genesis: &Genesis) -> Result<(Reader, LogEnd), Failure> {
        open(&self.dir, genesis)
    }
}

/// Where a log ends, and what lies there.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct LogEnd {
    /// Whole, chained records: all that there is to read.
    pub(crate) records: u64,
    /// Up to where the durable watermark says that records were synced.
    pub(crate) watermark: u64,
    /// Records above it. A node that is busy or was killed leaves a few.
    pub(crate) records_above_watermark: u64,
    /// The slot of the watermark that is not what was written into it.
    pub(crate) watermark_slot_damaged: Option<String>,
    /// What follows the last record and is none.
    pub(crate) tail: Option<String>,
    /// Whether that is more than one unfinished write can be.
    #[serde(skip)]
    broken: bool,
}

impl LogEnd {
    fn of(found: &Recovery) -> Self {
        let tail = found.tail.map(|tail| {
            format!(
                "{} bytes from byte {} of segment {} on are no record: {}",
                tail.len_bytes, tail.offset, tail.segment, tail.damage
            )
        });
        Self {
            records: found.durable.0,
            watermark: found.watermark.0,
            records_above_watermark: found.record_count_kept,
            watermark_slot_damaged: found.watermark_slot_damaged.map(|slot| slot.to_string()),
            tail,
            broken: found.tail.is_some_and(|tail| !tail.one_record),
        }
    }

    /// Whether the log ends as a node that was stopped leaves it.
    pub(crate) fn clean(&self) -> bool {
        self.records_above_watermark == 0
            && self.watermark_slot_damaged.is_none()
            && self.tail.is_none()
    }

    /// Rows of a table.
    pub(crate) fn rows(&self) -> [(&'static str, String); 2] {
        let end = format!(
            "record {}: the log ends here, {} records above the mark",
            self.records, self.records_above_watermark
        );
        let end = match &self.tail {
            None => end,
            Some(tail) => format!("{end}; {tail}"),
        };
        let mark = match &self.watermark_slot_damaged {
            None => "whole".to_owned(),
            Some(slot) => format!("{slot} is DAMAGED, the other one served"),
        };
        [("log end", end), ("watermark", mark)]
    }

    /// What follows the last record must be nothing, or one write that did not come to its end.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match &self.tail {
            Some(tail) if self.broken => {
                let records = self.records;
                Err(Failure::new(
                    Kind::Mismatch,
                    format!(
                        "the log is whole up to record {records}, but {tail}. A power cut leaves \
                         this until the node has started again, and so does damage: compare with \
                         a peer or a backup before a node starts on it, since that cuts it off"
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Opens the log of a data folder, or a folder that is the log itself.
pub(crate) fn open(dir: &Path, genesis: &Genesis) -> Result<(Reader, LogEnd), Failure> {
    let inside = dir.join(clearway_node::LOG_FOLDER);
    let mut options = StoreOptions::new(
        if inside.is_dir() { inside } else { dir.into() },
        genesis.hash().0,
    );
    options.verify_from = VerifyFrom::LastSegments(1);
    let opened = Store::open_read_only(Arc::new(RealIo::new()), options);
    let (reader, found) = opened.map_err(store_failure)?;
    Ok((reader, LogEnd::of(&found)))
}

/// What is damaged or lacks a part is a mismatch, absence is "not found", the rest failed.
pub(crate) fn kind_of(error: &StoreError) -> Kind {
    match error {
        StoreError::Corrupt { .. }
        | StoreError::MissingSegment { .. }
        | StoreError::IdentityLost { .. }
        | StoreError::WatermarkLost { .. }
        | StoreError::ForeignGenesis { .. } => Kind::Mismatch,
        StoreError::NoStore { .. } => Kind::NotFound,
        StoreError::Io { source, .. } if source.kind() == ErrorKind::NotFound => Kind::NotFound,
        _ => Kind::Failed,
    }
}

/// How a command ends that cannot read a log.
pub(crate) fn store_failure(error: StoreError) -> Failure {
    let kind = kind_of(&error);
    let StoreError::ForeignGenesis {
        path,
        found,
        expected,
    } = &error
    else {
        return Failure::new(kind, error);
    };
    let message = format!(
        "{} belongs to genesis {found}, and the genesis file that was given is {expected}",
        path.display()
    );
    let remedy = "name the log's own genesis file with --genesis";
    Failure::new(kind, message).remedy(remedy)
}

/// As [`store_failure`]: a log whose records do not fit together is a mismatch too.
pub(crate) fn history_failure(error: HistoryError) -> Failure {
    match error {
        HistoryError::Store(error) => store_failure(error),
        other => Failure::new(Kind::Mismatch, other),
    }
}
