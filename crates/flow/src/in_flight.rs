//! Envelopes taken in and not answered yet: the same bytes again wait for the first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use clearway_types::messages::Origin;
use clearway_types::units::Digest;
use parking_lot::{Mutex, MutexGuard};

/// Locks are taken once per envelope by `verify` and once by the receipt router: 64 shards keep the
/// two from waiting for each other.
const SHARDS: usize = 64;

/// What [`InFlight::join`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Joined {
    /// Nothing like it was in flight: go on with it.
    First,
    /// The same bytes are in flight: its place will be answered with the first one's result.
    Again,
}

/// Every envelope between verification and its answer, by leaf digest (all 192 bytes).
///
/// Protocol: `verify` joins each envelope before it checks the signature and goes on with the
/// `First` alone. The stage that answers that envelope, with a result or with a refusal, calls
/// [`InFlight::finish`] and gives the same answer to each place returned.
#[derive(Debug)]
pub struct InFlight {
    shards: Vec<Mutex<HashMap<Digest, Vec<Origin>>>>,
}

impl Default for InFlight {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl InFlight {
    /// Enters an envelope, or lets its place wait for the same bytes already in flight.
    pub fn join(&self, leaf: Digest, origin: Origin) -> Joined {
        match self.shard(leaf).entry(leaf) {
            Entry::Vacant(entry) => {
                entry.insert(Vec::new());
                Joined::First
            }
            Entry::Occupied(mut entry) => {
                entry.get_mut().push(origin);
                Joined::Again
            }
        }
    }

    /// Ends an envelope's flight; returns the further places that wait for its answer.
    pub fn finish(&self, leaf: Digest) -> Vec<Origin> {
        self.shard(leaf).remove(&leaf).unwrap_or_default()
    }

    /// Envelopes in flight.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, leaf: Digest) -> MutexGuard<'_, HashMap<Digest, Vec<Origin>>> {
        self.shards[usize::from(leaf.0[0]) % SHARDS].lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clearway_types::messages::StreamKey;

    #[test]
    fn the_same_bytes_wait_for_the_first_and_are_answered_with_it() {
        let table = InFlight::default();
        let leaf = Digest([1; 32]);
        let place = |index| Origin {
            stream: StreamKey(7),
            index,
        };
        assert_eq!(table.join(leaf, place(0)), Joined::First);
        assert_eq!(table.join(leaf, place(1)), Joined::Again);
        assert_eq!(table.join(Digest([2; 32]), place(2)), Joined::First);
        assert_eq!(table.finish(leaf), [place(1)]);
        assert_eq!(
            table.join(leaf, place(3)),
            Joined::First,
            "answered: a new flight begins"
        );
        assert_eq!(table.len(), 2);
    }
}
