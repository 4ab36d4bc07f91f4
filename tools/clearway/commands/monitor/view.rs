//! What the screen shows now: the node's figures, the tab, the order of rows, what keys have asked
//! for.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::board::{Board, Link, Stage};
use super::page::PageError;
use super::sample::Sample;

/// Rates that are kept for a spark line: no window is wider.
const HISTORY_MAX: usize = 500;

/// One of the pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tab {
    Stages,
    Verification,
    Order,
    Members,
}

impl Tab {
    pub(super) const ALL: [Self; 4] =
        [Self::Stages, Self::Verification, Self::Order, Self::Members];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Stages => "stages",
            Self::Verification => "verification, GPU",
            Self::Order => "order",
            Self::Members => "members",
        }
    }

    /// The tab that stands `steps` further on, round and round.
    fn further(self, steps: usize) -> Self {
        let place = Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0);
        Self::ALL[(place + steps) % Self::ALL.len()]
    }
}

/// By what the rows of stages and links are sorted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sort {
    /// The way of a payment.
    Walk,
    /// Busy threads, full links.
    Load,
    /// Back-pressure, waits for room.
    Pressure,
    Rate,
}

impl Sort {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Walk => "walk",
            Self::Load => "load",
            Self::Pressure => "pressure",
            Self::Rate => "rate",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Walk => Self::Load,
            Self::Load => Self::Pressure,
            Self::Pressure => Self::Rate,
            Self::Rate => Self::Walk,
        }
    }

    /// What a stage is sorted by, the largest first; nothing in the order of the walk.
    fn of_stage(self, stage: &Stage) -> Option<f64> {
        match self {
            Self::Walk => None,
            Self::Load => stage.busy,
            Self::Pressure => stage.back_pressure,
            Self::Rate => stage.rate_per_s,
        }
    }

    fn of_link(self, link: &Link) -> Option<f64> {
        match self {
            Self::Walk => None,
            Self::Load => link
                .depth
                .zip(link.capacity)
                .map(|(depth, room)| depth / room),
            Self::Pressure => link.waits_per_s,
            Self::Rate => link.rate_per_s,
        }
    }
}

/// What a key asks the program for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    Quit,
    /// Ctrl-C, which a terminal that is drawn on makes no signal of.
    Interrupt,
}

/// A node that does not answer any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lost {
    /// How long it has not.
    pub(super) lasts: Duration,
    pub(super) why: String,
}

/// All that is drawn.
pub(super) struct View {
    pub(super) target: SocketAddr,
    pub(super) interval: Duration,
    pub(super) tab: Tab,
    pub(super) sort: Sort,
    pub(super) reversed: bool,
    pub(super) paused: bool,
    pub(super) helps: bool,
    pub(super) lost: Option<Lost>,
    pub(super) board: Board,
    /// The newest answer of the node.
    last: Sample,
    rates: BTreeMap<String, VecDeque<f64>>,
}

impl View {
    pub(super) fn new(target: SocketAddr, interval: Duration, first: Sample) -> Self {
        Self {
            target,
            interval,
            tab: Tab::Stages,
            sort: Sort::Walk,
            reversed: false,
            paused: false,
            helps: false,
            lost: None,
            board: Board::new(None, &first),
            last: first,
            rates: BTreeMap::new(),
        }
    }

    /// Takes in what a look at the node brought, at this time after the watcher began.
    pub(super) fn on_look(&mut self, at: Duration, look: Result<Sample, PageError>) {
        let sample = match look {
            Ok(sample) => sample,
            Err(error) => {
                let lasts = at.saturating_sub(self.last.at);
                let why = error.brief();
                self.lost = Some(Lost { lasts, why });
                return;
            }
        };
        self.lost = None;
        let board = Board::new(Some(&self.last), &sample);
        self.last = sample;
        if self.paused {
            return;
        }
        for stage in &board.stages {
            let rates = self.rates.entry(stage.stage.clone()).or_default();
            rates.push_back(stage.rate_per_s.unwrap_or(0.0));
            if rates.len() > HISTORY_MAX {
                rates.pop_front();
            }
        }
        self.board = board;
    }

    /// Does what a key asks for; some of it only the program can.
    pub(super) fn on_key(&mut self, key: KeyEvent) -> Option<Wish> {
        if key.kind != KeyEventKind::Press {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (key.code == KeyCode::Char('c')).then_some(Wish::Interrupt);
        }
        if std::mem::take(&mut self.helps) {
            return None;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Some(Wish::Quit),
            KeyCode::Char('1') => self.tab = Tab::Stages,
            KeyCode::Char('2') => self.tab = Tab::Verification,
            KeyCode::Char('3') => self.tab = Tab::Order,
            KeyCode::Char('4') => self.tab = Tab::Members,
            KeyCode::Tab | KeyCode::Right => self.tab = self.tab.further(1),
            KeyCode::BackTab | KeyCode::Left => self.tab = self.tab.further(Tab::ALL.len() - 1),
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('r') => self.reversed = !self.reversed,
            KeyCode::Char(' ' | 'p') => self.paused = !self.paused,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.helps = true,
            _ => {}
        }
        None
    }

    /// Stages in the order that is asked for.
    pub(super) fn stages(&self) -> Vec<&Stage> {
        self.sorted(&self.board.stages, Sort::of_stage)
    }

    /// Links in the order that is asked for.
    pub(super) fn links(&self) -> Vec<&Link> {
        self.sorted(&self.board.links, Sort::of_link)
    }

