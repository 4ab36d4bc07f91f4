//! The file into which a run is drawn as a page for a browser.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clearway_load::page;
use clearway_load::report::Report;

use crate::commands::new_file::NewFile;
use crate::failure::{Failure, Kind};

/// `--html FILE` of the commands whose report a browser can show.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PageFile {
    /// Draw the report as a page for a browser, in this new file: latency, rate, all figures
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl PageFile {
    /// Makes the file, where one is asked for: before the work.
    pub(super) fn create(&self) -> Result<Option<NewFile>, Failure> {
        self.html.as_deref().map(create).transpose()
    }
}

/// Makes a file for a page.
pub(super) fn create(path: &Path) -> Result<NewFile, Failure> {
    NewFile::create("a page", path)
}

/// Draws a run, where there is a file for it.
pub(super) fn draw(file: Option<NewFile>, report: &Report) -> Result<(), Failure> {
    let Some(mut file) = file else {
        return Ok(());
    };
    let written = file.write_all(page::html(report).as_bytes());
    written.and_then(|()| file.publish()).map_err(|error| {
        let message = format!(
            "the page cannot be written to {}: {error}",
            file.path().display()
        );
        Failure::new(Kind::Failed, message).remedy("make room, or name another file")
    })
}
