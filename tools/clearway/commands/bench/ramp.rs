//! `clearway bench --ramp BOUND`: the highest rate of an open loop whose answers stay within a
//! bound, the knee of the curve of latency over rate.

use clearway_load::report::Report;
use clearway_load::text::grouped;
use serde::Serialize;

use super::{Args, payments_in};
use crate::failure::{Failure, Kind, OrFail as _};
use crate::ui;

/// Where the search begins, payments a second.
const RATE_FIRST: f64 = 20_000.0;
/// A miss below this ends it, and so does a rate above that.
const RATE_MIN: f64 = 1000.0;
const RATE_MAX: f64 = 5_000_000.0;
/// The knee lies within this ratio above the rate that is told.
const PRECISION: f64 = 1.1;
/// A rate is held where its payments are answered in little more than the time in which they were
/// due: this many times as long, and seconds for the last answers.
const LATE: f64 = 1.05;
const LATE_S: f64 = 0.2;
/// Seconds of a run, where the command line says nothing.
const SECONDS: u32 = 5;
/// One stall of the disk misses the bound of a run this short, so a miss has to show three times.
const TRIES: usize = 3;

type Percentile = (&'static str, fn(&Report) -> u64);

const PERCENTILES: [Percentile; 3] = [
    ("p50", |report| report.response_us.p50),
    ("p99", |report| report.response_us.p99),
    ("p999", |report| report.response_us.p999),
];

const UNITS: [(&str, f64); 3] = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];

/// A percentile of the response time and what it must stay below.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    text: String,
    percentile: fn(&Report) -> u64,
    us: f64,
}

/// Reads `p99<50ms`.
pub(super) fn parse_bound(text: &str) -> Result<Bound, String> {
    let wrong = || {
        format!(
            "`{text}` is no bound: write p50, p99 or p999, `<`, and a time in us, ms or s, for \
             example p99<50ms"
        )
    };
    let (name, time) = text.split_once('<').ok_or_else(wrong)?;
    let known = PERCENTILES.iter().find(|(known, _)| *known == name.trim());
    let (_, percentile) = known.ok_or_else(wrong)?;
    let time = time.trim();
    let digits = time.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = UNITS
        .iter()
        .find(|(unit, _)| *unit == &time[digits.len()..]);
    let (_, us_per_unit) = unit.ok_or_else(wrong)?;
    let number: f64 = digits.trim().parse().map_err(|_| wrong())?;
    let us = number * us_per_unit;
    if !(us.is_finite() && us >= 1.0) {
        return Err(wrong());
    }
    Ok(Bound {
        text: text.split_whitespace().collect(),
        percentile: *percentile,
        us,
    })
}

impl Bound {
    /// Why a run at this rate is missed; `None` where it is held.
    #[expect(
        clippy::cast_precision_loss,
        reason = "figures of a run stay far below 2^53"
    )]
    fn missed(&self, report: &Report, rate: f64) -> Option<String> {
        let due_s = (report.settled + report.rejected) as f64 / rate;
        if ((self.percentile)(report) as f64) >= self.us {
            return Some("above the bound".to_owned());
        }
        let late_s = report.seconds - due_s;
        (report.seconds > due_s * LATE + LATE_S)
            .then(|| format!("answered {late_s:.1} s late: the rate was not held"))
    }
}

/// What the search found; every run is there whole, so that its sums can be checked.
#[derive(Serialize)]
struct Ramp {
    bound: String,
    /// The highest rate that was held, payments a second; `None` where not even the lowest was.
    knee: Option<f64>,
    /// At least this rate was missed: the knee lies between the two.
    missed: Option<f64>,
    /// In the order in which they were measured.
    runs: Vec<Run>,
}

#[derive(Serialize)]
struct Run {
    rate: f64,
    held: bool,
    /// Why it is not held.
    missed: Option<String>,
    report: Report,
}

impl Run {
    fn verdict(&self) -> String {
        match &self.missed {
            None => "held".to_owned(),
            Some(why) => format!("missed, {why}"),
        }
    }
}

pub(super) fn run(args: &Args, bound: &Bound) -> Result<(), Failure> {
    let place = args.report.open()?;
    let seconds = args.duration.unwrap_or(SECONDS);
    let mut runs = Vec::new();
    let (knee, missed) = search(&mut |rate| {
        for _ in 0..TRIES {
            let run = measure(args, bound, rate, seconds)?;
            let held = run.held;
            runs.push(run);
            if held {
                return Ok(true);
            }
        }
        Ok(false)
    })?;
    let ramp = Ramp {
        bound: bound.text.clone(),
        knee,
        missed,
        runs,
    };
    place.result("ramp", &ramp, || shown(&ramp))?;
    match (knee, missed) {
        (None, Some(missed)) => {
            let message = format!("not even {missed} payments a second hold {}", bound.text);
            Err(Failure::new(Kind::Threshold, message))
        }
        _ => Ok(()),
    }
}

