//! How much of the processor a command takes: a number of cores, at a lower priority than whatever
//! else runs.

use std::fmt;
use std::num::NonZeroUsize;

use clap::ValueEnum;

use crate::failure::Failure;
use crate::ui;

/// Nice value of a command that stands behind a node: the node gets nine tenths of a shared core.
const NICE: i32 = 10;

/// The switch that all commands share which keep the processor busy for long.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct PriorityArg {
    /// Whether this stands behind other programs, such as a running node, where both want a core
    #[arg(long, value_enum, default_value_t = Priority::Low)]
    priority: Priority,
}

/// A command's place among those that want the same core.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Priority {
    /// Others first
    Low,
    /// As any other program
    Normal,
}

/// What a command takes if it is not told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Default {
    /// Every core that this process may use: what is measured is the machine.
    All,
    /// Half of them, one at least.
    Half,
}

/// What a command has taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Share {
    cores: usize,
    cores_allowed: usize,
    priority: Priority,
}

impl Default {
    /// Cores out of this many.
    pub(crate) fn of(self, cores: usize) -> usize {
        match self {
            Self::All => cores,
            Self::Half => (cores / 2).max(1),
        }
    }
}

impl PriorityArg {
    /// Keeps this process and all that it starts to `cores`, or to the default, and says so.
    ///
    /// To be called before the first thread is started: what runs already stays as it is.
    pub(crate) fn take(
        self,
        cores: Option<NonZeroUsize>,
        default: Default,
    ) -> Result<Share, Failure> {
        let cores_allowed = cores_allowed();
        let cores = cores.map_or(default.of(cores_allowed), NonZeroUsize::get);
        if cores > cores_allowed {
            let message = format!("--cores {cores}: this process may use {cores_allowed}");
            return Err(Failure::usage(message));
        }
        let share = Share {
            cores,
            cores_allowed,
            priority: self.priority,
        };
        share.enter();
        ui::note(&format!("share    {share}"));
        Ok(share)
    }
}

impl Share {
    /// The system may refuse both; then the command is a louder neighbour, and says why.
    fn enter(self) {
        if self.priority == Priority::Low {
            let lowered = imp::stand_behind(NICE);
            lowered.unwrap_or_else(|error| ui::note(&format!("priority stays normal: {error}")));
        }
        if self.cores < self.cores_allowed {
            let bound = imp::keep_to(self.cores);
            bound.unwrap_or_else(|error| ui::note(&format!("cores are not bounded: {error}")));
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let priority = match self.priority {
            Priority::Low => "low",
            Priority::Normal => "normal",
        };
        let Self {
            cores,
            cores_allowed,
            ..
        } = self;
        write!(f, "{cores} of {cores_allowed} cores, {priority} priority")
    }
}

/// Cores that this process may use.
pub(crate) fn cores_allowed() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(target_os = "linux")]
mod imp {
    use std::io;

    use rustix::process::{getpriority_process, setpriority_process};
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    /// Keeps this thread and what it starts to the last `count` of its cores: the first ones serve
    /// most interrupts, and a node that pins its threads begins with them.
    pub(super) fn keep_to(count: usize) -> io::Result<()> {
        let allowed = sched_getaffinity(None)?;
        let mut kept = CpuSet::new();
        let last = (0..CpuSet::MAX_CPU)
            .rev()
            .filter(|&core| allowed.is_set(core));
        last.take(count).for_each(|core| kept.set(core));
        Ok(sched_setaffinity(None, &kept)?)
    }

    /// Puts this thread and what it starts behind those that are less nice.
    pub(super) fn stand_behind(nice: i32) -> io::Result<()> {
        let nice = nice.max(getpriority_process(None)?);
        Ok(setpriority_process(None, nice)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::io;

    pub(super) fn keep_to(_: usize) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn stand_behind(_: i32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_cores_are_one_at_least() {
        let rows = [(1, 1), (2, 1), (3, 1), (4, 2), (64, 32)];
        for (cores, half) in rows {
            assert_eq!(Default::Half.of(cores), half);
            assert_eq!(Default::All.of(cores), cores);
        }
    }

    #[test]
    fn more_cores_than_there_are_is_wrong_usage() {
        let priority = Priority::Normal;
        let taken = PriorityArg { priority }.take(NonZeroUsize::new(100_000), Default::All);
        let error = taken.expect_err("no machine has that many").to_string();
        assert!(error.contains("--cores 100000"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_takes_its_share_is_bounded_and_so_is_what_it_starts() {
        let of_child = std::thread::spawn(|| {
            let priority = Priority::Low;
            let share = PriorityArg { priority }
                .take(NonZeroUsize::new(1), Default::All)
                .expect("one core is there");
            assert!(share.to_string().starts_with("1 of "), "{share}");
            let child = std::thread::spawn(|| {
                let nice = rustix::process::getpriority_process(None).expect("it says");
                (cores_allowed(), nice)
            });
            child.join().expect("no panic")
        });
        let (cores, nice) = of_child.join().expect("no panic");
        assert_eq!(cores, 1);
        assert!(nice >= NICE, "{nice}");
    }
}
