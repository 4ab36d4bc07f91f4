//! The figures of a node at one moment, read from the Prometheus text of its operators' page.

use std::collections::BTreeMap;
use std::time::Duration;

/// Characters of a line that an error shows.
const SHOWN_MAX: usize = 60;
/// What every node counts: a page without it is no node's.
const OF_EVERY_NODE: &str = "clearway_block_height";

/// Why a text is no page of figures.
#[derive(PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum TextError {
    /// A line that is neither a figure nor a comment.
    #[error("line {line} is no figure: `{text}`")]
    Line { line: usize, text: String },
    /// Figures of something else.
    #[error("it has no figure {OF_EVERY_NODE}")]
    Foreign,
}

/// One moment of a node.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Sample {
    /// When it was taken, since the watcher began.
    pub(super) at: Duration,
    /// What the node says of itself: `ready`, or why not.
    pub(super) readiness: String,
    figures: BTreeMap<String, Vec<Series>>,
}

/// A figure with its labels.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Series {
    labels: Vec<(String, String)>,
    pub(super) value: f64,
}

impl Series {
    /// The value of a label.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map(|(_, value)| value.as_str())
    }

    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels
            .iter()
            .all(|(name, value)| self.label(name) == Some(value))
    }
}

impl Sample {
    /// Reads a page.
    pub(super) fn read(at: Duration, readiness: String, text: &str) -> Result<Self, TextError> {
        let mut figures = BTreeMap::<String, Vec<Series>>::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, series) = figure(line).ok_or_else(|| TextError::Line {
                line: index + 1,
                text: line.chars().take(SHOWN_MAX).collect(),
            })?;
            figures.entry(name.to_owned()).or_default().push(series);
        }
        match figures.contains_key(OF_EVERY_NODE) {
            true => Ok(Self {
                at,
                readiness,
                figures,
            }),
            false => Err(TextError::Foreign),
        }
    }

    /// Every series of a metric, in the order of the page.
    pub(super) fn series(&self, metric: &str) -> &[Series] {
        self.figures.get(metric).map_or(&[], Vec::as_slice)
    }

    /// The sum over the series with these labels; `None` where there is none.
    pub(super) fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found = self.series(metric).iter().filter(|one| one.has(labels));
        found.map(|one| one.value).reduce(|a, b| a + b)
    }

    /// A label's values, each once, in the order of the page.
    pub(super) fn values<'a>(&'a self, metric: &str, label: &str) -> Vec<&'a str> {
        let mut found = Vec::new();
        for value in self
            .series(metric)
            .iter()
            .filter_map(|one| one.label(label))
        {
            if !found.contains(&value) {
                found.push(value);
            }
        }
        found
    }
}

/// `name{label="value",...} number`; a time behind the number is not read.
fn figure(line: &str) -> Option<(&str, Series)> {
    let name_end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    (!name.is_empty()).then_some((name, Series { labels, value }))
}

/// The labels up to the closing brace, and what stands behind it.
fn labels(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, value) = rest.split_once("=\"")?;
        let (value, behind) = quoted(value)?;
        labels.push((name.trim().to_owned(), value));
        rest = behind;
    }
}

/// A value up to its closing quote, and what stands behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Sample, TextError> {
        Sample::read(Duration::ZERO, "ready".to_owned(), text)
    }

    #[test]
    fn figures_are_found_by_name_and_labels() {
        let text = r#"
            # HELP clearway_block_height Last.
            # TYPE clearway_block_height gauge
            clearway_block_height 7
            clearway_stage_seconds_total{stage="verify",worker="0",state="busy"} 1.5
            clearway_stage_seconds_total{stage="verify",worker="1",state="busy"} 0.5
            clearway_stage_seconds_total{stage="order",worker="0",state="wait"} 9 1700
            odd{a="x \"y\" \\ {,}\n", b=""} NaN
            # EOF
        "#;
        let sample = read(text).expect("a page");
        let busy = "clearway_stage_seconds_total";
        type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<f64>);
        let rows: [Row; 6] = [
            ("clearway_block_height", &[], Some(7.0)),
            (busy, &[], Some(11.0)),
            (busy, &[("stage", "verify")], Some(2.0)),
            (busy, &[("stage", "verify"), ("worker", "1")], Some(0.5)),
            (busy, &[("stage", "store")], None),
            ("clearway_nothing", &[], None),
        ];
        for (metric, labels, expected) in rows {
            assert_eq!(sample.sum(metric, labels), expected, "{metric} {labels:?}");
        }
        assert_eq!(sample.values(busy, "stage"), ["verify", "order"]);
        let odd = &sample.series("odd")[0];
        assert_eq!(odd.label("a"), Some("x \"y\" \\ {,}\n"));
        assert_eq!(odd.label("b"), Some(""));
        assert!(odd.value.is_nan());
    }

    #[test]
    fn what_is_no_page_of_a_node_is_refused_with_its_line() {
        let line = |line, text: &str| {
            let text = text.to_owned();
            Err(TextError::Line { line, text })
        };
        let long = "<".repeat(200);
        for (text, expected) in [
            ("", Err(TextError::Foreign)),
            ("up 1\n", Err(TextError::Foreign)),
            ("<html>", line(1, "<html>")),
            ("up 1\nup one", line(2, "up one")),
            ("up{a=\"b} 1", line(1, "up{a=\"b} 1")),
            ("up{a} 1", line(1, "up{a} 1")),
            ("{a=\"b\"} 1", line(1, "{a=\"b\"} 1")),
            (&long, line(1, &long[..SHOWN_MAX])),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
