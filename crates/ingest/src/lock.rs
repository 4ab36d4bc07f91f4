//! Locks of the door: a panic of one task leaves them good for the others.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock whose holders leave a whole value at each step: sums and what they are sums of
/// change together before anything can panic, so that a poisoned lock is still good.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
