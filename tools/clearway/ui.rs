//! Where things are said: results on stdout, progress on stderr, colour only where it is wanted.

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use comfy_table::{Cell, CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::Failure;

/// The `--json` switch that most commands share.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Print one JSON object instead of text
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

/// The JSON text of a result, with the schema's name and version in front.
pub(crate) fn to_json(schema: &str, value: &impl Serialize) -> Result<String, Failure> {
    let mut object = json!({ "schema": format!("clearway/{schema}/1") });
    match (object.as_object_mut(), serde_json::to_value(value)?) {
        (Some(object), Value::Object(fields)) => object.extend(fields),
        (Some(object), other) => {
            object.insert("result".into(), other);
        }
        (None, _) => unreachable!("json! made an object"),
    }
    Ok(serde_json::to_string_pretty(&object)?)
}

/// Writes a JSON result to a file, or to stdout for `-`.
pub(crate) fn write_json(path: &Path, schema: &str, value: &impl Serialize) -> Result<(), Failure> {
    let text = to_json(schema, value)?;
    if path == Path::new("-") {
        return say(&text);
    }
    std::fs::write(path, text + "\n")?;
    Ok(())
}

/// One result on stdout; a reader that has gone away is no failure.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// One line of progress on stderr.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// A two-column table without lines, for people and for `grep`.
pub(crate) fn rows<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, value) in rows {
        table.add_row([name.to_owned(), value]);
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
            Cell::new(text).set_alignment(side)
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
    /// Writes the report where it was asked for. One result on stdout: the text, unless the JSON is
    /// asked for there.
    pub(crate) fn result(
        &self,
        schema: &str,
        report: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if let Some(path) = &self.json {
            write_json(path, schema, report)?;
        }
        match &self.json {
            Some(path) if path == Path::new("-") => Ok(()),
            _ => say(&text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_results_name_their_schema_first_and_keep_their_fields() {
        let text = to_json("sample", &json!({ "a": 1 })).expect("written");
        let value: Value = serde_json::from_str(&text).expect("read");
        assert_eq!(value, json!({ "schema": "clearway/sample/1", "a": 1 }));
        let text = to_json("list", &["x"]).expect("written");
        let value: Value = serde_json::from_str(&text).expect("read");
        assert_eq!(value["result"], json!(["x"]));
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
