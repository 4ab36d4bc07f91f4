//! Files of the log that are removed while the writer runs: what is durable then stays so, also
//! when the process is killed right after they were looked at.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clearway_store::testing::MemoryIo;
use clearway_store::{Access, BlockFile, BlockIo, RealIo, StoreError, Writer};

use crate::support::{
    DIR, FailedLook, Item, append, assert_prefix, check_whole, filled, for_each_failing_look,
    items, open, open_at,
};

fn identity() -> PathBuf {
    Path::new(DIR).join("identity")
}

fn segments(io: &MemoryIo) -> Vec<PathBuf> {
    let files = io.files().into_keys();
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "seg");
    files.filter(is_segment).collect()
}

fn remove_active(io: &MemoryIo) {
    let active = segments(io).pop().expect("a segment");
    io.remove(&active).expect("it is there");
}

fn commit(writer: &mut Writer, items: &[Item]) {
    append(writer, items).expect("memory");
    writer.commit().expect("memory");
}

/// What a process that is killed now leaves.
fn check_killed(io: &MemoryIo, items: &[Item], context: &str) {
    check_whole(&MemoryIo::from_files(io.files()), items, None, context);
}

#[test]
fn an_identity_that_was_damaged_or_removed_is_written_anew() {
    type Damage = Box<dyn Fn(&MemoryIo)>;
    let damages: [(&str, Damage); 3] = [
        ("emptied", Box::new(|io| io.damage(&identity(), Vec::clear))),
        (
            "a flipped bit",
            Box::new(|io| io.damage(&identity(), |bytes| bytes[40] ^= 1)),
        ),
        (
            "removed",
            Box::new(|io| io.remove(&identity()).expect("it is there")),
        ),
    ];
    let items = items(81, 4, 300);
    for (name, damage) in damages {
        let io = filled(&items, 2);
        let (writer, ..) = open(&io).expect("whole");
        let (guard, whole) = (writer.log_guard(), io.files());
        assert!(
            !guard.look().expect("memory"),
            "{name}: nothing happened yet"
        );
        damage(&io);
        assert!(guard.look().expect("memory"), "{name}");
        assert!(!guard.look().expect("memory"), "{name}: put right already");
        assert_eq!(io.files(), whole, "{name}");
        assert_eq!(writer.metrics().files_restored.value(), 1);
    }
}

#[test]
fn an_active_segment_that_was_removed_gets_its_name_again_and_the_next_record_another() {
    let items = items(82, 12, 300);
    let io = filled(&items[..3], 3);
    let (mut writer, reader, _) = open(&io).expect("whole");
    let guard = writer.log_guard();
    commit(&mut writer, &items[3..4]);
    remove_active(&io);
    // Until it is looked at, what is written is in the open file alone.
    commit(&mut writer, &items[4..5]);
    assert!(guard.look().expect("memory"));
    check_killed(&io, &items[..5], "after the look");
    assert!(!guard.look().expect("memory"), "put right already");
    let count = segments(&io).len();
    commit(&mut writer, &items[5..7]);
    assert_eq!(segments(&io).len(), count + 1, "a segment with a name");
    check_killed(&io, &items[..7], "after the next commit");
    assert!(!guard.look().expect("memory"));
    assert_prefix(&reader, &items[..7], "read beside the writer");
    // Once more, in the new one.
    remove_active(&io);
    assert!(guard.look().expect("memory"));
    commit(&mut writer, &items[7..]);
    assert_eq!(writer.metrics().files_restored.value(), 2);
    drop(writer);
    check_whole(&io, &items, None, "after all");
}

fn write_all(file: &dyn BlockFile, bytes: &[u8]) {
    let written = file.write_some_at(0, &[IoSlice::new(bytes)]);
    assert_eq!(written.expect("memory"), bytes.len());
}

/// What a tool does that makes a copy of a file and gives it the name.
fn exchange_active(io: &MemoryIo) {
    let active = segments(io).pop().expect("a segment");
    let copy = Path::new(DIR).join("copy");
    let bytes = io.files()[&active].clone();
    let file = io.open(&copy, Access::Create).expect("memory");
    write_all(file.as_ref(), &bytes);
    io.rename(&copy, &active).expect("memory");
}

