//! The answers of one stream: they arrive in any order and leave in stream order.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use clearway_types::code::Outcome;
use clearway_types::units::Height;
use clearway_types::wire::{OUTCOME_BYTES, RUN_HEADER_BYTES, RunHeader};

/// Collects answers; gives out the prefix that is complete.
#[derive(Debug)]
pub(crate) struct Answers {
    count: u32,
    /// First position that is not in `out` and was not taken.
    next: u32,
    /// Whole runs that have not been taken.
    out: BytesMut,
    /// The last run in `out`, if it can still grow.
    last: Option<OpenRun>,
    /// Runs behind a gap, by first position; no two of them answer the same position.
    waiting: BTreeMap<u32, (Height, Vec<Outcome>)>,
}

/// A run at the end of `out`.
#[derive(Clone, Copy, Debug)]
struct OpenRun {
    header_offset: usize,
    header: (Height, u32, u32),
}

impl Answers {
    /// The answers of a stream of `count` envelopes.
    pub(crate) fn new(count: u32) -> Self {
        Self {
            count,
            next: 0,
            out: BytesMut::new(),
            last: None,
            waiting: BTreeMap::new(),
        }
    }

    /// Takes in answers for consecutive positions. The first answer to a position stands.
    ///
    /// # Panics
    /// For positions that the stream does not have: the answering stage has mixed up streams.
    pub(crate) fn put(&mut self, first_index: u32, height: Height, outcomes: &[Outcome]) {
        let len = u32::try_from(outcomes.len()).unwrap_or(u32::MAX);
        let end = first_index.checked_add(len);
        assert!(
            end.is_some_and(|end| end <= self.count),
            "an answer beyond its stream"
        );
        if first_index > self.next {
            return self.keep(first_index, height, outcomes);
        }
        self.append(first_index, height, outcomes);
        while let Some(entry) = self.waiting.first_entry() {
            if *entry.key() > self.next {
                break;
            }
            let (first_index, (height, outcomes)) = entry.remove_entry();
            self.append(first_index, height, &outcomes);
        }
    }

    /// The bytes of all whole runs so far; `None` when there are none.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        self.last = None;
        (!self.out.is_empty()).then(|| self.out.split().freeze())
    }

    /// Whether every position has been given out.
    pub(crate) fn is_done(&self) -> bool {
        self.next == self.count && self.out.is_empty()
    }

    /// Keeps what is new of a run behind a gap.
    fn keep(&mut self, mut first_index: u32, height: Height, mut outcomes: &[Outcome]) {
        while !outcomes.is_empty() {
            let before = self.waiting.range(..=first_index).next_back();
            let known_end = before.map_or(0, |(start, (_, run))| *start as usize + run.len());
            let known = known_end.saturating_sub(first_index as usize);
            let passed = if known > 0 {
                known.min(outcomes.len())
            } else {
                let behind = self.waiting.range(first_index..).next();
                let gap =
                    behind.map_or(outcomes.len(), |(start, _)| (start - first_index) as usize);
                let new = &outcomes[..gap.min(outcomes.len())];
                self.waiting.insert(first_index, (height, new.to_vec()));
                new.len()
            };
            outcomes = &outcomes[passed..];
            first_index += u32::try_from(passed).expect("bounded by the stream's count");
        }
    }

    /// Appends what is new of a run that starts at or before `next`.
    fn append(&mut self, first_index: u32, height: Height, outcomes: &[Outcome]) {
        let known = (self.next - first_index) as usize;
        let Some(new) = outcomes.get(known..).filter(|new| !new.is_empty()) else {
            return;
        };
        let count = u32::try_from(new.len()).expect("bounded by the stream's count");
        let (header_offset, first_index, before) = match self.last {
            Some(OpenRun {
                header_offset,
                header: (same, first_index, before),
            }) if same == height => (header_offset, first_index, before),
            _ => {
                let offset = self.out.len();
                self.out.extend_from_slice(&[0; RUN_HEADER_BYTES]);
                (offset, self.next, 0)
            }
        };
        let header = (height, first_index, before + count);
        let bytes = RunHeader::new(header.0, header.1, header.2).to_bytes();
        self.out[header_offset..header_offset + RUN_HEADER_BYTES].copy_from_slice(&bytes);
        self.out.reserve(new.len() * OUTCOME_BYTES);
        for outcome in new {
            self.out.extend_from_slice(&outcome.to_bytes());
        }
        self.next += count;
        self.last = Some(OpenRun {
            header_offset,
            header,
        });
    }
}

#[cfg(test)]
mod tests {
    use clearway_types::code::ResultCode;
    use clearway_types::seeded::SplitMix;
    use clearway_types::wire::parse_outcomes;

