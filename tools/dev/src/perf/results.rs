//! Reading `benches/results`: a folder a machine, a file a day and commit, a line a figure.

use super::row::Row;
use crate::error::DevError;
use std::fs;
use std::path::{Path, PathBuf};

/// The description of a machine beside its results.
const DESCRIPTION: &str = "machine.md";

/// What was measured on one machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: String,
    /// Its hardware in words, from `machine.md`.
    pub(crate) description: String,
    /// Oldest first.
    pub(crate) rows: Vec<Row>,
}

/// All machines by name; the folder may be missing or empty.
pub(crate) fn read(folder: &Path) -> Result<Vec<Machine>, DevError> {
    let mut machines = Vec::new();
    for path in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        machines.push(read_machine(&path)?);
    }
    Ok(machines)
}

fn read_machine(folder: &Path) -> Result<Machine, DevError> {
    let name = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut rows = Vec::new();
    for path in entries(folder)? {
        if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            rows.extend(read_file(&path, &name)?);
        }
    }
    rows.sort_by(|a, b| a.date.cmp(&b.date));
    let description = read_text(&folder.join(DESCRIPTION))?.trim().to_owned();
    Ok(Machine {
        name,
        description,
        rows,
    })
}

fn read_file(path: &Path, machine: &str) -> Result<Vec<Row>, DevError> {
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut rows = Vec::new();
    for (index, line) in read_text(path)?.lines().enumerate() {
        let fault = |fault| DevError::Row {
            path: path.into(),
            line_number: index + 1,
            fault,
        };
        let row = Row::parse(line).map_err(fault)?;
        if let Some(text) = misplaced(&row, machine, &stem) {
            return Err(fault(text));
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Why the row does not belong in this file, when it does not.
fn misplaced(row: &Row, machine: &str, stem: &str) -> Option<String> {
    if row.machine != machine {
        return Some(format!(
            "machine {:?} lies in the folder {machine:?}",
            row.machine
        ));
    }
    let commit = stem
        .strip_prefix(row.day())
        .and_then(|rest| rest.strip_prefix('-'));
    let belongs = commit.is_some_and(|commit| commit.len() >= 7 && row.commit.starts_with(commit));
    (!belongs).then(|| format!("{} of {} lies in the file {stem:?}", row.commit, row.day()))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DevError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let unreadable = |source| DevError::File {
        path: folder.into(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn read_text(path: &Path) -> Result<String, DevError> {
    fs::read_to_string(path).map_err(|source| DevError::File {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::sample;
    use super::*;

    #[test]
    fn a_row_belongs_to_its_machine_day_and_commit() {
        let row = Row::parse(&sample().to_string()).expect("the sample is right");
        for (machine, stem, belongs) in [
            ("two-cores", "2026-01-31-0123abc", true),
            ("other", "2026-01-31-0123abc", false),
            ("two-cores", "2026-01-30-0123abc", false),
            ("two-cores", "2026-01-31-0123abd", false),
            ("two-cores", "2026-01-31", false),
            ("two-cores", "2026-01-31-", false),
        ] {
            assert_eq!(
                misplaced(&row, machine, stem).is_none(),
                belongs,
                "{machine}/{stem}"
            );
        }
    }
}
