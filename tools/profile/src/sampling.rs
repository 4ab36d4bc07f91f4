//! Samples a process for a while: rings of samples are emptied, stacks walked and counted.

mod images;
mod rings;
mod walker;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::error::ProfileError;
use crate::processes;
use crate::profile::{Counting, Frame, Profile};
use crate::sampling::images::{Images, Place};
use crate::sampling::rings::Rings;
use crate::sampling::walker::Walker;

/// How often samples are taken away: the smallest ring holds four times as many.
const DRAIN_INTERVAL: Duration = Duration::from_millis(10);
/// How often new threads are looked for: one that lives shorter may be missed.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(20);

/// Samples process `pid` for `at_most` this long, while it runs and `goes_on` says so; `stage`
/// tells the stage of a thread by its name.
///
/// # Errors
/// Where the process does not run, is not this user's, or cannot be sampled, and where it did not
/// run at all meanwhile.
pub fn record(
    pid: u32,
    at_most: Duration,
    stage: fn(&str) -> &str,
    goes_on: &mut dyn FnMut() -> bool,
) -> Result<Profile, ProfileError> {
    processes::check_owner(pid)?;
    let (mut rings, mut names) = opened(pid)?;
    let mut images = Images::new(pid);
    let mut walker = Walker::new();
    let mut counting = Counting::new();
    let mut cut = BTreeMap::<u32, u64>::new();
    let start = Instant::now();
    let (mut followed, mut seen) = (start, start);
    loop {
        let is_over = !goes_on() || start.elapsed() >= at_most;
        let alive = match is_over || followed.elapsed() >= FOLLOW_INTERVAL {
            true => Some(processes::threads(pid)),
            false => None,
        };
        rings.drain(|sample| {
            let is_whole = walker.walk(&mut images, sample);
            *cut.entry(sample.thread).or_default() += u64::from(!is_whole);
            counting.add(sample.thread, walker.stack());
        });
        let alive_count = alive.as_ref().map(Vec::len);
        if let Some(alive) = alive {
            followed = Instant::now();
            // Ended threads keep the names that they had.
            names.extend(alive.iter().cloned());
            rings.follow(alive.iter().map(|(thread, _)| *thread));
        }
        if !rings.is_empty() {
            seen = Instant::now();
        }
        let has_ended = alive_count == Some(0) || seen.elapsed() >= GONE_AFTER;
        if is_over || has_ended {
            break;
        }
        std::thread::sleep(DRAIN_INTERVAL);
    }
    let lasted = start.elapsed();
    let stage_of = |thread| {
        names
            .get(&thread)
            .map_or("other", |name| stage(name))
            .to_owned()
    };
    let mut stacks_cut = BTreeMap::new();
    for (thread, count) in cut {
        *stacks_cut.entry(stage_of(thread)).or_default() += count;
    }
    let (places, stacks) = counting.finish(stage_of, |place: &Place| images.frames(place));
    if stacks.is_empty() {
        return Err(ProfileError::Idle { pid });
    }
    Ok(Profile {
        sampler: "perf_event_open",
        has_kernel: rings.has_kernel(),
        lasted,
        samples_lost: rings.samples_lost(),
        stacks_cut,
        threads_unseen: rings.threads_unseen(),
        places: places.into_iter().map(shortened).collect(),
        stacks,
    })
}

/// A process without a living thread for so long has ended, and nobody has asked it how.
const GONE_AFTER: Duration = Duration::from_secs(1);
/// How often it is tried again where all threads of a process have just ended: it may be calling
/// another program in its place, or itself.
const OPEN_TRIES: u32 = 20;

/// Rings and names of the threads that a process has.
fn opened(pid: u32) -> Result<(Rings, BTreeMap<u32, String>), ProfileError> {
    let mut tries = 0;
    loop {
        let names = BTreeMap::from_iter(processes::threads(pid));
        match Rings::open(pid, names.keys().copied()) {
            Ok(rings) => return Ok((rings, names)),
            Err(ProfileError::NoProcess { .. }) if !names.is_empty() && tries < OPEN_TRIES => {
                tries += 1;
                std::thread::sleep(DRAIN_INTERVAL);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Generic arguments of closures and futures can fill pages.
const FUNCTION_CHARS_MAX: usize = 200;

fn shortened(mut frames: Vec<Frame>) -> Vec<Frame> {
    for frame in &mut frames {
        if let Some((at, _)) = frame.function.char_indices().nth(FUNCTION_CHARS_MAX) {
            frame.function.truncate(at);
            frame.function.push_str("...");
        }
    }
    frames
}
