//! The end of the process, which nothing delays.
//!
//! A usual exit runs the exit handlers of every library while other threads go on. A graphics
//! driver is at work on one of them wherever a signal or an error comes before the GPU has opened:
//! LLVM under Mesa lost the registry it was filling, and the process ended by SIGABRT or span for
//! ever (3 of 400 interrupted runs of `bench`). No handler here has anything to save: files are
//! synced by those who write them. `tests/chaos` ends every command by signals.
#![expect(unsafe_code, reason = "the system's call may end a process half way")]

use std::io::{self, Write as _};

/// Ends the process once what was printed is out.
pub(crate) fn after_output(code: u8) -> ! {
    // Who could be told of a failure?
    let _ = io::stdout().flush();
    at_once(code)
}

/// Ends the process.
pub(crate) fn at_once(code: u8) -> ! {
    // SAFETY: the call has no requirements, and nothing of this process goes on after it.
    unsafe { libc::_exit(code.into()) }
}
