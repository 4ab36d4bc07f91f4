//! Questions keep to some of the cores: however much is asked, the pipeline has the others.
//!
//! A bound on threads would not do: a question may wait, for the disk or for a height to become
//! durable, and the next one must not wait behind it.

use std::cell::Cell;

use clearway_ingest::{Asker, FollowPage, QueryError, QueryService};
use clearway_types::units::{AccountId, ParticipantId};
use clearway_types::wire::proof::SettlementProof;
use clearway_types::wire::query::{AccountView, FollowRequest, Found, Lookup, StatusView};
use clearway_types::wire::roster::RosterView;

use crate::config::NodeConfig;

/// A service whose threads keep to some of the cores.
pub(crate) struct Bounded<S> {
    service: S,
    cores: usize,
}

thread_local! {
    /// Whether this thread keeps to its cores already.
    static KEEPS: Cell<bool> = const { Cell::new(false) };
}

/// Cores that questions and feeds may keep busy.
pub(crate) fn question_cores(config: &NodeConfig) -> usize {
    config.door.question_cores_of(cores())
}

impl<S: QueryService> Bounded<S> {
    pub(crate) fn new(service: S, cores: usize) -> Self {
        Self { service, cores }
    }

    /// The service, on a thread that keeps to its cores from its first question on.
    fn here(&self) -> &S {
        if !KEEPS.replace(true)
            && self.cores < cores()
            && let Err(error) = imp::keep_to(self.cores)
        {
            tracing::debug!(%error, "a thread for questions may use every core");
        }
        &self.service
    }
}

impl<S: QueryService> QueryService for Bounded<S> {
    fn lookup(&self, asker: &Asker, names: &[Lookup]) -> Result<Vec<Option<Found>>, QueryError> {
        self.here().lookup(asker, names)
    }

    fn proof(&self, asker: &Asker, name: Lookup) -> Result<SettlementProof, QueryError> {
        self.here().proof(asker, name)
    }

    fn account(&self, asker: &Asker, account: AccountId) -> Result<AccountView, QueryError> {
        self.here().account(asker, account)
    }

    fn follow(
        &self,
        asker: &Asker,
        request: FollowRequest,
        items_max: usize,
    ) -> Result<FollowPage, QueryError> {
        self.here().follow(asker, request, items_max)
    }

    fn roster(&self, asker: &Asker, first: ParticipantId) -> Result<RosterView, QueryError> {
        self.here().roster(asker, first)
    }

    fn status(&self) -> Result<StatusView, QueryError> {
        self.here().status()
    }
}

/// Cores that this thread may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(target_os = "linux")]
mod imp {
    use std::io;

    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    /// Keeps this thread to the last `count` of its cores: stage threads are pinned from the first
    /// one on.
    pub(super) fn keep_to(count: usize) -> io::Result<()> {
        let allowed = sched_getaffinity(None)?;
        let all = (0..CpuSet::MAX_CPU).rev();
        let mut kept = CpuSet::new();
        all.filter(|&core| allowed.is_set(core))
            .take(count)
            .for_each(|core| kept.set(core));
        Ok(sched_setaffinity(None, &kept)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::io;

    pub(super) fn keep_to(_: usize) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Answers with the number of cores that its thread may use, as a height.
    struct Cores;

    impl QueryService for Cores {
        fn lookup(&self, _: &Asker, _: &[Lookup]) -> Result<Vec<Option<Found>>, QueryError> {
            Ok(vec![None; cores()])
        }

        fn proof(&self, _: &Asker, _: Lookup) -> Result<SettlementProof, QueryError> {
            Err(QueryError::NotFound)
        }

        fn account(&self, _: &Asker, _: AccountId) -> Result<AccountView, QueryError> {
            Err(QueryError::NotFound)
        }

        fn follow(&self, _: &Asker, _: FollowRequest, _: usize) -> Result<FollowPage, QueryError> {
            Err(QueryError::NotFound)
        }

        fn roster(&self, _: &Asker, _: ParticipantId) -> Result<RosterView, QueryError> {
            Err(QueryError::NotFound)
        }

        fn status(&self) -> Result<StatusView, QueryError> {
            Err(QueryError::NotReady)
        }
    }

    #[test]
    fn a_thread_keeps_to_its_cores_from_the_first_question_on() {
        let answered = std::thread::spawn(|| {
            let bounded = Bounded::new(Cores, 1);
            let asker = Asker::new(ParticipantId(1));
            let found = bounded.lookup(&asker, &[]).expect("it answers");
            (found.len(), cores())
        });
        assert_eq!(answered.join().expect("no panic"), (1, 1));
    }
}
