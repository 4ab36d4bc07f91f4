//! What `replay` and `inspect` share: the log of a data folder, opened for reading alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clearway_node::genesis_file;
use clearway_store::history::HistoryError;
use clearway_store::{Reader, RealIo, Store, StoreError, StoreOptions, VerifyFrom};
use clearway_types::genesis::Genesis;

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
                Failure::usage(format!(
                    "no genesis.toml in or beside {}: name it with --genesis FILE",
                    self.dir.display()
                ))
            })
    }

    /// The log, for reading.
    pub(crate) fn open(&self, genesis: &Genesis) -> Result<Reader, Failure> {
        open(&self.dir, genesis)
    }
}

/// Opens the log of a data folder, or a folder that is the log itself.
pub(crate) fn open(dir: &Path, genesis: &Genesis) -> Result<Reader, Failure> {
    let inside = dir.join(clearway_node::LOG_FOLDER);
    let mut options = StoreOptions::new(
        if inside.is_dir() { inside } else { dir.into() },
        genesis.hash().0,
    );
    options.verify_from = VerifyFrom::LastSegments(1);
    let opened = Store::open_read_only(Arc::new(RealIo::new()), options);
    opened.map(|(reader, _)| reader).map_err(store_failure)
}

/// Damage is a mismatch, absence is "not found", the rest failed.
pub(crate) fn store_failure(error: StoreError) -> Failure {
    let kind = match &error {
        StoreError::Corrupt { .. } => Kind::Mismatch,
        StoreError::NoStore { .. } => Kind::NotFound,
        _ => Kind::Failed,
    };
    Failure::new(kind, error)
}

/// As [`store_failure`]: a log whose records do not fit together is a mismatch too.
pub(crate) fn history_failure(error: HistoryError) -> Failure {
    match error {
        HistoryError::Store(error) => store_failure(error),
        other => Failure::new(Kind::Mismatch, other),
    }
}