#[test]
fn an_active_segment_whose_name_went_to_a_copy_gets_it_back_once_the_copy_lacks_something() {
    let items = items(85, 9, 300);
    let io = filled(&items[..3], 3);
    let (mut writer, ..) = open(&io).expect("whole");
    let guard = writer.log_guard();
    commit(&mut writer, &items[3..4]);
    exchange_active(&io);
    assert!(!guard.look().expect("memory"), "it has all there is");
    commit(&mut writer, &items[4..5]);
    assert!(guard.look().expect("memory"));
    check_killed(&io, &items[..5], "after the look");
    commit(&mut writer, &items[5..7]);
    check_killed(&io, &items[..7], "in a segment with a name");
    assert!(!guard.look().expect("memory"));
    assert_eq!(writer.metrics().files_restored.value(), 1);
}

#[test]
fn a_writer_whose_segment_was_cut_or_emptied_ends_before_it_tells_anything_durable() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 3] = [
        ("cut to nothing", Vec::clear),
        ("cut in the middle", |bytes| bytes.truncate(5000)),
        ("emptied", |bytes| bytes.fill(0)),
    ];
    for (name, damage) in damages {
        let items = items(86, 9, 300);
        let io = filled(&items[..4], 3);
        let (mut writer, ..) = open(&io).expect("whole");
        let guard = writer.log_guard();
        commit(&mut writer, &items[4..6]);
        let active = segments(&io).pop().expect("a segment");
        io.damage(&active, damage);
        // Heartbeats go on: what they write is whole.
        commit(&mut writer, &items[6..7]);
        let error = guard.look().expect_err(name).to_string();
        assert!(error.contains("from a backup"), "{name}: {error}");
        let appended = append(&mut writer, &items[7..8]);
        let ended = appended.and_then(|_| writer.commit().map(drop));
        ended.expect_err(name);
        append(&mut writer, &items[8..9]).expect_err("poisoned");
    }
}

#[test]
fn a_writer_whose_segment_was_written_over_ends_too() {
    type Damage = fn(&mut Vec<u8>, &[u8]);
    let damages: [(&str, Damage); 3] = [
        ("an older copy", |bytes, older| bytes.copy_from_slice(older)),
        ("a byte of the head page", |bytes, _| bytes[2000] ^= 1),
        ("the newest record", |bytes, _| {
            let newest = bytes.iter().rposition(|byte| *byte != 0);
            bytes[newest.expect("not empty")] ^= 1;
        }),
    ];
    for (name, damage) in damages {
        let items = items(87, 8, 300);
        let io = filled(&items[..4], 3);
        let (mut writer, ..) = open(&io).expect("whole");
        let guard = writer.log_guard();
        let active = segments(&io).pop().expect("a segment");
        let older = io.files()[&active].clone();
        commit(&mut writer, &items[4..6]);
        assert!(
            !guard.look().expect("memory"),
            "{name}: nothing happened yet"
        );
        io.damage(&active, |bytes| damage(bytes, &older));
        commit(&mut writer, &items[6..7]);
        let error = guard.look().expect_err(name);
        assert!(
            matches!(error, StoreError::SegmentRuined { .. }),
            "{name}: {error}"
        );
        let appended = append(&mut writer, &items[7..8]);
        let ended = appended.and_then(|_| writer.commit().map(drop));
        ended.expect_err(name);
    }
}

#[test]
fn a_writer_whose_directory_was_exchanged_for_an_older_copy_ends_and_leaves_it_alone() {
    for (name, commits_after) in [("before more is committed", 0), ("after that", 1)] {
        let items = items(88, 9, 300);
        let io = filled(&items[..4], 3);
        let (mut writer, ..) = open(&io).expect("whole");
        let guard = writer.log_guard();
        let older = io.files();
        let (own, aside) = (Path::new(DIR), Path::new("/aside"));
        commit(&mut writer, &items[4..6]);
        for path in io.files().into_keys() {
            let file = aside.join(path.strip_prefix(own).expect("all lie in it"));
            io.rename(&path, &file).expect("memory");
        }
        for (path, bytes) in &older {
            let file = io.open(path, Access::Create).expect("memory");
            write_all(file.as_ref(), bytes);
        }
        commit(&mut writer, &items[6..6 + commits_after]);
        let error = guard.look().expect_err(name);
        assert!(
            matches!(error, StoreError::LogExchanged { .. }),
            "{name}: {error}"
        );
        let appended = append(&mut writer, &items[7..8]);
        let ended = appended.and_then(|_| writer.commit().map(drop));
        ended.expect_err(name);
        let kept = |(path, bytes): (&PathBuf, &Vec<u8>)| io.files()[path] == *bytes;
        assert!(
            older.iter().all(kept),
            "{name}: the other log was written to"
        );
    }
}

