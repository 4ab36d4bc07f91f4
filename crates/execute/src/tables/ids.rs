//! The id table: what was answered to each (signer, id) while an envelope of that name that was
//! signed before the answer can still come.
//!
//! Entries lie in buckets by the second from which they are no longer needed, so forgetting is
//! dropping a bucket. An index of 12-byte references in 256 shards finds them; a shard that grows
//! moves 1/256 of the table at once, and reads no entry for it. The hashes of keys are seeded anew
//! in each process, and nothing that is answered or hashed into the state depends on them.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;

use clearway_crypto::hash::sha256;
use clearway_types::codec::Writer as _;
use clearway_types::domain::prefix;
use clearway_types::units::{AccountId, Digest, Height, ParticipantId, TransferId};
use hashbrown::HashTable;

use crate::clock::Clock;
use crate::error::{ExecuteError, InvariantViolation};
use crate::tables::codec::{Sink, Source};
use crate::tables::undo::Undo;
use crate::tables::{Table, part};

/// Shards of the index.
const SHARDS: usize = 256;
/// Entries of one chunk of a bucket: 320 KiB, so that a bucket grows without being copied.
const CHUNK_ENTRIES: usize = 4096;
/// First byte of what a remembered result adds to its bucket's hash.
const EVENT_RESULT: u8 = 1;
/// First byte of what a return adds to the bucket of its original.
const EVENT_RETURN: u8 = 2;

/// What is remembered of one envelope, 80 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) id: TransferId,
    /// First 16 bytes of SHA-256 of the body.
    pub(crate) digest: [u8; 16],
    /// Height of the first execution.
    pub(crate) height: Height,
    /// Of a settled TRANSFER; zero otherwise.
    pub(crate) debit: AccountId,
    /// Of a settled TRANSFER; zero otherwise.
    pub(crate) credit: AccountId,
    /// Of a settled TRANSFER; zero otherwise.
    pub(crate) amount: u64,
    /// Given back since.
    pub(crate) returned: u64,
    pub(crate) signer: ParticipantId,
    /// Number of the result code.
    pub(crate) code: u16,
}

const _: () = assert!(size_of::<Entry>() == 80);

/// Where an entry lies: second of its bucket, place in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EntryRef {
    /// The entry is kept until this second.
    pub(crate) until: u32,
    index: u32,
    /// Half of the key's hash: 8 bits choose the shard, 24 the place in a table of up to 2^17.
    hash: u32,
}

/// Entries that are forgotten in the same second.
struct Bucket {
    chunks: Vec<Vec<Entry>>,
    count: u32,
    /// Hash over all that was added, block by block.
    chain: Digest,
    /// What the block under way added.
    events: Vec<u8>,
    /// Height of the first entry.
    first_height: Height,
}

/// The id table.
pub(crate) struct Ids {
    shards: Vec<HashTable<EntryRef>>,
    hasher: RandomState,
    /// One a second, from `base` on.
    buckets: VecDeque<Bucket>,
    base: u32,
    /// Entries of each member.
    counts: BTreeMap<ParticipantId, usize>,
    count: usize,
    /// Buckets that the block under way added to.
    touched: Vec<u32>,
    /// Returned sums before the linked chain under way.
    undo: Undo<(EntryRef, u64)>,
}

