//! A journal with a damaged file: needed, or final in full.
use std::path::{Path, PathBuf};

use super::{Node, OrderError, Rig, audit, recover, start};
use crate::tests::genesis;

/// The file that a new journal writes to.
fn file(dir: &Path) -> PathBuf {
    dir.join("engine/journal-0")
}

/// Flips a bit of a frame that others follow, which no power cut does.
fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).expect("read");
    bytes[at] ^= 0x10;
    std::fs::write(file, bytes).expect("written");
}

/// Some blocks, each with a payment and a certificate of its own.
fn some_blocks(dir: &Path) -> Node {
    let rig = start(dir, Node::default());
    for tag in 0..4 {
        rig.submit(tag);
        rig.wait_for_tags(usize::try_from(tag).expect("few") + 1);
    }
    rig.stop()
}

fn goes_on(rig: Rig, tag: u64) -> Node {
    rig.submit(tag);
    rig.wait_for_tags(1);
    assert_eq!(rig.handle.metrics().journals_mended.value(), 1);
    rig.stop()
}

#[test]
fn damage_in_views_that_are_final_in_the_store_does_not_stop_a_start() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut node = some_blocks(dir.path());
    // The first frame's head, its payload, a later frame.
    for (tag, at) in [(4, 9), (5, 40), (6, 6000)] {
        assert!(recover(&genesis(1), &node.log).certificate.is_some());
        flip(&file(dir.path()), at);
        node.delivered.clear();
        node = goes_on(start(dir.path(), node), tag);
        assert!(dir.path().join("engine/settled/journal-0").exists());
        let expected: Vec<u64> = (0..=tag).collect();
        assert_eq!(audit(&node.log), expected);
    }
}

#[test]
fn damage_above_the_newest_stored_certificate_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = some_blocks(dir.path());
    // A store that has kept no final block: everything in the journal is needed.
    let file = file(dir.path());
    flip(&file, 40);
    let finals = |record: &super::Record| matches!(record, super::Record::Final(_));
    let log = node.log.into_iter().filter(|record| !finals(record));
    let log = log.collect();
    let rig = start(
        dir.path(),
        Node {
            log,
            ..Node::default()
        },
    );
    let error = rig.run.join().expect("no panic").expect_err("damaged");
    assert!(
        matches!(error, OrderError::JournalDamaged { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("(never the log) away"),
        "{error}"
    );
    assert_eq!(rig.handle.metrics().journals_mended.value(), 0);
    assert!(file.exists(), "nothing was moved");
}

/// Where the frames of a file begin.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let begins = (0..bytes.len()).step_by(512);
    begins
        .filter(|at| bytes[*at..].starts_with(b"CWJ1"))
        .collect()
}

/// A journal that lacks its newest syncs, the last of which may be torn, as a power cut leaves it
/// on a disk that forgot them.
#[test]
fn whatever_a_power_cut_leaves_of_the_journal_the_engine_goes_on_from_the_store() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut node = some_blocks(dir.path());
    let whole = std::fs::read(file(dir.path())).expect("read");
    let other = std::fs::read(dir.path().join("engine/journal-1")).expect("read");
    let frames = frames(&whole);
    assert!(frames.len() > 12, "{} frames", frames.len());
    let cuts = [0, 1, frames.len() / 3, frames.len() / 2, frames.len() - 1];
    for (tag, cut) in (4..).zip(cuts) {
        // The head of the frame stands, and half of what it holds is gone.
        let mut torn = whole.clone();
        torn[frames[cut] + 256..].fill(0);
        std::fs::write(file(dir.path()), torn).expect("written");
        std::fs::write(dir.path().join("engine/journal-1"), &other).expect("written");
        node.delivered.clear();
        let rig = start(dir.path(), node);
        rig.submit(tag);
        rig.wait_for_tags(1);
        assert_eq!(rig.handle.metrics().journals_mended.value(), 0, "cut {cut}");
        node = rig.stop();
        let expected: Vec<u64> = (0..=tag).collect();
        assert_eq!(audit(&node.log), expected, "cut {cut}");
    }
}
