//! PERF.md, rendered from the recorded results: `cargo dev perf`.

mod render;
mod results;
mod row;
mod targets;

use crate::error::DevError;
use std::fs;
use std::path::Path;

/// Writes PERF.md as the results give it.
pub(crate) fn write(root: &Path) -> Result<(), DevError> {
    let path = root.join("PERF.md");
    let text = rendered(root)?;
    fs::write(&path, text).map_err(|source| DevError::File { path, source })
}

/// Fails when PERF.md is not what the results give.
pub(crate) fn check(root: &Path) -> Result<(), DevError> {
    let path = root.join("PERF.md");
    let text = rendered(root)?;
    let found = fs::read_to_string(&path).map_err(|source| DevError::File { path, source })?;
    if found == text {
        Ok(())
    } else {
        Err(DevError::PerfStale)
    }
}

fn rendered(root: &Path) -> Result<String, DevError> {
    let machines = results::read(&root.join("benches/results"))?;
    Ok(render::page(&machines, targets::TARGETS))
}

/// Whether a line is a row that the page can be rendered from.
#[cfg(test)]
pub(crate) fn check_row(line: &str) -> Result<(), String> {
    row::Row::parse(line).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perf_md_is_what_the_recorded_results_give() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        check(&root).expect("PERF.md is current");
    }
}
