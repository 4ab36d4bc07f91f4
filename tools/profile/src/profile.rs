//! Samples of a process: stacks by stage, each with how often it was seen.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::error::ProfileError;
use crate::folded::Folded;

/// Rust's mark between what starts a thread and the thread's own work.
const START_OF_WORK: &str = "__rust_begin_short_backtrace";

/// A function on a stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Its name, demangled.
    pub function: String,
    /// Source file, where the program tells.
    pub file: Option<String>,
    /// Line in it; 0 where it is not known.
    pub line: u32,
}

impl Frame {
    /// One of which no more is known than its name.
    #[must_use]
    pub fn named(function: &str) -> Self {
        Self {
            function: function.to_owned(),
            file: None,
            line: 0,
        }
    }
}

/// A stack and how often it was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stack {
    /// The stage of its thread.
    pub stage: String,
    /// Places from the root to the leaf, as indexes of [`Profile::places`].
    pub places: Vec<usize>,
    /// How often.
    pub samples: u64,
}

/// What was seen of a process.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// What took the samples.
    pub sampler: &'static str,
    /// Whether time in the kernel is in it.
    pub has_kernel: bool,
    /// From the first to the last sample that could be taken.
    pub lasted: Duration,
    /// Samples that came faster than they were taken away.
    pub samples_lost: u64,
    /// Stacks that are longer than what is copied of them, or that pass through code without unwind
    /// tables, by stage: they stand under it with their upper part.
    pub stacks_cut: BTreeMap<String, u64>,
    /// Threads for which no memory or file was left.
    pub threads_unseen: usize,
    /// Frames of each address, the caller before what was inlined into it.
    pub places: Vec<Vec<Frame>>,
    /// The stacks.
    pub stacks: Vec<Stack>,
}

impl Profile {
    /// All samples.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.stacks.iter().map(|stack| stack.samples).sum()
    }

    /// Samples of each stage, the busiest first.
    #[must_use]
    pub fn stages(&self) -> Vec<(&str, u64)> {
        let mut samples = BTreeMap::new();
        for stack in &self.stacks {
            *samples.entry(stack.stage.as_str()).or_insert(0) += stack.samples;
        }
        let mut stages: Vec<_> = samples.into_iter().collect();
        stages.sort_by_key(|(_, samples)| std::cmp::Reverse(*samples));
        stages
    }

    /// The same of one stage's threads.
    ///
    /// # Errors
    /// [`ProfileError::NoStage`] where none of them ran.
    pub fn of_stage(mut self, stage: &str) -> Result<Self, ProfileError> {
        let stages: Vec<_> = self.stages().into_iter().map(|(name, _)| name).collect();
        if !stages.contains(&stage) {
            return Err(ProfileError::NoStage {
                stage: stage.to_owned(),
                others: stages.join(", "),
            });
        }
        self.stacks.retain(|stack| stack.stage == stage);
        self.stacks_cut.retain(|name, _| name == stage);
        Ok(self)
    }

    /// A line for each stack: its stage, then its functions from where the thread's own work
    /// begins.
    #[must_use]
    pub fn folded(&self) -> Folded {
        let mut folded = Folded::default();
        for stack in &self.stacks {
            let frames = self.work(stack).map(|frame| frame.function.as_str());
            let frames = std::iter::once(stack.stage.as_str()).chain(frames);
            folded.add(frames, stack.samples);
        }
        folded
    }

    /// Frames from the root to the leaf, without those that started the thread.
    fn work<'a>(&'a self, stack: &'a Stack) -> impl Iterator<Item = &'a Frame> {
        let frames = || stack.places.iter().flat_map(|place| &self.places[*place]);
        let starts = |frame: &Frame| frame.function.contains(START_OF_WORK);
        let before = frames().position(starts).map_or(0, |at| at + 1);
        frames().skip(before)
    }
}