fn measure(args: &Args, bound: &Bound, rate: f64, seconds: u32) -> Result<Run, Failure> {
    let count = payments_in(seconds, rate)?;
    let report = args.trial_of(Some(rate), count)?.run()?;
    if !report.checks.all() {
        let message =
            format!("the history of the run at {rate}/s is not the one that was answered");
        return Err(Failure::new(Kind::Mismatch, message));
    }
    report.check_sums().or_fail(Kind::Mismatch)?;
    let missed = bound.missed(&report, rate);
    let run = Run {
        rate,
        held: missed.is_none(),
        missed,
        report,
    };
    let response = &run.report.response_us;
    ui::note(&format!(
        "{rate}/s   p50 {} us, p99 {} us: {}",
        response.p50,
        response.p99,
        run.verdict()
    ));
    Ok(run)
}

/// The highest rate that is held and the lowest that is missed above it: doubles, or halves, until
/// there is one of each, then goes between them.
fn search(
    is_held: &mut dyn FnMut(f64) -> Result<bool, Failure>,
) -> Result<(Option<f64>, Option<f64>), Failure> {
    let (mut held, mut missed) = (None, None);
    let mut rate = RATE_FIRST;
    loop {
        match is_held(rate)? {
            true => held = Some(rate),
            false => missed = Some(rate),
        }
        rate = match (held, missed) {
            (Some(held), Some(missed)) if missed / held > PRECISION => {
                three_digits(f64::sqrt(held * missed))
            }
            (Some(held), None) if held < RATE_MAX => held * 2.0,
            (None, Some(missed)) if missed > RATE_MIN => missed / 2.0,
            _ => return Ok((held, missed)),
        };
    }
}

/// A rate that people can type.
fn three_digits(rate: f64) -> f64 {
    let unit = 10_f64.powf(rate.log10().floor() - 2.0);
    (rate / unit).round() * unit
}

fn shown(ramp: &Ramp) -> String {
    let ms = |us: u64| format!("{}.{:02}", us / 1000, us % 1000 / 10);
    let mut runs: Vec<&Run> = ramp.runs.iter().collect();
    runs.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    let rows = runs.into_iter().map(|run| {
        let response = &run.report.response_us;
        let cpu_us = 1e6 * run.report.cpu_seconds / (run.rate * run.report.seconds);
        vec![
            grouped(run.rate),
            ms(response.p50),
            ms(response.p99),
            ms(response.p999),
            format!("{cpu_us:.1}"),
            run.verdict(),
        ]
    });
    let head = [
        "rate#",
        "p50 ms#",
        "p99 ms#",
        "p99.9 ms#",
        "CPU us#",
        "bound",
    ];
    let knee = match ramp.knee {
        Some(rate) => format!("{} payments a second", grouped(rate)),
        None => "none".to_owned(),
    };
    let end = [("bound", ramp.bound.clone()), ("knee", knee)];
    ui::table(&head, rows) + "\n\n" + &ui::rows(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_a_percentile_and_a_time() {
        for (text, us, written) in [
            ("p99<50ms", 5e4, "p99<50ms"),
            ("p50 < 800us", 800.0, "p50<800us"),
            (" p999<1.5 s", 1.5e6, "p999<1.5s"),
        ] {
            let bound = parse_bound(text).expect(text);
            assert!((bound.us - us).abs() < 1e-6, "{text}");
            assert_eq!(bound.text, written);
        }
        for text in [
            "",
            "p99",
            "p99<",
            "p99<50",
            "p99>50ms",
            "p98<50ms",
            "p99<ms",
            "p99<-1ms",
            "p99<0ms",
            "p99<nanms",
            "p99<infs",
            "p99<50min",
            "p99<50ms<2s",
            "p99=50ms",
            "p99<0.1us",
        ] {
            assert!(parse_bound(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_search_ends_within_a_tenth_of_the_knee() {
        for knee in [400.0, 700.0, 1234.0, 19_999.0, 20_000.0, 151_000.0, 4e6] {
            let mut asked = Vec::new();
            let found = search(&mut |rate| {
                asked.push(rate);
                Ok(rate <= knee)
            });
            let (held, missed) = found.expect("nothing fails");
            assert!(asked.len() < 16, "{knee}: {asked:?}");
            match held {
                Some(held) => {
                    let missed = missed.expect("something is too much");
                    assert!(
                        held <= knee && knee < missed && missed <= 1.1 * held,
                        "{asked:?}"
                    );
                }
                None => assert!(knee < missed.expect("all are too much"), "{asked:?}"),
            }
        }
        let (held, missed) = search(&mut |_| Ok(true)).expect("nothing fails");
        assert!(held >= Some(RATE_MAX) && missed.is_none());
    }

    #[test]
    fn rates_between_are_short_numbers() {
        for (rate, short) in [(14_142.1, 14_100.0), (999.6, 1000.0), (123.4, 123.0)] {
            assert!((three_digits(rate) - short).abs() < 1e-6, "{rate}");
        }
    }
}
