//! Memory of sources that sent invalid signatures: they pay for their searches, not everyone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use clearway_types::messages::SourceId;
use clearway_types::units::TimeMs;
use parking_lot::{Mutex, MutexGuard};

/// How a source's signatures are verified.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Trust {
    /// One equation, which it may share with others: it sent no invalid signature lately.
    Full,
    /// One equation of its own: it sent few.
    Alone,
    /// Small batches: it sent some.
    Small,
    /// One by one: many of its signatures were invalid lately.
    None,
}

/// What is remembered, by connection: anyone can put anyone's name under garbage, so the blame
/// falls on who sent it.
#[derive(Debug, Default)]
pub struct Sources {
    table: Mutex<HashMap<SourceId, Record>>,
    /// Length of the table, so that a node with honest members takes no lock.
    len: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    trust: Trust,
    until: TimeMs,
}

impl Sources {
    /// How to verify what this source sent.
    #[must_use]
    pub fn trust(&self, source: SourceId, now: TimeMs) -> Trust {
        if self.len.load(Ordering::Relaxed) == 0 {
            return Trust::Full;
        }
        match self.lock().get(&source) {
            Some(record) if now < record.until => record.trust,
            _ => Trust::Full,
        }
    }

    /// Takes note that `invalid` of a source's `checked` signatures were invalid; up to one in
    /// `search_pays_from` are searched for, at its own expense.
    pub fn note(
        &self,
        source: SourceId,
        checked: usize,
        invalid: usize,
        search_pays_from: usize,
        now: TimeMs,
    ) {
        if invalid == 0 {
            return;
        }
        let trust = if invalid.saturating_mul(search_pays_from) <= checked {
            Trust::Alone
        } else if invalid * SMALL_SHARE > checked {
            Trust::None
        } else {
            Trust::Small
        };
        let until = TimeMs(now.0.saturating_add(MEMORY_MS));
        let mut table = self.lock();
        if table.len() >= SOURCES_MAX && !table.contains_key(&source) {
            table.retain(|_, record| now < record.until);
            if table.len() >= SOURCES_MAX {
                // All recent: an attack by thousands of connections; start again rather than grow.
                table.clear();
            }
        }
        let record = Record { trust, until };
        let known = table.entry(source).or_insert(record);
        let worse = match now < known.until {
            true => known.trust.max(trust),
            false => trust,
        };
        *known = Record {
            trust: worse,
            until,
        };
        self.len.store(table.len(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SourceId, Record>> {
        // Each critical section leaves a whole table, wherever a thread stops.
        self.table.lock()
    }
}

/// Sources remembered at once: 4,096 x 32 B, more than the connections of any one second.
pub const SOURCES_MAX: usize = 4096;
/// How long an invalid signature is remembered, milliseconds.
pub const MEMORY_MS: u64 = 10_000;
/// Batch length for a source that sent some invalid signatures: one more costs a search over 64.
pub const SMALL_BATCH_LEN: usize = 64;
/// More than one in this many invalid: batches would fail anyway.
const SMALL_SHARE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_follows_the_share_of_invalid_signatures_and_comes_back() {
        let sources = Sources::default();
        let (good, few, many) = (SourceId(1), SourceId(2), SourceId(3));
        let now = TimeMs(1_000);
        sources.note(good, 1000, 0, usize::MAX, now);
        sources.note(few, 1000, 1, usize::MAX, now);
        sources.note(many, 1000, 500, usize::MAX, now);
        let searched = SourceId(4);
        sources.note(searched, 1000, 2, 500, now);
        assert_eq!(sources.trust(searched, now), Trust::Alone);
        sources.note(searched, 999, 2, 500, now);
        assert_eq!(sources.trust(searched, now), Trust::Small);
        let later = TimeMs(now.0 + MEMORY_MS);
        let rows = [
            (good, now, Trust::Full),
            (few, now, Trust::Small),
            (many, now, Trust::None),
            (few, TimeMs(later.0 - 1), Trust::Small),
            (few, later, Trust::Full),
            (many, later, Trust::Full),
        ];
        for (row, (source, now, expected)) in rows.into_iter().enumerate() {
            assert_eq!(sources.trust(source, now), expected, "row {row}");
        }
        sources.note(many, 1000, 1, usize::MAX, TimeMs(now.0 + 1));
        assert_eq!(
            sources.trust(many, TimeMs(now.0 + 1)),
            Trust::None,
            "still the worse"
        );
        sources.note(many, 1000, 1, usize::MAX, TimeMs(later.0 + 1));
        assert_eq!(
            sources.trust(many, TimeMs(later.0 + 1)),
            Trust::Small,
            "forgotten"
        );
    }

    #[test]
    fn memory_stays_bounded() {
        let sources = Sources::default();
        for source in 0..3 * SOURCES_MAX as u64 {
            sources.note(SourceId(source), 10, 10, usize::MAX, TimeMs(5));
        }
        assert!(sources.lock().len() <= SOURCES_MAX);
        let last = SourceId(3 * SOURCES_MAX as u64 - 1);
        assert_eq!(sources.trust(last, TimeMs(5)), Trust::None);
    }
}