    fn sorted<'a, T>(&self, rows: &'a [T], by: fn(Sort, &T) -> Option<f64>) -> Vec<&'a T> {
        let mut rows: Vec<&T> = rows.iter().collect();
        let key = |row: &T| by(self.sort, row).filter(|value| value.is_finite());
        // Stable, so that equal rows keep the order of the walk.
        rows.sort_by(|one, other| key(other).partial_cmp(&key(one)).unwrap_or(Ordering::Equal));
        if self.reversed {
            rows.reverse();
        }
        rows
    }

    /// Rates of a stage, the newest last.
    pub(super) fn rates(&self, stage: &str) -> impl DoubleEndedIterator<Item = f64> {
        self.rates.get(stage).into_iter().flatten().copied()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::board::tests::samples;
    use super::*;

    /// A view of two looks at a node that clears payments.
    pub(in super::super) fn view() -> View {
        let [before, after] = samples();
        let target = "127.0.0.1:7401".parse().expect("an address");
        let mut view = View::new(target, Duration::from_secs(2), before);
        view.on_look(after.at, Ok(after));
        view
    }

    pub(in super::super) fn key(view: &mut View, code: KeyCode) -> Option<Wish> {
        view.on_key(KeyEvent::from(code))
    }

    fn refused() -> PageError {
        PageError::Unreachable {
            target: "127.0.0.1:7401".parse().expect("an address"),
            source: std::io::ErrorKind::ConnectionRefused.into(),
        }
    }

    #[test]
    fn keys_choose_tabs_order_and_help_and_only_some_end_the_program() {
        let mut view = view();
        let tabs = [
            (KeyCode::Char('3'), Tab::Order),
            (KeyCode::Tab, Tab::Members),
            (KeyCode::Tab, Tab::Stages),
            (KeyCode::BackTab, Tab::Members),
            (KeyCode::Char('2'), Tab::Verification),
            (KeyCode::Left, Tab::Stages),
            (KeyCode::Char('x'), Tab::Stages),
        ];
        for (code, tab) in tabs {
            assert_eq!(key(&mut view, code), None);
            assert_eq!(view.tab, tab, "{code}");
        }
        let words: Vec<&str> = (0..4)
            .map(|_| {
                key(&mut view, KeyCode::Char('s'));
                view.sort.word()
            })
            .collect();
        assert_eq!(words, ["load", "pressure", "rate", "walk"]);
        key(&mut view, KeyCode::Char('?'));
        assert!(view.helps);
        assert_eq!(
            key(&mut view, KeyCode::Char('q')),
            None,
            "it closes the help"
        );
        assert!(!view.helps);
        assert_eq!(key(&mut view, KeyCode::Char('q')), Some(Wish::Quit));
        assert_eq!(key(&mut view, KeyCode::Esc), Some(Wish::Quit));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        key(&mut view, KeyCode::Char('h'));
        assert_eq!(view.on_key(interrupt), Some(Wish::Interrupt));
        let released = KeyEvent::new_with_kind(
            KeyCode::Char('q'),
            KeyModifiers::NONE,
            KeyEventKind::Release,
        );
        assert_eq!(view.on_key(released), None);
    }

    #[test]
    fn rows_are_sorted_by_what_is_asked_for_and_unknown_ones_stand_last() {
        let mut view = view();
        let walk: Vec<String> = view
            .board
            .stages
            .iter()
            .map(|row| row.stage.clone())
            .collect();
        assert_eq!(walk[..3], ["ingest", "verify", "order"]);
        for sort in [Sort::Load, Sort::Pressure, Sort::Rate] {
            (view.sort, view.reversed) = (sort, false);
            let keys: Vec<Option<f64>> =
                view.stages().iter().map(|row| sort.of_stage(row)).collect();
            assert!(keys.is_sorted_by(|a, b| a >= b), "{sort:?} {keys:?}");
            assert!(
                keys[0] > Some(0.0) || sort == Sort::Pressure,
                "{sort:?} {keys:?}"
            );
            let keys: Vec<Option<f64>> = view.links().iter().map(|row| sort.of_link(row)).collect();
            assert!(keys.is_sorted_by(|a, b| a >= b), "{sort:?} {keys:?}");
            view.reversed = true;
            let first = view.stages()[0];
            assert!(
                sort.of_stage(first).unwrap_or(0.0) <= 1.0,
                "{sort:?} {first:?}"
            );
        }
        (view.sort, view.reversed) = (Sort::Walk, true);
        let back: Vec<&str> = view
            .stages()
            .iter()
            .rev()
            .map(|row| row.stage.as_str())
            .collect();
        assert_eq!(back, walk);
    }

    #[test]
    fn a_pause_keeps_the_figures_and_what_comes_afterwards_is_of_its_own_interval() {
        let mut view = view();
        let [before, after] = samples();
        let shown = view.board.clone();
        key(&mut view, KeyCode::Char(' '));
        let mut later = before.clone();
        later.at = Duration::from_secs(4);
        view.on_look(later.at, Ok(later));
        assert_eq!(view.board, shown);
        key(&mut view, KeyCode::Char('p'));
        let mut last = after;
        last.at = Duration::from_secs(9);
        view.on_look(last.at, Ok(last));
        assert_eq!(view.board.interval_s, Some(5.0));
        assert_eq!(view.rates("verify").count(), 2);
    }

    #[test]
    fn a_node_that_stops_is_told_of_until_it_answers_again() {
        let mut view = view();
        let shown = view.board.clone();
        view.on_look(Duration::from_secs(5), Err(refused()));
        let lost = view.lost.clone().expect("it is told");
        assert_eq!(lost.lasts, Duration::from_secs(3));
        assert_eq!(lost.why, "connection refused");
        assert_eq!(view.board, shown, "what was known is still shown");
        // It comes back with counters that begin at zero.
        let mut again = samples()[0].clone();
        again.at = Duration::from_secs(8);
        view.on_look(again.at, Ok(again));
        assert_eq!(view.lost, None);
        assert_eq!(view.board.header.payments_per_s, None);
    }
}
