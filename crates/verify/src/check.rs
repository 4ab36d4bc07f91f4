//! The way from signatures of one source to a verdict on each: as its past suggests.

use std::ops::Range;

use clearway_crypto::backend::{Item, Work};
use clearway_crypto::gate::{BackendId, Gate, Verdicts, Verified};

use crate::sources::{SMALL_BATCH_LEN, Trust};

/// The verdicts on signatures of one source, cut into parts of one length.
pub struct Checked<'i, 'a> {
    count: usize,
    part_len: usize,
    parts: Vec<Verdicts<'i, 'a>>,
}

impl<'i, 'a> Checked<'i, 'a> {
    /// Checks in one equation, in small ones or one by one; invalid ones are searched for.
    #[must_use]
    pub fn new(gate: &Gate, backend: BackendId, trust: Trust, items: &'i [Item<'a>]) -> Self {
        let part_len = match trust {
            // A device gives a verdict each in any case, and wants to be asked for many.
            Trust::Small if gate.backend(backend).batch_pays(items) => SMALL_BATCH_LEN,
            _ => items.len().max(1),
        };
        let parts = items.chunks(part_len).map(|part| match trust {
            Trust::None => gate.verify_each(backend, part),
            Trust::Full | Trust::Alone | Trust::Small => gate.verify(backend, part),
        });
        Self {
            count: items.len(),
            part_len,
            parts: parts.collect(),
        }
    }

    /// What a pool's verdicts say of the signatures in one place of it.
    #[must_use]
    pub fn of_pool(pool: &Verdicts<'i, 'a>, range: Range<usize>) -> Self {
        Self {
            count: range.len(),
            part_len: range.len().max(1),
            parts: vec![pool.part(range)],
        }
    }

    /// Whether every signature is valid; true for none.
    #[must_use]
    pub fn all_valid(&self) -> bool {
        self.parts.iter().all(Verdicts::all_valid)
    }

    /// Whether the signature at `item` is valid.
    ///
    /// # Panics
    /// When there is no such item.
    #[must_use]
    pub fn is_valid(&self, item: usize) -> bool {
        self.parts[item / self.part_len].is_valid(item % self.part_len)
    }

    /// The item at this place, when its signature is valid.
    ///
    /// # Panics
    /// When there is no such item.
    #[must_use]
    pub fn verified(&self, item: usize) -> Option<Verified<Item<'a>>> {
        self.parts[item / self.part_len].verified(item % self.part_len)
    }

    /// Number of signatures.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Number of signatures found invalid.
    #[must_use]
    pub fn invalid_count(&self) -> usize {
        self.parts.iter().map(Verdicts::invalid_count).sum()
    }

    /// What it cost.
    #[must_use]
    pub fn work(&self) -> Work {
        let mut sum = Work::default();
        for part in &self.parts {
            sum += part.work();
        }
        sum
    }
}
