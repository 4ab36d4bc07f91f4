//! Places of blocks: the same answer while running, after every restart, and from the log alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clearway_store::history::{History, HistoryError};
use clearway_store::testing::{Fault, FaultyIo, MemoryIo};
use clearway_store::{
    BatchPlace, BlockIndex, Reader, RecordKind, Sequence, Store, StoreError, Writer,
};
use clearway_types::batch::{BatchHeader, LaneId};
use clearway_types::final_record::FinalRecord;
use clearway_types::manifest::{BatchRef, EpochId, Manifest};
use clearway_types::seeded::SplitMix;
use clearway_types::units::{Digest, Height, TimeMs, ValidatorNumber};

use crate::support::{DIR, open, options};

/// A node's log as it grows: batches that wait, manifests that lose their height, proposals that
/// are stored again after a crash.
struct Growing {
    random: SplitMix,
    height: u64,
    batch_count: u64,
    waiting: Vec<(Digest, u32)>,
    /// For each batch that was ordered: the record that counts.
    ordered: BTreeMap<Sequence, BatchPlace>,
    /// Records of batches that count nowhere, or nowhere yet.
    unordered: Vec<Sequence>,
    records: BTreeMap<Digest, Sequence>,
}

impl Growing {
    fn new(seed: u64) -> Self {
        Self {
            random: SplitMix(seed),
            height: 0,
            batch_count: 0,
            waiting: Vec::new(),
            ordered: BTreeMap::new(),
            unordered: Vec::new(),
            records: BTreeMap::new(),
        }
    }

    /// Stores some records, commits them, and tells the index.
    fn grow(&mut self, writer: &mut Writer, index: Option<&BlockIndex>) {
        for _ in 0..self.random.below(4) {
            self.batch(writer, index);
        }
        if self.random.below(3) == 0 {
            let lost = self.manifest(Vec::new(), 7);
            store_manifest(writer, index, &lost);
        }
        if self.random.below(4) == 0 && !self.waiting.is_empty() {
            let (digest, count) = self.waiting[0];
            self.store_batch(writer, index, digest, count);
        }
        self.block(writer, index);
    }

    fn batch(&mut self, writer: &mut Writer, index: Option<&BlockIndex>) {
        self.batch_count += 1;
        let digest = Digest(*blake3::hash(&self.batch_count.to_le_bytes()).as_bytes());
        let count = u32::try_from(self.random.below(3)).expect("small") + 1;
        self.store_batch(writer, index, digest, count);
        self.waiting.push((digest, count));
    }

    fn store_batch(
        &mut self,
        writer: &mut Writer,
        index: Option<&BlockIndex>,
        digest: Digest,
        count: u32,
    ) {
        let header = BatchHeader {
            lane: LaneId::first(ValidatorNumber(1)),
            count,
            index: self.batch_count,
            previous: Digest::ZERO,
            directory_height: Height(0),
            time: TimeMs(0),
            envelopes_root: Digest::ZERO,
        };
        let envelopes = vec![0; count as usize * 192];
        let parts: [&[u8]; 2] = [&header.to_bytes(), &envelopes];
        let stored = writer.append(RecordKind::Batch, digest.0, &parts);
        let sequence = stored.expect("memory does not fail");
        writer.commit().expect("memory does not fail");
        if let Some(earlier) = self.records.insert(digest, sequence) {
            self.unordered.push(earlier);
        }
        if let Some(index) = index {
            index.on_batch(digest, sequence);
        }
    }

    fn manifest(&self, batches: Vec<BatchRef>, leader: u32) -> Manifest {
        Manifest {
            epoch: EpochId::default(),
            height: Height(self.height + 1),
            parent: Digest::ZERO,
            time: TimeMs(1000 + self.height),
            leader: ValidatorNumber(leader),
            state_height: Height(0),
            exec_head: Digest::ZERO,
            batches,
        }
    }

    /// A final block of some of the batches that wait, not always the oldest ones.
    fn block(&mut self, writer: &mut Writer, index: Option<&BlockIndex>) {
        let mut named = Vec::new();
        while !self.waiting.is_empty() && self.random.below(4) > 0 {
            let at = usize::try_from(self.random.below(self.waiting.len() as u64)).expect("small");
            named.push(self.waiting.remove(at));
        }
        let refs = named.iter().map(|(digest, count)| BatchRef {
            lane: LaneId::first(ValidatorNumber(1)),
            count: *count,
            index: 1,
            digest: *digest,
        });
        let manifest = self.manifest(refs.collect(), 0);
        let digest = store_manifest(writer, index, &manifest);
        self.height += 1;
        let record = FinalRecord {
            height: Height(self.height),
            manifest: digest,
            receipts_root: Digest::ZERO,
            state_root: None,
            exec_head: Digest::ZERO,
            certificate: None,
            events: Vec::new(),
            duplicates: Vec::new(),
            results: Vec::new(),
        };
        let stored = writer.append(RecordKind::Final, [0; 32], &[&record.encode()]);
        let sequence = stored.expect("memory does not fail");
        writer.commit().expect("memory does not fail");
        if let Some(index) = index {
            index
                .on_final(&manifest, digest, sequence)
                .expect("it follows");
        }
        let mut first_index = 0;
        for (digest, count) in named {
            let record = self.records[&digest];
            self.ordered.insert(
                record,
                BatchPlace {
                    record,
                    height: Height(self.height),
                    first_index,
                    count,
                },
            );
            first_index += count;
        }
    }

