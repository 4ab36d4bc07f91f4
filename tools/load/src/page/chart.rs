//! Charts as drawings in the page's own text: curves over two axes, and bars in rows.

use std::fmt::Write as _;

use crate::text::{escape, short};

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 230.0;
/// Left, right, top and bottom of the area between the axes.
const LEFT: f64 = 48.0;
const RIGHT: f64 = 372.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 196.0;
/// Ticks of an axis at most, so that its labels do not touch.
const TICKS_MAX: usize = 7;
/// Height of a row of bars, and of the bar in it.
const ROW: f64 = 24.0;
const BAR: f64 = 14.0;
/// Where bars begin and end; names stand before them, figures behind.
const BAR_LEFT: f64 = 96.0;
const BAR_RIGHT: f64 = 340.0;

/// How an axis is divided.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Scale {
    /// Evenly from 0, with the unit.
    Linear(&'static str),
    /// By powers of ten, with the unit.
    Log(&'static str),
    /// By powers of ten of one in how many: 1 is none of all, 10 is 90 %, 100 is 99 %.
    Nines,
}

/// One curve.
pub(super) struct Series {
    pub(super) name: &'static str,
    /// In the order in which they are joined.
    pub(super) points: Vec<(f64, f64)>,
}

/// Curves over two axes.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) series: Vec<Series>,
}

/// Bars in rows; those of a row stand behind one another.
pub(super) struct Bars {
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) unit: &'static str,
    /// What the bars of a row are.
    pub(super) names: &'static [&'static str],
    /// The name of each row and its figures.
    pub(super) rows: Vec<(String, Vec<f64>)>,
}

/// An axis between the least and the greatest figure on it.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Axis {
    fn of(scale: Scale, figures: impl Iterator<Item = f64>) -> Self {
        let (least, most) = figures.fold((f64::MAX, f64::MIN_POSITIVE), |(least, most), figure| {
            (least.min(figure), most.max(figure))
        });
        let ticks = match scale {
            Scale::Linear(_) => even_ticks(most),
            Scale::Log(_) | Scale::Nines => power_ticks(least.min(most), most, scale),
        };
        Self {
            scale,
            low: ticks.first().copied().unwrap_or(0.0),
            high: ticks.last().copied().unwrap_or(1.0).max(most),
            ticks,
        }
    }

    /// Where a figure lies, 0 to 1.
    fn place(&self, figure: f64) -> f64 {
        let (low, high, figure) = match self.scale {
            Scale::Linear(_) => (self.low, self.high, figure),
            Scale::Log(_) | Scale::Nines => (self.low.ln(), self.high.ln(), figure.ln()),
        };
        match high > low {
            true => ((figure - low) / (high - low)).clamp(0.0, 1.0),
            false => 0.0,
        }
    }

    fn label(&self, tick: f64) -> String {
        match self.scale {
            Scale::Linear(_) | Scale::Log(_) => short(tick),
            Scale::Nines => nines(tick),
        }
    }

    fn unit(&self) -> &'static str {
        match self.scale {
            Scale::Linear(unit) | Scale::Log(unit) => unit,
            Scale::Nines => "%",
        }
    }
}

/// One in how many, as the share of all the others.
fn nines(one_in: f64) -> String {
    let decimals = match one_in {
        few if few < 500.0 => 0,
        few if few < 5e3 => 1,
        few if few < 5e4 => 2,
        few if few < 5e5 => 3,
        _ => 4,
    };
    format!("{:.decimals$}", 100.0 - 100.0 / one_in)
}

