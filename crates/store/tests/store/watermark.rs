//! Watermarks that do not tell the truth: damaged, stale, from an old copy. Whatever is whole and
//! chained is found and kept, the slot is named, and nothing acknowledged is cut. A writer that
//! runs meanwhile puts the file right.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clearway_store::testing::{Fault, FaultyIo, MemoryIo};
use clearway_store::{Access, BlockIo, Damage, Store, StoreError};

use crate::support::{
    DIR, FailedLook, Item, append, assert_prefix, check_whole, filled, for_each_failing_look,
    items, open, open_read_only, options,
};

const PAGE_BYTES: usize = 4096;
const SLOT_BYTES: usize = 128;
/// Where a slot holds its generation, and the hash of its record.
const GENERATION_AT: usize = 16;
const HASH_AT: usize = 48;

fn path() -> PathBuf {
    Path::new(DIR).join("watermark")
}

fn last_segment(io: &MemoryIo) -> PathBuf {
    let segments = io.files().into_keys();
    let mut segments = segments.filter(|path| path.extension().is_some_and(|s| s == "seg"));
    segments.next_back().expect("a segment")
}

/// Where the slot with the newest generation starts, and the other one.
fn slots(io: &MemoryIo) -> (usize, usize) {
    let bytes = &io.files()[&path()];
    let generation = |slot: usize| {
        let at = slot + GENERATION_AT;
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
    };
    if generation(0) > generation(PAGE_BYTES) {
        (0, PAGE_BYTES)
    } else {
        (PAGE_BYTES, 0)
    }
}

#[test]
fn any_damage_to_the_newest_slot_hides_no_record() {
    let items = items(61, 30, 700);
    let io = filled(&items, 3);
    let (newest, other) = slots(&io);
    let named = Some((newest / PAGE_BYTES) as u64);
    type Change = Box<dyn Fn(&mut [u8])>;
    let mut rows: Vec<(String, Change)> = Vec::new();
    for bit in 0..SLOT_BYTES * 8 {
        let change = move |slot: &mut [u8]| slot[bit / 8] ^= 1 << (bit % 8);
        rows.push((format!("bit {bit}"), Box::new(change)));
    }
    for at in (0..SLOT_BYTES).step_by(8) {
        let zero = move |slot: &mut [u8]| slot[at..].fill(0);
        rows.push((format!("zero from {at}"), Box::new(zero)));
        let noise = move |slot: &mut [u8]| slot[at..].fill(0xa5);
        rows.push((format!("noise from {at}"), Box::new(noise)));
    }
    for (name, change) in rows {
        let io = MemoryIo::from_files(io.files());
        io.damage(&path(), |bytes| {
            change(&mut bytes[newest..newest + SLOT_BYTES]);
        });
        check_whole(&io, &items, named, &name);
    }
    // A whole slot in the wrong place: the other one's copy.
    let copied = MemoryIo::from_files(io.files());
    copied.damage(&path(), |bytes| {
        bytes.copy_within(other..other + SLOT_BYTES, newest);
    });
    check_whole(&copied, &items, named, "copied over");
}

#[test]
fn a_watermark_file_or_slot_from_an_old_copy_hides_no_record() {
    let items = items(62, 30, 700);
    for old in 0..10 {
        let earlier = filled(&items[..old * 3], 3).files()[&path()].clone();
        let io = filled(&items, 3);
        let (newest, _) = slots(&io);
        // The slot alone stands beside one that is not its neighbour: it is named.
        let slot_alone = MemoryIo::from_files(io.files());
        slot_alone.damage(&path(), |bytes| {
            let range = newest..newest + PAGE_BYTES;
            bytes[range.clone()].copy_from_slice(&earlier[range]);
        });
        // The generation before the other slot's is not told from its true neighbour.
        let named = (old < 8).then_some((newest / PAGE_BYTES) as u64);
        check_whole(&slot_alone, &items, named, &format!("slot of {old}"));
        // The whole file is in order by itself; the records above it are counted.
        io.damage(&path(), |bytes| bytes.copy_from_slice(&earlier));
        let (_, found) = open_read_only(&io).expect("whole");
        assert_eq!(found.watermark.0, old as u64 * 3);
        check_whole(&io, &items, None, &format!("file of {old}"));
    }
}

#[test]
fn a_blank_second_slot_is_damage_once_there_is_a_record() {
    let items = items(63, 3, 100);
    let io = filled(&items, 3);
    // Generation 1 made the store's first opening durable, generation 2 its records.
    io.damage(&path(), |bytes| bytes[PAGE_BYTES..].fill(0));
    check_whole(&io, &items, Some(1), "blank beside generation 2");
    let io = filled(&items, 3);
    let start = filled(&[], 3).files()[&path()].clone();
    io.damage(&path(), |bytes| {
        bytes[..PAGE_BYTES].copy_from_slice(&start[..PAGE_BYTES]);
        bytes[PAGE_BYTES..].fill(0);
    });
    check_whole(&io, &items, Some(1), "blank beside generation 0");
}

