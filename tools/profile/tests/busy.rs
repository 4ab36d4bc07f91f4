//! A child process that works in a function of a known name: the profile finds it there.

use std::hint::black_box;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clearway_profile::{Profile, ProfileError, record};

/// Set in the child.
const CHILD: &str = "PROFILE_TEST_CHILD";
/// Longest life of a child whose parent has gone.
const LIFE: Duration = Duration::from_secs(60);
/// How long it is sampled.
const SAMPLED: Duration = Duration::from_secs(1);

#[inline(never)]
fn a_function_that_works(until: Instant) -> u64 {
    let mut sum = 0_u64;
    while Instant::now() < until {
        sum = (0..10_000).fold(sum, |sum, number| black_box(sum.wrapping_mul(31) ^ number));
    }
    sum
}

#[inline(never)]
fn its_caller(until: Instant) -> u64 {
    a_function_that_works(until).wrapping_add(1)
}

/// What the child does: two threads of one stage work, the first one waits.
#[test]
fn works_where_it_is_the_child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let until = Instant::now() + LIFE;
    let workers = ["spin-0", "spin-1"].map(|name| {
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || its_caller(until)).expect("it starts")
    });
    for worker in workers {
        black_box(worker.join().expect("it ends"));
    }
}

/// A child that is killed when the test ends.
struct Working(Child);

impl Working {
    fn start(is_busy: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("it runs"));
        match is_busy {
            true => command.args(["--exact", "works_where_it_is_the_child"]),
            false => command.args(["--exact", "waits_where_it_is_the_child"]),
        };
        command.env(CHILD, "1").stdout(Stdio::null());
        Self(command.stdin(Stdio::piped()).spawn().expect("it starts"))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the child does that uses no processor: it waits for its parent.
#[test]
fn waits_where_it_is_the_child() {
    if std::env::var_os(CHILD).is_some() {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).expect("read");
    }
}

fn stage(thread: &str) -> &str {
    thread.split_once('-').map_or(thread, |(stage, _)| stage)
}

/// Says loudly that a test did not run where this machine lets nobody sample; where
/// `CLEARWAY_REQUIRE` names `profile`, that is a failure.
fn allowed(profile: Result<Profile, ProfileError>) -> Option<Result<Profile, ProfileError>> {
    match profile {
        Err(error @ (ProfileError::Forbidden { .. } | ProfileError::Nowhere)) => {
            let required = std::env::var("CLEARWAY_REQUIRE").unwrap_or_default();
            assert!(
                !required.split(',').any(|name| name == "profile"),
                "CLEARWAY_REQUIRE names profile: {error}"
            );
            println!("NOT RUN: {error}");
            None
        }
        profile => Some(profile),
    }
}

#[test]
fn a_busy_function_is_found_by_name_below_its_caller_and_its_stage() {
    let child = Working::start(true);
    let Some(profile) = allowed(record(child.0.id(), SAMPLED, stage, &mut || true)) else {
        return;
    };
    let profile = profile.expect("it works");
    let text = profile.folded().to_text();
    let samples = profile.samples();
    assert!(samples > 20, "{samples} samples\n{text}");
    let within: u64 = text
        .lines()
        .filter(|line| {
            let at = |name: &str| line.find(name);
            let (caller, function) = (at("::its_caller;"), at("::a_function_that_works"));
            line.starts_with("spin;") && caller.is_some() && caller < function
        })
        .map(|line| {
            line.rsplit(' ')
                .next()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0)
        })
        .sum();
    assert!(within * 10 >= samples * 8, "{within} of {samples}\n{text}");
    let of_spin = profile.of_stage("spin").expect("it ran");
    let text = of_spin.folded().to_text();
    assert!(!text.contains("begin_short_backtrace"), "{text}");
}

#[test]
fn a_process_that_waits_is_told_from_one_that_is_not_there() {
    let child = Working::start(false);
    // It has come to its wait when its first thread sleeps.
    let started = Instant::now();
    while started.elapsed() < LIFE {
        let at = format!("/proc/{}/stat", child.0.id());
        let stat = std::fs::read_to_string(at).unwrap_or_default();
        if stat.contains(") S ") {
            break;
        }
        std::thread::yield_now();
    }
    let brief = Duration::from_millis(100);
    let Some(idle) = allowed(record(child.0.id(), brief, stage, &mut || true)) else {
        return;
    };
    if let Err(error) = idle {
        assert!(matches!(error, ProfileError::Idle { .. }), "{error}");
    }
    let gone = child.0.id();
    drop(child);
    let error = record(gone, brief, stage, &mut || true).expect_err("it has ended");
    assert!(matches!(error, ProfileError::NoProcess { .. }), "{error}");
}

#[test]
fn sampling_ends_when_it_is_told_to_and_when_the_process_ends() {
    let mut child = Working::start(true);
    let long = Duration::from_secs(600);
    let mut asked = 0;
    let profile = record(child.0.id(), long, stage, &mut || {
        asked += 1;
        asked < 20
    });
    let Some(profile) = allowed(profile) else {
        return;
    };
    assert!(profile.expect("it works").lasted < LIFE);
    let mut asked = 0;
    let profile = record(child.0.id(), long, stage, &mut || {
        asked += 1;
        if asked == 20 {
            child.0.kill().expect("it runs");
            child.0.wait().expect("it ends");
        }
        true
    });
    assert!(profile.expect("it worked").lasted < LIFE);
}
