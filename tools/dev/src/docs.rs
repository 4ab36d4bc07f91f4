//! Pages written from the code: `cargo dev docs`.

use crate::cargo;
use crate::error::DevError;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the codes and reasons stand, and the macros that take them.
const CODES: (&str, &str) = ("crates/types/src/code.rs", "codes! {");
const REASONS: (&str, &str) = ("crates/types/src/drop_reason.rs", "reasons! {");
/// The page of both.
const PAGE: &str = "deploy/CODES.md";

const HEAD: &str = "\
# Result codes and drop reasons

Written by `cargo dev docs` from `crates/types`; a test compares it. Do not edit it.

Where several codes apply, the first of this list is answered. \"Then\" says what the answer means
for the same bytes, and for a new envelope in their place:

| then | means |
|---|---|
| used up | The answer is kept with the identifier: the same bytes get it again until they end. |
| refused again | Nothing is kept. The same bytes are refused whenever they come; another envelope \
may be signed at once. |
| may pass | Nothing is kept, and the cause may end while the envelope lives. Sign another only \
after its end: anybody with the old bytes can still send them. |
| send again | Nothing is kept: send the same bytes again a little later. |

## Result codes

| code | name | what happened | what to do | then |
|--:|---|---|---|---|
";

const DROPS: &str = "
## Drop reasons

An envelope that never reaches the order leaves with a reason, which has its counter
(`clearway_ingest_drops_total{reason}`) and is answered with a code, at height 0.

| reason | what happened | answered |
|---|---|---|
";

/// Writes the pages.
pub(crate) fn write(root: &Path) -> Result<(), DevError> {
    let (path, text) = page(root)?;
    fs::write(&path, text).map_err(|source| DevError::File { path, source })?;
    write_shown(root)
}

/// Pages of what the built program shows: the tests that compare them write them too.
fn write_shown(root: &Path) -> Result<(), DevError> {
    let args = ["test", "--workspace", "--test", "conformance", "docs::"];
    let mut command = cargo::command(root, &args);
    command.env("CLEARWAY_WRITE_DOCS", "1");
    cargo::finished("pages of what is shown", command, "cargo test docs::")
}

/// Fails when a page is not what the code gives.
pub(crate) fn check(root: &Path) -> Result<(), DevError> {
    let (path, text) = page(root)?;
    match fs::read_to_string(&path) {
        Ok(found) if found == text => Ok(()),
        Ok(_) => Err(DevError::DocsStale { path }),
        Err(source) => Err(DevError::File { path, source }),
    }
}

fn page(root: &Path) -> Result<(PathBuf, String), DevError> {
    let mut out = String::from(HEAD);
    for entry in entries(root, CODES)? {
        let (number, trace) = entry.value.split_once(", ").unwrap_or_default();
        let (what, remedy) = entry.doc.split_once(": ").unwrap_or((&entry.doc, ""));
        let cells = [
            format!("<a id=\"{}\"></a>{number}", entry.name),
            format!("`{}`", entry.name),
            sentence(what),
            sentence(remedy),
            then(trace)
                .ok_or_else(|| unknown(root, CODES.0, &entry))?
                .to_owned(),
        ];
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    out.push_str(DROPS);
    for entry in entries(root, REASONS)? {
        let Entry { name, doc, value } = entry;
        out.push_str(&format!(
            "| <a id=\"drop-{name}\"></a>`{name}` | {doc} | [`{value}`](#{value}) |\n"
        ));
    }
    Ok((root.join(PAGE), out))
}

/// What a `Trace` means to who holds the envelope.
fn then(trace: &str) -> Option<&'static str> {
    match trace {
        "Remembered" => Some("used up"),
        "Forgotten" => Some("refused again"),
        "MayPass" => Some("may pass"),
        "Transient" => Some("send again"),
        _ => None,
    }
}

/// One line of a table in the code: its doc comment, its name, and what follows the name.
#[derive(Debug, PartialEq)]
struct Entry {
    name: String,
    doc: String,
    value: String,
}

fn entries(root: &Path, (path, opening): (&str, &str)) -> Result<Vec<Entry>, DevError> {
    let place = root.join(path);
    let text = fs::read_to_string(&place).map_err(|source| DevError::File {
        path: place.clone(),
        source,
    })?;
    parse(&text, opening).map_err(|line| DevError::TableUnread { path: place, line })
}

/// Reads the call of a table's macro, or names the line that is none of a table.
fn parse(text: &str, opening: &str) -> Result<Vec<Entry>, String> {
    let body = text.lines().skip_while(|line| *line != opening).skip(1);
    let (mut entries, mut doc) = (Vec::new(), Vec::new());
    for line in body.take_while(|line| *line != "}") {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("/// ") {
            doc.push(text);
        } else if let Some(entry) = line.strip_suffix(';') {
            let split = entry
                .split_once(" = ")
                .filter(|(_, rest)| !rest.starts_with('>'));
            let split = split.or_else(|| entry.split_once(" => "));
            let (name, value) = split.ok_or(line)?;
            entries.push(Entry {
                name: name.to_owned(),
                doc: std::mem::take(&mut doc).join(" "),
                value: value.to_owned(),
            });
        } else if !line.is_empty() && !line.starts_with("// ") {
            return Err(line.to_owned());
        }
    }
    match entries.is_empty() {
        true => Err(opening.to_owned()),
        false => Ok(entries),
    }
}

fn unknown(root: &Path, path: &str, entry: &Entry) -> DevError {
    DevError::TableUnread {
        path: root.join(path),
        line: format!("{} = {}", entry.name, entry.value),
    }
}

/// With a capital at its start and a full stop at its end.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    let text: String = first.into_iter().chain(chars).collect();
    match text.ends_with('.') || text.is_empty() {
        true => text,
        false => format!("{text}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_codes_is_what_the_code_gives() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        check(&root).expect("deploy/CODES.md is current");
    }

    #[test]
    fn a_table_is_read_whole_or_refused() {
        let entry = |name: &str, doc: &str, value: &str| Entry {
            name: name.into(),
            doc: doc.into(),
            value: value.into(),
        };
        let good = "codes! {\n    /// Applied.\n    Settled = 0, Remembered;\n\n    // A remark.\n\
                    \x20   /// Not there:\n    /// open it.\n    Lost = 70, Forgotten;\n}\n\
                    fn after() {}\n";
        let wanted = [
            entry("Settled", "Applied.", "0, Remembered"),
            entry("Lost", "Not there: open it.", "70, Forgotten"),
        ];
        assert_eq!(parse(good, "codes! {").as_deref(), Ok(&wanted[..]));
        let arrow = "codes! {\n    /// Too long.\n    Oversize => Big;\n}\n";
        let wanted = [entry("Oversize", "Too long.", "Big")];
        assert_eq!(parse(arrow, "codes! {").as_deref(), Ok(&wanted[..]));
        for (bad, line) in [
            ("codes! {\n    fn f() {}\n}\n", "fn f() {}"),
            ("codes! {\n    Settled;\n}\n", "Settled;"),
            ("codes! {\n}\n", "codes! {"),
            ("other! {\n    A = 1;\n}\n", "codes! {"),
        ] {
            assert_eq!(parse(bad, "codes! {"), Err(line.to_owned()), "{bad}");
        }
    }

    #[test]
    fn a_sentence_begins_large_and_ends() {
        for (text, wanted) in [
            ("clear it", "Clear it."),
            ("`kind` is unknown", "`kind` is unknown."),
            ("Done.", "Done."),
            ("", ""),
        ] {
            assert_eq!(sentence(text), wanted);
        }
    }
}
