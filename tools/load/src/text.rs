//! Figures and words as people read them.

/// Text in which nothing is markup.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            other => escaped.push(other),
        }
    }
    escaped
}

/// A whole number with a comma before each three digits.
#[must_use]
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", &*digits),
    };
    let mut text = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A figure with as few digits as tell it.
pub(crate) fn short(figure: f64) -> String {
    match figure.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1e6 => format!("{}M", trimmed(figure / 1e6, 2)),
        size if size >= 1e4 => format!("{}k", trimmed(figure / 1e3, 1)),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => trimmed(figure, 1),
        _ => trimmed(figure, 2),
    }
}

/// With these decimals, without zeros at the end of them.
fn trimmed(figure: f64, decimals: usize) -> String {
    let text = format!("{figure:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_no_markup_and_figures_are_short() {
        assert_eq!(
            escape("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
        let rows = [
            (0.0, "0"),
            (999.0, "999"),
            (1000.0, "1,000"),
            (1_234_567.0, "1,234,567"),
            (-100_000.0, "-100,000"),
        ];
        for (number, text) in rows {
            assert_eq!(grouped(number), text);
        }
        let rows = [
            (0.0, "0"),
            (0.25, "0.25"),
            (5.0, "5"),
            (12.34, "12.3"),
            (250.0, "250"),
            (20_000.0, "20k"),
            (331_294.0, "331.3k"),
            (2_500_000.0, "2.5M"),
        ];
        for (figure, text) in rows {
            assert_eq!(short(figure), text);
        }
    }
}
