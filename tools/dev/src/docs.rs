//! Pages written from the code: `cargo dev docs`. The tests that compare a page also write it.

use crate::cargo;
use crate::error::DevError;
use std::path::Path;
use std::process::Command;

/// Writes the pages.
pub(crate) fn write(root: &Path) -> Result<(), DevError> {
    let mut tests = tests(root);
    tests.env("CLEARWAY_WRITE_DOCS", "1");
    cargo::finished("pages of what the code says", tests, "cargo test docs::")
}

/// Fails when a page is not what the code gives.
pub(crate) fn check(root: &Path) -> Result<(), DevError> {
    cargo::finished(
        "pages of what the code says",
        tests(root),
        "cargo test docs::",
    )
}

fn tests(root: &Path) -> Command {
    let args = ["test", "--workspace", "--test", "conformance", "docs::"];
    cargo::command(root, &args)
}
