//! All or none, for any table: what a chain did to it is taken back whole.

use std::io;

use clearway_types::units::Digest;

use crate::clock::Clock;
use crate::error::ExecuteError;
use crate::tables::Table;
use crate::tables::codec::{Sink, Source};

/// Everything there is to see of a table.
fn image<T: Table>(table: &mut T) -> (Option<Digest>, Vec<u8>, String) {
    let mut bytes = Vec::new();
    let mut sink = Sink::new(&mut bytes);
    if let Some(frozen) = table.freeze() {
        T::write(&frozen, &mut sink).expect("memory takes it");
    }
    sink.finish().expect("memory takes it");
    (table.root(), bytes, table.hidden())
}

/// What is wrong with the undo of a table: for each of its changes, after those before it.
pub(crate) fn undo_faults<T: Table>(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault =
        |index: usize, what: &str| faults.push(format!("{name}, change {index}: {what}"));
    if T::CHANGES.is_empty() {
        fault(0, "there is none, so nothing is tried");
    }
    for made in 0..T::CHANGES.len() {
        let mut table = T::start();
        for change in &T::CHANGES[..made] {
            change(&mut table);
        }
        // The change by itself, then with all that follow it.
        for until in [made.saturating_add(1), T::CHANGES.len()] {
            let before = image(&mut table);
            table.begin();
            for change in &T::CHANGES[made..until] {
                change(&mut table);
            }
            table.roll_back();
            if image(&mut table) != before {
                fault(made, "is not taken back");
            }
        }
        // What was taken back leaves nothing behind, and what is kept stays.
        let mut other = T::start();
        for change in &T::CHANGES[..=made] {
            change(&mut other);
        }
        let before = image(&mut table);
        table.begin();
        T::CHANGES[made](&mut table);
        table.commit();
        if image(&mut table) == before {
            fault(made, "changes nothing");
        }
        if image(&mut table) != image(&mut other) {
            fault(made, "gives another table after it was taken back");
        }
    }
    faults
}

/// A table whose author forgot the undo.
struct Forgetful(u8);

impl Table for Forgetful {
    const PART: u8 = 31;

    type Frozen = u8;

    const CHANGES: &'static [fn(&mut Self)] = &[|table| table.0 = table.0.saturating_add(1)];

    fn empty(_: Clock) -> Self {
        Self(0)
    }

    fn begin(&mut self) {}

    fn commit(&mut self) {}

    fn roll_back(&mut self) {}

    fn root(&mut self) -> Option<Digest> {
        None
    }

    fn freeze(&self) -> Option<u8> {
        Some(self.0)
    }

    fn write(frozen: &u8, to: &mut Sink<'_>) -> io::Result<()> {
        to.put(&[*frozen])
    }

    fn read(from: &mut Source<'_>) -> Result<Self, ExecuteError> {
        Ok(Self(from.u8()?))
    }
}

#[test]
fn a_table_without_undo_is_found() {
    let faults = undo_faults::<Forgetful>("forgetful");
    assert!(
        faults.contains(&"forgetful, change 0: is not taken back".to_owned()),
        "{faults:?}"
    );
}