/// Round figures from 0 to one that is not below `most`.
fn even_ticks(most: f64) -> Vec<f64> {
    let power = 10f64.powf((most / 5.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let fits = |step: &f64| most / step <= 5.0;
    let step = steps.into_iter().find(fits).unwrap_or(power * 10.0);
    let ticks = (0..=TICKS_MAX).scan(0.0, |tick, _| {
        let this = *tick;
        *tick += step;
        Some(this)
    });
    let mut ticks: Vec<f64> = ticks.collect();
    let enough = ticks.iter().position(|tick| *tick >= most * 0.999);
    ticks.truncate(enough.map_or(ticks.len(), |last| last + 1));
    ticks
}

/// Powers of ten from one that is not above `least` to one that is not below `most`; of a short
/// range 2 and 5 times each, too.
fn power_ticks(least: f64, most: f64, scale: Scale) -> Vec<f64> {
    let first = least.max(1e-6).log10().floor();
    let last = most.max(1e-6).log10().ceil().max(first + 1.0);
    #[expect(clippy::cast_possible_truncation, reason = "logarithms of figures")]
    let powers = (first as i32)..=(last as i32);
    let whole: Vec<f64> = powers.map(|power| 10f64.powi(power)).collect();
    if scale == Scale::Nines || whole.len() > 3 {
        return whole;
    }
    let finer: Vec<f64> = whole
        .iter()
        .flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * power))
        .collect();
    let from = finer
        .iter()
        .rposition(|tick| *tick <= least * 1.001)
        .unwrap_or(0);
    let to = finer.iter().position(|tick| *tick >= most * 0.999);
    let to = to.unwrap_or(finer.len() - 1).max(from + 1);
    finer[from..=to.min(finer.len() - 1)].to_vec()
}

impl Chart {
    /// The chart as a section of the page.
    pub(super) fn draw(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        if points().next().is_none() {
            return section(self.title, self.about, "<p>No answer came.</p>", &[], "");
        }
        let x = Axis::of(self.x, points().map(|point| point.0));
        let y = Axis::of(self.y, points().map(|point| point.1));
        let mut drawing = String::new();
        grid(&mut drawing, &x, &y);
        for (place, series) in self.series.iter().enumerate() {
            let at = |point: &(f64, f64)| {
                let across = LEFT + (RIGHT - LEFT) * x.place(point.0);
                let up = BOTTOM - (BOTTOM - TOP) * y.place(point.1);
                format!("{across:.1},{up:.1}")
            };
            let mut line: Vec<String> = series.points.iter().map(at).collect();
            let mut class = "curve";
            if let [only] = &line[..] {
                // A line to itself, whose round ends are seen.
                line.push(only.clone());
                class = "curve dot";
            }
            let _ = writeln!(
                drawing,
                "<polyline class=\"{class} s{place}\" points=\"{}\"><title>{}</title></polyline>",
                line.join(" "),
                series.name
            );
        }
        let names: Vec<&str> = self.series.iter().map(|series| series.name).collect();
        let most = points().map(|point| point.1).fold(0.0, f64::max);
        let label = format!("{}: up to {} {}", self.title, short(most), y.unit());
        section(
            self.title,
            self.about,
            &svg(&label, HEIGHT, &drawing),
            &names,
            "",
        )
    }
}

/// Lines at the ticks of both axes, with their labels.
fn grid(drawing: &mut String, x: &Axis, y: &Axis) {
    for tick in &y.ticks {
        let up = BOTTOM - (BOTTOM - TOP) * y.place(*tick);
        let _ = writeln!(
            drawing,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{up:.1}\" y2=\"{up:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            up + 4.0,
            y.label(*tick)
        );
    }
    for tick in x.ticks.iter().filter(|tick| **tick <= x.high * 1.001) {
        let across = LEFT + (RIGHT - LEFT) * x.place(*tick);
        let _ = writeln!(
            drawing,
            "<line class=\"grid\" x1=\"{across:.1}\" x2=\"{across:.1}\" y1=\"{TOP}\" \
             y2=\"{BOTTOM}\"/><text x=\"{across:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\">{}</text>",
            BOTTOM + 16.0,
            x.label(*tick)
        );
    }
    let _ = writeln!(
        drawing,
        "<text class=\"name\" x=\"{:.1}\" y=\"11\" text-anchor=\"end\">{}</text>\
         <text class=\"name\" x=\"{RIGHT}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
        LEFT - 6.0,
        y.unit(),
        BOTTOM + 30.0,
        x.unit()
    );
}

