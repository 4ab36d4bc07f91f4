//! Processor time by stage: the threads of this process, summed by the names they carry.

use std::collections::BTreeMap;

use crate::machine::Usage;

/// Threads of the process that carry no stage's name: they ended in between, or belong to the
/// program around the node.
const OTHER: &str = "other";

/// What a process used during a run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Spent {
    /// All of it.
    pub usage: Usage,
    /// Processor seconds by stage; empty where the system does not tell a thread's time.
    pub stages: BTreeMap<String, f64>,
}

/// Reads what this process uses from its start to its stop.
#[derive(Debug)]
pub struct Meter {
    usage: Usage,
    stages: BTreeMap<String, f64>,
}

impl Meter {
    /// Starts reading.
    #[must_use]
    pub fn start() -> Self {
        Self {
            usage: Usage::now(),
            stages: by_stage(),
        }
    }

    /// What was used since the start.
    #[must_use]
    pub fn stop(self) -> Spent {
        let usage = Usage::now().since(&self.usage);
        let stages = since(by_stage(), &self.stages, usage.cpu_seconds);
        Spent { usage, stages }
    }
}

/// Processor seconds of the living threads that carry a stage's name.
fn by_stage() -> BTreeMap<String, f64> {
    let mut seconds = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten() {
        // A thread that ends while it is read is one of the others.
        let Ok(folder) = task.map(|task| task.path()) else {
            continue;
        };
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        let (Some(name), Some(time)) = (text("comm"), text("schedstat")) else {
            continue;
        };
        if let (Some(stage), Some(s)) = (stage(name.trim_end()), cpu_seconds(&time)) {
            *seconds.entry(stage.to_owned()).or_insert(0.0) += s;
        }
    }
    seconds
}

/// The differences; what remains of `total` is nobody's.
fn since(
    mut now: BTreeMap<String, f64>,
    before: &BTreeMap<String, f64>,
    total: f64,
) -> BTreeMap<String, f64> {
    for (stage, seconds) in &mut now {
        *seconds -= before.get(stage).copied().unwrap_or(0.0);
    }
    if !now.is_empty() {
        let named: f64 = now.values().sum();
        now.insert(OTHER.to_owned(), (total - named).max(0.0));
    }
    now
}

/// The stage of a thread: its name without the worker's number; the engine's own threads order.
#[must_use]
pub fn stage(thread: &str) -> Option<&str> {
    match thread {
        "tokio-rt-worker" => Some("order"),
        "load" => Some("load"),
        name => {
            let (stage, number) = name.rsplit_once('-')?;
            number.parse::<usize>().is_ok().then_some(stage)
        }
    }
}

/// The first number of a `schedstat`: nanoseconds on a processor.
fn cpu_seconds(schedstat: &str) -> Option<f64> {
    let ns: f64 = schedstat.split(' ').next()?.trim().parse().ok()?;
    Some(ns / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_belong_to_the_stage_they_are_named_after() {
        let rows = [
            ("verify-0", Some("verify")),
            ("verify-12", Some("verify")),
            ("tokio-rt-worker", Some("order")),
            ("load", Some("load")),
            ("clearway", None),
            ("main", None),
            ("some-name", None),
        ];
        for (thread, expected) in rows {
            assert_eq!(stage(thread), expected, "{thread}");
        }
        assert_eq!(cpu_seconds("1500000000 7 3\n"), Some(1.5));
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    fn a_stage_is_booked_for_what_it_used_and_the_rest_is_nobodys() {
        let at = |verify: f64| BTreeMap::from([("verify".to_owned(), verify)]);
        let split = since(at(4.0), &at(1.0), 5.0);
        assert!((split["verify"] - 3.0).abs() < 1e-9);
        assert!((split[OTHER] - 2.0).abs() < 1e-9);
        assert!(since(BTreeMap::new(), &BTreeMap::new(), 5.0).is_empty());
    }

    #[test]
    fn a_named_thread_that_works_is_seen() {
        if !std::path::Path::new("/proc/self/schedstat").exists() {
            println!("this system does not tell a thread's time: nothing to see");
            return;
        }
        let meter = Meter::start();
        let worker = std::thread::Builder::new().name("spin-0".into());
        let seen = worker.spawn(move || {
            let start = Usage::now().cpu_seconds;
            while Usage::now().cpu_seconds - start < 0.05 {}
            meter.stop()
        });
        let seen = seen.expect("it starts").join().expect("it ends");
        assert!(seen.stages["spin"] > 0.0, "{seen:?}");
    }
}
