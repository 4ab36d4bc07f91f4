//! The one binary that people run: `clearway demo`, `bench`, `replay`, `node` and the rest.

mod backends;
mod cli;
mod commands;
mod drivers;
mod failure;
mod leave;
mod limits;
mod notation;
mod share;
mod signals;
mod streams;
mod ui;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ! {
    leave_the_engines_panics_to_its_adapter();
    leave_huge_pages();
    if let Err(shortage) = limits::check_own() {
        leave::after_output(shortage.report(std::env::args().any(|word| word == "--json")));
    }
    signals::survive_small_files();
    let code = run_with_room();
    streams::finish();
    leave::after_output(code)
}

/// Bytes of the stack that commands run on, whatever `ulimit -s` leaves the first thread.
const STACK_BYTES: usize = 8 << 20;

fn run_with_room() -> u8 {
    let main = std::thread::Builder::new().name("main".to_owned());
    match main.stack_size(STACK_BYTES).spawn(cli::run) {
        Ok(running) => running.join().unwrap_or(failure::PANICKED),
        // Without memory for it there is the first thread's own.
        Err(_) => cli::run(),
    }
}

/// The kernel hands out memory in small pages. A huge one is zeroed whole when it is first touched,
/// on the thread that serves a payment: milliseconds each in a virtual machine, on all threads at
/// once where load begins. Where the kernel refuses, nothing but that is lost.
fn leave_huge_pages() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
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