impl Ids {
    /// An empty table at `second`.
    pub(crate) fn new(second: u32) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
            hasher: RandomState::new(),
            buckets: VecDeque::new(),
            base: second,
            counts: BTreeMap::new(),
            count: 0,
            touched: Vec::new(),
            undo: Undo::default(),
        }
    }

    /// Entries in all.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Entries of one member.
    pub(crate) fn count_of(&self, member: ParticipantId) -> usize {
        self.counts.get(&member).copied().unwrap_or(0)
    }

    /// The entry of `(signer, id)`, if one is live.
    pub(crate) fn find(&self, signer: ParticipantId, id: TransferId) -> Option<EntryRef> {
        let hash = self.hash(signer, id);
        let found = self.shards[shard(hash)].find(spread(hash), |&at| {
            let entry = self.get(at);
            at.hash == hash && entry.id == id && entry.signer == signer
        });
        found.copied()
    }

    /// The entry of a settled TRANSFER, if one is live.
    pub(crate) fn payment(&self, payer: ParticipantId, id: TransferId) -> Option<EntryRef> {
        self.find(payer, id).filter(|&at| self.get(at).amount > 0)
    }

    pub(crate) fn get(&self, at: EntryRef) -> &Entry {
        bucket_entry(&self.buckets, self.bucket_index(at.until), at.index)
    }

    /// Remembers an entry until `until`; its key is not in the table.
    pub(crate) fn insert(&mut self, until: u32, entry: Entry, now: Height) {
        self.assert_no_chain();
        let signer = entry.signer;
        let hash = self.hash(signer, entry.id);
        let bucket = self.bucket(until, now);
        let at = EntryRef {
            until,
            index: bucket.count,
            hash,
        };
        match bucket.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_ENTRIES => chunk.push(entry),
            _ => {
                // Small at first: under light load most buckets hold a few entries.
                let full = !bucket.chunks.is_empty();
                let mut chunk = Vec::with_capacity(if full { CHUNK_ENTRIES } else { 16 });
                chunk.push(entry);
                bucket.chunks.push(chunk);
            }
        }
        bucket.count = bucket
            .count
            .checked_add(1)
            .expect("LIVE_IDS_MAX is below 2^32");
        bucket.events.push(EVENT_RESULT);
        bucket.events.bytes(&entry.digest);
        bucket.events.u16(entry.code);

        self.shards[shard(hash)].insert_unique(spread(hash), at, |at| spread(at.hash));
        let count = self.counts.entry(signer).or_default();
        *count = count.saturating_add(1);
        self.count = self.count.saturating_add(1);
    }

    /// Adds to the sum given back of a settled TRANSFER.
    pub(crate) fn give_back(&mut self, at: EntryRef, amount: u64) {
        let before = self.get(at).returned;
        self.undo.note(|| (at, before));
        self.entry_mut(at).returned = before.saturating_add(amount);
    }

    /// Adds a settled RETURN to the hash of its original's bucket.
    pub(crate) fn note_return(&mut self, at: EntryRef, amount: u64, now: Height) {
        self.assert_no_chain();
        let digest = self.get(at).digest;
        let events = &mut self.bucket(at.until, now).events;
        events.push(EVENT_RETURN);
        events.bytes(&digest);
        events.u64(amount);
    }

    /// The first height that has an entry here; the log from there on rebuilds the table.
    pub(crate) fn first_height(&self) -> Option<Height> {
        let live = self.buckets.iter().filter(|bucket| bucket.count > 0);
        live.map(|bucket| bucket.first_height).min()
    }

    /// All entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        let chunks = self.buckets.iter().flat_map(|bucket| &bucket.chunks);
        chunks.flatten()
    }

    #[cfg(test)]
    fn give_back_sample(&mut self, amount: u64) {
        let at = self.find(ParticipantId(1), TransferId([1; 16]));
        let at = at.expect("the table starts with it");
        self.give_back(at, amount);
    }

    /// Results are remembered once their chain has settled or failed, so nothing takes them back.
    fn assert_no_chain(&self) {
        assert!(!self.undo.is_on(), "results are remembered after a chain");
    }

    fn forget_first_bucket(&mut self) {
        let bucket = self.buckets.front().expect("the caller has seen it");
        let (base, count) = (self.base, bucket.count);
        for index in 0..count {
            let entry = &bucket_entry(&self.buckets, 0, index);
            let signer = entry.signer;
            let hash = self.hash(signer, entry.id);
            let at = EntryRef {
                until: base,
                index,
                hash,
            };
            let found = self.shards[shard(hash)].find_entry(spread(hash), |&other| other == at);
            found.expect("every entry is in the index").remove();
            let of_member = self
                .counts
                .get_mut(&signer)
                .expect("every entry is counted");
            *of_member = of_member.saturating_sub(1);
            if *of_member == 0 {
                self.counts.remove(&signer);
            }
        }
        self.count = self.count.saturating_sub(count as usize);
        self.buckets.pop_front();
        self.base = self.base.saturating_add(1);
    }

    fn bucket_index(&self, until: u32) -> usize {
        until
            .checked_sub(self.base)
            .expect("forgotten buckets are not asked for") as usize
    }

    /// The bucket of `until` for adding.
    fn bucket(&mut self, until: u32, now: Height) -> &mut Bucket {
        let index = self.bucket_index(until);
        while self.buckets.len() <= index {
            self.buckets.push_back(Bucket {
                chunks: Vec::new(),
                count: 0,
                chain: Digest::ZERO,
                events: Vec::new(),
                first_height: now,
            });
        }
        let bucket = &mut self.buckets[index];
        if bucket.events.is_empty() {
            self.touched.push(until);
        }
        if bucket.count == 0 {
            bucket.first_height = now;
        }
        bucket
    }

    fn entry_mut(&mut self, at: EntryRef) -> &mut Entry {
        let index = self.bucket_index(at.until);
        let chunk = &mut self.buckets[index].chunks[at.index as usize / CHUNK_ENTRIES];
        &mut chunk[at.index as usize % CHUNK_ENTRIES]
    }

    fn hash(&self, signer: ParticipantId, id: TransferId) -> u32 {
        let mut key = [0; 20];
        key[..16].copy_from_slice(&id.0);
        key[16..].copy_from_slice(&signer.0.to_le_bytes());
        let mut hasher = self.hasher.build_hasher();
        hasher.write(&key);
        u32::try_from(hasher.finish() >> 32).expect("32 bits are left")
    }
}

