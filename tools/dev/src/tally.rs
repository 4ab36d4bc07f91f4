//! Counting tests in what `cargo test` prints.

use std::fmt;

/// Tests that passed and failed, over all binaries.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed_count: u64,
    pub(crate) failed_count: u64,
}

impl Tally {
    /// Takes in one line of output; only the summary of a test binary counts.
    pub(crate) fn on_line(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else {
            return;
        };
        for part in counts.split([';', '.']) {
            match part.trim().split_once(' ') {
                Some((count, "passed")) => self.passed_count += count.parse().unwrap_or(0),
                Some((count, "failed")) => self.failed_count += count.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed",
            self.passed_count, self.failed_count
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_add_up_and_other_lines_do_not_count() {
        let lines = [
            "running 3 tests",
            "test a::counts_9_passed ... ok",
            "test result: ok. 24 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; \
             finished in 0.01s",
            "test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 5 filtered out; \
             finished in 0.20s",
            "9 passed; 9 failed",
            "",
        ];
        let mut tally = Tally::default();
        for line in lines {
            tally.on_line(line);
        }
        assert_eq!(
            tally,
            Tally {
                passed_count: 31,
                failed_count: 2
            }
        );
        assert_eq!(tally.to_string(), "31 passed, 2 failed");
    }
}
