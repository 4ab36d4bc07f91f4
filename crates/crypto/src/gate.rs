//! The only way to a verdict: backends that passed the self-test, and the proof that one was given.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::backend::{Backend, BatchVerdict, Item, Work};
use crate::portable::Portable;
use crate::simd;
use crate::suite::{self, SuiteFailure};

/// Holds the backends that exist on this machine and answered known questions rightly.
#[derive(Clone)]
pub struct Gate {
    backends: Vec<Arc<dyn Backend>>,
}

/// A backend of one gate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BackendId(usize);

/// Why there is no gate, or no such backend behind it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GateError {
    /// A backend gave a wrong verdict on a known question.
    #[error(
        "backend {name} fails its self-test ({failure}); do not use this machine for verification \
         until `clearway doctor` passes: its hardware or this build is broken"
    )]
    SelfTest {
        /// The backend.
        name: &'static str,
        /// What it got wrong.
        failure: SuiteFailure,
    },
    /// This machine has no backend of that name.
    #[error(
        "backend {name} does not exist on this machine; `clearway verify --list-backends` names \
         those that do"
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
}

/// A value whose signature was found valid; only the gate makes one.
#[derive(Clone, Copy, Debug)]
pub struct Verified<T>(T);

/// The verdicts on a batch, in its order.
pub struct Verdicts<'i, 'a> {
    items: &'i [Item<'a>],
    /// `None` when all are valid.
    valid: Option<Vec<bool>>,
    work: Work,
}

impl Gate {
    /// The backends of this machine's processor, each after its self-test (about 30 ms).
    ///
    /// # Errors
    /// [`GateError::SelfTest`] of the first that fails: a machine that miscomputes one thing is not
    /// to be trusted with the next.
    pub fn new() -> Result<Self, GateError> {
        // A vector unit takes its line in `simd::UNITS`.
        let portable: Box<dyn Backend> = Box::new(Portable::new());
        let backends = [portable].into_iter().chain(simd::backends());
        let none = Self {
            backends: Vec::new(),
        };
        backends.map(Arc::from).try_fold(none, Self::and)
    }

    /// These backends and one more, from outside this crate, which is preferred from now on. The
    /// others are shared with the gate that it is added to.
    ///
    /// # Errors
    /// [`GateError::SelfTest`].
    pub fn and(mut self, backend: Arc<dyn Backend>) -> Result<Self, GateError> {
        suite::self_test(backend.as_ref()).map_err(|failure| GateError::SelfTest {
            name: backend.name(),
            failure,
        })?;
        self.backends.push(backend);
        Ok(self)
    }

    /// All backends, the preferred one last.
    pub fn backends(&self) -> impl Iterator<Item = (BackendId, &dyn Backend)> {
        let backends = self.backends.iter().enumerate();
        backends.map(|(index, backend)| (BackendId(index), backend.as_ref()))
    }

    /// The backend that is fastest on large batches.
    #[must_use]
    pub fn preferred(&self) -> BackendId {
        BackendId(self.backends.len() - 1)
    }

    /// The backend with this name.
    ///
    /// # Errors
    /// [`GateError::Unknown`].
    pub fn find(&self, name: &str) -> Result<BackendId, GateError> {
        let found = self.backends().find(|(_, backend)| backend.name() == name);
        found.map(|(id, _)| id).ok_or_else(|| GateError::Unknown {
            name: name.to_owned(),
        })
    }

    /// The backend itself, for what it counts.
    ///
    /// # Panics
    /// When the id comes from another gate with more backends.
    #[must_use]
    pub fn backend(&self, backend: BackendId) -> &Arc<dyn Backend> {
        &self.backends[backend.0]
    }