impl Table for Ids {
    const PART: u8 = part::IDS;

    /// The log has live identifiers, so a snapshot has none.
    type Frozen = Infallible;

    #[cfg(test)]
    const CHANGES: &'static [fn(&mut Self)] =
        &[|ids| ids.give_back_sample(3), |ids| ids.give_back_sample(1)];

    #[cfg(test)]
    fn start() -> Self {
        let mut ids = Self::empty(Clock::ZERO);
        let entry = Entry {
            id: TransferId([1; 16]),
            digest: [0; 16],
            height: Height(1),
            debit: AccountId(1),
            credit: AccountId(2),
            amount: 5,
            returned: 0,
            signer: ParticipantId(1),
            code: 0,
        };
        ids.insert(9, entry, Height(1));
        ids.end_block(Height(1));
        ids
    }

    fn empty(clock: Clock) -> Self {
        Self::new(clock.second())
    }

    fn begin(&mut self) {
        self.undo.begin();
    }

    fn commit(&mut self) {
        self.undo.commit();
    }

    fn roll_back(&mut self) {
        for (at, returned) in self.undo.take() {
            self.entry_mut(at).returned = returned;
        }
    }

    /// Forgets every entry that is kept until `second` or less.
    fn forget(&mut self, second: u32) {
        while self.base <= second {
            let Some(bucket) = self.buckets.front() else {
                self.base = second.saturating_add(1);
                return;
            };
            assert!(
                bucket.events.is_empty(),
                "a block ends before the next forgets"
            );
            self.forget_first_bucket();
        }
    }

    /// Adds what the block at `height` remembered to the hashes of the buckets.
    fn end_block(&mut self, height: Height) {
        let mut touched = std::mem::take(&mut self.touched);
        for until in touched.drain(..) {
            let index = self.bucket_index(until);
            let bucket = &mut self.buckets[index];
            bucket.chain = sha256(&[
                &[prefix::STATE_PART, part::IDS],
                &bucket.chain.0,
                &height.0.to_le_bytes(),
                &bucket.events,
            ]);
            bucket.events.clear();
        }
        self.touched = touched;
    }

    /// Hash over all buckets that hold something.
    fn root(&mut self) -> Option<Digest> {
        assert!(self.touched.is_empty(), "roots are taken between blocks");
        let mut bytes = vec![prefix::STATE_PART, part::IDS];
        for (bucket, until) in self.buckets.iter().zip(self.base..) {
            if bucket.count > 0 {
                bytes.u32(until);
                bytes.digest(bucket.chain);
            }
        }
        (self.count > 0).then(|| sha256(&[&bytes]))
    }

    fn freeze(&self) -> Option<Self::Frozen> {
        None
    }

    fn write(frozen: &Self::Frozen, _: &mut Sink<'_>) -> io::Result<()> {
        match *frozen {}
    }

    fn read(_: &mut Source<'_>) -> Result<Self, ExecuteError> {
        Err(ExecuteError::Snapshot { field: "ids" })
    }

    /// Invariant 7: no more is given back than was paid.
    fn check(&self) -> Result<(), InvariantViolation> {
        match self.iter().find(|entry| entry.returned > entry.amount) {
            Some(entry) => Err(InvariantViolation::Returned(entry.signer, entry.id)),
            None => Ok(()),
        }
    }

    #[cfg(test)]
    fn hidden(&self) -> String {
        let entries: Vec<_> = self.iter().collect();
        format!("{entries:?} {:?}", self.counts)
    }
}

fn bucket_entry(buckets: &VecDeque<Bucket>, bucket: usize, index: u32) -> &Entry {
    &buckets[bucket].chunks[index as usize / CHUNK_ENTRIES][index as usize % CHUNK_ENTRIES]
}

/// The shard of a hash: its low 8 bits.
fn shard(hash: u32) -> usize {
    usize::try_from(hash & 0xff).expect("8 bits are left")
}

/// The hash as a shard's table takes it: the place from the low bits, a tag from the top 7.
fn spread(hash: u32) -> u64 {
    u64::from(hash >> 8) | u64::from(hash >> 25) << 57
}
