//! GPU drivers look for a desktop before they look for their device, and print to standard error
//! when there is none. A server has none, and nothing to do about it.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

/// Where a desktop would keep its sockets.
const RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";

/// Starts the program again, in its own place, with a runtime folder for the drivers to find empty;
/// returns where there is one already. The environment of a running program cannot be changed
/// safely, and it must be right before the first driver is loaded.
///
/// To be called before anything was read, opened or started.
pub(crate) fn hush() {
    let named = std::env::var_os(RUNTIME_DIR).map(PathBuf::from);
    if !cfg!(feature = "gpu") || named.is_some_and(|dir| dir.is_absolute()) {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    // Absolute, or the program would start itself for ever.
    let empty = Some(std::env::temp_dir()).filter(|dir| dir.is_absolute());
    let empty = empty.unwrap_or_else(|| PathBuf::from("/"));
    let mut command = Command::new(program);
    let mut arguments = std::env::args_os();
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // It returns only where it failed: then the drivers print what they print.
    let _ = command.args(arguments).env(RUNTIME_DIR, empty).exec();
}
