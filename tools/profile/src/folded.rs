//! Folded stacks: a line for each stack, its frames from the root, and how often it was seen.

use std::collections::BTreeMap;

/// Frames from the root to the leaf, joined by `;`, with their samples.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Folded {
    counts: BTreeMap<String, u64>,
}

/// A line that is no folded stack.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldedError {
    /// No number at its end.
    #[error("line {line}: write FRAME;FRAME COUNT, as `clearway profile --out OLD.folded` does")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// No stack at all.
    #[error("no stack is in it: give what `clearway profile --out OLD.folded` wrote")]
    Empty,
}

impl Folded {
    /// Adds a stack, which may be there already.
    pub(crate) fn add<'a>(&mut self, frames: impl Iterator<Item = &'a str>, samples: u64) {
        let mut line = String::new();
        for frame in frames {
            if !line.is_empty() {
                line.push(';');
            }
            line.extend(frame.chars().map(plain));
        }
        *self.counts.entry(line).or_insert(0) += samples;
    }

    /// All samples.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.counts.values().sum()
    }

    /// A stack a line, in the order of their bytes: two files can be compared line by line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let line = |(stack, samples)| format!("{stack} {samples}\n");
        self.counts.iter().map(line).collect()
    }

    /// Reads what [`Folded::to_text`] wrote, or another tool's.
    ///
    /// # Errors
    /// The first line that is no stack with its number.
    pub fn parse(text: &str) -> Result<Self, FoldedError> {
        let mut counts = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let fault = FoldedError::Line { line: index + 1 };
            let read = line.rsplit_once(' ').and_then(|(stack, samples)| {
                let samples: u64 = samples.parse().ok()?;
                (!stack.is_empty()).then_some((stack, samples))
            });
            let (stack, samples) = read.ok_or(fault)?;
            let count = counts.entry(stack.to_owned()).or_insert(0_u64);
            *count = count.saturating_add(samples);
        }
        match counts.is_empty() {
            true => Err(FoldedError::Empty),
            false => Ok(Self { counts }),
        }
    }
}

/// What parts frames and lines stands in no frame: the array of `[u8; 32]` does not end one.
fn plain(c: char) -> char {
    match c {
        ';' => ',',
        c if c.is_control() => ' ',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_stacks_are_one_line_and_nothing_in_a_name_parts_frames() {
        let rows: [(&[&str], u64); 4] = [
            (&["verify", "check<[u8; 32]>"], 2),
            (&["verify"], 1),
            (&["verify", "check<[u8; 32]>"], 3),
            (&["store", "a\nb"], 1),
        ];
        let mut folded = Folded::default();
        for (frames, samples) in rows {
            folded.add(frames.iter().copied(), samples);
        }
        let text = "store;a b 1\nverify 1\nverify;check<[u8, 32]> 5\n";
        assert_eq!(folded.to_text(), text);
        assert_eq!(folded.samples(), 7);
        assert_eq!(Folded::parse(text), Ok(folded));
    }

    #[test]
    fn what_is_no_folded_stack_is_refused_with_its_line() {
        let fault = |line| Err(FoldedError::Line { line });
        let rows = [
            ("", Err(FoldedError::Empty)),
            ("a;b", fault(1)),
            ("a;b 1\nb two\n", fault(2)),
            ("a 1\n\n", fault(2)),
            (" 1", fault(1)),
            ("a -1", fault(1)),
            ("a b 7", Ok(7)),
        ];
        for (text, expected) in rows {
            let samples = Folded::parse(text).map(|folded| folded.samples());
            assert_eq!(samples, expected, "{text:?}");
        }
    }
}
