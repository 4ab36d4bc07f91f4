//! Draws a view: two lines of the node, the tabs, a tab's figures, the keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::board::{Board, Counts, Figure, Link, Panel, Stage};
use super::text::{number, seconds, share, shown, spark};
use super::view::{Tab, View};
use crate::ui::printable;

/// A part of its time that a stage may wait for room before its row says so by its colour.
const PRESSURE_WARNED: f64 = 0.05;
/// A part of its time from which a stage is what limits the node.
const BUSY_WARNED: f64 = 0.9;
/// Columns of a stage's row in front of its spark line.
const STAGE_COLUMNS: usize = 67;
/// Columns of numbers in a row of a family.
const FAMILY_COLUMNS: usize = 18;
/// Columns of the figures on the left of a tab: they need the first number, and gain nothing by
/// more than the second.
const FIGURES_COLUMNS: (u16, u16) = (36, 60);

/// Styles of what is drawn.
pub(super) struct Theme {
    coloured: bool,
}

impl Theme {
    /// Without colours, what matters is bold.
    pub(super) fn new(coloured: bool) -> Self {
        Self { coloured }
    }

    fn colour(&self, colour: Color) -> Style {
        match self.coloured {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    fn good(&self) -> Style {
        self.colour(Color::Green)
    }

    fn warned(&self) -> Style {
        self.colour(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    fn bad(&self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn head(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    fn title(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }
}

/// Draws all of it. What a small window has no room for is left out.
pub(super) fn draw(frame: &mut Frame, view: &View, theme: &Theme) {
    let rows = [
        Constraint::Length(2),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ];
    let [header, tabs, body, keys] = Layout::vertical(rows).areas(frame.area());
    let lines = vec![state_line(view, theme), figures_line(&view.board)];
    frame.render_widget(Paragraph::new(lines), header);
    frame.render_widget(Paragraph::new(tab_line(view, theme)), tabs);
    let place = Paragraph::new(Line::from(place(view)).right_aligned());
    frame.render_widget(place, right_of(tabs, tabs_columns()));
    let board = &view.board;
    match view.tab {
        Tab::Stages => draw_stages(frame, body, view, theme),
        Tab::Verification => draw_panel(frame, body, &board.verification, theme),
        Tab::Order => draw_panel(frame, body, &board.order, theme),
        Tab::Members => draw_panel(frame, body, &board.members, theme),
    }
    frame.render_widget(Paragraph::new(keys_line(view)), keys);
    if view.helps {
        draw_help(frame, theme);
    }
}

/// Whether money is conserved and payments are taken.
fn state_line<'a>(view: &View, theme: &Theme) -> Line<'a> {
    let header = &view.board.header;
    let conserved = match header.conserved {
        Some(true) => Span::styled("conserved yes", theme.good()),
        Some(false) => Span::styled("CONSERVED NO", theme.bad()),
        None => Span::raw("conserved -"),
    };
    let state = match &view.lost {
        Some(lost) => {
            let (seconds, why) = (lost.lasts.as_secs(), printable(&lost.why));
            let said = format!("NO ANSWER for {seconds} s: {why}; asking again");
            return Line::from(vec![
                conserved,
                "  ".into(),
                Span::styled(said, theme.bad()),
            ]);
        }
        None if header.readiness == "ready" => Span::styled("ready", theme.good()),
        None => Span::styled(printable(&header.readiness), theme.warned()),
    };
    let (version, backend) = (printable(&header.version), printable(&header.backend));
    let rest = format!(
        "  in flight {}  clearway {version}, verifies by {backend}",
        number(header.in_flight),
    );
    Line::from(vec![conserved, "  ".into(), state, rest.into()])
}

fn figures_line<'a>(board: &Board) -> Line<'a> {
    let header = &board.header;
    Line::from(format!(
        "height {}  payments {}/s  finality {}, p99 {}  drops {}/s",
        number(header.height),
        number(header.payments_per_s),
        seconds(header.finality_s),
        seconds(header.finality_p99_s),
        number(header.drops_per_s),
    ))
}

fn tab_text(number: usize, tab: Tab) -> String {
    format!(" {} {} ", number + 1, tab.title())
}

fn tabs_columns() -> usize {
    let texts = Tab::ALL.iter().enumerate();
    texts
        .map(|(number, tab)| tab_text(number, *tab).len())
        .sum()
}

fn tab_line<'a>(view: &View, theme: &Theme) -> Line<'a> {
    let spans = Tab::ALL.iter().enumerate().map(|(number, tab)| {
        let style = match *tab == view.tab {
            true => theme.head(),
            false => Style::new(),
        };
        Span::styled(tab_text(number, *tab), style)
    });
    Line::from(spans.collect::<Vec<_>>())
}

/// Which node, how often, and whether the figures stand still.
fn place(view: &View) -> String {
    let paused = match view.paused {
        true => "PAUSED ",
        false => "",
    };
    format!("{paused}{} {} s", view.target, view.interval.as_secs())
}

/// What is left of a row behind its first columns.
fn right_of(row: Rect, columns: usize) -> Rect {
    let columns = u16::try_from(columns).map_or(row.width, |columns| columns.min(row.width));
    Rect {
        x: row.x + columns,
        width: row.width - columns,
        ..row
    }
}

fn keys_line<'a>(view: &View) -> Line<'a> {
    let back = match view.reversed {
        true => ", reversed",
        false => "",
    };
    let sort = view.sort.word();
    let pause = match view.paused {
        true => "space go on",
        false => "space pause",
    };
    Line::from(format!(
        "q quit  1-4 tabs  s sort: {sort}{back}  r reverse  {pause}  ? help"
    ))
}

fn draw_stages(frame: &mut Frame, area: Rect, view: &View, theme: &Theme) {
    let columns = usize::from(area.width).saturating_sub(STAGE_COLUMNS);
    let mut stages = vec![head(stage_head(), area, theme)];
    stages.extend(view.stages().into_iter().map(|stage| {
        let drawn = spark(view.rates(&stage.stage), columns);
        Line::styled(stage_row(stage) + &drawn, stage_style(stage, theme))
    }));
    let mut links = vec![head(link_head(), area, theme)];
    links.extend(view.links().into_iter().map(|link| {
        let style = match is_full(link) {
            true => theme.warned(),
            false => Style::new(),
        };
        Line::styled(link_row(link), style)
    }));
    let rows = u16::try_from(stages.len()).unwrap_or(u16::MAX);
    let parts = [Constraint::Length(rows), Constraint::Min(0)];
    let [above, below] = Layout::vertical(parts).areas(area);
    frame.render_widget(Paragraph::new(stages), above);
    draw_lines(frame, below, links);
}

/// A head line over the whole width.
fn head<'a>(text: String, area: Rect, theme: &Theme) -> Line<'a> {
    let width = usize::from(area.width);
    Line::styled(format!("{text:<width$}"), theme.head())
}

fn stage_head() -> String {
    let [stage, threads, busy, wait, pressure] = ["stage", "thr", "busy", "wait", "back-p"];
    let [rate, of, mean] = ["rate /s", "of", "mean"];
    format!(
        "{stage:<13}{threads:>3}{busy:>7}{wait:>7}{pressure:>8}{rate:>12} {of:<4}{mean:>10}  rate"
    )
}

fn stage_row(stage: &Stage) -> String {
    let threads = match stage.threads {
        0 => "-".to_owned(),
        threads => threads.to_string(),
    };
    let [busy, wait, pressure] = [stage.busy, stage.wait, stage.back_pressure].map(share);
    let (name, rate, of) = (printable(&stage.stage), number(stage.rate_per_s), stage.of);
    let mean = seconds(stage.mean_s);
    format!("{name:<13}{threads:>3}{busy:>7}{wait:>7}{pressure:>8}{rate:>12} {of:<4}{mean:>10}  ")
}

fn stage_style(stage: &Stage, theme: &Theme) -> Style {
    match (stage.back_pressure, stage.busy) {
        (Some(part), _) if part > PRESSURE_WARNED => theme.warned(),
        (_, Some(part)) if part > BUSY_WARNED => theme.title(),
        _ => Style::new(),
    }
}

fn link_head() -> String {
    let [link, depth, rate, waits] = ["link", "depth/room", "messages /s", "waits /s"];
    let [mean, drops] = ["mean wait", "drops /s"];
    format!("{link:<15}{depth:>11}{rate:>13}{waits:>11}{mean:>12}{drops:>11}")
}

fn link_row(link: &Link) -> String {
    let depth = format!("{}/{}", number(link.depth), number(link.capacity));
    let [rate, waits, drops] = [link.rate_per_s, link.waits_per_s, link.drops_per_s].map(number);
    let (name, mean) = (printable(&link.link), seconds(link.wait_mean_s));
    format!("{name:<15}{depth:>11}{rate:>13}{waits:>11}{mean:>12}{drops:>11}")
}

fn is_full(link: &Link) -> bool {
    let both = link.depth.zip(link.capacity);
    both.is_some_and(|(depth, room)| room > 0.0 && depth >= room)
}

fn draw_panel(frame: &mut Frame, area: Rect, panel: &Panel, theme: &Theme) {
    let (least, most) = FIGURES_COLUMNS;
    let parts = [
        Constraint::Length((area.width / 20 * 9).clamp(least, most)),
        Constraint::Min(0),
    ];
    let [left, right] = Layout::horizontal(parts).spacing(2).areas(area);
    let drawn = |figures: &[Figure], area| -> Vec<Line> {
        let lines = figures.iter().map(|figure| figure_line(figure, area));
        lines.collect()
    };
    let (beside, rest) = panel.figures.split_at(panel.left);
    draw_lines(frame, left, drawn(beside, left));
    let mut lines = drawn(rest, right);
    for family in &panel.families {
        lines.extend(family_lines(family, right, theme));
    }
    draw_lines(frame, right, lines);
}

fn figure_line<'a>(figure: &Figure, area: Rect) -> Line<'a> {
    let value = shown(figure.value, figure.unit);
    let width = usize::from(area.width).saturating_sub(value.chars().count() + 1);
    Line::from(format!("{:<width$} {value}", figure.name))
}

fn family_lines<'a>(family: &Counts, area: Rect, theme: &Theme) -> Vec<Line<'a>> {
    let width = usize::from(area.width).saturating_sub(FAMILY_COLUMNS);
    let title = family.title;
    if family.series.is_empty() {
        return vec![Line::from(format!(
            "{title:<width$}{:>FAMILY_COLUMNS$}",
            "none"
        ))];
    }
    let head = format!("{title:<width$}{:>8}{:>10}", "/s", "total");
    let mut lines = vec![Line::styled(head, theme.title())];
    lines.extend(family.series.iter().map(|member| {
        let name: String = printable(&member.labels)
            .chars()
            .take(width.saturating_sub(1))
            .collect();
        let (rate, total) = (number(member.rate_per_s), number(Some(member.total)));
        Line::from(format!(
            " {name:<0$}{rate:>8}{total:>10}",
            width.saturating_sub(1)
        ))
    }));
    lines
}

/// As many lines as fit; the last one tells how many do not.
fn draw_lines(frame: &mut Frame, area: Rect, mut lines: Vec<Line>) {
    let room = usize::from(area.height);
    if lines.len() > room && room > 0 {
        let left_out = lines.len() - (room - 1);
        lines.truncate(room - 1);
        lines.push(Line::from(format!(
            "{left_out} more: make the window taller"
        )));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// What the keys do and what the columns mean.
const HELP: [&str; 18] = [
    "q, Esc           quit",
    "1-4, Tab, arrows choose a tab",
    "s                sort stages and links by walk, load, pressure, rate",
    "r                reverse the order",
    "space, p         pause: the figures stay, the node goes on",
    "?, h             this page; any key closes it",
    "",
    "busy, wait, back-p: parts of the threads' time: at work, without work,",
    "  waiting for room on the next link. It is booked when it is over.",
    "rate of: env envelopes, msg messages, rec records, chk checkpoints.",
    "mean: of a stream's answer, a group's verdicts, finality, a sync.",
    "depth/room: messages on a link, and how many fit. A full link makes the",
    "  stage before it wait: what limits is the stage behind it.",
    "drops: envelopes refused just before the link, by the door or by",
    "  verification. Links drop nothing.",
    "p50, p99, longest, total: since the node's start. The rest: since the last",
    "  look. -: not known.",
    "What to do about each figure: deploy/README.md and deploy/METRICS.md.",
];

fn draw_help(frame: &mut Frame, theme: &Theme) {
    let rows = u16::try_from(HELP.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2);
    let area = frame.area();
    let (width, height) = (area.width.min(80), area.height.min(rows));
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let lines: Vec<Line> = HELP.iter().map(|line| Line::from(*line)).collect();
    let frame_of = Block::bordered().title(" help ").title_style(theme.title());
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(frame_of), place);
}

#[cfg(test)]
mod tests;
