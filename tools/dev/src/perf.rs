//! PERF.md and the full tables of each machine, from the recorded results: `cargo dev perf`.

mod current;
mod goals;
mod results;
mod row;
mod scoreboard;
mod tables;
mod text;
mod waterfall;

use crate::error::DevError;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the results stand, and beside them the page of each machine.
const RESULTS: &str = "benches/results";

/// Writes the pages as the results give them.
pub(crate) fn write(root: &Path) -> Result<(), DevError> {
    for (path, text) in pages(root)? {
        fs::write(&path, text).map_err(|source| DevError::File { path, source })?;
    }
    Ok(())
}

/// Fails when a page is not what the results give.
pub(crate) fn check(root: &Path) -> Result<(), DevError> {
    for (path, text) in pages(root)? {
        match fs::read_to_string(&path) {
            Ok(found) if found == text => {}
            Ok(_) => return Err(DevError::PerfStale { path }),
            Err(source) => return Err(DevError::File { path, source }),
        }
    }
    Ok(())
}

/// Every page with its place.
fn pages(root: &Path) -> Result<Vec<(PathBuf, String)>, DevError> {
    let folder = root.join(RESULTS);
    let machines = results::read(&folder)?;
    let mut pages = vec![(root.join("PERF.md"), scoreboard::page(&machines))];
    for machine in &machines {
        let path = folder.join(&machine.name).join("README.md");
        pages.push((path, tables::page(machine)));
    }
    Ok(pages)
}

/// Whether a line is a row that the pages can be rendered from.
#[cfg(test)]
pub(crate) fn check_row(line: &str) -> Result<(), String> {
    row::Row::parse(line).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Payments a second of one node with everything on.
    const HEADLINE: &str = "one_node_tps_final";

    #[test]
    fn the_readme_tells_the_newest_headline_of_each_machine() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let readme = fs::read_to_string(root.join("README.md")).expect("it is there");
        let machines = results::read(&root.join(RESULTS)).expect("the results can be read");
        for machine in &machines {
            let rows = current::current(&machine.rows);
            let is_headline =
                |row: &&&row::Row| row.name == HEADLINE && row.command == goals::FULL_LOAD;
            for row in rows.iter().filter(is_headline) {
                let told = format!("**{}", text::grouped(row.value));
                assert!(
                    readme.contains(&told),
                    "README.md lacks {told} of {}",
                    machine.name
                );
            }
        }
    }

    #[test]
    fn the_pages_are_what_the_recorded_results_give() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        check(&root).expect("PERF.md and the pages of the machines are current");
    }
}
