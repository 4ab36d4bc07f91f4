//! Look-ups by transfer id: the same answer from the index and from the log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clearway_store::testing::{Fault, FaultyIo, MemoryIo};
use clearway_store::{
    BlockIo, Extractor, Location, Reader, RealIo, RecordKind, Sequence, Store, StoreError, Writer,
};
use clearway_types::seeded::SplitMix;

use crate::support::{DIR, Every20, open, options};

type Key = ([u8; 16], u32);

/// Batches of few ids and signers, so that each comes up several times; other kinds hold bytes
/// that must not be taken for ids. Returns where each key is, newest first.
fn filled(seed: u64, record_count: usize) -> (MemoryIo, BTreeMap<Key, Vec<Location>>) {
    let io = MemoryIo::new();
    let (mut writer, ..) = open(&io).expect("a new store");
    let mut random = SplitMix(seed);
    let mut places: BTreeMap<Key, Vec<Location>> = BTreeMap::new();
    for record in 0..record_count {
        let kind = RecordKind::ALL[record % 3];
        let mut payload = Vec::new();
        for index in 0..u32::try_from(random.below(40)).expect("small") {
            let id = [u8::try_from(random.below(60)).expect("small"); 16];
            let signer = u32::try_from(random.below(3)).expect("small");
            payload.extend_from_slice(&id);
            payload.extend_from_slice(&signer.to_le_bytes());
            if kind == RecordKind::Batch {
                let sequence = Sequence(record as u64 + 1);
                places
                    .entry((id, signer))
                    .or_default()
                    .push(Location { sequence, index });
            }
        }
        writer
            .append(kind, [0; 32], &[&payload])
            .expect("memory does not fail");
        writer.commit().expect("memory does not fail");
    }
    places
        .values_mut()
        .for_each(|places| places.sort_by(|a, b| b.cmp(a)));
    (io, places)
}

fn check(reader: &Reader, places: &BTreeMap<Key, Vec<Location>>, context: &str) {
    for ((id, signer), expected) in places {
        let found = reader
            .find(*id, *signer, &Every20)
            .unwrap_or_else(|e| panic!("{context}: {e}"));
        assert_eq!(&found, expected, "{context}");
    }
    for missing in [([0xee; 16], 0), ([1; 16], 99)] {
        assert_eq!(
            reader.find(missing.0, missing.1, &Every20).expect("reads"),
            [],
            "{context}"
        );
    }
}

fn index_files(io: &MemoryIo) -> BTreeSet<PathBuf> {
    let files = io.files().into_keys();
    files
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "idx"))
        .collect()
}

#[test]
fn finds_the_same_with_and_without_an_index() {
    let (io, places) = filled(61, 40);
    assert!(places.values().any(|places| places.len() > 5));
    let (_, reader, recovery) = open(&io).expect("whole");
    let sealed_count = usize::try_from(recovery.segment_count - 1).expect("small");
    assert!(sealed_count >= 3);
    check(&reader, &places, "scanned");
    assert_eq!(
        reader.index_sealed(&Every20).expect("memory does not fail"),
        sealed_count
    );
    assert_eq!(index_files(&io).len(), sealed_count);
    check(&reader, &places, "indexed");
    assert_eq!(reader.index_sealed(&Every20).expect("nothing to do"), 0);
    drop(reader);
    let (_, reader, _) = open(&io).expect("whole");
    check(&reader, &places, "reopened");
    assert_eq!(reader.metrics().indexes_built.value(), 0);
}

#[test]
fn a_lost_or_damaged_index_changes_no_answer_and_is_built_anew() {
    let (io, places) = filled(62, 30);
    let (_, reader, _) = open(&io).expect("whole");
    reader.index_sealed(&Every20).expect("memory does not fail");
    drop(reader);
    let whole = io.files();
    let path = index_files(&io).into_iter().next().expect("an index");
    let len = whole[&path].len();
    for at in (0..len).step_by(3).chain([len]) {
        let io = MemoryIo::from_files(whole.clone());
        if at == len {
            io.damage(&path, |bytes| bytes.truncate(len - 4096));
        } else {
            io.damage(&path, |bytes| bytes[at] ^= 0x10);
        }
        let (_, reader, _) = open(&io).expect("an index is not worth refusing to start");
        check(&reader, &places, &format!("byte {at}"));
        assert_eq!(reader.metrics().indexes_damaged.value(), 1, "byte {at}");
        assert_eq!(
            reader.index_sealed(&Every20).expect("memory does not fail"),
            1
        );
        assert_eq!(io.files()[&path], whole[&path], "byte {at}");
    }
}

