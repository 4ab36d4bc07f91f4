//! The engine pauses while its journal's disk is full, and goes on from where it was.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::config;
use super::{Node, Rig, TIMEOUT, audit, engine_config, start_paced, start_with};
use crate::JournalRoom;

/// A disk that is full while a switch says so.
#[derive(Default)]
struct Switch {
    full: AtomicBool,
}

impl JournalRoom for Switch {
    fn has_room(&self) -> bool {
        !self.full.load(Ordering::SeqCst)
    }

    fn ran_out(&self) -> bool {
        !self.has_room()
    }

    fn has_room_again(&self) -> bool {
        self.has_room()
    }
}

fn wait_for_pause(rig: &Rig, round: u64) {
    let since = Instant::now();
    while rig.handle.metrics().journal_pauses.value() < round {
        assert!(since.elapsed() < TIMEOUT, "ordering goes on");
        std::thread::yield_now();
    }
}

#[test]
fn a_full_disk_pauses_ordering_and_what_came_meanwhile_is_ordered_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let room = Arc::new(Switch::default());
    let mut engine = engine_config(dir.path());
    engine.journal_room = room.clone();
    let rig = start_with(engine, Node::default());
    rig.submit(0);
    rig.wait_for_tags(1);
    for round in 1..=3 {
        room.full.store(true, Ordering::SeqCst);
        wait_for_pause(&rig, round);
        let before = rig.node.0.lock().expect("no panic").delivered.len();
        rig.submit(2 * round - 1);
        rig.submit(2 * round);
        let delivered = rig.node.0.lock().expect("no panic").delivered.len();
        assert_eq!(delivered, before, "no view is begun");
        room.full.store(false, Ordering::SeqCst);
        rig.wait_for_tags(usize::try_from(2 * round + 1).expect("small"));
    }
    // A stop does not wait for room.
    room.full.store(true, Ordering::SeqCst);
    let node = rig.stop();
    assert_eq!(audit(&node.log), (0..7).collect::<Vec<_>>());
}

/// The journal has let go of the views in which the first engine of this process started.
#[test]
fn an_engine_goes_on_after_a_pause_however_many_views_the_one_before_it_saw() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let room = Arc::new(Switch::default());
    let mut engine = engine_config(dir.path());
    engine.journal_room = room.clone();
    let mut order = config(1);
    order.view_pace = Duration::from_millis(1);
    let rig = start_paced(order, engine, Node::default());
    let mut tag = 0;
    for round in 1..=2 {
        let until = rig.handle.metrics().view.value() + 300;
        while rig.handle.metrics().view.value() < until {
            rig.submit(tag);
            tag += 1;
            rig.wait_for_tags(usize::try_from(tag).expect("small"));
        }
        room.full.store(true, Ordering::SeqCst);
        wait_for_pause(&rig, round);
        room.full.store(false, Ordering::SeqCst);
        rig.submit(tag);
        tag += 1;
        rig.wait_for_tags(usize::try_from(tag).expect("small"));
        let newest = rig.handle.certificate().expect("reported");
        assert!(newest.view >= until, "{newest:?}");
    }
    let node = rig.stop();
    assert_eq!(audit(&node.log), (0..tag).collect::<Vec<_>>());
}
