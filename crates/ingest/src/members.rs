//! Who may come in: the key directory as a lookup by key, and what each member uses up.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clearway_flow::Latest;
use clearway_quic::KeyCheck;
use clearway_types::account::KeyEntry;
use clearway_types::directory::KeyDirectory;
use clearway_types::units::{Height, ParticipantId};
use parking_lot::Mutex;

use tokio::sync::Semaphore;

use crate::admission::{TokenBucket, TooFast};
use crate::config::IngestConfig;
use crate::seats::Seats;

/// All members, by key and by number.
pub(crate) struct Members {
    config: Arc<IngestConfig>,
    directory: Arc<Latest<KeyDirectory>>,
    /// Height up to which blocks are known here: keys become and cease to be valid by it.
    height: AtomicU64,
    index: Mutex<Option<KeyIndex>>,
    known: Mutex<HashMap<ParticipantId, Arc<Member>>>,
}

/// A version of the directory, turned around.
struct KeyIndex {
    directory: Arc<KeyDirectory>,
    by_key: HashMap<[u8; 32], Vec<(ParticipantId, KeyEntry)>>,
}

impl Members {
    pub(crate) fn new(config: Arc<IngestConfig>, directory: Arc<Latest<KeyDirectory>>) -> Self {
        let height = AtomicU64::new(directory.load().height.0);
        Self {
            config,
            directory,
            height,
            index: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// Notes that a block at `height` has been answered.
    pub(crate) fn on_height(&self, height: Height) {
        self.height.fetch_max(height.0, Ordering::Relaxed);
    }

    /// The member with this key in a slot that is valid now; the lowest number of several.
    pub(crate) fn by_key(&self, public_key: &[u8; 32]) -> Option<ParticipantId> {
        let directory = self.directory.load();
        let height = Height(self.height.load(Ordering::Relaxed)).max(directory.height);
        let mut index = self.index.lock();
        let current = index
            .take()
            .filter(|i| Arc::ptr_eq(&i.directory, &directory));
        let index = index.insert(current.unwrap_or_else(|| KeyIndex::new(directory)));
        let holders = index.by_key.get(public_key)?;
        let live = holders.iter().filter(|(_, entry)| entry.valid_at(height));
        live.map(|(member, _)| *member).min()
    }

    /// Takes the place of an idle connection of the member that has most, for one more of `asker`;
    /// false when no other member has enough more for a fair exchange.
    pub(crate) fn displace_for(&self, asker: &Member, now: Instant) -> bool {
        let asker_count = asker.seats.len();
        let known = self.known.lock();
        let mut others: Vec<_> = known
            .values()
            .map(|member| (member.seats.len(), member))
            .filter(|(count, member)| *count > asker_count + 1 || member.id == asker.id)
            .collect();
        others.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let mut seats = others.iter().map(|(_, member)| &member.seats);
        seats.any(|seats| seats.displace_idle(now))
    }

    /// What a member uses up; the same for all its connections, and kept when it has none, so that
    /// connecting anew does not refill its rate.
    pub(crate) fn member(&self, id: ParticipantId) -> Arc<Member> {
        let mut known = self.known.lock();
        let new = || Arc::new(Member::new(id, &self.config));
        Arc::clone(known.entry(id).or_insert_with(new))
    }
}

impl KeyCheck for Members {
    fn admits(&self, public_key: &[u8; 32]) -> bool {
        self.by_key(public_key).is_some()
    }
}

impl KeyIndex {
    fn new(directory: Arc<KeyDirectory>) -> Self {
        let mut by_key = HashMap::<_, Vec<_>>::new();
        for (member, slots) in &directory.participants {
            for entry in slots.iter().flatten() {
                by_key
                    .entry(entry.public_key)
                    .or_default()
                    .push((*member, *entry));
            }
        }
        Self { directory, by_key }
    }
}

/// What one member uses up.
pub(crate) struct Member {
    pub(crate) id: ParticipantId,
    pub(crate) seats: Arc<Seats>,
    rate: Mutex<TokenBucket>,
    /// One frame of a member at a time waits for room: members take turns, not streams.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// Turns of its questions: how many are answered at once, over all its connections.
    pub(crate) questions: Arc<Semaphore>,
}

impl Member {
    fn new(id: ParticipantId, config: &IngestConfig) -> Self {
        let rate = config.rate_of(id);
        let bucket = TokenBucket::new(rate.signatures_per_s, rate.burst, Instant::now());
        Self {
            id,
            seats: Arc::default(),
            rate: Mutex::new(bucket),
            turn: tokio::sync::Mutex::new(()),
            questions: Arc::new(Semaphore::new(config.member_queries_max)),
        }
    }

    /// Takes this many signatures from the contracted rate; gives how long to wait.
    pub(crate) fn take(&self, count: usize, wait_max: Duration) -> Result<Duration, TooFast> {
        self.rate.lock().take(Instant::now(), count, wait_max)
    }

    /// Charges signatures that did not verify.
    pub(crate) fn charge(&self, count: u64) {
        self.rate.lock().charge(Instant::now(), count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: u8, from: u64, to: u64) -> Option<KeyEntry> {
        Some(KeyEntry {
            public_key: [key; 32],
            valid_from: Height(from),
            valid_to: Height(to),
        })
    }

    fn members(slots: Vec<(u32, [Option<KeyEntry>; 4])>) -> Members {
        let directory = KeyDirectory {
            height: Height(10),
            participants: slots
                .into_iter()
                .map(|(id, s)| (ParticipantId(id), s))
                .collect(),
        };
        let config = Arc::new(IngestConfig::new(([127, 0, 0, 1], 0).into()));
        Members::new(config, Arc::new(Latest::new(Arc::new(directory))))
    }

    #[test]
    fn a_key_lets_in_while_it_is_valid_and_follows_heights_and_directories() {
        let members = members(vec![
            (5, [entry(1, 0, u64::MAX), None, entry(2, 12, 14), None]),
            (3, [entry(1, 0, u64::MAX), None, None, None]),
        ]);
        assert_eq!(
            members.by_key(&[1; 32]),
            Some(ParticipantId(3)),
            "lowest number"
        );
        assert_eq!(members.by_key(&[9; 32]), None);
        for (height, admitted) in [(11, false), (12, true), (13, true), (14, false)] {
            members.on_height(Height(height));
            assert_eq!(members.admits(&[2; 32]), admitted, "height {height}");
        }
        let empty = KeyDirectory::default();
        members.directory.publish(Arc::new(empty));
        assert_eq!(members.by_key(&[1; 32]), None, "the new directory counts");
    }

    #[tokio::test]
    async fn a_full_node_takes_from_the_member_that_has_most_and_only_where_that_is_fair() {
        let members = members(vec![]);
        let member = |id| members.member(ParticipantId(id));
        let mut seats = Vec::new();
        for id in [1, 1, 1, 2, 2, 3] {
            seats.push(member(id).seats.take(8, Duration::ZERO).await);
        }
        let later = Instant::now() + Duration::from_secs(1);
        let counts = || [1, 2, 3].map(|id| member(id).seats.len());
        assert!(members.displace_for(&member(4), later));
        assert_eq!(counts(), [2, 2, 1]);
        assert!(members.displace_for(&member(4), later));
        assert!(members.displace_for(&member(4), later));
        assert_eq!(counts(), [1, 1, 1]);
        assert!(!members.displace_for(&member(4), later), "all have as few");
        assert!(members.displace_for(&member(3), later), "its own");
        assert_eq!(counts(), [1, 1, 0]);
    }
}
