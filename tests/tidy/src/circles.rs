//! Files that import each other in a circle: at most three, so that one is read without the rest.

use crate::Finding;
use crate::lex::is_word;
use crate::tree::{SourceFile, Tree, indent_of};
use std::collections::{BTreeMap, BTreeSet};

/// Files of one circle.
const CIRCLE_LEN_MAX: usize = 3;

/// Module path below the crate's root.
type Module = Vec<String>;

/// The files of one crate by their modules, test code left out.
struct Crate<'a> {
    files: BTreeMap<Module, &'a SourceFile>,
    code: BTreeMap<Module, String>,
    /// What a module gives on under another name: (module, name) to the path it stands for.
    given_on: BTreeMap<(Module, String), Module>,
}

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for root in roots(tree) {
        let found = Crate::read(tree, &root);
        for circle in circles(&found.imports()) {
            let paths = circle.iter().map(|module| &found.files[module].path[..]);
            let paths: Vec<&str> = paths.collect();
            if paths.len() > CIRCLE_LEN_MAX {
                let message = format!(
                    "{} files import each other in a circle, {CIRCLE_LEN_MAX} may: move what they \
                     share into a file below them: {}",
                    paths.len(),
                    paths.join(", ")
                );
                findings.push(Finding::at(paths[0], 1, "import-circle", message));
            }
        }
    }
    findings
}

/// Folders that hold the root file of a library or a program.
fn roots(tree: &Tree) -> BTreeSet<String> {
    let roots = tree.rust_files().filter_map(|file| {
        let root = file.path.strip_suffix(file.name())?;
        matches!(file.name(), "lib.rs" | "main.rs").then(|| root.to_owned())
    });
    roots.collect()
}

/// The module of a file below its crate's root.
fn module_of(below: &str) -> Module {
    let stem = below.strip_suffix(".rs").unwrap_or(below);
    let mut module: Module = stem.split('/').map(str::to_owned).collect();
    let last = module.last().map(String::as_str);
    if last == Some("mod") || (module.len() == 1 && matches!(last, Some("lib" | "main"))) {
        module.pop();
    }
    module
}

impl<'a> Crate<'a> {
    fn read(tree: &'a Tree, root: &str) -> Self {
        let mut found = Self {
            files: BTreeMap::new(),
            code: BTreeMap::new(),
            given_on: BTreeMap::new(),
        };
        for file in tree.rust_files() {
            let Some(below) = file.path.strip_prefix(root) else {
                continue;
            };
            let marks = file.test_lines();
            // A library wins over a program beside it: `lib.rs` comes first.
            let module = module_of(below);
            if marks.iter().all(|is_test| *is_test) || found.files.contains_key(&module) {
                continue;
            }
            let lines = file.code.lines().zip(marks);
            let code = lines.map(|(line, is_test)| if is_test { "" } else { line });
            let code: Vec<&str> = code.collect();
            found.code.insert(module.clone(), code.join("\n"));
            found.files.insert(module, file);
        }
        found.given_on = found.read_given_on();
        found
    }

    /// The `pub use` lines of every module.
    fn read_given_on(&self) -> BTreeMap<(Module, String), Module> {
        let mut given_on = BTreeMap::new();
        for (module, code) in &self.code {
            for (at, _) in code.match_indices(" use ") {
                let line = code[..at].rsplit('\n').next().unwrap_or_default();
                if !gives_on(&format!("{line} use ")) {
                    continue;
                }
                for path in paths_at(&code[at + " use ".len()..]) {
                    let name = path.last().cloned();
                    if let (Some(path), Some(name)) = (self.absolute(module, module, &path), name) {
                        given_on.insert((module.clone(), name), path);
                    }
                }
            }
        }
        given_on
    }

