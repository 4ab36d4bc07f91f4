//! A report as one page for a browser: figures, charts and tables, without scripts, and without
//! anything that is fetched from elsewhere.

use std::fmt::Write as _;

use crate::report::{Point, Report, Spectrum, StageTimes, milliseconds};
use crate::text::{escape, grouped};
use crate::timeline::TimelineRows;

mod chart;

use chart::{Bars, Chart, Scale, Series};

/// Colours, and how the page fits a phone and a desk, by day and by night.
const STYLE: &str = include_str!("page/style.css");
/// Microseconds of a millisecond.
const MS: f64 = 1000.0;

/// The whole page.
#[must_use]
pub fn html(report: &Report) -> String {
    let title = format!(
        "{} payments a second, p99 {}",
        grouped(report.tps_final.round()),
        milliseconds(report.response_us.p99)
    );
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>Clearway: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    page += &head(report);
    let charts = [
        report
            .spectrum
            .as_ref()
            .map(|spectrum| latency_spectrum(report, spectrum)),
        report.timeline.as_ref().map(answers_over_time),
        report.timeline.as_ref().map(latency_over_time),
        stage_times(report),
        processor(report),
    ];
    page += "<div class=\"charts\">\n";
    page.extend(charts.into_iter().flatten());
    page += "</div>\n";
    page += &table("All figures", report.rows());
    page += &table("Machine, load and settings", conditions(report));
    page += "</main>\n</body>\n</html>\n";
    page
}

/// The figures that people look for first, and what they were measured of.
fn head(report: &Report) -> String {
    let checks = match report.checks.all() {
        true => "conserved, every root equal, replay ok",
        false => "CHECKS FAILED: these figures say nothing",
    };
    let tiles = [
        ("final a second", grouped(report.tps_final.round())),
        ("p50", milliseconds(report.response_us.p50)),
        ("p99", milliseconds(report.response_us.p99)),
        ("p99.9", milliseconds(report.response_us.p999)),
        ("slowest", milliseconds(report.response_us.p100)),
    ];
    let mut text = String::from("<h1>Clearway, one run</h1>\n<dl class=\"tiles\">\n");
    for (name, figure) in tiles {
        let _ = writeln!(
            text,
            "<div><dt>{name}</dt><dd>{}</dd></div>",
            escape(&figure)
        );
    }
    let rate = match report.load.rate.parse() {
        Ok(rate) => format!("{} a second offered", grouped(rate)),
        Err(_) => "as fast as answers come".to_owned(),
    };
    let _ = writeln!(
        text,
        "</dl>\n<p>{}: {} payments between {} accounts, {rate}, on {} connections; {} settled, {} \
         did not. {} with {} cores, {}. Checked afterwards: <strong>{checks}</strong>.</p>",
        escape(&report.workload.name),
        grouped(as_f64(report.sent)),
        grouped(as_f64(report.workload.accounts as u64)),
        report.load.connections,
        grouped(as_f64(report.settled)),
        grouped(as_f64(report.rejected)),
        escape(&report.machine.cpu),
        report.machine.cores,
        escape(&report.durability)
    );
    text
}

fn latency_spectrum(report: &Report, spectrum: &Spectrum) -> String {
    let series = |name, points: &[Point]| Series {
        name,
        points: points
            .iter()
            .map(|point| (one_in(point.quantile, report), as_f64(point.us) / MS))
            .collect(),
    };
    Chart {
        title: "How long payments took",
        about: "share of the payments that took no longer, the rarer the further to the right",
        x: Scale::Nines,
        y: Scale::Log("ms"),
        series: vec![
            series("from the intended send time", &spectrum.response),
            series("from the real send time", &spectrum.service),
        ],
    }
    .draw()
}

/// One payment in how many took longer; of the slowest, at most one in all of them.
fn one_in(quantile: f64, report: &Report) -> f64 {
    (1.0 / (1.0 - quantile)).min(as_f64(report.sent.max(1)))
}

fn answers_over_time(timeline: &TimelineRows) -> String {
    let a_second = 1000.0 / as_f64(timeline.interval_ms);
    let rates = timeline
        .answered
        .iter()
        .map(|count| as_f64(*count) * a_second);
    Chart {
        title: "Answers a second",
        about: "final answers that the clients held; a point an interval, of which the first and \
                the last may be covered in part",
        x: Scale::Linear("s"),
        y: Scale::Linear("/s"),
        series: vec![Series {
            name: "answers a second",
            points: over_time(timeline, rates),
        }],
    }
    .draw()
}

fn latency_over_time(timeline: &TimelineRows) -> String {
    let series = |name, us: &[u64]| {
        let ms = us.iter().map(|us| as_f64(*us) / MS);
        Series {
            name,
            points: over_time(timeline, ms)
                .into_iter()
                .filter(|(_, ms)| *ms > 0.0)
                .collect(),
        }
    };
    Chart {
        title: "Latency over time",
        about: "of the answers of each interval, from the intended send time, to 10 %",
        x: Scale::Linear("s"),
        y: Scale::Log("ms"),
        series: vec![
            series("slowest", &timeline.max_us),
            series("p99", &timeline.p99_us),
            series("p50", &timeline.p50_us),
        ],
    }
    .draw()
}

