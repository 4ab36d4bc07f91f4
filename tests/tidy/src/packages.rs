//! The packages that Clearway is built around stand on a payment's path: a table of the page of the
//! crates names for each a file that calls it and a test that fails without it.

use crate::Finding;
use crate::layers::PAGE;
use crate::lex::has_word;
use crate::tree::Tree;

/// The packages.
const PACKAGES: &[&str] = &[
    "rayon",
    "wgpu",
    "blst",
    "sha2-asm",
    "crossbeam",
    "quinn",
    "memmap2",
    "hdrhistogram",
    "tracing",
];
/// Where the crates on a payment's path stand; tools and tests are beside it.
const PATH: &str = "crates/";

/// A row of the table: its line, then what stands between backticks in its first three cells.
struct Row<'a> {
    line_number: usize,
    package: &'a str,
    file: &'a str,
    test: &'a str,
}

/// As in: | `rayon` | `crates/crypto/src/wide.rs` | `what_is_shared_keeps_its_order` | ... |
fn row((line_number, line): (usize, &str)) -> Option<Row<'_>> {
    let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
    let mut name = || cells.next()?.strip_prefix('`')?.strip_suffix('`');
    let (package, file, test) = (name()?, name()?, name()?);
    Some(Row {
        line_number,
        package,
        file,
        test,
    })
}

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    check_against(tree, PACKAGES)
}

fn check_against(tree: &Tree, packages: &[&str]) -> Vec<Finding> {
    let page = tree.file(PAGE).into_iter();
    let rows: Vec<Row<'_>> = page
        .flat_map(|file| file.text_lines())
        .filter_map(row)
        .collect();
    let mut findings = Vec::new();
    for package in packages {
        let Some(row) = rows.iter().find(|row| row.package == *package) else {
            let message = format!("{package} has no row that names a file and a test");
            findings.push(Finding::at(PAGE, 1, "package", message));
            continue;
        };
        let mut fault =
            |message| findings.push(Finding::at(PAGE, row.line_number, "package", message));
        if !is_called(tree, package, row.file) {
            fault(format!(
                "{} calls no {package}; name a file below {PATH} that does",
                row.file
            ));
        }
        if !is_test(tree, row.test) {
            fault(format!("there is no test {}", row.test));
        }
    }
    findings
}

/// Whether a file of a payment's path calls a package outside its own tests.
fn is_called(tree: &Tree, package: &str, path: &str) -> bool {
    let name = package.replace('-', "_");
    let file = tree.file(path).filter(|file| file.path.starts_with(PATH));
    let lines = file.into_iter().flat_map(|file| file.code_lines());
    lines
        .take_while(|(_, line)| !line.contains("#[cfg(test)]"))
        .any(|(_, line)| has_word(line, &name) && line.contains(&format!("{name}::")))
}

fn is_test(tree: &Tree, name: &str) -> bool {
    let head = format!("fn {name}(");
    tree.rust_files().any(|file| {
        let lines: Vec<_> = file.code_lines().map(|(_, line)| line.trim()).collect();
        let mut pairs = lines.windows(2);
        pairs.any(|pair| pair[0] == "#[test]" && pair[1].starts_with(&head))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    #[test]
    fn a_package_that_no_payment_meets_is_found() {
        let page = "\
| package | file | test |
| `one` | `crates/a.rs` | `it_works` | more |
| `two-asm` | `crates/a.rs` | `it_works` |
| `three` | `crates/a.rs` | `it_works` |
| `four` | `tools/b.rs` | `it_works` |
| `five` | `crates/a.rs` | `it_does_not` |
| `six` | `crates/gone.rs` | `it_works` |
| `seven` | `crates/a.rs` | soon |
";
        let code = "use one::x;\nfn f() { two_asm::g(); five::g(); eight::g() }\n\
                    #[cfg(test)]\nmod tests {\nfn it_does_not() { three::g() }\n\
                    #[test]\nfn it_works() {}\n}\n";
        let tree = Tree::of(&[
            (PAGE, page),
            ("crates/a.rs", code),
            ("tools/b.rs", "four::g();\n"),
        ]);
        let packages = [
            "one", "two-asm", "three", "four", "five", "six", "seven", "eight",
        ];
        assert_eq!(
            rules(&check_against(&tree, &packages)),
            [4, 5, 6, 7, 1, 1].map(|line| (PAGE, line, "package"))
        );
    }
}