#[test]
fn a_group_that_was_appended_before_the_look_is_under_the_name_once_it_is_committed() {
    let items = items(83, 9, 300);
    let io = filled(&items[..3], 3);
    let (mut writer, ..) = open(&io).expect("whole");
    let guard = writer.log_guard();
    append(&mut writer, &items[3..5]).expect("memory");
    remove_active(&io);
    assert!(guard.look().expect("memory"));
    append(&mut writer, &items[5..6]).expect("memory");
    writer.commit().expect("memory");
    check_killed(&io, &items[..6], "a group in two segments");
    append(&mut writer, &items[6..8]).expect("memory");
    remove_active(&io);
    assert!(guard.look().expect("memory"));
    writer.commit().expect("memory");
    check_killed(&io, &items[..8], "a group that was whole before the look");
    commit(&mut writer, &items[8..]);
    check_killed(&io, &items, "and one after it");
}

#[test]
fn a_sealed_segment_that_was_removed_is_told_until_it_is_back() {
    let items = items(84, 40, 700);
    let io = filled(&items, 4);
    let (writer, ..) = open(&io).expect("whole");
    let guard = writer.log_guard();
    let sealed = segments(&io)[1].clone();
    let bytes = io.files()[&sealed].clone();
    io.remove(&sealed).expect("it is there");
    let looks = || (0..segments(&io).len()).find_map(|_| guard.look().err());
    for _ in 0..3 {
        let error = looks().expect("each round tells it");
        assert!(
            matches!(error, StoreError::MissingSegment { .. }),
            "{error}"
        );
    }
    let file = io.open(&sealed, Access::Create).expect("memory");
    let written = file
        .write_some_at(0, &[IoSlice::new(&bytes)])
        .expect("memory");
    assert_eq!(
        (written, looks().is_none()),
        (bytes.len(), true),
        "it is back"
    );
    drop(writer);
    assert!(
        !guard.look().expect("nothing is looked at"),
        "the writer is gone"
    );
}

#[test]
fn without_room_for_the_copy_nothing_is_told_durable_and_the_writer_stays_usable() {
    let items = items(85, 9, 300);
    let io = filled(&items[..3], 3);
    let (mut writer, ..) = open(&io).expect("whole");
    let guard = writer.log_guard();
    remove_active(&io);
    let used: usize = io.files().values().map(Vec::len).sum();
    io.set_capacity_bytes(used as u64 + 100);
    guard.look().expect_err("no room");
    let full = append(&mut writer, &items[3..4]).expect_err("no room");
    assert!(matches!(full, StoreError::DiskFull { .. }), "{full}");
    io.set_capacity_bytes(1 << 20);
    commit(&mut writer, &items[3..6]);
    check_killed(&io, &items[..6], "after room was made");
    assert!(!guard.look().expect("memory"));
    commit(&mut writer, &items[6..]);
    check_killed(&io, &items, "and after that");
}

#[test]
fn a_copy_that_fails_at_any_call_is_made_by_the_next_look() {
    let items = items(86, 9, 300);
    for_each_failing_look(&items[..3], remove_active, |look| {
        let FailedLook {
            memory,
            mut writer,
            guard,
            fired,
            context,
        } = look;
        assert_eq!(guard.look().expect("works again"), fired, "{context}");
        check_killed(&memory, &items[..3], &context);
        commit(&mut writer, &items[3..]);
        check_killed(&memory, &items, &format!("{context}, then a commit"));
        assert_eq!(writer.metrics().write_failures.value(), 0);
    });
}

#[test]
fn a_directory_that_was_removed_is_made_anew_with_its_lock() {
    let items = items(87, 6, 300);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let log = dir.path().join("log");
    let io: Arc<dyn BlockIo> = Arc::new(RealIo::new());
    let (mut writer, ..) = open_at(Arc::clone(&io), &log).expect("a new store");
    let guard = writer.log_guard();
    commit(&mut writer, &items[..3]);
    writer.prepare_next().expect("room");
    std::fs::remove_dir_all(&log).expect("removed");
    assert!(guard.look().expect("made anew"));
    assert!(!guard.look().expect("whole"));
    let second = open_at(Arc::clone(&io), &log).expect_err("it has a writer");
    assert!(matches!(second, StoreError::Locked { .. }), "{second}");
    commit(&mut writer, &items[3..]);
    drop((writer, guard));
    let (_, reader, _) = open_at(io, &log).expect("whole");
    assert_eq!(reader.durable().0, items.len() as u64);
    assert_prefix(&reader, &items, "after all");
}
