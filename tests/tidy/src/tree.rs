//! The tree as the rules see it: every file that git would keep, read once.

use crate::TidyError;
use crate::lex;
use std::fs;
use std::path::Path;

/// One file of the tree.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Path from the root, with `/` between its parts.
    pub(crate) path: String,
    /// The text; empty for a file that is not UTF-8.
    pub(crate) text: String,
    /// The text without comments and literals, for Rust files; empty for others.
    pub(crate) code: String,
}

/// Every file of the workspace, in the order of their paths.
#[derive(Debug)]
pub struct Tree {
    pub(crate) files: Vec<SourceFile>,
    /// Names at the top level, folders included.
    pub(crate) top_entries: Vec<String>,
}

impl Tree {
    /// Reads all files below `root` that `.gitignore` does not leave out.
    ///
    /// # Errors
    /// When a folder or file cannot be read, or `.gitignore` holds a pattern of an unknown shape.
    pub fn read(root: &Path) -> Result<Self, TidyError> {
        let ignore_text = read_or_empty(&root.join(".gitignore"))?;
        let ignored = Ignored::parse(&ignore_text)?;
        let mut tree = Self {
            files: Vec::new(),
            top_entries: Vec::new(),
        };
        tree.walk(root, "", &ignored)?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        tree.top_entries.sort();
        Ok(tree)
    }

    fn walk(&mut self, folder: &Path, prefix: &str, ignored: &Ignored) -> Result<(), TidyError> {
        let unreadable = |source| TidyError::Unreadable {
            path: folder.to_path_buf(),
            source,
        };
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if name == ".git" || ignored.covers(&path) {
                continue;
            }
            if prefix.is_empty() {
                self.top_entries.push(name);
            }
            if entry.file_type().map_err(unreadable)?.is_dir() {
                self.walk(&entry.path(), &format!("{path}/"), ignored)?;
            } else {
                let bytes = fs::read(entry.path()).map_err(|source| TidyError::Unreadable {
                    path: entry.path(),
                    source,
                })?;
                self.files.push(SourceFile::new(
                    path,
                    String::from_utf8(bytes).unwrap_or_default(),
                ));
            }
        }
        Ok(())
    }

    /// The file at `path`, when the tree has it.
    pub(crate) fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The Rust files.
    pub(crate) fn rust_files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|file| file.is("rs"))
    }

    /// A tree made of samples, for the rules' own tests.
    #[cfg(test)]
    pub(crate) fn of(samples: &[(&str, &str)]) -> Self {
        let files = samples
            .iter()
            .map(|&(path, text)| SourceFile::new(path.into(), text.into()))
            .collect();
        let mut top_entries: Vec<String> = samples
            .iter()
            .map(|(path, _)| path.split('/').next().unwrap_or_default().to_owned())
            .collect();
        top_entries.dedup();
        Self { files, top_entries }
    }
}

impl SourceFile {
    fn new(path: String, text: String) -> Self {
        let code = if path.ends_with(".rs") {
            lex::code_only(&text)
        } else {
            String::new()
        };
        Self { path, text, code }
    }

    /// Whether the file's name ends in `.extension`.
    pub(crate) fn is(&self, extension: &str) -> bool {
        self.path
            .strip_suffix(extension)
            .is_some_and(|stem| stem.ends_with('.'))
    }

    /// The name without its folders.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Lines of code (comments and literals blanked) with their numbers from 1.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// Lines of text with their numbers from 1.
    pub(crate) fn text_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// For each line (from line 1 at index 0), whether it is test code: the whole of an integration
    /// test or a `tests.rs`, or the body of a `#[cfg(test)] mod`.
    pub(crate) fn test_lines(&self) -> Vec<bool> {
        let whole = self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.name() == "tests.rs"
            || self.name().ends_with("_tests.rs");
        let lines: Vec<&str> = self.code.lines().collect();
        let mut marks = vec![whole; lines.len()];
        let mut index = 0;
        while !whole && index < lines.len() {
            if lines[index].trim() != "#[cfg(test)]" {
                index += 1;
                continue;
            }
            // Formatted code closes a block at the indent where it opened it.
            let indent = indent_of(lines[index]);
            let open = (index..lines.len())
                .find(|&at| lines[at].trim_end().ends_with(['{', ';', ',']))
                .unwrap_or(lines.len() - 1);
            let end = if lines[open].trim_end().ends_with('{') {
                (open + 1..lines.len())
                    .find(|&at| indent_of(lines[at]) == indent && lines[at].trim() == "}")
                    .unwrap_or(lines.len() - 1)
            } else {
                open
            };
            marks[index..=end].fill(true);
            index = end + 1;
        }
        marks
    }
}

/// Leading spaces of a line.
pub(crate) fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn read_or_empty(path: &Path) -> Result<String, TidyError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(TidyError::Unreadable {
            path: path.to_path_buf(),
            source,
        }),
    }
}

/// What `.gitignore` leaves out, in the two shapes that this house uses.
struct Ignored {
    paths: Vec<String>,
    suffixes: Vec<String>,
}

impl Ignored {
    fn parse(text: &str) -> Result<Self, TidyError> {
        let mut ignored = Self {
            paths: Vec::new(),
            suffixes: Vec::new(),
        };
        for line in text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with('#'))
        {
            match (line.strip_prefix('/'), line.strip_prefix('*')) {
                (Some(path), _) => ignored.paths.push(path.trim_end_matches('/').to_owned()),
                (_, Some(suffix)) => ignored.suffixes.push(suffix.to_owned()),
                _ => {
                    return Err(TidyError::IgnorePattern {
                        pattern: line.to_owned(),
                    });
                }
            }
        }
        Ok(ignored)
    }

    fn covers(&self, path: &str) -> bool {
        self.paths.iter().any(|p| p == path) || self.suffixes.iter().any(|s| path.ends_with(s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_paths_are_anchored_and_suffixes_are_not() {
        let ignored = Ignored::parse("# a comment\n/target\n/tests/fuzz/target/\n*.profraw\n")
            .expect("both shapes are known");
        for (path, covered) in [
            ("target", true),
            ("crates/target", false),
            ("tests/fuzz/target", true),
            ("deep/in/a.profraw", true),
            ("a.profraw.rs", false),
        ] {
            assert_eq!(ignored.covers(path), covered, "{path}");
        }
    }

    #[test]
    fn an_unknown_ignore_pattern_is_named() {
        let error = Ignored::parse("build/\n")
            .err()
            .expect("the shape is unknown");
        assert!(error.to_string().contains("build/"), "{error}");
    }

    #[test]
    fn test_code_is_told_from_the_rest() {
        let source = "fn a() {}\n#[cfg(test)]\nuse x;\nfn b() {}\n#[cfg(test)]\nmod tests {\n    \
                      fn c() {\n    }\n}\nfn d() {}\n";
        let tree = Tree::of(&[
            ("crates/x/src/a.rs", source),
            ("tests/x/main.rs", "fn a() {}\n"),
        ]);
        let marks = tree.files[0].test_lines();
        assert_eq!(
            marks,
            [
                false, true, true, false, true, true, true, true, true, false
            ],
            "lines of {source}"
        );
        assert_eq!(tree.files[1].test_lines(), [true]);
    }
}