/// A store whose newest slot has lost a byte, and whose last record, which that slot names, is
/// damaged or cut.
fn twice_damaged(slot_byte: usize, cut: impl Fn(&mut [u8])) -> (MemoryIo, Vec<Item>) {
    let items = items(64, 7, 500);
    let io = filled(&items, 1);
    let (newest, _) = slots(&io);
    io.damage(&path(), |bytes| bytes[newest + slot_byte] ^= 0x10);
    let path = last_segment(&io);
    io.damage(&path, |bytes| {
        let end = bytes.iter().rposition(|&byte| byte != 0).expect("records");
        cut(&mut bytes[..=end]);
    });
    (io, items)
}

#[test]
fn what_a_damaged_slot_may_have_named_is_not_cut() {
    for slot_byte in [0, GENERATION_AT, 24, HASH_AT, 127] {
        let (io, _) = twice_damaged(slot_byte, |bytes| {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        });
        let before = io.files();
        let unclear = |error: StoreError| {
            let damage = Damage::WatermarkUnclear;
            matches!(error, StoreError::Corrupt { damage: found, .. } if found == damage)
        };
        assert!(unclear(open(&io).expect_err("for writing")), "{slot_byte}");
        let read_only = open_read_only(&io).expect_err("for reading");
        assert!(unclear(read_only), "{slot_byte}");
        assert_eq!(io.files(), before, "a damaged store was changed");
    }
}

#[test]
fn a_torn_record_above_what_a_damaged_slot_named_is_cut() {
    // Its record hash can still be read and belongs to a record that is there, so the slot cannot
    // have named anything above it: what is torn there was never acknowledged.
    let items = items(65, 8, 500);
    let io = filled(&items[..7], 1);
    let (mut writer, ..) = open(&io).expect("whole");
    append(&mut writer, &items[7..]).expect("memory does not fail");
    drop(writer);
    let (newest, _) = slots(&io);
    let segment = last_segment(&io);
    io.damage(&segment, |bytes| {
        let end = bytes.iter().rposition(|&byte| byte != 0).expect("records");
        bytes[end] ^= 1;
    });
    io.damage(&path(), |bytes| bytes[newest + GENERATION_AT] ^= 0x20);
    let (reader, found) = open_read_only(&io).expect("cut");
    assert_eq!((found.durable.0, found.tail.is_some()), (7, true));
    assert_prefix(&reader, &items, "read only");
    let (_, reader, opened) = open(&io).expect("cut");
    assert_eq!(opened.durable.0, 7);
    assert!(opened.bytes_cut > 0);
    assert_prefix(&reader, &items, "cut");
}

#[test]
fn a_read_only_open_tells_an_unfinished_record_from_more() {
    let items = items(66, 9, 300);
    let io = filled(&items[..8], 4);
    let (mut writer, ..) = open(&io).expect("whole");
    let start = {
        let bytes = &io.files()[&last_segment(&io)];
        let end = bytes.iter().rposition(|&byte| byte != 0).expect("records") + 1;
        end.next_multiple_of(8)
    };
    append(&mut writer, &items[8..]).expect("memory does not fail");
    drop(writer);
    let segment = last_segment(&io);
    let end = {
        let bytes = &io.files()[&segment];
        bytes.iter().rposition(|&byte| byte != 0).expect("records") + 1
    };
    // Every prefix of the record that is being written, then the same with a byte further on.
    for reached in start + 1..end {
        for beyond in [false, true] {
            let io = MemoryIo::from_files(io.files());
            io.damage(&segment, |bytes| {
                bytes[reached..].fill(0);
                let last = bytes.len() - 1;
                bytes[last] = u8::from(beyond);
            });
            let (reader, found) = open_read_only(&io).expect("whole below");
            if found.durable.0 == 9 {
                continue; // only padding was missing
            }
            assert_eq!(found.durable.0, 8);
            assert_prefix(&reader, &items, "below");
            let tail = found.tail.expect("bytes that are no record");
            assert_eq!(tail.offset, start as u64);
            assert_eq!(tail.one_record, !beyond, "{reached}: {tail:?}");
        }
    }
}

/// Gives the watermark's name to another file.
fn replace(io: &MemoryIo, bytes: &[u8]) {
    let other = Path::new("/elsewhere");
    let file = io.open(other, Access::Create).expect("made");
    let slices = [std::io::IoSlice::new(bytes)];
    file.write_some_at(0, &slices).expect("memory");
    io.rename(other, &path()).expect("renamed");
}