#[test]
fn a_folder_in_the_place_of_an_index_changes_no_answer() {
    let (memory, places) = filled(65, 30);
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (path, bytes) in memory.files() {
        let name = path.file_name().expect("a file");
        std::fs::write(dir.path().join(name), bytes).expect("written");
    }
    let index = dir.path().join("00000000000000000001.idx");
    std::fs::create_dir(&index).expect("made");
    let open = || {
        let options = options(dir.path().to_str().expect("a path of ASCII"));
        Store::open(Arc::new(RealIo::new()), options).expect("an index is not worth refusing to")
    };
    let (_, reader, _) = open();
    check(&reader, &places, "a folder");
    let error = reader.index_sealed(&Every20).expect_err("it stands there");
    assert!(error.to_string().contains(".idx"), "{error}");
    check(&reader, &places, "not built");
    std::fs::remove_dir(&index).expect("empty");
    reader.index_sealed(&Every20).expect("built");
    check(&reader, &places, "built");
}

/// A store of one sealed segment with an index of several pages, which has been loaded, and where
/// each of its ids is.
fn with_index_in_use() -> (MemoryIo, Reader, PathBuf, BTreeMap<Key, Vec<Location>>) {
    let io = MemoryIo::new();
    let mut options = options(DIR);
    options.segment_bytes = 20_480;
    let (mut writer, reader, _) = Store::open(Arc::new(io.clone()), options).expect("a new store");
    let mut places: BTreeMap<Key, Vec<Location>> = BTreeMap::new();
    for record in 1..=5_u8 {
        let mut payload = Vec::new();
        for index in 0..120 {
            // Every third id is in each record again, so that its rows lie in two pages, too.
            let of_record = if index % 3 == 0 { 0 } else { record };
            let mut id = [of_record; 16];
            id[0] = u8::try_from(index * 2).expect("small");
            payload.extend_from_slice(&id);
            payload.extend_from_slice(&1_u32.to_le_bytes());
            let sequence = Sequence(record.into());
            let place = Location { sequence, index };
            places.entry((id, 1)).or_default().insert(0, place);
        }
        let appended = writer.append(RecordKind::Batch, [0; 32], &[&payload]);
        appended.expect("memory does not fail");
        writer.commit().expect("memory does not fail");
    }
    let long = vec![0; 8000];
    let appended = writer.append(RecordKind::Final, [0; 32], &[&long]);
    appended.expect("memory does not fail");
    writer.commit().expect("memory does not fail");
    let built_count = reader.index_sealed(&Every20).expect("memory does not fail");
    assert_eq!(built_count, 1);
    let path = index_files(&io).into_iter().next().expect("an index");
    assert_eq!(io.files()[&path].len(), 128 + 5 * 4096, "600 rows");
    check(&reader, &places, "loaded");
    (io, reader, path, places)
}

/// What happens to an index file.
type Loss = Box<dyn Fn(&mut Vec<u8>)>;

fn damaged_count(reader: &Reader) -> u64 {
    reader.metrics().indexes_damaged.value()
}

#[test]
fn no_flipped_bit_in_an_index_in_use_hides_or_moves_an_id() {
    let (io, reader, path, places) = with_index_in_use();
    let whole = io.files()[&path].clone();
    let keys: Vec<&Key> = places.keys().collect();
    let mut found_out_count = 0;
    for at in 0..whole.len() {
        io.damage(&path, |bytes| bytes[at] ^= 1 << (at % 8));
        // Ids near the byte, 11 of which have 15 rows, and some far away.
        let slot = at.saturating_sub(128) / 32;
        let near = (slot / 128 * 127 + (slot % 128).min(126)) * 11 / 15;
        let near = near.saturating_sub(8).min(keys.len() - 8)..keys.len().min(near + 8);
        let spread = (at % 37..keys.len()).step_by(37);
        for key_index in near.chain(spread) {
            let key = keys[key_index];
            let found = reader.find(key.0, key.1, &Every20);
            let found = found.unwrap_or_else(|error| panic!("byte {at}: {error}"));
            assert_eq!(found, places[key], "byte {at}, id {key:?}");
        }
        let built_count = reader.index_sealed(&Every20).expect("memory does not fail");
        found_out_count += built_count;
        if built_count == 0 {
            // Only the head is not read again.
            assert!(at < 128, "byte {at} was not noticed");
            io.damage(&path, |bytes| bytes[at] ^= 1 << (at % 8));
        }
        assert_eq!(io.files()[&path], whole, "byte {at}");
    }
    assert_eq!(found_out_count, whole.len() - 128);
    assert_eq!(damaged_count(&reader), found_out_count as u64);
}

