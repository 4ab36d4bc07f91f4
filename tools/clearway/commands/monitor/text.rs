//! Figures as people read them, in few columns.

use clearway_load::text::grouped;
use serde::Serialize;

/// What a figure counts in.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    Number,
    PerSecond,
    Seconds,
    Bytes,
    BytesPerSecond,
    /// 0 or 1.
    Flag,
}

/// In place of what is not known.
const UNKNOWN: &str = "-";

/// A value in its unit.
pub(super) fn shown(value: Option<f64>, unit: Unit) -> String {
    match unit {
        Unit::Number => number(value),
        Unit::PerSecond => with(number(value), "/s"),
        Unit::Seconds => seconds(value),
        Unit::Bytes => bytes(value),
        Unit::BytesPerSecond => with(bytes(value), "/s"),
        Unit::Flag => flag(value).to_owned(),
    }
}

fn with(text: String, unit: &str) -> String {
    match text.as_str() {
        UNKNOWN => text,
        _ => text + unit,
    }
}

/// Whole, with commas between its thousands; one decimal where it is small and has one.
pub(super) fn number(value: Option<f64>) -> String {
    let Some(value) = known(value) else {
        return UNKNOWN.to_owned();
    };
    match value.abs() < 10.0 && value.fract() != 0.0 {
        true => format!("{value:.1}"),
        false => grouped(value),
    }
}

/// A part of one, in percent.
pub(super) fn share(part: Option<f64>) -> String {
    match known(part) {
        Some(part) if (0.000_5..0.095).contains(&part) => format!("{:.1}%", part * 100.0),
        Some(part) => format!("{:.0}%", part * 100.0),
        None => UNKNOWN.to_owned(),
    }
}

/// Three digits and a unit.
pub(super) fn seconds(value: Option<f64>) -> String {
    let Some(value) = known(value) else {
        return UNKNOWN.to_owned();
    };
    // With the largest number that each unit shows, before rounding.
    let scales = [(1e-3, 1e6, "us"), (1.0, 1e3, "ms"), (600.0, 1.0, "s")];
    let found = scales.into_iter().find(|(below, ..)| value < *below);
    match found {
        _ if value == 0.0 => "0 s".to_owned(),
        Some((_, factor, unit)) => format!("{} {unit}", three(value * factor)),
        None => format!("{} min", grouped(value / 60.0)),
    }
}

/// Three digits and a unit of 1,024.
fn bytes(value: Option<f64>) -> String {
    let Some(mut value) = known(value) else {
        return UNKNOWN.to_owned();
    };
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    format!("{} {unit}", three(value))
}

/// At most three digits, and no decimals that say nothing.
fn three(value: f64) -> String {
    match value {
        value if value.fract() == 0.0 => format!("{value:.0}"),
        value if value < 9.995 => format!("{value:.2}"),
        value if value < 99.95 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

pub(super) fn flag(value: Option<f64>) -> &'static str {
    match known(value) {
        Some(0.0) => "no",
        Some(_) => "yes",
        None => UNKNOWN,
    }
}

fn known(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// The newest of these values as a line of `columns`, the highest of them at full height.
pub(super) fn spark(values: impl DoubleEndedIterator<Item = f64>, columns: usize) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mut newest: Vec<f64> = values.rev().take(columns).collect();
    newest.reverse();
    let highest = newest.iter().copied().fold(0.0, f64::max);
    let level = |value: f64| {
        let reached = |step: f64| value * 8.0 > highest * step;
        let steps = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        LEVELS[steps.into_iter().take_while(|step| reached(*step)).count()]
    };
    let drawn = newest.iter().map(|value| match *value > 0.0 {
        true => level(*value),
        false => ' ',
    });
    drawn.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_have_their_unit() {
        let rows = [
            (Unit::Number, 0.0, "0"),
            (Unit::Number, 0.25, "0.2"),
            (Unit::Number, 999.4, "999"),
            (Unit::Number, 1_234_567.0, "1,234,567"),
            (Unit::Number, -1234.0, "-1,234"),
            (Unit::PerSecond, 12.0, "12/s"),
            (Unit::Seconds, 0.0, "0 s"),
            (Unit::Seconds, 0.000_012_34, "12.3 us"),
            (Unit::Seconds, 0.002, "2 ms"),
            (Unit::Seconds, 0.123_4, "123 ms"),
            (Unit::Seconds, 7.0, "7 s"),
            (Unit::Seconds, 599.0, "599 s"),
            (Unit::Seconds, 7200.0, "120 min"),
            (Unit::Bytes, 17.0, "17 B"),
            (Unit::Bytes, 1000.0, "0.98 KiB"),
            (Unit::Bytes, 5.0 * 1024.0 * 1024.0, "5 MiB"),
            (Unit::BytesPerSecond, 1536.0, "1.50 KiB/s"),
            (Unit::Flag, 1.0, "yes"),
            (Unit::Flag, 0.0, "no"),
            (Unit::Number, f64::NAN, "-"),
            (Unit::Bytes, f64::INFINITY, "-"),
        ];
        for (unit, value, expected) in rows {
            assert_eq!(shown(Some(value), unit), expected, "{value} {unit:?}");
            assert_eq!(shown(None, unit), "-", "{unit:?}");
        }
        for (part, expected) in [
            (0.0, "0%"),
            (0.000_4, "0%"),
            (0.012, "1.2%"),
            (0.5, "50%"),
            (1.0, "100%"),
        ] {
            assert_eq!(share(Some(part)), expected);
        }
        assert_eq!(share(None), "-");
    }

    #[test]
    fn a_spark_line_shows_the_newest_and_is_as_high_as_its_highest() {
        let rows: [(&[f64], usize, &str); 6] = [
            (&[], 4, ""),
            (&[0.0, 0.0], 4, "  "),
            (&[8.0], 0, ""),
            (&[1.0, 2.0, 4.0, 8.0], 4, "▁▂▄█"),
            (&[100.0, 1.0, 2.0, 4.0, 8.0], 4, "▁▂▄█"),
            (&[0.001, 0.0, 1000.0], 4, "▁ █"),
        ];
        for (values, columns, expected) in rows {
            let drawn = spark(values.iter().copied(), columns);
            assert_eq!(drawn, expected, "{values:?}");
        }
    }
}
