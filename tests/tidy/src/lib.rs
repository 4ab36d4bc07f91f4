//! The house rules of `crates/STYLE.md` that a machine can hold, as one pass over the tree.
//!
//! `cargo dev tidy` prints what it finds; the test `tests/tree.rs` of this package fails on it.
//! It is a package of its own, and a light one, so that checking the house never builds the house.
//! Each rule is one file with its own table and its own bad samples: a rule that cannot fail is
//! worth nothing.

mod circles;
mod docs;
mod finding;
mod floors;
mod fuzzing;
mod layers;
mod lex;
mod manifests;
mod outcomes;
mod packages;
mod shape;
mod skeleton;
mod tests_of_the_tree;
mod tree;
mod unsafety;
mod unused;
mod words;

use std::path::{Path, PathBuf};

pub use finding::Finding;
pub use tree::Tree;

/// Why the tree could not be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum TidyError {
    /// A folder or file of the tree could not be read.
    #[error("cannot read {path}: {source}; check that the checkout is whole and readable")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `.gitignore` holds a pattern that the walk does not know how to follow.
    #[error(".gitignore line {pattern:?} is neither `/path` nor `*.ext`; write it as one of them")]
    IgnorePattern {
        /// The line as it stands.
        pattern: String,
    },
    /// `cargo metadata` failed.
    #[error("cannot read the workspace: {0}; does `cargo metadata --no-deps` work here?")]
    Metadata(#[from] cargo_metadata::Error),
}

/// Runs every rule over the workspace at `root`; the findings come sorted by path and line.
///
/// # Errors
/// When the tree or the workspace cannot be read; a broken rule is a finding, not an error.
pub fn check(root: &Path) -> Result<Vec<Finding>, TidyError> {
    let tree = Tree::read(root)?;
    let packages = layers::read_packages(root)?;
    let mut findings = Vec::new();
    findings.extend(layers::check(&packages));
    findings.extend(layers::check_said(&tree));
    findings.extend(manifests::check(&tree));
    findings.extend(unused::check(&tree));
    findings.extend(floors::check(&tree));
    findings.extend(shape::check(&tree));
    findings.extend(circles::check(&tree));
    findings.extend(docs::check(&tree));
    findings.extend(words::check(&tree));
    findings.extend(unsafety::check(&tree));
    findings.extend(skeleton::check(&tree));
    findings.extend(outcomes::check(&tree));
    findings.extend(packages::check(&tree));
    findings.extend(fuzzing::check(&tree));
    findings.extend(tests_of_the_tree::check(&tree));
    findings.sort();
    Ok(findings)
}
