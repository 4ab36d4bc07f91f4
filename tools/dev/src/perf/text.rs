//! How figures are written for people: numbers, conditions, cells of tables.

use super::row::Row;
use serde_json::Value;

/// Day and commit of a row.
pub(super) fn measured(row: &Row) -> String {
    format!("{}, {}", row.day(), &row.commit[..7])
}

/// What a figure depends on, in words.
pub(super) fn conditions(row: &Row) -> String {
    // How often it was measured does not make it another figure.
    let conditions = row.conditions.iter().filter(|(name, _)| *name != "runs");
    let parts = conditions.map(|(name, value)| match value {
        Value::String(text) => format!("{name} {text}"),
        other => format!("{name} {other}"),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// Text that cannot break out of its table cell.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// A value in the unit that people read: long times in ms, many bytes in MiB or GiB.
pub(super) fn with_unit(value: f64, unit: &str) -> String {
    const KIB: f64 = 1024.0;
    let mib = value / (KIB * KIB);
    match unit {
        "us" if value >= 1000.0 => format!("{} ms", grouped(value / 1000.0)),
        "bytes" if mib >= KIB => format!("{} GiB", grouped(mib / KIB)),
        "bytes" if mib >= 1.0 => format!("{} MiB", grouped(mib)),
        _ => format!("{} {}", grouped(value), cell(unit)),
    }
}

/// Three significant digits below a thousand, whole and in groups of three above.
pub(super) fn grouped(value: f64) -> String {
    let magnitude = value.abs();
    let decimals = match magnitude {
        _ if value.fract() == 0.0 || magnitude >= 100.0 => 0,
        _ if magnitude >= 10.0 => 1,
        _ if magnitude >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let digits = text.trim_start_matches('-');
    if decimals > 0 || digits.len() <= 3 {
        return text;
    }
    let mut out = if value < 0.0 {
        String::from("-")
    } else {
        String::new()
    };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Appends formatted text.
pub(super) fn put(out: &mut String, args: std::fmt::Arguments<'_>) {
    std::fmt::Write::write_fmt(out, args).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_for_people() {
        let rows = [
            (0.0, "0"),
            (0.1304, "0.130"),
            (3.456, "3.46"),
            (42.42, "42.4"),
            (999.4, "999"),
            (1000.0, "1,000"),
            (61_234.5, "61,234"),
            (1_234_567.0, "1,234,567"),
            (-1234.0, "-1,234"),
            (-0.5, "-0.500"),
        ];
        for (value, text) in rows {
            assert_eq!(grouped(value), text, "{value}");
        }
    }

    #[test]
    fn units_are_those_that_people_read() {
        for (value, unit, text) in [
            (999.0, "us", "999 us"),
            (427_007.0, "us", "427 ms"),
            (5_000.0, "us", "5 ms"),
            (560.0, "bytes", "560 bytes"),
            (1_073_741_824.0, "bytes", "1 GiB"),
            (550_166_528.0, "bytes", "525 MiB"),
            (20.0, "s", "20 s"),
        ] {
            assert_eq!(with_unit(value, unit), text);
        }
    }
}
