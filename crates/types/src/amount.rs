//! Amounts that know their currency: mixing two gives `None`, never a number.

use std::fmt;

use crate::limits::EXPONENT_MAX;
use crate::units::LedgerId;

/// Minor units of one ledger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Amount {
    /// Minor units.
    pub minor: u64,
    /// Currency or asset.
    pub ledger: LedgerId,
}

impl Amount {
    /// `minor` units of `ledger`.
    #[must_use]
    pub fn new(minor: u64, ledger: LedgerId) -> Self {
        Self { minor, ledger }
    }

    /// The sum; `None` for two currencies or beyond u64.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.combine(other, u64::checked_add)
    }

    /// The difference; `None` for two currencies or below zero.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.combine(other, u64::checked_sub)
    }

    fn combine(self, other: Self, with: impl Fn(u64, u64) -> Option<u64>) -> Option<Self> {
        if self.ledger != other.ledger {
            return None;
        }
        Some(Self {
            minor: with(self.minor, other.minor)?,
            ledger: self.ledger,
        })
    }
}

/// Why a decimal text is not an amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseAmountError {
    /// Something else than digits with at most one point between them.
    #[error("not a decimal amount: write digits, and at most one point between them")]
    Shape,
    /// More decimals than the currency has.
    #[error("more decimals than the currency's {exponent}: round before sending")]
    Decimals {
        /// Decimal places of the currency.
        exponent: u8,
    },
    /// Larger than u64 minor units.
    #[error("amount is larger than 2^64 - 1 minor units: split it")]
    TooLarge,
}

/// Parses decimal text straight to minor units: `"103.55"` with exponent 2 is 10355.
///
/// # Errors
/// See [`ParseAmountError`]; no rounding ever happens.
pub fn parse_minor(text: &str, exponent: u8) -> Result<u64, ParseAmountError> {
    assert!(
        exponent <= EXPONENT_MAX,
        "ledgers are refused a larger exponent"
    );
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits_only = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let point_without_decimals = text.contains('.') && decimals.is_empty();
    if whole.is_empty() || point_without_decimals || !digits_only(whole) || !digits_only(decimals) {
        return Err(ParseAmountError::Shape);
    }
    let missing = usize::from(exponent)
        .checked_sub(decimals.len())
        .ok_or(ParseAmountError::Decimals { exponent })?;
    whole
        .bytes()
        .chain(decimals.bytes())
        .chain(std::iter::repeat_n(b'0', missing))
        .try_fold(0u64, |sum, digit| {
            sum.checked_mul(10)?
                .checked_add(u64::from(digit.checked_sub(b'0')?))
        })
        .ok_or(ParseAmountError::TooLarge)
}

/// Minor units as decimal text: 10355 with exponent 2 is `"103.55"`.
pub struct Decimal {
    /// Minor units.
    pub minor: u128,
    /// Decimal places.
    pub exponent: u8,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!(
            "{:0>width$}",
            self.minor,
            width = usize::from(self.exponent) + 1
        );
        let whole_digits = digits.len().checked_sub(usize::from(self.exponent));
        let (whole, decimals) =
            digits.split_at(whole_digits.expect("padded to one digit more than the exponent"));
        if decimals.is_empty() {
            f.write_str(whole)
        } else {
            write!(f, "{whole}.{decimals}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_text_becomes_minor_units_or_a_reason() {
        use ParseAmountError::*;
        let rows = [
            ("103.55", 2, Ok(10355)),
            ("103.5", 2, Ok(10350)),
            ("0", 2, Ok(0)),
            ("7", 0, Ok(7)),
            ("18446744073709551615", 0, Ok(u64::MAX)),
            ("18446744073709551616", 0, Err(TooLarge)),
            ("1.234", 2, Err(Decimals { exponent: 2 })),
            ("", 2, Err(Shape)),
            (".5", 2, Err(Shape)),
            ("5.", 2, Err(Shape)),
            ("-1", 2, Err(Shape)),
            ("1e3", 2, Err(Shape)),
            ("1,5", 2, Err(Shape)),
        ];
        for (text, exponent, expected) in rows {
            assert_eq!(parse_minor(text, exponent), expected, "{text:?}");
        }
    }

    #[test]
    fn two_currencies_do_not_mix() {
        let (eur, usd) = (LedgerId(1), LedgerId(2));
        assert_eq!(Amount::new(1, eur).checked_add(Amount::new(1, usd)), None);
        assert_eq!(Amount::new(1, eur).checked_sub(Amount::new(2, eur)), None);
        assert_eq!(
            Amount::new(3, eur).checked_sub(Amount::new(2, eur)),
            Some(Amount::new(1, eur))
        );
    }

    #[test]
    fn minor_units_are_shown_with_their_decimals() {
        let rows = [
            (10355, 2, "103.55"),
            (5, 2, "0.05"),
            (7, 0, "7"),
            (0, 3, "0.000"),
        ];
        for (minor, exponent, text) in rows {
            assert_eq!(Decimal { minor, exponent }.to_string(), text);
        }
    }
}
