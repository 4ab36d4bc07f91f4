//! A directory opened for reading beside a writer that appends meanwhile: what it adds is neither
//! damage nor a tail.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use clearway_store::testing::MemoryIo;
use clearway_store::{
    Access, BlockFile, BlockIo, LockGuard, Mapped, Reader, Recovery, Store, StoreError,
    StoreOptions, Writer,
};

use crate::support::{DIR, Item, append, assert_prefix, items, options};

/// Called before each read with the number of reads so far.
type Busy = Mutex<Box<dyn FnMut(usize) + Send>>;

/// Files in memory, and somebody who works on them while they are read.
struct BusyIo {
    inner: MemoryIo,
    shared: Arc<Shared>,
}

struct Shared {
    read_count: AtomicUsize,
    busy: Busy,
}

struct BusyFile {
    inner: Arc<dyn BlockFile>,
    shared: Arc<Shared>,
}

macro_rules! opaque {
    ($($name:ident),+) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )+};
}
opaque!(BusyIo, BusyFile);

impl BusyIo {
    fn new(inner: &MemoryIo, busy: impl FnMut(usize) + Send + 'static) -> Self {
        let shared = Shared {
            read_count: AtomicUsize::new(0),
            busy: Mutex::new(Box::new(busy)),
        };
        Self {
            inner: inner.clone(),
            shared: Arc::new(shared),
        }
    }
}

