//! Every disk that a crash can leave: a real node's run is recorded from outside its code, crash
//! images are made from the record, and a node is started on each.
//!
//! `CLEARWAY_IMAGES` sets how many images are tried (0: every moment of the run), `CLEARWAY_SEED`
//! which.

mod content;
mod disk;
mod member;
mod recover;
mod run;

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError, mpsc};

use clearway_harness::Recorder;
use clearway_harness::record::{Event, Recorded};
use clearway_harness::setting;
use clearway_load::random::Random;

use crate::content::to_usize;
use crate::disk::{Deaf, Disk, Image};
use crate::recover::{Question, Recovery};
use crate::run::Run;

/// Images of a usual test run.
const IMAGES_DEFAULT: u64 = 100;
/// Images of the run whose payments live for some seconds.
const LATE_IMAGES: u64 = 30;
/// One image in this many is replayed from its first block too.
const REPLAYED_EACH: u64 = 10;
/// Nodes that run at the same time.
const WORKERS: usize = 2;
/// Images of a row that leaves out syncs, at a time: the first that fails ends it.
const ROW_IMAGES: usize = 12;
/// A row cuts the power so soon after a sync that was left out: later ones may make up for it.
const MOMENTS_AFTER: u64 = 8;

/// The recorded runs; `None` where nothing can be recorded.
static RUNS: LazyLock<Option<Runs>> = LazyLock::new(|| {
    let recorder = Recorder::build()?;
    Some(Runs {
        long: Run::make(&recorder, 3600),
        short: Run::make(&recorder, 8),
    })
});

struct Runs {
    /// Payments live longer than the test takes: whatever a crash interrupted settles afterwards.
    long: Run,
    /// Payments live for some seconds: what a crash interrupted comes too late.
    short: Run,
}

/// An image with its story.
struct Case {
    story: String,
    image: Image,
    question: Question,
}

/// What was wrong with an image, with its story.
type Fault = String;

/// Kinds of crash: all calls up to the moment arrived; some bytes of the next write too; the power
/// went, and of what was not synced came what may; nothing of it came.
#[derive(Clone, Copy, Debug)]
enum Crash {
    Kill,
    TornWrite,
    PowerCut,
    BarePowerCut,
}

impl Crash {
    fn image(self, disk: &Disk, next: Option<&Recorded>, random: &mut Random) -> Image {
        match (self, next.map(|next| &next.event)) {
            (Self::PowerCut, _) => disk.cut(random),
            (Self::BarePowerCut, _) => disk.bare(),
            (Self::TornWrite, Some(event @ Event::Write { bytes, .. })) => {
                let mut torn = event.clone();
                if let Event::Write { bytes: kept, .. } = &mut torn {
                    kept.truncate(to_usize(random.below(bytes.len() as u64)));
                }
                let mut disk = disk.clone();
                disk.apply(&torn);
                disk.live()
            }
            _ => disk.live(),
        }
    }
}

/// Moments to crash at, with the kinds of crash; a moment is a count of events.
type Plan = BTreeMap<u64, Vec<Crash>>;

/// This many images, of kinds that follow each other, at moments chosen by chance, each at most
/// once before all were; of each kind one at every moment for `count` 0.
fn plan(moments: Vec<u64>, count: u64, kinds: &[Crash], random: &mut Random) -> Plan {
    if count == 0 {
        return moments
            .into_iter()
            .map(|moment| (moment, kinds.to_vec()))
            .collect();
    }
    let mut plan = Plan::new();
    let mut left = Vec::new();
    for (_, kind) in (0..count).zip(kinds.iter().cycle()) {
        if left.is_empty() {
            left.clone_from(&moments);
        }
        let moment = left.swap_remove(to_usize(random.below(left.len() as u64)));
        plan.entry(moment).or_default().push(*kind);
    }
    plan
}