    /// Every height and every batch, against the log read from its first record and against what
    /// was written.
    fn check(&self, index: &BlockIndex, reader: &Reader, context: &str) {
        assert_eq!(index.height(), Height(self.height), "{context}");
        let all = History::new(reader, Sequence::FIRST, Height(1));
        let mut heights = 0;
        for block in all {
            let block = block.unwrap_or_else(|error| panic!("{context}: {error}"));
            let height = block.record.height;
            let place = index.block(height).expect("readable");
            let place = place.unwrap_or_else(|| panic!("{context}: height {height} has no place"));
            assert_eq!(place.height, height, "{context}");
            assert_eq!(place.sequence, block.sequence, "{context}, {height}");
            assert_eq!(place.low, block.low, "{context}, {height}");
            assert_eq!(place.time, block.manifest.manifest.time, "{context}");
            let first = index.history(height).expect("readable").next();
            let first = first.expect("it is final").expect("readable");
            assert_eq!(first.record.height, height, "{context}");
            assert_eq!(first.batches.len(), block.batches.len(), "{context}");
            heights += 1;
        }
        assert_eq!(heights, self.height, "{context}");
        for beyond in [0, self.height + 1, u64::MAX] {
            let place = index.block(Height(beyond)).expect("readable");
            assert_eq!(place, None, "{context}, {beyond}");
        }
        for (record, place) in &self.ordered {
            let found = index.batch(*record).expect("readable");
            assert_eq!(found, Some(*place), "{context}, batch in {record}");
        }
        let waiting = self.waiting.iter().map(|(digest, _)| &self.records[digest]);
        for record in self.unordered.iter().chain(waiting) {
            let found = index.batch(*record).expect("readable");
            assert_eq!(found, None, "{context}, batch in {record}");
        }
    }
}

fn store_manifest(writer: &mut Writer, index: Option<&BlockIndex>, manifest: &Manifest) -> Digest {
    let bytes = manifest.encode();
    let digest = Digest(*blake3::hash(&bytes).as_bytes());
    let stored = writer.append(RecordKind::Manifest, digest.0, &[&bytes]);
    let sequence = stored.expect("memory does not fail");
    writer.commit().expect("memory does not fail");
    if let Some(index) = index {
        index.on_manifest(digest, manifest.height, sequence);
    }
    digest
}

/// A log of this many blocks without an index.
fn grown(seed: u64, block_count: usize) -> (MemoryIo, Growing) {
    let io = MemoryIo::new();
    let (mut writer, ..) = open(&io).expect("a new store");
    let mut growing = Growing::new(seed);
    for _ in 0..block_count {
        growing.grow(&mut writer, None);
    }
    (io, growing)
}

fn files_of(io: &MemoryIo) -> Vec<PathBuf> {
    let files = io.files().into_keys();
    files
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "blk"))
        .collect()
}

#[test]
fn every_height_has_its_place_while_running_and_after_each_restart() {
    for seed in 1..6 {
        println!("seed {seed}");
        let io = MemoryIo::new();
        let mut growing = Growing::new(seed);
        for life in 0..8 {
            let (mut writer, reader, _) = open(&io).expect("whole");
            let index = BlockIndex::open(&reader).expect("whole");
            growing.check(&index, &reader, &format!("life {life}, at its start"));
            for step in 0..12 {
                growing.grow(&mut writer, Some(&index));
                if growing.random.below(3) == 0 {
                    index.save_sealed().expect("memory does not fail");
                }
                growing.check(&index, &reader, &format!("life {life}, step {step}"));
            }
        }
        assert!(files_of(&io).len() > 4, "several segments");
    }
}

#[test]
fn lost_and_damaged_files_change_no_answer_and_are_built_anew() {
    let (io, growing) = grown(11, 60);
    {
        let (_, reader, recovery) = open(&io).expect("whole");
        let index = BlockIndex::open(&reader).expect("whole");
        growing.check(&index, &reader, "first");
        let sealed_count = usize::try_from(recovery.segment_count).expect("small") - 1;
        assert_eq!(files_of(&io).len(), sealed_count);
    }
    let whole = io.files();
    let paths = files_of(&io);
    let reopened = |io: &MemoryIo, context: &str| {
        let (_, reader, _) = open(io).expect("an index is not worth refusing to start");
        let index = BlockIndex::open(&reader).expect("the log is whole");
        growing.check(&index, &reader, context);
        let built = reader.metrics().indexes_built.value();
        assert!(built > 0, "{context}");
        for path in &paths {
            assert_eq!(
                io.files()[path],
                whole[path],
                "{context}: {}",
                path.display()
            );
        }
    };
    for kept in [0b0101_0101_u32, 0b1100, 0] {
        let mut files = whole.clone();
        for (at, path) in paths.iter().enumerate() {
            if kept >> at & 1 == 0 {
                files.remove(path);
            }
        }
        reopened(&MemoryIo::from_files(files), &format!("kept {kept:b}"));
    }
    for path in &paths[..2] {
        let len = whole[path].len();
        for at in (0..len).step_by(5) {
            let io = MemoryIo::from_files(whole.clone());
            io.damage(path, |bytes| bytes[at] ^= 0x20);
            reopened(&io, &format!("{} byte {at}", path.display()));
        }
        for cut in [0, 127, len - 24] {
            let io = MemoryIo::from_files(whole.clone());
            io.damage(path, |bytes| bytes.truncate(cut));
            reopened(&io, &format!("{} cut to {cut}", path.display()));
        }
    }
    let swapped = MemoryIo::from_files(whole.clone());
    swapped.damage(&paths[0], |bytes| bytes.clone_from(&whole[&paths[1]]));
    reopened(&swapped, "the file of another segment");
}

