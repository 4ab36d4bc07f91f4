//! A journal with a damaged file: needed, or final in full.
use std::path::{Path, PathBuf};

use super::{Node, OrderError, Rig, audit, recover, start};
use crate::tests::genesis;

/// The journal's files, by view.
fn files(dir: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(dir.join("engine/votes")).expect("a journal");
    let mut files: Vec<_> = names.map(|entry| entry.expect("listed").path()).collect();
    files.sort();
    files
}

/// Flips a bit in the head of a file, which is never taken for torn.
fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).expect("read");
    bytes[2] ^= 0x10;
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
    for (tag, place) in [(4, 0), (5, 1), (6, 2)] {
        let certificate = recover(&genesis(1), &node.log).certificate;
        let view = certificate.expect("blocks are certified").view;
        let newest = format!("{view:016x}");
        let files = files(dir.path());
        let settled = files
            .iter()
            .filter(|file| file.file_name() <= Some(newest.as_ref()));
        let settled: Vec<_> = settled.collect();
        // The oldest, one between, the newest.
        flip(settled[(settled.len() - 1) * place / 2]);
        node.delivered.clear();
        node = goes_on(start(dir.path(), node), tag);
        assert!(dir.path().join("engine/settled").join(&newest).exists());
        let expected: Vec<u64> = (0..=tag).collect();
        assert_eq!(audit(&node.log), expected);
    }
}

#[test]
fn damage_above_the_newest_stored_certificate_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = some_blocks(dir.path());
    // A store that has kept no final block: everything in the journal is needed.
    let files = files(dir.path());
    flip(&files[files.len() / 2]);
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
    assert!(files.iter().all(|file| file.exists()), "nothing was moved");
}
