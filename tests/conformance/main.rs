//! What the program promises to people and scripts: exit codes, words on stdout, JSON, what to do.

mod administration;
mod bad_input;
mod bench_hash;
mod bench_verify;
mod bytes;
mod cleared;
mod command_line;
mod docs;
mod durable;
mod files_made;
mod golden_folder;
#[cfg(feature = "gpu")]
mod gpu;
#[cfg(feature = "gpu")]
mod gpu_faults;
mod json;
mod memory;
mod monitor;
mod node;
mod old_format;
mod profile;
mod program;
mod python;
mod reports;
mod spans;
mod stand;
mod twice;
mod variables;