#[test]
fn damage_after_the_start_is_noticed_at_the_next_question() {
    let (io, growing) = grown(12, 60);
    let (_, reader, _) = open(&io).expect("whole");
    drop(BlockIndex::open(&reader).expect("whole"));
    let index = BlockIndex::open(&reader).expect("whole");
    for path in files_of(&io) {
        io.damage(&path, |bytes| {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        });
    }
    growing.check(&index, &reader, "every file is damaged");
}

#[test]
fn a_damaged_segment_is_an_error_and_never_no() {
    let (io, growing) = grown(13, 60);
    let (_, reader, _) = open(&io).expect("whole");
    let index = BlockIndex::open(&reader).expect("whole");
    let first = index.block(Height(1)).expect("readable").expect("final");
    let segment = Path::new(DIR).join("00000000000000000001.seg");
    io.damage(&segment, |bytes| bytes[4100..].fill(0xff));
    let read = index.history(Height(1)).expect("its place is known").next();
    assert!(
        matches!(read, Some(Err(HistoryError::Store(_)))),
        "{read:?}"
    );
    io.damage(&files_of(&io)[0], |bytes| bytes.truncate(1));
    let index = BlockIndex::open(&reader);
    let corrupt =
        |error: &HistoryError| matches!(error, HistoryError::Store(StoreError::Corrupt { .. }));
    assert!(index.is_err_and(|error| corrupt(&error)));
    assert!(growing.height > 1 && first.height == Height(1));
}

#[test]
fn a_disk_that_fails_leaves_the_places_in_memory() {
    let (io, growing) = grown(14, 40);
    for fail_at in 0.. {
        let disk = MemoryIo::from_files(io.files());
        let faulty = Arc::new(FaultyIo::new(
            Arc::new(disk.clone()),
            u64::MAX,
            Fault::Error(5),
        ));
        let (_, reader, _) = Store::open(faulty.clone(), options(DIR)).expect("whole");
        faulty.fail_after(fail_at);
        let index = BlockIndex::open(&reader);
        if !faulty.fired() {
            index.expect("no fault, no failure");
            break;
        }
        if let Ok(index) = index {
            growing.check(&index, &reader, &format!("call {fail_at}"));
            index.save_sealed().expect("works now");
            growing.check(&index, &reader, &format!("call {fail_at}, saved"));
        }
        drop(reader);
        let (_, reader, _) = open(&disk).expect("whole");
        let index = BlockIndex::open(&reader).expect("whole");
        growing.check(&index, &reader, &format!("call {fail_at}, reopened"));
    }
}

#[test]
fn fields_of_block_places_lie_where_the_format_page_says() {
    let (io, _) = grown(16, 40);
    let (_, reader, _) = open(&io).expect("whole");
    BlockIndex::open(&reader).expect("whole");
    let files = io.files();
    let first = &files[&files_of(&io)[0]];
    assert_eq!(&first[..8], b"CWBLOCKS");
    let number = |at: usize| u64::from_le_bytes(first[at..at + 8].try_into().expect("eight"));
    assert_eq!([16, 24].map(number), [1, 1], "segment, first height");
    let [blocks, batches, open] = [32, 40, 48].map(number);
    assert_eq!(
        first.len() as u64,
        128 + 24 * (blocks + batches) + 48 * open
    );
}

#[test]
fn a_block_out_of_order_is_refused() {
    let io = MemoryIo::new();
    let (mut writer, reader, _) = open(&io).expect("a new store");
    let index = BlockIndex::open(&reader).expect("empty");
    let mut growing = Growing::new(15);
    growing.grow(&mut writer, Some(&index));
    let manifest = growing.manifest(Vec::new(), 0);
    let digest = store_manifest(&mut writer, Some(&index), &manifest);
    let mut skipped = manifest.clone();
    skipped.height = Height(9);
    let order = index.on_final(&skipped, digest, Sequence(99));
    assert!(
        matches!(order, Err(HistoryError::Order { .. })),
        "{order:?}"
    );
    let unknown = index.on_final(&manifest, Digest([9; 32]), Sequence(99));
    assert!(matches!(unknown, Err(HistoryError::Missing { .. })));
}