/// Counts stacks while they come in, each place once.
#[derive(Debug)]
pub(crate) struct Counting<P> {
    numbers: HashMap<P, usize>,
    places: Vec<P>,
    counts: HashMap<(u32, Vec<usize>), u64>,
}

impl<P: Clone + Eq + std::hash::Hash> Counting<P> {
    pub(crate) fn new() -> Self {
        Self {
            numbers: HashMap::new(),
            places: Vec::new(),
            counts: HashMap::new(),
        }
    }

    /// One more sample of a thread, with its stack from the leaf to the root.
    pub(crate) fn add(&mut self, thread: u32, from_leaf: &[P]) {
        let from_root = from_leaf.iter().rev();
        let stack = from_root.map(|place| self.number(place)).collect();
        *self.counts.entry((thread, stack)).or_insert(0) += 1;
    }

    fn number(&mut self, place: &P) -> usize {
        if let Some(number) = self.numbers.get(place) {
            return *number;
        }
        let number = self.places.len();
        self.places.push(place.clone());
        self.numbers.insert(place.clone(), number);
        number
    }

    /// Places and stacks, with the stage of each thread in place of its number.
    pub(crate) fn finish(
        self,
        stage: impl Fn(u32) -> String,
        frames: impl FnMut(&P) -> Vec<Frame>,
    ) -> (Vec<Vec<Frame>>, Vec<Stack>) {
        let mut stacks = BTreeMap::new();
        for ((thread, places), samples) in self.counts {
            *stacks.entry((stage(thread), places)).or_insert(0) += samples;
        }
        let stacks = stacks.into_iter().map(|((stage, places), samples)| Stack {
            stage,
            places,
            samples,
        });
        (self.places.iter().map(frames).collect(), stacks.collect())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Threads 1 and 2 are of stage `verify`, 3 of `store`.
    pub(crate) fn sample() -> Profile {
        let mut counting = Counting::new();
        let rows: [(u32, &[&str]); 6] = [
            (
                1,
                &["sum", "check", "std::__rust_begin_short_backtrace", "clone"],
            ),
            (
                2,
                &["sum", "check", "std::__rust_begin_short_backtrace", "clone"],
            ),
            (1, &["check", "std::__rust_begin_short_backtrace", "clone"]),
            (2, &[]),
            (3, &["write", "clone"]),
            (3, &["write", "clone"]),
        ];
        for (thread, stack) in rows {
            counting.add(thread, stack);
        }
        let stage = |thread| match thread {
            3 => "store".to_owned(),
            _ => "verify".to_owned(),
        };
        let (places, stacks) = counting.finish(stage, |name| match *name {
            "check" => vec![Frame::named("check"), Frame::named("inlined")],
            name => vec![Frame::named(name)],
        });
        Profile {
            places,
            stacks,
            ..Profile::default()
        }
    }

    #[test]
    fn threads_of_a_stage_fold_together_from_where_their_work_begins() {
        let rows = [
            ("store;clone;write", 2),
            ("verify", 1),
            ("verify;check;inlined", 1),
            ("verify;check;inlined;sum", 2),
        ];
        let expected: String = rows
            .map(|(stack, samples)| format!("{stack} {samples}\n"))
            .concat();
        assert_eq!(sample().folded().to_text(), expected);
        assert_eq!(sample().samples(), 6);
    }

    #[test]
    fn a_stage_can_be_looked_at_alone_and_one_that_did_not_run_is_told_from_those_that_did() {
        let mut all = sample();
        assert_eq!(all.stages(), [("verify", 4), ("store", 2)]);
        all.stacks_cut = [("verify", 3), ("store", 1)]
            .map(|(stage, cut)| (stage.to_owned(), cut))
            .into();
        let store = all.of_stage("store").expect("it ran");
        assert_eq!(store.stacks_cut.values().sum::<u64>(), 1);
        assert_eq!(store.folded().to_text(), "store;clone;write 2\n");
        let none = sample().of_stage("order").expect_err("it did not run");
        let said = none.to_string();
        assert!(said.contains("verify, store"), "{said}");
    }
}
