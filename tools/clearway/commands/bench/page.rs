//! `clearway bench page REPORT FILE`: a recorded run as a page for a browser.

use std::path::PathBuf;

use serde::Serialize;

use super::compare;
use crate::commands::page_file;
use crate::failure::Failure;
use crate::ui::Output;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Report of the run, as `bench --json FILE` wrote it
    report: PathBuf,
    /// The page: a new file, which needs no other
    page: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Drawn {
    page: String,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let report = compare::load(&args.report)?;
    page_file::draw(Some(page_file::create(&args.page)?), &report)?;
    let drawn = Drawn {
        page: args.page.display().to_string(),
    };
    let text = || format!("{} is drawn: open it in a browser", drawn.page);
    args.output.result("page", &drawn, text)
}