    /// The name of a backend.
    ///
    /// # Panics
    /// When the id comes from another gate with more backends.
    #[must_use]
    pub fn name(&self, backend: BackendId) -> &'static str {
        self.backends[backend.0].name()
    }

    /// Verifies a batch: one equation, and when it fails, a search for the invalid ones.
    ///
    /// All valid costs one pass. Whatever a sender does, the search costs at most
    /// [`Backend::search_passes_max`] passes and two verdicts each.
    #[must_use]
    pub fn verify<'i, 'a>(&self, backend: BackendId, items: &'i [Item<'a>]) -> Verdicts<'i, 'a> {
        let backend = self.backends[backend.0].as_ref();
        let mut verdicts = Verdicts::before(items);
        if !backend.batch_pays(items) {
            return verdicts.each(backend);
        }
        if let Some(valid) = backend.verify_together(items, &mut verdicts.work) {
            verdicts.settle(valid);
        }
        verdicts
    }

    /// Verifies signatures of several parties: by one equation where that pays, or else one by one.
    /// When the equation fails nothing is searched for, so that nobody waits for the invalid
    /// signatures of another party; what it cost is the error, and each party's are verified apart.
    ///
    /// # Errors
    /// At least one signature is invalid, and the equation does not say which.
    pub fn verify_pool<'i, 'a>(
        &self,
        backend: BackendId,
        items: &'i [Item<'a>],
    ) -> Result<Verdicts<'i, 'a>, Work> {
        let backend = self.backends[backend.0].as_ref();
        let mut verdicts = Verdicts::before(items);
        if !backend.batch_pays(items) {
            return Ok(verdicts.each(backend));
        }
        verdicts.work.batched += items.len();
        match backend.verify_batch(items, &mut verdicts.work) {
            BatchVerdict::AllValid => Ok(verdicts),
            BatchVerdict::SomeInvalid => Err(verdicts.work),
        }
    }

    /// Verifies one by one: cheaper where many are likely to be invalid.
    #[must_use]
    pub fn verify_each<'i, 'a>(
        &self,
        backend: BackendId,
        items: &'i [Item<'a>],
    ) -> Verdicts<'i, 'a> {
        let verdicts = Verdicts::before(items);
        verdicts.each(self.backends[backend.0].as_ref())
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.backends.iter().map(|backend| backend.name());
        f.debug_list().entries(names).finish()
    }
}

impl<'i, 'a> Verdicts<'i, 'a> {
    /// Before any is judged: a caller has to judge them.
    fn before(items: &'i [Item<'a>]) -> Self {
        Self {
            items,
            valid: None,
            work: Work::default(),
        }
    }

    /// Whether every signature is valid; true for none.
    #[must_use]
    pub fn all_valid(&self) -> bool {
        self.valid.is_none()
    }

    /// Whether the signature at `index` is valid.
    ///
    /// # Panics
    /// When the batch has no such index.
    #[must_use]
    pub fn is_valid(&self, index: usize) -> bool {
        assert!(index < self.items.len(), "verdict {index}");
        self.valid.as_ref().is_none_or(|valid| valid[index])
    }

    /// The item at `index`, when its signature is valid.
    ///
    /// # Panics
    /// When the batch has no such index.
    #[must_use]
    pub fn verified(&self, index: usize) -> Option<Verified<Item<'a>>> {
        self.is_valid(index).then(|| Verified(self.items[index]))
    }

    /// The verdicts on some of the items, in their order; what they cost stays with the whole.
    ///
    /// # Panics
    /// When the batch has no such items.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        let mut part = Self::before(&self.items[range.clone()]);
        if let Some(valid) = &self.valid {
            part.settle(valid[range].to_vec());
        }
        part
    }

    /// Number of signatures found invalid.
    #[must_use]
    pub fn invalid_count(&self) -> usize {
        let valid = self.valid.iter().flatten();
        valid.filter(|&&valid| !valid).count()
    }

    /// What it cost.
    #[must_use]
    pub fn work(&self) -> Work {
        self.work
    }

    fn each(mut self, backend: &dyn Backend) -> Self {
        let mut valid = vec![false; self.items.len()];
        backend.verify_each(self.items, &mut valid, &mut self.work);
        self.work.single += self.items.len();
        self.settle(valid);
        self
    }

    fn settle(&mut self, valid: Vec<bool>) {
        self.valid = valid.contains(&false).then_some(valid);
    }
}

impl<T> Verified<T> {
    /// Gives up the proof.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