    /// A path from the root, as it is written at `place` in the file of `module`; `None` when it is
    /// of another crate.
    fn absolute(&self, place: &Module, module: &Module, path: &[String]) -> Option<Module> {
        let mut base = place.clone();
        let mut rest = path;
        match path.first().map(String::as_str)? {
            "crate" => (base, rest) = (Module::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {}
            first => {
                base = module.clone();
                self.files
                    .get(&[&module[..], &[first.to_owned()]].concat())?;
            }
        }
        while rest.first().is_some_and(|word| word == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// The module whose file declares what an absolute path names.
    fn home(&self, path: &Module) -> Module {
        let mut path = path.clone();
        // Each step follows one `pub use`; more would be a circle of their own.
        for _ in 0..8 {
            let depth = (0..=path.len()).rev();
            let depth = depth
                .into_iter()
                .find(|&depth| self.files.contains_key(&path[..depth]));
            let module = path[..depth.unwrap_or(0)].to_vec();
            let given_on = path
                .get(module.len())
                .and_then(|name| self.given_on.get(&(module.clone(), name.clone())));
            match given_on {
                Some(other) if *other != path => path = other.clone(),
                _ => return module,
            }
        }
        path
    }

    /// Which modules each module names.
    fn imports(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let mut imports = BTreeMap::new();
        for (module, code) in &self.code {
            let mut named = BTreeSet::new();
            for (inside, line_start) in inline_modules(code) {
                let rest = &code[line_start..];
                let line = rest.split_inclusive('\n').next().unwrap_or_default();
                // What a file only gives on it does not use: the file that names it through here
                // does.
                if gives_on(line) {
                    continue;
                }
                let place = [&module[..], &inside].concat();
                for start in path_starts(line) {
                    for path in paths_at(&rest[start..]) {
                        if let Some(path) = self.absolute(&place, module, &path) {
                            named.insert(self.home(&path));
                        }
                    }
                }
            }
            named.remove(module);
            imports.insert(module.clone(), named);
        }
        imports
    }
}

/// Whether the line gives on names of another file.
fn gives_on(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("pub use ") || (line.starts_with("pub(") && line.contains(") use "))
}

/// For each line its start and the modules in braces that it stands in; formatted code closes a
/// block at the indent where it opened it.
fn inline_modules(code: &str) -> Vec<(Module, usize)> {
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut lines = Vec::new();
    let mut start = 0;
    for line in code.split_inclusive('\n') {
        let text = line.trim();
        if text == "}"
            && open
                .last()
                .is_some_and(|(indent, _)| *indent == indent_of(line))
        {
            open.pop();
        }
        lines.push((open.iter().map(|(_, name)| name.clone()).collect(), start));
        let declared = text
            .strip_suffix('{')
            .and_then(|text| text.split_once("mod "));
        if let Some((before, name)) = declared
            && (before.is_empty() || before.starts_with("pub"))
        {
            open.push((indent_of(line), name.trim().to_owned()));
        }
        start += line.len();
    }
    lines
}

/// Where a path of several words begins.
fn path_starts(code: &str) -> Vec<usize> {
    let mut starts = Vec::new();
    for (at, _) in code.match_indices("::") {
        let before = code[..at].trim_end_matches(is_word);
        let first = !before.ends_with("::") && !before.ends_with('$');
        if first && before.len() < at {
            starts.push(before.len());
        }
    }
    starts
}

/// The paths that begin here: one, or one for each name in its braces.
fn paths_at(code: &str) -> Vec<Module> {
    let mut paths = Vec::new();
    read_paths(code, &Module::new(), &mut paths);
    paths
}

/// Reads the paths that go on from `stem`; what is left of the code.
fn read_paths<'c>(code: &'c str, stem: &Module, paths: &mut Vec<Module>) -> &'c str {
    let mut path = stem.clone();
    let mut rest = code.trim_start();
    loop {
        if let Some(mut inner) = rest.strip_prefix('{') {
            loop {
                inner = read_paths(inner, &path, paths);
                let after = inner.trim_start();
                match after.strip_prefix(',') {
                    Some(next) if !next.trim_start().starts_with('}') => inner = next,
                    Some(next) => return next.trim_start().strip_prefix('}').unwrap_or(next),
                    None => return after.strip_prefix('}').unwrap_or(after),
                }
            }
        }
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word == "self" && !path.is_empty() {
            paths.push(path);
            return after;
        }
        if !word.is_empty() {
            path.push(word.to_owned());
        }
        match after.strip_prefix("::") {
            Some(next) if !word.is_empty() => rest = next,
            _ => {
                paths.push(path);
                let renamed = after.trim_start().strip_prefix("as ");
                return renamed.map_or(after, |name| name.trim_start_matches(is_word));
            }
        }
    }
}

/// Modules that reach each other, in sets of two and more.
fn circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<BTreeSet<Module>> {
    let reached: BTreeMap<&Module, BTreeSet<Module>> = imports
        .keys()
        .map(|module| (module, reached_from(imports, module)))
        .collect();
    let mut circles = BTreeSet::new();
    for (module, others) in &reached {
        let back = |other: &&Module| reached.get(other).is_some_and(|set| set.contains(*module));
        let circle: BTreeSet<Module> = others.iter().filter(back).cloned().collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reached_from(imports: &BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for next in imports.get(module).into_iter().flatten() {
            if reached.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    /// A crate of four files, each of which names the next in its own way.
    const CIRCLE: [(&str, &str); 5] = [
        (
            "crates/x/src/lib.rs",
            "mod a;\nmod b;\nmod c;\npub use c::{Given, Other as O};\n",
        ),
        (
            "crates/x/src/a.rs",
            "use crate::{\n    b::{self, deep::Deep},\n};\n",
        ),
        (
            "crates/x/src/b.rs",
            "mod deep;\nfn f() -> u8 { deep::f() }\n",
        ),
        ("crates/x/src/b/deep.rs", "use super::super::Given;\n"),
        ("crates/x/src/c.rs", "fn f(a: &crate::a::A) {}\n"),
    ];

    #[test]
    fn a_circle_of_four_is_found_however_its_files_name_each_other() {
        let findings = check(&Tree::of(&CIRCLE));
        assert_eq!(
            rules(&findings),
            [("crates/x/src/a.rs", 1, "import-circle")]
        );
        let message = &findings[0].message;
        assert!(message.contains("4 files"), "{message}");
        assert!(
            message.contains("b/deep.rs") && !message.contains("lib.rs"),
            "{message}"
        );
    }

    #[test]
    fn a_circle_is_open_once_one_file_leaves_it_and_tests_close_none() {
        let rows: [(usize, &str); 7] = [
            (1, "use crate::b::deep::Deep;\n"),
            (1, "// use crate::b;\n"),
            (2, "mod deep;\n"),
            (2, "pub use deep::Deep;\n"),
            (3, "use other::super_thing;\n"),
            (4, "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n"),
            (4, "fn f(a: other::a::A) {}\n"),
        ];
        for (file, text) in rows {
            let mut files = CIRCLE;
            files[file].1 = text;
            assert_eq!(rules(&check(&Tree::of(&files))), [], "{text}");
        }
    }
}
