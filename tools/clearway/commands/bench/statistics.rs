//! What rounds say together: a rate, its median, its spread.

/// How many a second.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of signatures and hashes stay far below 2^53"
)]
pub(super) fn rate(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// The value in the middle, or between the two in the middle.
///
/// # Panics
/// When there are no values.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Distance of the largest and the smallest value, in percent of the median.
pub(super) fn spread_percent(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::MIN, f64::max);
    let smallest = values.iter().copied().fold(f64::MAX, f64::min);
    100.0 * (largest - smallest) / median(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads_are_those_of_the_rounds() {
        let rows: [(&[f64], f64, f64); 5] = [
            (&[4.0], 4.0, 0.0),
            (&[1.0, 3.0], 2.0, 100.0),
            (&[9.0, 1.0, 4.0], 4.0, 200.0),
            (&[10.0, 9.0, 11.0, 10.0], 10.0, 20.0),
            (&[2.0, 2.0, 2.0], 2.0, 0.0),
        ];
        for (values, middle, spread) in rows {
            assert!((median(values) - middle).abs() < 1e-9, "{values:?}");
            assert!((spread_percent(values) - spread).abs() < 1e-9, "{values:?}");
        }
        assert!((rate(500, 0.25) - 2000.0).abs() < 1e-9);
    }
}
