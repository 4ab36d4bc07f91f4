//! Checkpoint files: whole or not there, checked before they are believed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clearway_store::testing::{Fault, FaultyIo, MemoryIo, RecordingIo};
use clearway_store::{BlockIo, RealIo, StoreError, load_newest_checkpoint, write_checkpoint};
use clearway_types::seeded::SplitMix;

use crate::support::GENESIS;

const DIR: &str = "/data/checkpoints";

fn content(height: u64) -> Vec<u8> {
    SplitMix(height).bytes(700)
}

fn write(io: &Arc<dyn BlockIo>, height: u64) -> Result<(), StoreError> {
    write_checkpoint(io, Path::new(DIR), GENESIS, height, &mut |sink| {
        content(height)
            .chunks(13)
            .try_for_each(|piece| sink.write_all(piece))
    })
}

fn newest(io: &Arc<dyn BlockIo>) -> (Option<u64>, usize) {
    let search = load_newest_checkpoint(io, Path::new(DIR), GENESIS).expect("no outside error");
    let height = search.newest.map(|checkpoint| {
        assert_eq!(&checkpoint.content[..], content(checkpoint.height));
        checkpoint.height
    });
    assert!(search.unread.is_empty(), "{:?}", search.unread);
    (height, search.damaged.len())
}

fn path(height: u64) -> PathBuf {
    Path::new(DIR).join(format!("checkpoint-{height:020}.ckp"))
}

#[test]
fn the_newest_is_loaded_and_two_are_kept() {
    let io: Arc<dyn BlockIo> = Arc::new(MemoryIo::new());
    assert_eq!(newest(&io), (None, 0));
    for height in [3, 10, 200, 201] {
        write(&io, height).expect("memory does not fail");
        assert_eq!(newest(&io), (Some(height), 0));
    }
    let names = io.list(Path::new(DIR)).expect("the directory is there");
    let kept = [200_u64, 201].map(|height| format!("checkpoint-{height:020}.ckp"));
    assert_eq!(names, kept);
    write(&io, 201).expect("the same height again");
    assert_eq!(newest(&io), (Some(201), 0));
}

#[test]
fn large_contents_pass_through_the_map_of_a_real_file() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let io: Arc<dyn BlockIo> = Arc::new(RealIo::new());
    let content = SplitMix(71).bytes(1 << 20);
    for pieces in [1, 1000, 300_000, 1 << 20] {
        write_checkpoint(&io, dir.path(), GENESIS, pieces as u64, &mut |sink| {
            content
                .chunks(pieces)
                .try_for_each(|piece| sink.write_all(piece))
        })
        .expect("the disk works");
        let search = load_newest_checkpoint(&io, dir.path(), GENESIS).expect("the disk works");
        assert!(
            search.newest.expect("just written").content == content,
            "pieces of {pieces}"
        );
    }
}

#[test]
fn any_flipped_byte_or_cut_falls_back_to_the_older_one() {
    let io = MemoryIo::new();
    let shared: Arc<dyn BlockIo> = Arc::new(io.clone());
    write(&shared, 5).expect("memory does not fail");
    write(&shared, 6).expect("memory does not fail");
    let files = io.files();
    let len = files[&path(6)].len();
    assert_eq!(len, 128 + 700 + 64);
    for at in 0..len {
        for cut in [false, true] {
            let io = MemoryIo::from_files(files.clone());
            io.damage(&path(6), |bytes| {
                if cut {
                    bytes.truncate(at)
                } else {
                    bytes[at] ^= 4
                }
            });
            let shared: Arc<dyn BlockIo> = Arc::new(io);
            assert_eq!(newest(&shared), (Some(5), 1), "byte {at} cut {cut}");
        }
    }
}

