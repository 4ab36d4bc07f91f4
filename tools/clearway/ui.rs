//! Where things are said: results on stdout, progress on stderr, colour only where it is wanted.

use std::fs::File;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use clearway_load::digest;
use comfy_table::{Cell, CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::failure::{Failure, Kind};
use crate::signals::Leftover;
use crate::streams;

/// The `--json` switch that most commands share.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Print each answer as a JSON object on a line of its own instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

impl Output {
    /// Prints the result: one object with the name and version of its schema, or text.
    pub(crate) fn result(
        self,
        schema: &str,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json {
            say(&to_json(schema, value)?)
        } else {
            say(text().trim_end())
        }
    }
}

/// The JSON text of a result on one line, with the schema's name and version in front.
pub(crate) fn to_json(schema: &str, value: &impl Serialize) -> Result<String, Failure> {
    named(schema, fields(value)?)
}

/// As [`to_json`], of a report that is kept: with the digest of its content.
fn to_sealed_json(schema: &str, report: &impl Serialize) -> Result<String, Failure> {
    let mut fields = fields(report)?;
    digest::seal(&mut fields);
    named(schema, fields)
}

fn fields(value: &impl Serialize) -> Result<Map<String, Value>, Failure> {
    Ok(match serde_json::to_value(value)? {
        Value::Object(fields) => fields,
        other => Map::from_iter([("result".to_owned(), other)]),
    })
}

fn named(schema: &str, fields: Map<String, Value>) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Named {
        schema: String,
        #[serde(flatten)]
        fields: Map<String, Value>,
    }
    let schema = format!("clearway/{schema}/1");
    Ok(serde_json::to_string(&Named { schema, fields })?)
}

/// One result on stdout; a reader that has gone away is no failure.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    let mut out = streams::results();
    told(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// A failure to write a result, with what to do about it.
pub(crate) fn told(written: std::io::Result<()>) -> Result<(), Failure> {
    written.map_err(|error| {
        let message = format!(
            "the result cannot be written to standard output: {error}; send it to another place"
        );
        Failure::new(Kind::Failed, message)
    })
}

/// One line of progress on stderr.
pub(crate) fn note(text: &str) {
    streams::say_aside(&printable(text));
}

/// Text with its control characters as escapes: what stands in files and paths must not steer the
/// terminal that shows it.
pub(crate) fn printable(text: &str) -> String {
    let steers = |c: &char| c.is_control() && !matches!(c, '\n' | '\t');
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(&c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// As many lines on stderr.
pub(crate) fn note_all(lines: &[String]) {
    lines.iter().for_each(|line| note(line));
}

/// A two-column table without lines, for people and for `grep`.
pub(crate) fn rows<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, value) in rows {
        table.add_row([name.to_owned(), printable(&value)]);
    }
    trim_lines(&table.to_string())
}

/// A table with a head line; columns whose head ends in `#` hold numbers and are shown flush right.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(head.iter().map(|name| name.trim_end_matches('#')));
    for row in rows {
        table.add_row(row.into_iter().enumerate().map(|(column, text)| {
            let number = head.get(column).is_some_and(|name| name.ends_with('#'));
            let side = if number {
                CellAlignment::Right
            } else {
                CellAlignment::Left
            };
            Cell::new(printable(&text)).set_alignment(side)
        }));
    }
    trim_lines(&table.to_string())
}

fn trim_lines(text: &str) -> String {
    let trim = |line: &'_ str| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned();
    let lines: Vec<String> = text.lines().map(trim).collect();
    lines.join("\n")
}

/// Whether stderr may be drawn on.
fn draws() -> bool {
    std::io::stderr().is_terminal()
}

/// A bar on stderr; nothing where stderr is no terminal.
pub(crate) fn progress(count: u64, what: &str) -> ProgressBar {
    let target = if draws() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(count), target);
    let style = "{msg:<18} [{bar:30}] {percent:>3}%  {human_pos}/{human_len}  {per_sec}  {eta}";
    let style = ProgressStyle::with_template(style).expect("the template is a constant");
    bar.set_style(style.progress_chars("=> "));
    bar.set_message(what.to_owned());
    bar
}

/// `--json [FILE]` of the commands whose report is a file of its own.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ReportFile {
    /// Write the report as JSON to FILE, or to stdout without FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub(crate) json: Option<PathBuf>,
}

impl ReportFile {
    /// Opens the place for the report: before the work, which would be lost without one.
    pub(crate) fn open(&self) -> Result<ReportPlace, Failure> {
        let to = match &self.json {
            None => To::Text,
            Some(path) if path == Path::new("-") => To::Stdout,
            Some(path) => To::File(OutFile::open("--json", path)?),
        };
        Ok(ReportPlace { to })
    }
}

/// Where a report goes.
pub(crate) struct ReportPlace {
    to: To,
}

enum To {
    Text,
    Stdout,
    File(OutFile),
}

