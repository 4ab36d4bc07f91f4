//! The journal on a disk that loses power, and on one that rots.
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use clearway_types::seeded::SplitMix;
use parking_lot::Mutex;

use super::disk::{self, JournalDisk};
use super::format::{ALIGN_BYTES, FILE_BYTES};
use super::{FILES, Journal, JournalError, Key, Shared};

/// What is on a disk, and what a cache has that the disk has not.
#[derive(Clone)]
struct Platter {
    durable: Vec<u8>,
    cached: Vec<u8>,
    /// Places of sectors that differ perhaps.
    unsynced: Vec<usize>,
}

#[derive(Clone)]
struct FakeDisk {
    files: Arc<Mutex<Vec<Platter>>>,
    /// Syncs that succeed yet.
    syncs_left: Arc<Mutex<usize>>,
}

impl FakeDisk {
    fn new() -> Self {
        let blank = Platter {
            durable: vec![0; FILE_BYTES],
            cached: vec![0; FILE_BYTES],
            unsynced: Vec::new(),
        };
        Self {
            files: Arc::new(Mutex::new(vec![blank; FILES])),
            syncs_left: Arc::new(Mutex::new(usize::MAX)),
        }
    }

    fn journal(&self) -> Result<Journal, JournalError> {
        Journal::on(Box::new(self.clone()), Path::new("engine"))
    }

    /// The power is cut: of what was not synced each sector is on the disk or not.
    fn cut(&self, random: &mut SplitMix) {
        for file in self.files.lock().iter_mut() {
            for at in std::mem::take(&mut file.unsynced) {
                if random.next_u64() & 1 == 0 {
                    let sector = at..at + ALIGN_BYTES;
                    file.durable[sector.clone()].copy_from_slice(&file.cached[sector]);
                }
            }
            file.cached.clone_from(&file.durable);
        }
        *self.syncs_left.lock() = usize::MAX;
    }

    fn flip(&self, file: usize, at: usize) {
        let mut files = self.files.lock();
        files[file].durable[at] ^= 0x10;
        files[file].cached[at] ^= 0x10;
    }
}

impl JournalDisk for FakeDisk {
    fn read(&self, file: usize) -> io::Result<Vec<u8>> {
        Ok(self.files.lock()[file].cached.clone())
    }

    fn write(&mut self, file: usize, at: usize, bytes: &[u8]) -> io::Result<()> {
        assert_eq!((at % ALIGN_BYTES, bytes.len() % ALIGN_BYTES), (0, 0));
        let file = &mut self.files.lock()[file];
        file.cached[at..at + bytes.len()].copy_from_slice(bytes);
        let sectors = (at..at + bytes.len()).step_by(ALIGN_BYTES);
        file.unsynced.extend(sectors);
        Ok(())
    }

    fn sync(&mut self, file: usize) -> io::Result<()> {
        let mut left = self.syncs_left.lock();
        *left = left
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("the power is gone"))?;
        let file = &mut self.files.lock()[file];
        file.unsynced.clear();
        file.durable.clone_from(&file.cached);
        Ok(())
    }
}

type Model = BTreeMap<Key, Vec<u8>>;

fn key(number: u64) -> Key {
    ("votes".to_owned(), number.to_be_bytes().to_vec())
}

fn content(blob: &Shared) -> Vec<u8> {
    blob.lock().bytes.clone()
}

/// What a journal holds.
fn all_of(journal: &Journal) -> Model {
    let names = journal.names("votes").into_iter();
    let of_name = |name: Vec<u8>| {
        let key = ("votes".to_owned(), name);
        let blob = journal.open_blob(&key, 0).expect("it is not open");
        (key, content(&blob))
    };
    names.map(of_name).collect()
}

/// Changes blobs at random, in a journal and in a model of it.
fn change(journal: &Journal, model: &mut Model, random: &mut SplitMix) {
    let key = key(random.next_u64() % 6);
    if random.next_u64().is_multiple_of(8) {
        assert_eq!(
            journal.remove("votes", Some(&key.1)),
            model.remove(&key).is_some()
        );
        return;
    }
    let blob = journal.open_blob(&key, 0).expect("it is not open");
    let bytes = model.entry(key.clone()).or_default();
    if random.next_u64().is_multiple_of(8) {
        let len = usize::try_from(random.next_u64() % 9000).expect("small");
        journal.resize(&key, &blob, len as u64);
        bytes.resize(len, 0);
    } else {
        let at = usize::try_from(random.next_u64() % 5000).expect("small");
        let len = usize::try_from(random.next_u64() % 60_000).expect("small");
        let written = vec![(random.next_u64() & 0xff) as u8; len];
        journal.write(&key, &blob, at as u64, &written);
        bytes.resize(bytes.len().max(at + len), 0);
        bytes[at..at + len].copy_from_slice(&written);
    }
    assert_eq!(content(&blob), *bytes);
}