#[test]
fn what_cannot_be_read_falls_back_to_the_older_one() {
    let io: Arc<dyn BlockIo> = Arc::new(RealIo::new());
    let dir = tempfile::tempdir().expect("a temporary directory");
    let place = dir.path().join("checkpoints");
    let write = |height| {
        let fill = &mut |sink: &mut dyn Write| sink.write_all(&content(height));
        write_checkpoint(&io, &place, GENESIS, height, fill).expect("the disk works");
    };
    let newest = || {
        let search = load_newest_checkpoint(&io, &place, GENESIS).expect("no outside error");
        let height = search.newest.map(|checkpoint| checkpoint.height);
        let unread: Vec<String> = search.unread.iter().map(ToString::to_string).collect();
        (height, search.damaged.len(), unread)
    };
    write(5);
    let name = place.join(path(6).file_name().expect("a name"));
    let target_is_itself = || std::os::unix::fs::symlink(&name, &name).expect("made");
    let is_pipe = || {
        // No program of its own: until a child runs it, it holds the locks of other tests.
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &name, mode).expect("made");
    };
    let foreign: [&dyn Fn(); 2] = [&target_is_itself, &is_pipe];
    for make in foreign {
        make();
        let (height, damaged, unread) = newest();
        assert_eq!((height, damaged + unread.len()), (Some(5), 1));
        let named = unread.iter().all(|words| words.contains("checkpoint-"));
        assert!(named, "{unread:?}");
        std::fs::remove_file(&name).expect("there");
    }
    std::fs::remove_dir_all(&place).expect("there");
    std::fs::write(&place, "no directory").expect("written");
    let (height, _, unread) = newest();
    assert_eq!(height, None);
    assert!(unread[0].contains("checkpoints"), "{unread:?}");
}

#[test]
fn a_renamed_or_foreign_file_is_not_believed() {
    let io = MemoryIo::new();
    let shared: Arc<dyn BlockIo> = Arc::new(io.clone());
    write(&shared, 5).expect("memory does not fail");
    let other = load_newest_checkpoint(&shared, Path::new(DIR), [1; 32]);
    assert!(matches!(other, Err(StoreError::ForeignGenesis { .. })));
    io.rename(&path(5), &path(9)).expect("there");
    assert_eq!(newest(&shared), (None, 1));
}

#[test]
fn a_power_cut_at_any_byte_leaves_the_older_or_the_newer_one() {
    let disk = RecordingIo::new();
    let io: Arc<dyn BlockIo> = Arc::new(disk.clone());
    for height in 1..=4 {
        write(&io, height).expect("memory does not fail");
        disk.mark(height);
    }
    let log = disk.log();
    let judge = |files, told: u64, context: &str| {
        let io: Arc<dyn BlockIo> = Arc::new(MemoryIo::from_files(files));
        let (found, damaged) = newest(&io);
        let found = found.unwrap_or(0);
        assert!(
            found == told || found == told + 1,
            "{context}: {found} after {told}"
        );
        assert_eq!(damaged, 0, "{context}");
    };
    log.prefix_images(&mut |files, told| judge(files, told, "prefix"));
    for cut in log.cuts() {
        for seed in 0..60 {
            let (files, told) = log.random_image(cut, &mut SplitMix(seed * 1000 + cut as u64));
            judge(files, told, &format!("cut {cut} seed {seed}"));
        }
    }
}

#[test]
fn a_failing_call_or_writer_leaves_the_older_one() {
    for fail_at in 0.. {
        let disk = MemoryIo::new();
        let plain: Arc<dyn BlockIo> = Arc::new(disk.clone());
        write(&plain, 1).expect("memory does not fail");
        let faulty = Arc::new(FaultyIo::new(Arc::new(disk), fail_at, Fault::TornWrite(5)));
        let io: Arc<dyn BlockIo> = faulty.clone();
        let result = write(&io, 2);
        if !faulty.fired() {
            result.expect("no fault, no failure");
            break;
        }
        assert!(
            matches!(result, Err(StoreError::Io { .. })),
            "call {fail_at}: {result:?}"
        );
        let (height, damaged) = newest(&plain);
        assert!(height.is_some() && damaged == 0, "call {fail_at}");
    }
    let io: Arc<dyn BlockIo> = Arc::new(MemoryIo::new());
    write(&io, 1).expect("memory does not fail");
    let failing = write_checkpoint(
        &io,
        Path::new(DIR),
        GENESIS,
        2,
        &mut |sink: &mut dyn Write| {
            sink.write_all(b"half")?;
            Err(io::ErrorKind::Other.into())
        },
    );
    assert!(matches!(failing, Err(StoreError::Io { .. })));
    assert_eq!(newest(&io), (Some(1), 0));
}
