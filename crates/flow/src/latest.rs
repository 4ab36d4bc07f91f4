//! The latest version of a thing that one stage publishes and others read.

use std::sync::Arc;

use parking_lot::RwLock;

/// Holds the latest published version.
///
/// A lock held for one pointer copy: readers come once per batch, so nothing cleverer pays.
#[derive(Debug)]
pub struct Latest<T>(RwLock<Arc<T>>);

impl<T> Latest<T> {
    /// Starts with `value`.
    pub fn new(value: Arc<T>) -> Self {
        Self(RwLock::new(value))
    }

    /// The latest version.
    pub fn load(&self) -> Arc<T> {
        Arc::clone(&self.0.read())
    }

    /// Replaces the version.
    pub fn publish(&self, value: Arc<T>) {
        *self.0.write() = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_see_what_was_published_last() {
        let latest = Latest::new(Arc::new(1));
        let before = latest.load();
        latest.publish(Arc::new(2));
        assert_eq!((*before, *latest.load()), (1, 2));
    }
}
