//! One broken rule: where, which, and what to do about it.

use std::fmt;

/// A place where the tree breaks a house rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Path from the workspace's root, with `/` between its parts.
    pub path: String,
    /// Line number from 1; 1 also stands for the file as a whole.
    pub line_number: usize,
    /// The rule's short name, the same in every finding of that rule.
    pub rule: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl Finding {
    /// A finding at one line of a file.
    pub(crate) fn at(
        path: &str,
        line_number: usize,
        rule: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            line_number,
            rule,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: [{}] {}",
            self.path, self.line_number, self.rule, self.message
        )
    }
}

/// The rules that fired, in order: what a sample test compares.
#[cfg(test)]
pub(crate) fn rules(findings: &[Finding]) -> Vec<(&str, usize, &str)> {
    findings
        .iter()
        .map(|f| (f.path.as_str(), f.line_number, f.rule))
        .collect()
}
