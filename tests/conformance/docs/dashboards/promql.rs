//! Expressions of Prometheus, read far enough to see whether what they name exists.

use std::collections::{BTreeMap, BTreeSet};

/// Words of the language that our files use; any other word is a metric or a mistake.
const WORDS: [&str; 12] = [
    "and", "by", "delta", "increase", "max", "min", "or", "rate", "sum", "unless", "without", "avg",
];
/// Functions that make sense of counters alone, and need a range.
const OF_COUNTERS: [&str; 2] = ["rate", "increase"];

/// Labels and values of one series.
type Labels = Vec<(String, String)>;

/// What is known of a metric.
struct Known {
    labels: Vec<String>,
    /// Those that it has now: some are made when they are first counted.
    series: Vec<Labels>,
}

/// What there is to be named.
#[derive(Default)]
pub(super) struct Names {
    metrics: BTreeMap<String, Known>,
    /// Labels that every series has, with any value.
    everywhere: BTreeSet<String>,
}

impl Names {
    pub(super) fn add(&mut self, metric: &str, labels: &[&str], series: Vec<Labels>) {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let known = Known { labels, series };
        self.metrics.insert(metric.to_owned(), known);
    }

    pub(super) fn add_label(&mut self, label: &str) {
        self.everywhere.insert(label.to_owned());
    }

    /// The labels that the metrics of an expression have.
    ///
    /// # Errors
    /// What it names and nobody has, or how it cannot be read.
    pub(super) fn check(&self, expression: &str) -> Result<BTreeSet<String>, String> {
        let tokens = tokens(expression).map_err(|fault| format!("{fault} in `{expression}`"))?;
        let checked = Check {
            names: self,
            tokens: &tokens,
            at: 0,
            labels: self.everywhere.clone(),
            grouped: Vec::new(),
        };
        checked
            .all()
            .map_err(|fault| format!("{fault} in `{expression}`"))
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Word(String),
    Text(String),
    /// A number, or a range with its brackets.
    Number,
    Range,
    Sign(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        let length = |part: &str| rest.len() - rest.trim_start_matches(part).len();
        let (token, used) = match first {
            c if c.is_ascii_digit() => {
                let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
                (Token::Number, end.unwrap_or(rest.len()))
            }
            c if letter(c) => {
                let end = rest.find(|c| !letter(c)).unwrap_or(rest.len());
                (Token::Word(rest[..end].to_owned()), end)
            }
            '"' => {
                let end = rest[1..].find('"').ok_or("a text without its end")?;
                (Token::Text(rest[1..=end].to_owned()), end + 2)
            }
            '[' => {
                let end = rest.find(']').ok_or("a range without its end")?;
                let range = &rest[1..end];
                let written = range.trim_end_matches(['s', 'm', 'h', 'd']);
                let known = written.parse::<u32>().is_ok() && written.len() + 1 == range.len();
                if !known && range != "$__rate_interval" {
                    return Err(format!("`{range}` is no range"));
                }
                (Token::Range, end + 1)
            }
            '=' | '!' | '<' | '>' => {
                let two = ["==", "!=", "=~", "!~", "<=", ">="];
                let found = two.into_iter().find(|sign| length(sign) > 0);
                let used = if found.is_some() { 2 } else { 1 };
                (Token::Sign(rest[..used].to_owned()), used)
            }
            '(' | ')' | '{' | '}' | ',' | '+' | '-' | '*' | '/' => {
                (Token::Sign(first.to_string()), 1)
            }
            other => return Err(format!("`{other}`")),
        };
        tokens.push(token);
        rest = rest[used..].trim_start();
    }
    Ok(tokens)
}

struct Check<'a> {
    names: &'a Names,
    tokens: &'a [Token],
    at: usize,
    /// What the metrics so far are labelled with.
    labels: BTreeSet<String>,
    /// Labels that are grouped by.
    grouped: Vec<String>,
}

