//! `clearway exit-codes`: what the program ends with, for the writers of scripts.

use serde::Serialize;

use crate::failure::{EXITS, Exit, Failure};
use crate::ui::{self, Output};

#[derive(clap::Args, Debug)]
#[command(after_help = table())]
pub(crate) struct Args {
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Listed {
    exit_codes: &'static [Exit],
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let listed = Listed { exit_codes: &EXITS };
    args.output.result("exit-codes", &listed, table)
}

fn table() -> String {
    let row = |exit: &Exit| {
        let (word, meaning) = (exit.word.to_owned(), exit.meaning.to_owned());
        vec![exit.code.to_string(), word, meaning]
    };
    ui::table(&["exit#", "error", "meaning"], EXITS.iter().map(row))
}
