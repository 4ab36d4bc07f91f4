//! Words that may not stand in the repository: private paths, registry hosts, unfinished work.

use crate::Finding;
use crate::lex::{has_word, is_word};
use crate::tree::{SourceFile, Tree};

/// Folders of one machine; a file that names one works there only.
const PRIVATE_FOLDERS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
];
/// Package registries are reached by their clients, never by address.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("npmjs", ".com"),
    concat!("deb.debian", ".org"),
];
/// Marks of work left undone.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    // Lock files are written by cargo, which names its index in each entry.
    tree.files
        .iter()
        .filter(|file| file.name() != "Cargo.lock")
        .flat_map(check_file)
        .collect()
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line_number, line) in file.text_lines() {
        let mut fault = |rule, message: String| {
            findings.push(Finding::at(&file.path, line_number, rule, message));
        };
        for folder in PRIVATE_FOLDERS
            .iter()
            .filter(|folder| has_absolute(line, folder))
        {
            fault(
                "private-path",
                format!("names {folder}; take the path as an argument"),
            );
        }
        for host in REGISTRY_HOSTS.iter().filter(|host| line.contains(*host)) {
            fault(
                "registry-host",
                format!("names {host}; name the package alone"),
            );
        }
        for word in UNFINISHED.iter().filter(|word| has_word(line, word)) {
            fault(
                "unfinished",
                format!("{word}: finish it, or take it out and open an issue"),
            );
        }
    }
    findings
}

/// Whether an absolute path starts with `folder` in this line; one that goes on from a name, a
/// variable or `~` is not absolute.
fn has_absolute(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        !before.is_some_and(|c| is_word(c) || matches!(c, '.' | '/' | '~' | '-' | '}' | ')'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    #[test]
    fn forbidden_words_are_found_in_any_text_file() {
        let private = PRIVATE_FOLDERS[1];
        let unfinished = UNFINISHED[0];
        let host = REGISTRY_HOSTS[0];
        let rows = [
            (
                "a.rs",
                format!("let p = \"{private}x\";"),
                Some("private-path"),
            ),
            (
                "a.toml",
                format!("path = \"{private}x\""),
                Some("private-path"),
            ),
            ("a.rs", format!("let p = \"net{private}x\";"), None),
            (
                "a.md",
                format!("see https://{host}/x"),
                Some("registry-host"),
            ),
            ("Cargo.lock", format!("source = \"{host}\""), None),
            (
                "a.rs",
                format!("// {unfinished}: later"),
                Some("unfinished"),
            ),
            ("a.rs", format!("let {unfinished}S = 1;"), None),
        ];
        for (path, text, rule) in rows {
            let findings = check(&Tree::of(&[(path, &text)]));
            let expected: Vec<_> = rule.iter().map(|rule| (path, 1, *rule)).collect();
            assert_eq!(rules(&findings), expected, "{path}: {text}");
        }
    }
}