impl BlockIo for BusyIo {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir(dir)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn BlockFile>> {
        let inner = self.inner.open(path, access)?;
        let shared = Arc::clone(&self.shared);
        Ok(Arc::new(BusyFile { inner, shared }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn len_bytes(&self, path: &Path) -> io::Result<u64> {
        self.inner.len_bytes(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.inner.lock(path)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.inner.free_bytes(dir)
    }

    fn monotonic_ns(&self) -> u64 {
        self.inner.monotonic_ns()
    }
}

impl BlockFile for BusyFile {
    fn read_some_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.shared.read_count.fetch_add(1, Ordering::Relaxed);
        (self.shared.busy.lock().expect("no panic"))(count);
        self.inner.read_some_at(offset, buffer)
    }

    fn write_some_at(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.write_some_at(offset, slices)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn map(&self, bytes: u64) -> io::Result<Option<Arc<Mapped>>> {
        self.inner.map(bytes)
    }
}

/// One segment for all records of these tests.
fn one_segment() -> StoreOptions {
    let mut options = options(DIR);
    options.segment_bytes = 64 << 10;
    options
}

/// A store with these records, open.
fn open_with(items: &[Item]) -> (MemoryIo, Writer) {
    let io = MemoryIo::new();
    let (mut writer, ..) = Store::open(Arc::new(io.clone()), one_segment()).expect("a new store");
    commit(&mut writer, items);
    (io, writer)
}

fn commit(writer: &mut Writer, items: &[Item]) {
    for item in items {
        append(writer, std::slice::from_ref(item)).expect("memory does not fail");
        writer.commit().expect("memory does not fail");
    }
}

/// Opens for reading while `busy` works before each read; gives the number of reads, too.
fn open_beside(
    io: &MemoryIo,
    busy: impl FnMut(usize) + Send + 'static,
) -> (Result<(Reader, Recovery), StoreError>, usize) {
    let io = BusyIo::new(io, busy);
    let shared = Arc::clone(&io.shared);
    let opened = Store::open_read_only(Arc::new(io), one_segment());
    (opened, shared.read_count.load(Ordering::Relaxed))
}

#[test]
fn records_appended_at_any_moment_of_an_opening_are_no_tail() {
    let items = items(71, 9, 300);
    let (io, _writer) = open_with(&items[..6]);
    let (_, read_count) = open_beside(&io, |_| ());
    assert!(read_count > 10, "{read_count} reads");
    for moment in 0..read_count {
        let (io, mut writer) = open_with(&items[..6]);
        let more = items[6..].to_vec();
        let busy = move |count| {
            if count == moment {
                commit(&mut writer, &more);
            }
        };
        let (opened, _) = open_beside(&io, busy);
        let context = format!("appended before read {moment}");
        let (reader, found) = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(found.tail, None, "{context}");
        assert_eq!(found.watermark_slot_damaged, None, "{context}");
        assert!(found.durable.0 >= 6, "{context}");
        assert_prefix(&reader, &items, &context);
    }
}

/// The watermark's other slot is damaged, so a tail is refused: it might have been acknowledged.
#[test]
fn records_appended_beside_a_damaged_slot_are_not_taken_for_what_it_named() {
    let items = items(72, 9, 300);
    let (whole, writer) = open_with(&items);
    drop(writer);
    let whole = whole.files();
    let (io, writer) = open_with(&items[..6]);
    drop(writer);
    let watermark = Path::new(DIR).join("watermark");
    io.damage(&watermark, |bytes| {
        // Six commits and the opening: generation 7, so slot 0 holds the older one.
        bytes[48] ^= 1;
    });
    let segment = whole
        .keys()
        .find(|path| path.extension().is_some_and(|s| s == "seg"));
    let segment = segment.expect("a segment").clone();
    let (_, read_count) = open_beside(&io, |_| ());
    for moment in 0..read_count {
        let io = MemoryIo::from_files(io.files());
        let (changed, path, bytes) = (io.clone(), segment.clone(), whole[&segment].clone());
        let busy = move |count| {
            if count == moment {
                changed.damage(&path, |old| old.clone_from(&bytes));
            }
        };
        let (opened, _) = open_beside(&io, busy);
        let context = format!("appended before read {moment}");
        let (reader, found) = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(found.tail, None, "{context}");
        assert!(found.watermark_slot_damaged.is_some(), "{context}");
        assert_prefix(&reader, &items, &context);
    }
}

/// Bytes of records come into view little by little, as those of a write do that is under way.
#[test]
fn a_record_that_grows_meanwhile_is_whole_or_one_unfinished_record() {
    let items = items(73, 9, 300);
    let (io, writer) = open_with(&items[..6]);
    drop(writer);
    let before = io.files();
    let (mut writer, ..) = Store::open(Arc::new(io.clone()), one_segment()).expect("whole");
    append(&mut writer, &items[6..]).expect("memory does not fail");
    let after = io.files();
    let segment = after
        .keys()
        .find(|path| path.extension().is_some_and(|s| s == "seg"));
    let segment = segment.expect("a segment").clone();
    let old = before[&segment].iter().rposition(|&byte| byte != 0);
    let start = old.expect("records") + 1;
    for step in [1, 7, 40, 96, 97, 200, 1000] {
        for moment in 0..40 {
            let io = MemoryIo::from_files(before.clone());
            let (grown, path, bytes) = (io.clone(), segment.clone(), after[&segment].clone());
            let busy = move |count: usize| {
                let steps = count.saturating_sub(moment);
                let end = (start + steps * step).min(bytes.len());
                grown.damage(&path, |old| {
                    old[start..end].copy_from_slice(&bytes[start..end])
                });
            };
            let (opened, _) = open_beside(&io, busy);
            let context = format!("{step} bytes a read from read {moment} on");
            let (reader, found) = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(
                found.tail.is_none_or(|tail| tail.one_record),
                "{context}: {found:?}"
            );
            assert_prefix(&reader, &items, &context);
        }
    }
}

#[test]
fn generations_that_pass_between_two_reads_of_the_slots_are_no_damage() {
    let items = items(74, 12, 100);
    for passed in 1..=5 {
        for moment in 0..8 {
            let (io, mut writer) = open_with(&items[..6]);
            let more = items[6..6 + passed].to_vec();
            let busy = move |count| {
                if count == moment {
                    commit(&mut writer, &more);
                }
            };
            let (opened, _) = open_beside(&io, busy);
            let context = format!("{passed} commits before read {moment}");
            let (_, found) = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(found.watermark_slot_damaged, None, "{context}");
        }
    }
}

/// A store that was made and not opened yet has one slot; its first writer comes meanwhile.
#[test]
fn a_new_store_whose_writer_comes_meanwhile_is_not_damaged() {
    let items = items(75, 3, 300);
    let (full, writer) = open_with(&items);
    drop(writer);
    let full = full.files();
    let (empty, writer) = open_with(&[]);
    drop(writer);
    let watermark = Path::new(DIR).join("watermark");
    empty.damage(&watermark, |bytes| bytes[4096..].fill(0));
    let (_, read_count) = open_beside(&empty, |_| ());
    for moment in 0..read_count {
        let io = MemoryIo::from_files(empty.files());
        let (changed, full) = (io.clone(), full.clone());
        let busy = move |count| {
            for (path, bytes) in full.iter().filter(|_| count == moment) {
                changed.damage(path, |old| old.clone_from(bytes));
            }
        };
        let (opened, _) = open_beside(&io, busy);
        let context = format!("opened before read {moment}");
        let (reader, found) = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(found.watermark_slot_damaged, None, "{context}");
        assert_prefix(&reader, &items, &context);
    }
}