impl Bars {
    /// The bars as a section of the page.
    pub(super) fn draw(&self) -> String {
        let sum = |figures: &[f64]| figures.iter().sum::<f64>();
        let most = self.rows.iter().map(|(_, figures)| sum(figures));
        let most = most.fold(f64::MIN_POSITIVE, f64::max);
        let mut drawing = String::new();
        let mut top = 0.0;
        for (name, figures) in &self.rows {
            let middle = top + ROW / 2.0 + 4.0;
            let _ = write!(
                drawing,
                "<text class=\"name\" x=\"{:.1}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>",
                BAR_LEFT - 6.0,
                escape(name)
            );
            let mut left = BAR_LEFT;
            for (place, figure) in figures.iter().enumerate() {
                let wide = (BAR_RIGHT - BAR_LEFT) * figure / most;
                let _ = write!(
                    drawing,
                    "<rect class=\"b{place}\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" \
                     height=\"{BAR}\"><title>{}, {}: {} {}</title></rect>",
                    top + (ROW - BAR) / 2.0,
                    escape(name),
                    self.names[place],
                    short(*figure),
                    self.unit
                );
                left += wide;
            }
            let first = figures.first().copied().unwrap_or_default();
            let _ = writeln!(
                drawing,
                "<text x=\"{:.1}\" y=\"{middle:.1}\">{} {}</text>",
                left + 6.0,
                short(first),
                self.unit
            );
            top += ROW;
        }
        let label = format!("{}: {} rows", self.title, self.rows.len());
        let legend = if self.names.len() > 1 {
            self.names
        } else {
            &[]
        };
        section(
            self.title,
            self.about,
            &svg(&label, top + 4.0, &drawing),
            legend,
            "bars",
        )
    }
}

fn svg(label: &str, height: f64, drawing: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n{drawing}</svg>\n",
        escape(label)
    )
}

fn section(title: &str, about: &str, drawing: &str, names: &[&str], class: &str) -> String {
    let mut text =
        format!("<section class=\"{class}\">\n<h2>{title}</h2>\n<p>{about}</p>\n{drawing}");
    if !names.is_empty() {
        text += "<ul class=\"legend\">";
        for (place, name) in names.iter().enumerate() {
            let _ = write!(text, "<li class=\"k{place}\">{name}</li>");
        }
        text += "</ul>\n";
    }
    text += "</section>\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_hold_all_figures() {
        let rows: [(f64, &[f64]); 4] = [
            (7.0, &[0.0, 2.0, 4.0, 6.0, 8.0]),
            (
                330_000.0,
                &[0.0, 100_000.0, 200_000.0, 300_000.0, 400_000.0],
            ),
            (0.5, &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
            (f64::MIN_POSITIVE, &[0.0]),
        ];
        for (most, expected) in rows {
            let ticks = even_ticks(most);
            if expected.len() > 1 {
                let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9 * most.max(1.0);
                assert_eq!(ticks.len(), expected.len(), "{most}: {ticks:?}");
                assert!(ticks.iter().zip(expected).all(near), "{most}: {ticks:?}");
            }
            assert!(ticks.len() <= TICKS_MAX + 1);
        }
        let log = |least, most| power_ticks(least, most, Scale::Log("ms"));
        assert_eq!(log(3.0, 45.0), [2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(log(0.5, 4000.0), [0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(log(7.0, 7.0), [5.0, 10.0]);
        let shares = power_ticks(1.0, 2000.0, Scale::Nines);
        let labels: Vec<String> = shares.into_iter().map(nines).collect();
        assert_eq!(labels, ["0", "90", "99", "99.9", "99.99"]);
    }

    #[test]
    fn a_figure_lies_between_the_ends_of_its_axis() {
        for scale in [Scale::Linear("s"), Scale::Log("ms"), Scale::Nines] {
            let axis = Axis::of(scale, [1.0, 10.0, 100.0].into_iter());
            let places = [1.0, 10.0, 100.0, 1e9].map(|figure| axis.place(figure));
            assert!(
                places.windows(2).all(|pair| pair[0] <= pair[1]),
                "{places:?}"
            );
            assert!(
                places.iter().all(|place| (0.0..=1.0).contains(place)),
                "{places:?}"
            );
        }
    }
}