impl ReportPlace {
    /// Writes the report where it was asked for. One result on stdout: the text, unless the JSON is
    /// asked for there.
    pub(crate) fn result(
        self,
        schema: &str,
        report: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        match self.to {
            To::Text => say(&text()),
            To::Stdout => say(&to_sealed_json(schema, report)?),
            To::File(file) => {
                let json = to_sealed_json(schema, report)?;
                match file.write(format!("{json}\n").as_bytes()) {
                    Ok(()) => say(&text()),
                    // What was measured is not lost with the place that was meant for it.
                    Err(failure) => say(&json).and(Err(failure)),
                }
            }
        }
    }
}

/// A file that can be written; one that was not there before is removed unless it is.
pub(crate) struct OutFile {
    /// The switch that names it.
    switch: &'static str,
    path: PathBuf,
    file: File,
    unwritten: Option<Leftover>,
}

impl OutFile {
    /// Opens it: before the work, which would be lost without a place for it.
    pub(crate) fn open(switch: &'static str, path: &Path) -> Result<Self, Failure> {
        let unwritten = match path.exists() {
            true => None,
            false => Some(Leftover::new(path)?),
        };
        let file = File::options()
            .write(true)
            .create(true)
            // What it holds is replaced when there is something to replace it with.
            .truncate(false)
            .open(path)
            .map_err(|error| Self::failure(switch, path, &error))?;
        Ok(Self {
            switch,
            path: path.to_owned(),
            file,
            unwritten,
        })
    }

    /// Writes it whole.
    pub(crate) fn write(mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.put(bytes)?;
        written.map_err(|error| Self::failure(self.switch, &self.path, &error))?;
        self.unwritten = None;
        Ok(())
    }

    /// In one step where there is a file: what it held is replaced by a whole report, or stays.
    fn put(&mut self, bytes: &[u8]) -> Result<std::io::Result<()>, Failure> {
        let meta = self.file.metadata()?;
        if !meta.is_file() {
            return Ok(self.file.write_all(bytes));
        }
        // A link stays one.
        let path = self.path.canonicalize()?;
        let mut part = path.clone().into_os_string();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        let _leftover = Leftover::new(&part)?;
        let Ok(mut file) = File::create(&part) else {
            // A folder in which nothing can be made may hold a file that can be written.
            let truncated = self.file.set_len(0);
            return Ok(truncated.and_then(|()| self.file.write_all(bytes)));
        };
        let written = file
            .write_all(bytes)
            .and_then(|()| file.set_permissions(meta.permissions()))
            .and_then(|()| std::fs::rename(&part, &path));
        if written.is_err() {
            // Where it cannot be removed it is named by its ending.
            let _ = std::fs::remove_file(&part);
        }
        Ok(written)
    }

    fn failure(switch: &str, path: &Path, error: &std::io::Error) -> Failure {
        let message = format!(
            "{switch} {}: {error}; name a file that can be written",
            path.display()
        );
        Failure::new(Kind::Failed, message)
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        if self.unwritten.is_some() {
            // It is empty; where it cannot be removed it does no harm.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_results_name_their_schema_first_and_keep_their_fields() {
        let text = to_json("sample", &json!({ "a": 1 })).expect("written");
        assert!(text.starts_with("{\"schema\":"), "{text}");
        let value: Value = serde_json::from_str(&text).expect("read");
        assert_eq!(value, json!({ "schema": "clearway/sample/1", "a": 1 }));
        assert!(!text.contains('\n'), "{text}");
        let text = to_json("list", &["x"]).expect("written");
        let value: Value = serde_json::from_str(&text).expect("read");
        assert_eq!(value["result"], json!(["x"]));
    }

    #[cfg(unix)]
    #[test]
    fn a_report_is_replaced_by_a_whole_one_or_stays() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (report, link) = (dir.path().join("report.json"), dir.path().join("link.json"));
        let read = || std::fs::read_to_string(&report).expect("read");
        std::fs::write(&report, "the one before").expect("written");
        std::fs::set_permissions(&report, std::fs::Permissions::from_mode(0o640)).expect("set");
        symlink(&report, &link).expect("linked");
        // A full disk takes the new one's beginning, or nothing.
        let part = format!("{}.{}.part", report.display(), std::process::id());
        symlink("/dev/full", &part).expect("linked");
        let open = OutFile::open("--json", &link).expect("it can be written");
        open.write(b"the new one\n").expect_err("the disk is full");
        assert_eq!(read(), "the one before");
        let open = OutFile::open("--json", &link).expect("it can be written");
        open.write(b"the new one\n").expect("written");
        assert_eq!(read(), "the new one\n");
        let mode = std::fs::metadata(&report).expect("there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o640);
        assert!(link.is_symlink());
        let left = std::fs::read_dir(dir.path()).expect("listed").count();
        assert_eq!(left, 2, "nothing beside the report and the link");
    }

    #[test]
    fn tables_have_no_trailing_blanks_and_numbers_stand_right() {
        let text = table(
            &["name", "count#"],
            [
                vec!["a".into(), "5".into()],
                vec!["bb".into(), "1234".into()],
            ],
        );
        assert!(text.lines().all(|line| line == line.trim_end()), "{text:?}");
        assert!(
            text.lines()
                .nth(1)
                .is_some_and(|line| line.ends_with("   5")),
            "{text:?}"
        );
        assert!(rows([("conserved", "yes".into())]).starts_with("conserved"));
    }
}
