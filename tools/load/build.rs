//! Stamps the commit into the program, so that a report names the code that ran.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=CLEARWAY_COMMIT");
    // Whatever is built into the program decides whether the checkout counts as changed.
    for path in ["crates", "tools", "shaders", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed=../../{path}");
    }
    // Written with every commit and checkout; absent where there is no repository.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = std::env::var("CLEARWAY_COMMIT")
        .ok()
        .or_else(|| git(&["describe", "--always", "--dirty", "--abbrev=12"]))
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=CLEARWAY_COMMIT={commit}");
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