/// Figures of intervals at the ends of the intervals, in seconds.
fn over_time(timeline: &TimelineRows, figures: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
    let seconds = as_f64(timeline.interval_ms) / 1000.0;
    let ends = (1..).map(|number| as_f64(number) * seconds);
    ends.zip(figures).collect()
}

/// A bar a stage, where the report has them.
fn stage_times(report: &Report) -> Option<String> {
    let shares = |times: &StageTimes| {
        let spent = [times.busy, times.backpressure, times.wait];
        let all: f64 = spent.iter().sum();
        let percents = spent.map(|seconds| 100.0 * seconds / all).to_vec();
        (all > 0.0).then(|| (times.stage.clone(), percents))
    };
    let rows: Vec<_> = report.stage_times.iter().filter_map(shares).collect();
    let bars = Bars {
        title: "What the stages did with their time",
        about: "share of the time of a stage's workers",
        unit: "%",
        names: &[
            "at work",
            "waiting for room on the next link",
            "waiting for work",
        ],
        rows,
    };
    (!bars.rows.is_empty()).then(|| bars.draw())
}

fn processor(report: &Report) -> Option<String> {
    let payments = as_f64(report.sent.max(1));
    let rows = report.stage_cpu_seconds.iter();
    let rows = rows.map(|(stage, seconds)| (stage.clone(), vec![seconds * 1e6 / payments]));
    let mut rows: Vec<(String, Vec<f64>)> = rows.collect();
    rows.sort_by(|one, other| other.1[0].total_cmp(&one.1[0]));
    let bars = Bars {
        title: "Processor time a payment",
        about: "of node and load together, by stage",
        unit: "us",
        names: &["microseconds a payment"],
        rows,
    };
    (!bars.rows.is_empty()).then(|| bars.draw())
}

fn conditions(report: &Report) -> Vec<(&'static str, String)> {
    let machine = &report.machine;
    let settings = report
        .config
        .iter()
        .map(|(name, value)| format!("{name} = {value}"));
    vec![
        (
            "command",
            format!("clearway {}", report.arguments.join(" ")),
        ),
        ("commit", report.commit.clone()),
        ("processor", machine.cpu.clone()),
        ("cores", machine.cores.to_string()),
        ("connections", report.load.connections.to_string()),
        (
            "streams in flight",
            report.load.streams_in_flight.to_string(),
        ),
        ("envelopes on a stream", report.load.stream_len.to_string()),
        (
            "memory at most",
            format!("{} bytes", grouped(as_f64(report.memory_peak_bytes))),
        ),
        (
            "written",
            format!("{} bytes", grouped(as_f64(report.bytes_written))),
        ),
        ("settings", settings.collect::<Vec<_>>().join("; ")),
    ]
}

/// Rows behind a heading that opens and closes.
fn table(heading: &str, rows: Vec<(&'static str, String)>) -> String {
    let mut text = format!("<details>\n<summary>{heading}</summary>\n<table>\n<tbody>\n");
    for (name, value) in rows {
        let value = escape(&value);
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>"
        );
    }
    text += "</tbody>\n</table>\n</details>\n";
    text
}

#[expect(
    clippy::cast_precision_loss,
    reason = "drawn and shown with few digits"
)]
fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Tally;
    use crate::report::tests::sample;

    /// A run of two seconds in which one answer is slow.
    fn report() -> Report {
        let mut tally = Tally::default();
        for ms in 0..2000 {
            let (due_us, took_us) = (1_000_000 + ms * 1000, if ms == 700 { 90_000 } else { 4000 });
            tally.sent_at(due_us, 1);
            tally.respond(due_us, due_us + took_us, 1);
            tally.service.record(took_us, 1);
        }
        let times = StageTimes {
            stage: "verify".into(),
            busy: 1.0,
            wait: 3.0,
            backpressure: 0.5,
        };
        let mut report = sample();
        report.set_tally(&tally);
        report.stage_times = vec![times];
        report.workload.name = "<script>alert(1)</script>".into();
        report
    }

    #[test]
    fn a_page_has_every_chart_and_fetches_nothing() {
        let page = html(&report());
        for words in [
            "How long payments took",
            "Answers a second",
            "Latency over time",
            "What the stages did with their time",
            "Processor time a payment",
            "All figures",
            "&lt;script&gt;alert(1)",
        ] {
            assert!(page.contains(words), "{words}");
        }
        for words in ["<script", "http:", "https:", "NaN", "inf", "url("] {
            assert!(!page.contains(words), "{words}");
        }
        let count = |word: &str| page.matches(word).count();
        for tag in ["section", "svg", "details", "table", "ul", "title", "main"] {
            assert_eq!(
                count(&format!("<{tag}")),
                count(&format!("</{tag}>")),
                "{tag}"
            );
        }
        assert_eq!(
            count("class=\"curve "),
            2 + 1 + 3,
            "the curves of three charts"
        );
    }

    #[test]
    fn a_report_without_what_is_drawn_is_a_page_of_figures() {
        let mut report = sample();
        (report.timeline, report.spectrum) = (None, None);
        let page = html(&report);
        assert!(
            !page.contains("polyline") && page.contains("All figures"),
            "{page}"
        );
    }
}