impl Check<'_> {
    fn all(mut self) -> Result<BTreeSet<String>, String> {
        let mut open = 0_u32;
        let mut function = None;
        while let Some(token) = self.next() {
            match token {
                Token::Word(word) if word == "by" || word == "without" => self.group()?,
                Token::Word(word) if WORDS.contains(&word.as_str()) => {
                    function = OF_COUNTERS.into_iter().find(|name| *name == word);
                    continue;
                }
                Token::Word(word) => self.metric(&word, function)?,
                Token::Sign(sign) if sign == "(" => {
                    open += 1;
                    // The function before it is of what comes.
                    continue;
                }
                Token::Sign(sign) if sign == ")" => {
                    open = open.checked_sub(1).ok_or("a parenthesis too many")?;
                }
                _ => {}
            }
            function = None;
        }
        if open > 0 {
            return Err("a parenthesis is left open".to_owned());
        }
        if let Some(label) = self
            .grouped
            .iter()
            .find(|label| !self.labels.contains(*label))
        {
            return Err(format!(
                "nothing has the label {label}, which is grouped by"
            ));
        }
        Ok(self.labels)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        Some(token)
    }

    fn peeks(&self, sign: &str) -> bool {
        self.tokens.get(self.at) == Some(&Token::Sign(sign.to_owned()))
    }

    fn group(&mut self) -> Result<(), String> {
        if self.next() != Some(Token::Sign("(".to_owned())) {
            return Err("a group without its labels".to_owned());
        }
        loop {
            match self.next() {
                Some(Token::Word(label)) => self.grouped.push(label),
                Some(Token::Sign(sign)) if sign == "," => {}
                Some(Token::Sign(sign)) if sign == ")" => return Ok(()),
                other => return Err(format!("{other:?} among labels")),
            }
        }
    }

    /// A metric with its matchers, which some series fits.
    fn metric(&mut self, name: &str, function: Option<&str>) -> Result<(), String> {
        let known = self.names.metrics.get(name);
        let known = known.ok_or_else(|| format!("no metric {name}"))?;
        let mut fitting: Vec<&Labels> = known.series.iter().collect();
        if self.peeks("{") {
            self.at += 1;
            while !self.peeks("}") {
                let (label, sign, value) = self.matcher()?;
                if self.names.everywhere.contains(&label) {
                    continue;
                }
                if !known.labels.contains(&label) {
                    return Err(format!("{name} has no label {label}"));
                }
                let fits = |labels: &&Labels| labels.contains(&(label.clone(), value.clone()));
                match sign.as_str() {
                    "=" => fitting.retain(fits),
                    "!=" => fitting.retain(|labels| !fits(labels)),
                    _ => return Err(format!("{name}: `{sign}` is not read here: name the value")),
                }
                if fitting.is_empty() && !known.series.is_empty() {
                    return Err(format!("{name} has no {label}{sign}\"{value}\""));
                }
            }
            self.at += 1;
        }
        self.labels.extend(known.labels.iter().cloned());
        let ranged = self.tokens.get(self.at) == Some(&Token::Range);
        match function {
            Some(function) if !ranged => Err(format!("{function} of {name} without a range")),
            Some(function) if !name.ends_with("_total") => {
                Err(format!("{function} of {name}, which is no counter"))
            }
            _ => Ok(()),
        }
    }

    fn matcher(&mut self) -> Result<(String, String, String), String> {
        let matcher = (self.next(), self.next(), self.next());
        let (Some(Token::Word(label)), Some(Token::Sign(sign)), Some(Token::Text(value))) = matcher
        else {
            return Err("a matcher that is none".to_owned());
        };
        if self.peeks(",") {
            self.at += 1;
        }
        Ok((label, sign, value))
    }
}

#[test]
fn what_nobody_has_is_found() {
    let mut names = Names::default();
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let series = |state: &str| vec![label("stage", "order"), label("state", state)];
    let labels = ["stage", "state"];
    names.add(
        "clearway_stage_total",
        &labels,
        vec![series("busy"), series("wait")],
    );
    names.add("clearway_height", &[], vec![Vec::new()]);
    names.add("clearway_later_total", &["kind"], Vec::new());
    names.add_label("instance");
    let good = [
        "clearway_height == 0",
        "clearway_height{instance=\"$instance\"} < 2 * 64",
        "sum by (instance, stage) (rate(clearway_stage_total{state=\"busy\"}[5m])) > 0.25",
        "max(increase(clearway_stage_total[$__rate_interval])) or clearway_height",
        "sum by (kind) (rate(clearway_later_total{kind=\"any\"}[1h]))",
        "delta(clearway_height[1m]) == 0 and clearway_stage_total{state!=\"busy\"} > 0",
    ];
    for expression in good {
        let labels = names.check(expression).expect("it is sound");
        assert!(labels.contains("instance"), "{labels:?}");
    }
    for (expression, fault) in [
        ("clearway_hight == 0", "no metric clearway_hight"),
        ("clearway_height{link=\"x\"}", "no label link"),
        ("clearway_stage_total{state=\"idle\"}", "no state=\"idle\""),
        (
            "clearway_stage_total{stage=\"verify\",state=\"busy\"}",
            "no stage=",
        ),
        ("clearway_stage_total{state=~\"b.*\"}", "name the value"),
        ("sum by (link) (clearway_stage_total)", "label link"),
        ("sum(clearway_height", "left open"),
        ("sum(clearway_height))", "too many"),
        ("rate(clearway_stage_total)", "without a range"),
        ("rate(clearway_height[5m])", "no counter"),
        ("rat(clearway_stage_total[5m])", "no metric rat"),
        ("rate(clearway_stage_total[5])", "no range"),
        ("rate(clearway_stage_total[5m)", "without its end"),
        ("clearway_height{instance=\"x}", "without its end"),
        ("clearway_height{instance}", "matcher"),
        ("clearway_height ; 1", "`;`"),
    ] {
        let found = names.check(expression).expect_err(expression);
        assert!(found.contains(fault), "{expression}: {found}");
    }
}
