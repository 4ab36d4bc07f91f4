//! The one binary that people run: `clearway demo`, `bench`, `replay`, `node` and the rest.

use std::process::ExitCode;

mod backends;
mod cli;
mod commands;
mod drivers;
mod failure;
mod limits;
mod share;
mod signals;
mod streams;
mod ui;
mod written;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    leave_the_engines_panics_to_its_adapter();
    signals::survive_small_files();
    let code = cli::run();
    streams::finish();
    code
}

/// The adapter catches what the engine panics with and turns it into an error that says what to do:
/// the panic's own words and a backtrace before it would only hide that.
fn leave_the_engines_panics_to_its_adapter() {
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location();
        if !place.is_some_and(|place| clearway_node::is_engine_source(place.file())) {
            show(panic);
        }
    }));
}
