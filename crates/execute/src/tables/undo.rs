//! What a linked chain wrote over, until the chain settles or fails.

/// Old values of the chain under way, in the order of writing; outside of a chain nothing is noted.
pub(crate) struct Undo<T>(Option<Vec<T>>);

impl<T> Default for Undo<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Undo<T> {
    /// A chain begins.
    pub(crate) fn begin(&mut self) {
        self.0 = Some(Vec::new());
    }

    /// Notes an old value, if a chain is under way.
    pub(crate) fn note(&mut self, old: impl FnOnce() -> T) {
        if let Some(noted) = &mut self.0 {
            noted.push(old());
        }
    }

    /// The chain settled.
    pub(crate) fn commit(&mut self) {
        self.0 = None;
    }

    /// The chain failed: the old values, the newest first, to be written back.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.0.take().into_iter().flatten().rev()
    }

    /// Whether a chain is under way.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }
}