    use super::*;

    /// Runs as (height, first position, count), checked to continue each other.
    fn runs(bytes: &[u8], next: &mut usize, total: usize) -> Vec<(u64, usize, usize)> {
        let (mut rest, mut found) = (bytes, Vec::new());
        while let Some((head, tail)) = rest.split_first_chunk::<RUN_HEADER_BYTES>() {
            let head = RunHeader::parse(*head, *next, total).expect("continues");
            let count = head.count.get() as usize;
            parse_outcomes(&tail[..count * OUTCOME_BYTES]).expect("known codes");
            found.push((head.height.get(), *next, count));
            *next += count;
            rest = &tail[count * OUTCOME_BYTES..];
        }
        assert!(rest.is_empty());
        found
    }

    fn settled(count: usize) -> Vec<Outcome> {
        vec![Outcome::new(ResultCode::Settled); count]
    }

    #[test]
    fn runs_leave_in_order_and_grow_together_at_one_height() {
        let mut answers = Answers::new(10);
        let mut next = 0;
        answers.put(4, Height(7), &settled(2));
        assert_eq!(answers.take(), None, "a gap before it");
        answers.put(0, Height(7), &settled(1));
        answers.put(1, Height(7), &settled(3));
        let bytes = answers.take().expect("a prefix");
        assert_eq!(runs(&bytes, &mut next, 10), [(7, 0, 6)]);
        answers.put(6, Height(7), &settled(1));
        answers.put(8, Height(9), &settled(2));
        answers.put(7, Height(0), &settled(1));
        let bytes = answers.take().expect("the rest");
        assert_eq!(
            runs(&bytes, &mut next, 10),
            [(7, 6, 1), (0, 7, 1), (9, 8, 2)]
        );
        assert!(answers.is_done());
    }

    #[test]
    fn the_first_answer_to_a_position_stands() {
        let mut answers = Answers::new(6);
        let mut next = 0;
        answers.put(3, Height(2), &settled(1));
        answers.put(3, Height(8), &settled(3));
        answers.put(0, Height(1), &settled(3));
        answers.put(1, Height(9), &settled(2));
        answers.put(2, Height(5), &settled(4));
        let bytes = answers.take().expect("all");
        assert_eq!(
            runs(&bytes, &mut next, 6),
            [(1, 0, 3), (2, 3, 1), (8, 4, 2)]
        );
        assert!(answers.is_done());
    }

    #[test]
    fn runs_that_overlap_behind_a_gap_lose_nothing_and_the_first_answer_stands() {
        type Put = (u32, u64, usize);
        type Runs = &'static [(u64, usize, usize)];
        let rows: [(&[Put], Runs); 3] = [
            (
                &[(4, 1, 1), (4, 2, 6), (0, 3, 4)],
                &[(3, 0, 4), (1, 4, 1), (2, 5, 5)],
            ),
            (
                &[(5, 1, 2), (4, 2, 6), (0, 3, 4)],
                &[(3, 0, 4), (2, 4, 1), (1, 5, 2), (2, 7, 3)],
            ),
            (
                &[(4, 1, 3), (5, 2, 5), (0, 3, 4)],
                &[(3, 0, 4), (1, 4, 3), (2, 7, 3)],
            ),
        ];
        for (row, (puts, expected)) in rows.into_iter().enumerate() {
            let mut answers = Answers::new(10);
            for &(first_index, height, count) in puts {
                answers.put(first_index, Height(height), &settled(count));
            }
            let bytes = answers.take().expect("all");
            assert_eq!(runs(&bytes, &mut 0, 10), expected, "row {row}");
            assert!(answers.is_done(), "row {row}");
        }
    }

    #[test]
    fn every_order_of_arrival_gives_every_position_once() {
        for seed in 1..400 {
            let total = 60;
            let mut answers = Answers::new(60);
            let mut pieces: Vec<(u32, usize)> = (0..60).step_by(5).map(|i| (i, 5)).collect();
            let mut random = SplitMix(seed);
            for i in (1..pieces.len()).rev() {
                pieces.swap(i, random.index(i + 1));
            }
            let mut next = 0;
            for (first, count) in pieces {
                answers.put(first, Height(u64::from(first)), &settled(count));
                if let Some(bytes) = answers.take() {
                    runs(&bytes, &mut next, total);
                }
            }
            assert_eq!(next, total, "seed {seed}");
            assert!(answers.is_done(), "seed {seed}");
        }
    }

    #[test]
    #[should_panic(expected = "an answer beyond its stream")]
    fn an_answer_beyond_its_stream_is_a_bug() {
        Answers::new(3).put(2, Height(1), &settled(2));
    }
}