#[test]
fn a_power_cut_leaves_what_was_synced_or_the_sync_under_way_and_nothing_between() {
    for seed in 0..12 {
        let mut random = SplitMix(seed);
        let disk = FakeDisk::new();
        let mut model = Model::new();
        for _ in 0..3 {
            let journal = disk.journal().expect("whole");
            assert_eq!(all_of(&journal), model, "seed {seed}");
            // Enough for the files to take turns.
            *disk.syncs_left.lock() = 100 + usize::try_from(random.next_u64() % 200).expect("few");
            let mut synced = model.clone();
            loop {
                for _ in 0..=random.next_u64() % 3 {
                    change(&journal, &mut model, &mut random);
                }
                match journal.sync() {
                    Ok(()) => synced.clone_from(&model),
                    Err(_) => break,
                }
            }
            journal.sync().expect_err("nobody knows what the disk has");
            drop(journal);
            disk.cut(&mut random);
            let found = all_of(&disk.journal().expect("whole"));
            assert!(found == synced || found == model, "seed {seed}");
            model = found;
        }
    }
}

/// A disk on which the files have taken turns and some frames were written since; which file has
/// them, and where they end.
fn turned() -> (FakeDisk, usize, usize) {
    let disk = FakeDisk::new();
    let journal = disk.journal().expect("whole");
    let blob = journal.open_blob(&key(1), 0).expect("it is not open");
    let mut turns = 0;
    loop {
        let before = journal.state.lock().log.active;
        journal.write(&key(1), &blob, 0, &[7; 300_000]);
        journal.sync().expect("synced");
        let log = &journal.state.lock().log;
        turns += usize::from(log.active != before);
        if turns == 3 && log.sequence == 3 {
            return (disk, log.active, log.end);
        }
    }
}

#[test]
fn a_frame_that_rots_is_told_from_one_that_is_torn() {
    let (disk, active, end) = turned();
    let frame = end / 3;
    // Which third of the newest file rots: the last frame alone may have been torn.
    for (third, is_damage) in [(0, true), (1, true), (2, false)] {
        let at = third * frame + 40;
        disk.flip(active, at);
        match disk.journal() {
            Err(JournalError::Damaged { path, .. }) => {
                assert!(is_damage, "third {third}");
                assert_eq!(path, disk::path(Path::new("engine"), active));
            }
            Ok(journal) => {
                assert!(!is_damage, "third {third}");
                assert_eq!(all_of(&journal).len(), 1);
            }
            Err(error) => panic!("{error}"),
        }
        disk.flip(active, at);
    }
    // What is older than the file in use is not needed.
    disk.flip((active + 1) % FILES, 40);
    disk.journal().expect("whole");
}

#[test]
fn a_payload_that_is_no_change_is_damage_and_no_panic() {
    let disk = FakeDisk::new();
    for payload in [
        &[9, 1, b'v', 1, 1][..],
        &[2, 200],
        &[3, 1, b'v', 0, 255, 255],
    ] {
        let mut bytes = super::format::Frame {
            generation: 1,
            sequence: 0,
            payload,
        }
        .encode();
        bytes.resize(FILE_BYTES, 0);
        disk.files.lock()[0].cached = bytes;
        let opened = disk.journal().map(drop);
        assert!(
            matches!(opened, Err(JournalError::Damaged { .. })),
            "{payload:?}: {opened:?}"
        );
    }
}

#[test]
fn a_blob_is_open_once_and_outlives_its_name_for_who_holds_it() {
    let journal = FakeDisk::new().journal().expect("whole");
    let key = key(1);
    let blob = journal.open_blob(&key, 3).expect("it is not open");
    journal.write(&key, &blob, 2, b"xy");
    assert!(journal.open_blob(&key, 3).is_none(), "it is open");
    assert!(journal.remove("votes", None) && !journal.remove("votes", None));
    journal.write(&key, &blob, 0, b"z");
    assert_eq!(content(&blob), b"z\0xy");
    let other = journal.open_blob(&key, 4).expect("a new one");
    assert!(content(&other).is_empty());
    assert_eq!((blob.lock().version, other.lock().version), (3, 4));
    assert_eq!(journal.names("votes"), [key.1]);
    assert!(journal.names("others").is_empty());
}

#[test]
fn the_files_are_made_whole_once_opened_again_and_moved_away() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = dir.path().join("engine");
    assert!(!disk::is_there(&dir) && disk::foreign(&dir).is_none());
    let write = |byte: u8| {
        let journal = Journal::open(&dir).expect("whole");
        let blob = journal.open_blob(&key(1), 0).expect("it is not open");
        journal.write(&key(1), &blob, 0, &[byte; 10]);
        journal.sync().expect("synced");
    };
    write(1);
    write(2);
    let found = |dir: &Path| all_of(&Journal::open(dir).expect("whole"));
    assert_eq!(found(&dir), Model::from([(key(1), vec![2; 10])]));
    // Each start goes on in the other file; one that was cut behind its frames has them all.
    let newest = disk::path(&dir, 1);
    let file = std::fs::OpenOptions::new().write(true).open(&newest);
    file.expect("it is there").set_len(4096).expect("cut");
    assert_eq!(found(&dir), Model::from([(key(1), vec![2; 10])]));
    assert_eq!(
        std::fs::metadata(&newest).expect("there").len(),
        FILE_BYTES as u64
    );
    let (aside, count) = disk::set_aside(&dir).expect("moved");
    assert_eq!((count, disk::is_there(&dir)), (FILES, false));
    assert!(aside.join("journal-0").is_file());
    assert_eq!(found(&dir), Model::new());
    std::fs::remove_file(&newest).expect("removed");
    for place in [newest, dir.join(".hold")] {
        std::fs::create_dir(&place).expect("made");
        assert_eq!(disk::foreign(&dir), Some(place.clone()));
        std::fs::remove_dir(place).expect("removed");
    }
}