/// The moments of the run at which the disk is so.
fn moments(run: &Run, deaf: Deaf, so: impl Fn(&Disk) -> bool) -> Vec<u64> {
    let mut disk = run.before.clone().deaf_to(deaf);
    let mut moments = Vec::new();
    for (moment, recorded) in (1..).zip(&run.events) {
        disk.apply(&recorded.event);
        if so(&disk) {
            moments.push(moment);
        }
    }
    moments
}

/// Walks the record and makes an image at each planned moment, until nobody wants more.
fn make_images(
    run: &Run,
    deaf: Deaf,
    plan: &Plan,
    random: &mut Random,
    give: &mut dyn FnMut(Case) -> bool,
) {
    let mut disk = run.before.clone().deaf_to(deaf);
    for (moment, recorded) in (1_u64..).zip(&run.events) {
        disk.apply(&recorded.event);
        let next = run.events.get(to_usize(moment));
        for crash in plan.get(&moment).into_iter().flatten() {
            let case = Case {
                story: format!("{crash:?} after call {moment} of {}", run.events.len()),
                image: crash.image(&disk, next, random),
                question: Question {
                    record_bytes: recorded.record_bytes,
                    replay: random.below(REPLAYED_EACH) == 0,
                },
            };
            if !give(case) {
                return;
            }
        }
    }
}

/// Checks images as they are made, a few at a time; answers the number tried and the first fault.
fn try_images(run: &Run, deaf: Deaf, plan: &Plan, random: &mut Random) -> (usize, Option<Fault>) {
    let recovery = Recovery::new(run);
    let (give, take) = mpsc::sync_channel::<Case>(WORKERS);
    let take = Mutex::new(take);
    let found = Mutex::new((0, None));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let next = || take.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok(case) = next() {
                    let checked = recovery.check(&case.image, case.question);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.0 += 1;
                    if let Err(fault) = checked {
                        found.1.get_or_insert(format!("{}: {fault}", case.story));
                    }
                }
            });
        }
        make_images(run, deaf, plan, random, &mut |case| {
            let found = found.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = found.1.is_none();
            drop(found);
            wanted && give.send(case).is_ok()
        });
        drop(give);
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn seed() -> u64 {
    setting("CLEARWAY_SEED", 1)
}

#[test]
fn the_record_tells_everything_that_the_node_did_to_its_files() {
    let Some(runs) = RUNS.as_ref() else { return };
    for run in [&runs.long, &runs.short] {
        let mut disk = run.before.clone();
        for recorded in &run.events {
            disk.apply(&recorded.event);
        }
        let difference = disk.live().difference(run.dir()).expect("readable");
        assert_eq!(difference, None, "changed by a call that was not recorded");
    }
}

#[test]
fn whatever_a_crash_leaves_a_node_starts_on_it_and_keeps_what_was_final() {
    let Some(runs) = RUNS.as_ref() else { return };
    let run = &runs.long;
    let (seed, images) = (seed(), setting("CLEARWAY_IMAGES", IMAGES_DEFAULT));
    let mut random = Random::new(seed);
    let kinds = [
        Crash::Kill,
        Crash::PowerCut,
        Crash::TornWrite,
        Crash::BarePowerCut,
    ];
    let moments = (1..=run.events.len() as u64).collect();
    let plan = plan(moments, images, &kinds, &mut random);
    let (tried, fault) = try_images(run, |_, _| false, &plan, &mut random);
    println!(
        "seed {seed}: {tried} images of {} moments, {} answers",
        run.events.len(),
        run.answers.len()
    );
    assert_eq!(fault, None, "seed {seed}");
    let planned: usize = plan.values().map(Vec::len).sum();
    assert_eq!(tried, planned, "seed {seed}");

    // By now the other run's payments have come to their end: a second copy that the crash
    // interrupted comes too late, and must not hide that the first one settled.
    let run = &runs.short;
    let repeated = |recorded: &Recorded| {
        let mut repeats = run.repeats.iter();
        repeats.any(|range| range.contains(&recorded.record_bytes))
    };
    let moments = (1..)
        .zip(&run.events)
        .filter(|(_, recorded)| repeated(recorded));
    let moments = moments.map(|(moment, _)| moment).collect();
    let plan = self::plan(
        moments,
        LATE_IMAGES,
        &[Crash::Kill, Crash::PowerCut],
        &mut random,
    );
    let (tried, fault) = try_images(run, |_, _| false, &plan, &mut random);
    println!("seed {seed}: {tried} images with payments that came too late");
    assert_eq!(fault, None, "seed {seed}");
}

