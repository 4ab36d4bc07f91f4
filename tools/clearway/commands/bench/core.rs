//! One core for everything that is measured, and all cores for what is made before.

use std::io;

/// What people are told where there is no such core.
pub(super) const UNPINNED: &str =
    "this system does not pin threads: the figures move with the scheduler";

/// A core of those that this process may use.
#[derive(Debug)]
pub(super) struct Pinned {
    number: usize,
}

/// While it lives, this thread and what it starts stay on the core.
pub(super) struct Guard(imp::Affinity);

impl Pinned {
    /// The last core that this process may use: the first ones serve most interrupts.
    pub(super) fn choose() -> Option<Self> {
        let number = imp::allowed().ok()?.pop()?;
        let core = Self { number };
        // Where the system does not pin, it says so at the first attempt.
        core.enter().is_ok().then_some(core)
    }

    /// The core's number.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Moves this thread to the core until the guard is dropped.
    pub(super) fn enter(&self) -> io::Result<Guard> {
        imp::pin(self.number).map(Guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        imp::restore(&self.0);
    }
}

#[cfg(target_os = "linux")]
mod imp {
    use std::io;

    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    pub(super) type Affinity = CpuSet;

    pub(super) fn allowed() -> io::Result<Vec<usize>> {
        let set = sched_getaffinity(None)?;
        let all = 0..CpuSet::MAX_CPU;
        Ok(all.filter(|&core| set.is_set(core)).collect())
    }

    pub(super) fn pin(core: usize) -> io::Result<Affinity> {
        let before = sched_getaffinity(None)?;
        let mut only = CpuSet::new();
        only.set(core);
        sched_setaffinity(None, &only)?;
        Ok(before)
    }

    pub(super) fn restore(before: &Affinity) {
        // What it had before cannot be refused, and if it were, making inputs would only be slower.
        let _ = sched_setaffinity(None, before);
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::io;

    pub(super) type Affinity = ();

    pub(super) fn allowed() -> io::Result<Vec<usize>> {
        Ok(Vec::new())
    }

    pub(super) fn pin(_: usize) -> io::Result<Affinity> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn restore(_: &Affinity) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_on_one_core_within_and_where_it_was_after() {
        let before = imp::allowed().expect("the system says");
        if let Some(core) = Pinned::choose() {
            let guard = core.enter().expect("it was possible once");
            assert_eq!(imp::allowed().expect("it says"), [core.number()]);
            drop(guard);
        }
        assert_eq!(imp::allowed().expect("the system says"), before);
    }
}
