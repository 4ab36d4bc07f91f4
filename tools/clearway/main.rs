//! The one binary that people run: `clearway demo`, `bench`, `replay`, `node` and the rest.

use std::process::ExitCode;

mod backends;
mod cli;
mod commands;
mod failure;
mod share;
mod ui;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
