//! Index rows of a segment that has no index file yet, sorted, in memory.

use crate::format::IndexRow;
use crate::limits::LOCATION_COUNT_MAX;
use crate::words::{Location, Sequence};

/// Sorted runs, each less than half as long as the one before it: new rows are sorted by
/// themselves and merged when they have become many, so a look-up searches few runs and each row
/// is moved few times.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    runs: Vec<Vec<IndexRow>>,
    record_count: u64,
}

impl Runs {
    /// Records of the segment whose rows are here.
    pub(crate) fn record_count(&self) -> u64 {
        self.record_count
    }

    /// The rows of one more record are about to be pushed.
    pub(crate) fn count_record(&mut self) {
        self.record_count += 1;
    }

    /// Takes in the rows of later records.
    pub(crate) fn push(&mut self, mut rows: Vec<IndexRow>) {
        if rows.is_empty() {
            return;
        }
        rows.sort_unstable_by_key(IndexRow::sort_key);
        while let Some(before) = self.runs.pop_if(|run| run.len() < 2 * rows.len()) {
            rows = merge(&before, &rows);
        }
        self.runs.push(rows);
    }

    /// The places of an id, newest first.
    pub(crate) fn find(&self, key: ([u8; 16], u32)) -> Vec<Location> {
        let mut found: Vec<Location> = self.runs.iter().flat_map(|run| of_key(run, key)).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(LOCATION_COUNT_MAX);
        found
    }
}

/// The newest places of an id in one run.
fn of_key(run: &[IndexRow], key: ([u8; 16], u32)) -> impl Iterator<Item = Location> {
    let first = run.partition_point(|row| row.key() < key);
    let count = run[first..].partition_point(|row| row.key() <= key);
    let rows = run[first..first + count].iter().rev();
    rows.take(LOCATION_COUNT_MAX).map(|row| Location {
        sequence: Sequence(row.sequence.get()),
        index: row.position.get(),
    })
}

fn merge(left: &[IndexRow], right: &[IndexRow]) -> Vec<IndexRow> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left, right);
    while let (Some(a), Some(b)) = (left.first(), right.first()) {
        let from = match a.sort_key() <= b.sort_key() {
            true => &mut left,
            false => &mut right,
        };
        merged.push(from[0]);
        *from = &from[1..];
    }
    merged.extend_from_slice(left);
    merged.extend_from_slice(right);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use clearway_types::seeded::SplitMix;

    #[test]
    fn rows_are_found_whatever_runs_they_came_in() {
        let mut random = SplitMix(7);
        let mut runs = Runs::default();
        let mut all = Vec::new();
        for sequence in 1..300_u64 {
            let count = random.below(30);
            let row = |position: u64| IndexRow {
                id: [u8::try_from(random.below(40)).expect("small"); 16],
                signer: 1.into(),
                position: u32::try_from(position).expect("small").into(),
                sequence: sequence.into(),
            };
            let rows: Vec<IndexRow> = (0..count).map(row).collect();
            all.extend_from_slice(&rows);
            runs.count_record();
            runs.push(rows);
        }
        assert_eq!(runs.record_count(), 299);
        assert!(runs.runs.len() < 14, "{} runs", runs.runs.len());
        for id in 0..41 {
            let key = ([id; 16], 1);
            let of_key = all.iter().filter(|row| row.key() == key);
            let mut expected: Vec<Location> = of_key
                .map(|row| Location {
                    sequence: Sequence(row.sequence.get()),
                    index: row.position.get(),
                })
                .collect();
            expected.sort_unstable_by(|a, b| b.cmp(a));
            expected.truncate(LOCATION_COUNT_MAX);
            assert_eq!(runs.find(key), expected, "id {id}");
        }
    }
}