#[test]
fn what_happens_to_the_file_while_the_writer_runs_is_put_right() {
    type Change = fn(&MemoryIo);
    let damages: [(&str, Change); 9] = [
        ("emptied", |io| io.damage(&path(), Vec::clear)),
        ("cut", |io| {
            io.damage(&path(), |bytes| bytes.truncate(PAGE_BYTES))
        }),
        ("longer", |io| io.damage(&path(), |bytes| bytes.push(0))),
        ("a bit", |io| {
            io.damage(&path(), |bytes| bytes[HASH_AT] ^= 1)
        }),
        ("a bit of the other slot", |io| {
            io.damage(&path(), |bytes| bytes[PAGE_BYTES + HASH_AT] ^= 1);
        }),
        ("zeroed", |io| io.damage(&path(), |bytes| bytes.fill(0))),
        ("an old copy", |io| {
            let start = filled(&[], 3).files()[&path()].clone();
            io.damage(&path(), |bytes| bytes.copy_from_slice(&start));
        }),
        ("removed", |io| io.remove(&path()).expect("it is there")),
        ("replaced", |io| replace(io, &[7; 2 * PAGE_BYTES])),
    ];
    for (name, damage) in damages {
        let items = items(67, 9, 300);
        let io = filled(&items[..3], 3);
        let (mut writer, ..) = open(&io).expect("whole");
        let guard = writer.log_guard();
        let damaged = |expected: u64, writer: &clearway_store::Writer| {
            assert_eq!(
                writer.metrics().watermarks_damaged.value(),
                expected,
                "{name}"
            );
        };
        assert!(
            !guard.look().expect("memory"),
            "{name}: nothing happened yet"
        );
        append(&mut writer, &items[3..6]).expect("memory");
        writer.commit().expect("memory");
        assert!(
            !guard.look().expect("memory"),
            "{name}: written by a commit"
        );
        damaged(0, &writer);
        let whole = io.files();
        damage(&io);
        assert!(guard.look().expect("memory"), "{name}");
        assert_eq!(io.files(), whole, "{name}");
        assert!(!guard.look().expect("memory"), "{name}: put right already");
        damaged(1, &writer);
        // A commit between damage and look writes one slot of the damaged file.
        damage(&io);
        append(&mut writer, &items[6..]).expect("memory");
        writer.commit().expect("memory");
        // Put right by that, where the other slot was whole.
        let is_damaged = name != "a bit of the other slot";
        assert_eq!(
            guard.look().expect("memory"),
            is_damaged,
            "{name}, then a commit"
        );
        damaged(1 + u64::from(is_damaged), &writer);
        drop(writer);
        let after = io.files();
        damage(&io);
        assert!(
            !guard.look().expect("nothing is looked at"),
            "{name}: the writer is gone"
        );
        check_whole(&MemoryIo::from_files(after), &items, None, name);
    }
}

#[test]
fn another_watermark_that_can_be_read_is_left_where_it_was_put() {
    let items = items(68, 6, 300);
    let io = filled(&items[..3], 3);
    let copy = io.files()[&path()].clone();
    let (mut writer, ..) = open(&io).expect("whole");
    let guard = writer.log_guard();
    append(&mut writer, &items[3..]).expect("memory");
    writer.commit().expect("memory");
    let whole = io.files();
    replace(&io, &copy);
    for _ in 0..2 {
        let error = guard.look().expect_err("it is not the writer's");
        assert!(
            matches!(error, StoreError::WatermarkReplaced { .. }),
            "{error}"
        );
        assert_eq!(io.files()[&path()], copy);
        assert_eq!(writer.metrics().watermarks_damaged.value(), 1);
    }
    // As its message says.
    io.remove(&path()).expect("it is there");
    assert!(guard.look().expect("memory"));
    assert_eq!(io.files(), whole);
}

#[test]
fn a_look_that_fails_leaves_the_writer_usable_and_the_next_one_puts_the_file_right() {
    let items = items(69, 9, 300);
    let empty = |memory: &MemoryIo| memory.damage(&path(), Vec::clear);
    for_each_failing_look(&items[..3], empty, |look| {
        let FailedLook {
            memory,
            mut writer,
            guard,
            fired,
            context,
        } = look;
        append(&mut writer, &items[3..6]).expect("the log is not concerned");
        writer.commit().expect("the log is not concerned");
        assert_eq!(guard.look().expect("works again"), fired, "{context}");
        append(&mut writer, &items[6..]).expect("works");
        writer.commit().expect("works");
        assert_eq!(writer.metrics().watermarks_damaged.value(), 1);
        assert_eq!(writer.metrics().write_failures.value(), 0);
        drop(writer);
        check_whole(&memory, &items, None, &context);
    });
}

#[test]
fn a_poisoned_writer_has_nobody_look_after_its_file() {
    let items = items(70, 6, 300);
    let memory = filled(&items[..3], 3);
    let io = FaultyIo::new(Arc::new(memory.clone()), u64::MAX, Fault::Error(5));
    let (mut writer, ..) = Store::open(Arc::new(io.clone()), options(DIR)).expect("whole");
    let guard = writer.log_guard();
    append(&mut writer, &items[3..]).expect("works");
    io.fail_after(0);
    writer.commit().expect_err("the sync fails");
    memory.damage(&path(), Vec::clear);
    let before = memory.files();
    assert!(!guard.look().expect("nothing is looked at"));
    assert_eq!(memory.files(), before);
}