#[test]
fn an_index_lost_in_use_in_part_or_whole_changes_no_answer_and_is_built_anew() {
    let (io, reader, path, places) = with_index_in_use();
    let whole = io.files()[&path].clone();
    let page = |number: usize| 128 + number * 4096..128 + (number + 1) * 4096;
    let mut losses: Vec<(String, Loss)> = vec![
        ("zeroed".into(), Box::new(|bytes| bytes.fill(0))),
        ("emptied".into(), Box::new(Vec::clear)),
        ("cut".into(), Box::new(|bytes| bytes.truncate(128 + 4096))),
    ];
    for number in 0..5 {
        losses.push((
            format!("page {number} zeroed"),
            Box::new(move |bytes| bytes[page(number)].fill(0)),
        ));
        let other = (number + 1) % 5;
        losses.push((
            format!("page {number} in the place of {other}"),
            Box::new(move |bytes| bytes.copy_within(page(number), page(other).start)),
        ));
    }
    for (count, (context, lose)) in (1..).zip(&losses) {
        io.damage(&path, lose);
        check(&reader, &places, context);
        assert_eq!(damaged_count(&reader), count, "{context}");
        let built_count = reader.index_sealed(&Every20).expect("memory does not fail");
        assert_eq!(built_count, 1, "{context}");
        assert_eq!(io.files()[&path], whole, "{context}");
        check(&reader, &places, &format!("{context}, built anew"));
    }
    io.remove(&path).expect("it is there");
    check(&reader, &places, "removed");
    let built_count = reader.index_sealed(&Every20).expect("memory does not fail");
    assert_eq!((built_count, &io.files()[&path]), (1, &whole), "removed");
}

#[test]
fn an_index_of_another_segment_is_not_believed() {
    let (io, places) = filled(63, 30);
    let (_, reader, _) = open(&io).expect("whole");
    reader.index_sealed(&Every20).expect("memory does not fail");
    drop(reader);
    let mut files = io.files();
    let mut paths = index_files(&io).into_iter();
    let (first, second) = (paths.next().expect("one"), paths.next().expect("another"));
    let bytes = files[&second].clone();
    files.insert(first, bytes);
    let (_, reader, _) = open(&MemoryIo::from_files(files)).expect("whole");
    check(&reader, &places, "swapped");
    assert_eq!(
        reader.index_sealed(&Every20).expect("memory does not fail"),
        1
    );
}

#[test]
fn an_answer_is_bounded_and_keeps_the_newest() {
    let io = MemoryIo::new();
    let (mut writer, reader, _) = open(&io).expect("a new store");
    let mut row = [7; 20];
    row[16..].copy_from_slice(&1_u32.to_le_bytes());
    let payload = row.repeat(50);
    for _ in 0..12 {
        writer
            .append(RecordKind::Batch, [0; 32], &[&payload])
            .expect("memory does not fail");
        writer.commit().expect("memory does not fail");
    }
    for indexed in [false, true] {
        let found = reader.find([7; 16], 1, &Every20).expect("reads");
        assert_eq!(found.len(), 64, "indexed {indexed}");
        assert_eq!(
            found[0],
            Location {
                sequence: Sequence(12),
                index: 49
            }
        );
        assert_eq!(
            found[63],
            Location {
                sequence: Sequence(11),
                index: 36
            }
        );
        reader.index_sealed(&Every20).expect("memory does not fail");
    }
}

