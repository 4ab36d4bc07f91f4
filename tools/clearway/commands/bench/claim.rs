//! `--assert`: figures of a run's report, and claims about them.

use clearway_load::report::Report;

/// A figure of the report and its bound.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) text: String,
    figure: fn(&Report) -> f64,
    above: bool,
    bound: f64,
}

pub(super) type Figure = (&'static str, fn(&Report) -> f64);

#[expect(
    clippy::cast_precision_loss,
    reason = "figures of a run stay far below 2^53"
)]
pub(super) const FIGURES: [Figure; 9] = [
    ("tps_final", |report| report.tps_final),
    ("p50_us", |report| report.response_us.p50 as f64),
    ("p99_us", |report| report.response_us.p99 as f64),
    ("p999_us", |report| report.response_us.p999 as f64),
    ("cpu_seconds", |report| report.cpu_seconds),
    ("cpu_us_per_payment", |report| {
        1e6 * report.cpu_seconds / (report.settled + report.rejected).max(1) as f64
    }),
    ("memory_peak_bytes", |report| {
        match report.memory_peak_bytes {
            // The system does not say: no claim about it holds.
            0 => f64::NAN,
            bytes => bytes as f64,
        }
    }),
    ("bytes_written", |report| report.bytes_written as f64),
    ("settled", |report| report.settled as f64),
];

pub(super) fn parse_claim(text: &str) -> Result<Claim, String> {
    let names: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
    let wrong = || {
        format!(
            "write FIGURE>NUMBER or FIGURE<NUMBER with one of {}",
            names.join(", ")
        )
    };
    let place = text.find(['<', '>']).ok_or_else(wrong)?;
    let bound: f64 = text[place + 1..].trim().parse().map_err(|_| wrong())?;
    // Such a claim would hold, or be missed, whatever was measured.
    if !(bound.is_finite() && bound >= 0.0) {
        return Err(format!(
            "{bound} is no bound of a figure; write a number from 0 on"
        ));
    }
    let name = text[..place].trim();
    let (_, figure) = FIGURES
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(wrong)?;
    Ok(Claim {
        text: text.to_owned(),
        figure: *figure,
        above: text.as_bytes()[place] == b'>',
        bound,
    })
}

impl Claim {
    pub(super) fn holds(&self, report: &Report) -> bool {
        let value = (self.figure)(report);
        if self.above {
            value > self.bound
        } else {
            value < self.bound
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_or_refused() {
        let claim = parse_claim("p99_us < 100000").expect("it is one");
        assert!(!claim.above && (claim.bound - 100_000.0).abs() < 1e-9);
        for text in ["", "tps_final", "speed>1", "tps_final>fast", "tps_final=1"] {
            assert!(parse_claim(text).is_err(), "{text}");
        }
        for bound in [
            "nan", "NaN", "-nan", "inf", "-inf", "infinity", "1e999", "-1", "", " ", ">1", "=1",
        ] {
            for claim in ["tps_final>", "tps_final<", "p99_us >"] {
                let text = format!("{claim}{bound}");
                assert!(parse_claim(&text).is_err(), "{text}");
            }
        }
        for text in [
            ">1",
            " >1",
            "tps_final,p99_us>1",
            "TPS_FINAL>1",
            "settled>1<2",
        ] {
            assert!(parse_claim(text).is_err(), "{text}");
        }
    }
}