/// Rounds over all moments of a row in which a needed sync must be missed.
const ROUNDS_MAX: usize = 3;

/// Which syncs are left out, and whether a power cut then breaks a promise. `None`: only one that
/// falls into a short moment, which not every recorded run has.
struct Row {
    what: &'static str,
    deaf: Deaf,
    needed: Option<bool>,
}

const ROWS: &[Row] = &[
    Row {
        what: "fdatasync of a segment: the records that an answer stands on",
        deaf: |name, _| name.ends_with(".seg"),
        needed: Some(true),
    },
    Row {
        // The first group's sync of the segment covers them too, once it has its name.
        what: "fdatasync of a segment in the making: its zeros and its head",
        deaf: |name, _| name.ends_with("next.prepared"),
        needed: None,
    },
    Row {
        what: "fsync of the log's folder: the names of segments, identity and watermark",
        deaf: |name, folder| folder && name == "data/log",
        needed: Some(true),
    },
    Row {
        what: "fsync of the folders above it: the log's own name",
        deaf: |name, folder| folder && (name == "data" || name.is_empty()),
        needed: Some(true),
    },
    Row {
        what: "fdatasync of a new identity",
        deaf: |name, _| name.ends_with("identity.tmp"),
        needed: Some(true),
    },
    Row {
        what: "fdatasync of a new watermark",
        deaf: |name, _| name.ends_with("watermark.tmp"),
        needed: Some(true),
    },
    Row {
        // It tells a torn tail from rot; a power cut alone finds every record whole.
        what: "fdatasync of the watermark at each commit",
        deaf: |name, _| name == "data/log/watermark",
        needed: Some(false),
    },
    Row {
        // The log has everything; a checkpoint that is not whole is passed over.
        what: "syncs of a checkpoint and its folder",
        deaf: |name, _| name.starts_with("data/checkpoints"),
        needed: Some(false),
    },
    Row {
        // No answer stands on it while there is one validator: its votes have never left the
        // machine, and a journal that lacks some of them, or all, begins at the newest stored
        // certificate. The journal's own tests hold its syncs.
        what: "syncs of the engine's journal",
        deaf: |name, _| name.starts_with("data/engine"),
        needed: Some(false),
    },
];

#[test]
fn a_sync_left_out_is_noticed_where_an_answer_needs_it() {
    let Some(Runs { long: run, .. }) = RUNS.as_ref() else {
        return;
    };
    let seed = seed();
    let mut random = Random::new(seed);
    let kinds = [Crash::BarePowerCut, Crash::PowerCut];
    for Row { what, deaf, needed } in ROWS {
        let moments = moments(run, *deaf, |disk| disk.left_out_within(MOMENTS_AFTER));
        assert!(!moments.is_empty(), "the node does not do this: {what}");
        let (mut tried, mut fault) = (0, None);
        // The late moments first: most is to be lost there. What a cut keeps is drawn, so a needed
        // sync gets more than one round to be missed.
        let rounds = if *needed == Some(true) { ROUNDS_MAX } else { 1 };
        for moments in (0..rounds).flat_map(|_| moments.rchunks(ROW_IMAGES)) {
            let plan = plan(moments.to_vec(), ROW_IMAGES as u64, &kinds, &mut random);
            let (more, found) = try_images(run, *deaf, &plan, &mut random);
            (tried, fault) = (tried + more, found);
            if fault.is_some() || *needed == Some(false) {
                break;
            }
        }
        let shown = fault.as_deref().unwrap_or("all hold");
        println!("{what}: {tried} images, {shown}");
        let noticed = fault.is_some();
        let expected = needed.unwrap_or(noticed);
        assert_eq!(noticed, expected, "seed {seed}: {what}: {fault:?}");
    }
}