#[test]
fn records_that_are_not_durable_are_neither_indexed_nor_found() {
    let io = MemoryIo::new();
    let (mut writer, reader, _) = open(&io).expect("a new store");
    let payload = [9; 20].repeat(150);
    for _ in 0..3 {
        writer
            .append(RecordKind::Batch, [0; 32], &[&payload])
            .expect("memory does not fail");
    }
    let signer = u32::from_le_bytes([9; 4]);
    assert_eq!(reader.find([9; 16], signer, &Every20).expect("reads"), []);
    assert_eq!(reader.index_sealed(&Every20).expect("nothing to do"), 0);
    assert!(index_files(&io).is_empty());
    writer.commit().expect("memory does not fail");
    assert_eq!(
        reader.index_sealed(&Every20).expect("memory does not fail"),
        2
    );
    assert_eq!(
        reader.find([9; 16], signer, &Every20).expect("reads").len(),
        64
    );
}

#[test]
fn a_failing_disk_leaves_no_half_index_and_a_damaged_segment_no_index() {
    let (io, places) = filled(64, 20);
    for fail_at in 0.. {
        let disk = MemoryIo::from_files(io.files());
        let faulty = Arc::new(FaultyIo::new(
            Arc::new(disk.clone()),
            u64::MAX,
            Fault::Error(5),
        ));
        let (_, reader, _) = Store::open(faulty.clone(), options(DIR)).expect("whole");
        faulty.fail_after(fail_at);
        let result = reader.index_sealed(&Every20);
        if !faulty.fired() {
            result.expect("no fault, no failure");
            break;
        }
        assert!(
            matches!(result, Err(StoreError::Io { .. })),
            "call {fail_at}: {result:?}"
        );
        drop(reader);
        let (_, reader, _) = open(&disk).expect("whole");
        check(&reader, &places, &format!("call {fail_at}"));
        reader.index_sealed(&Every20).expect("works now");
        check(&reader, &places, &format!("call {fail_at}, built"));
    }
    let (_, reader, _) = open(&io).expect("whole");
    io.damage(&Path::new(DIR).join("00000000000000000001.seg"), |bytes| {
        bytes[4200] ^= 1
    });
    let error = reader
        .index_sealed(&Every20)
        .expect_err("the log is damaged");
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(reader.find([1; 16], 1, &Every20).is_err());
}

/// Counts the records that it is shown.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Extractor for Counting {
    fn extract(&self, kind: RecordKind, payload: &[u8], row: &mut dyn FnMut([u8; 16], u32, u32)) {
        self.0.fetch_add(1, Ordering::Relaxed);
        Every20.extract(kind, payload, row);
    }
}

/// A segment of 1 MiB, so that all of it is the last one.
fn large() -> (MemoryIo, Writer, Reader) {
    let io = MemoryIo::new();
    let mut options = options(DIR);
    options.segment_bytes = 1 << 20;
    let (writer, reader, _) = Store::open(Arc::new(io.clone()), options).expect("a new store");
    (io, writer, reader)
}

fn append(writer: &mut Writer, id: u8) {
    let payload = [[id; 16].as_slice(), &1_u32.to_le_bytes()].concat();
    writer
        .append(RecordKind::Batch, [0; 32], &[&payload])
        .expect("memory does not fail");
    writer.commit().expect("memory does not fail");
}

#[test]
fn the_last_segment_is_looked_through_once_however_much_is_asked() {
    let (_io, mut writer, reader) = large();
    let counting = Counting::default();
    for round in 1..=20_u8 {
        for id in 0..50 {
            append(&mut writer, id);
        }
        for id in 0..60 {
            let found = reader.find([id; 16], 1, &counting).expect("reads");
            let expected = if id < 50 { usize::from(round) } else { 0 };
            assert_eq!(found.len(), expected, "round {round}, id {id}");
            assert!(found.is_sorted_by(|a, b| a > b), "newest first");
        }
        let shown = counting.0.load(Ordering::Relaxed);
        assert_eq!(shown, 50 * usize::from(round), "each record once");
    }
}

#[test]
fn a_look_up_that_nobody_wants_stops_and_keeps_what_it_has_read() {
    let (_io, mut writer, reader) = large();
    for id in 0..100 {
        append(&mut writer, id);
    }
    let counting = Counting::default();
    let shown = || counting.0.load(Ordering::Relaxed);
    let given_up = reader.find_while([99; 16], 1, &counting, &|| shown() < 30);
    assert!(
        matches!(given_up, Err(StoreError::Unwanted)),
        "{given_up:?}"
    );
    assert_eq!(shown(), 30);
    assert_eq!(reader.find([99; 16], 1, &counting).expect("reads").len(), 1);
    assert_eq!(shown(), 100, "the first 30 are not read again");
}
