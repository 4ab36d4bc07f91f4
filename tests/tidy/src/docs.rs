//! The first line of every source file says what the file is for.

use crate::Finding;
use crate::tree::Tree;

/// Shortest sentence that can say anything.
const WORDS_MIN: usize = 3;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        let mark = match () {
            () if file.is("rs") => "//! ",
            () if file.is("wgsl") => "// ",
            () => continue,
        };
        let first = file.text.lines().next().unwrap_or_default();
        let says = first.strip_prefix(mark).unwrap_or_default();
        if says.split_whitespace().count() < WORDS_MIN {
            let message = format!("start the file with `{mark}` and what the file is for");
            findings.push(Finding::at(&file.path, 1, "first-line", message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    #[test]
    fn a_file_without_a_purpose_is_found() {
        let tree = Tree::of(&[
            ("a.rs", "//! Counts the frames that arrive.\n"),
            ("b.rs", "use x;\n"),
            ("c.rs", "//!\n//! Too late to say it here.\n"),
            ("d.rs", ""),
            ("e.rs", "// Not a module doc at all.\n"),
            ("f.wgsl", "// Adds field elements lane by lane.\n"),
            ("g.wgsl", "fn main() {}\n"),
            ("h.md", "free\n"),
        ]);
        let found = ["b.rs", "c.rs", "d.rs", "e.rs", "g.wgsl"].map(|p| (p, 1, "first-line"));
        assert_eq!(rules(&check(&tree)), found);
    }
}
