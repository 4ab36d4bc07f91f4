//! Whether kernels look at the range of every limb, in a build with debug assertions.
//!
//! It takes longer than all else that a kernel does, so it is done where kernels are tested: in
//! this crate's own tests, and in those that ask for it. A node under test only computes.

use std::sync::atomic::{AtomicBool, Ordering};

static CHECKED: AtomicBool = AtomicBool::new(cfg!(test));

/// From here on kernels of this process check the range of every limb, if it was built with debug
/// assertions: for tests of the kernels.
pub fn check_ranges() {
    CHECKED.store(true, Ordering::Relaxed);
}

/// Whether nobody asks for it.
#[inline(always)]
pub(super) fn unchecked() -> bool {
    !CHECKED.load(Ordering::Relaxed)
}
