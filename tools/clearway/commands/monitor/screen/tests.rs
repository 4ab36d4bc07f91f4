//! What stands on the screen, of a real node's figures, and that no window is too small for it.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;

use super::super::page::PageError;
use super::super::view::tests::{key, view};
use super::*;

/// Set, the screens are written instead of compared.
const WRITE: &str = "CLEARWAY_WRITE_GOLDEN";

fn drawn(view: &View, theme: &Theme, (width, height): (u16, u16)) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a buffer");
    terminal
        .draw(|frame| draw(frame, view, theme))
        .expect("drawn");
    terminal.backend().clone()
}

fn text(backend: &TestBackend) -> String {
    let buffer = backend.buffer();
    let width = usize::from(buffer.area.width);
    let rows = buffer.content.chunks(width);
    let lines = rows.map(|row| {
        let line: String = row.iter().map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned() + "\n"
    });
    lines.collect()
}

/// What keys make of the view, each with a name.
fn views() -> Vec<(&'static str, View)> {
    let pressed = |codes: &[KeyCode]| {
        let mut view = view();
        for code in codes {
            assert_eq!(key(&mut view, *code), None);
        }
        view
    };
    let char = KeyCode::Char;
    let mut lost = view();
    let target = lost.target;
    lost.on_look(Duration::from_secs(14), Err(PageError::Silent { target }));
    let mut broke = view();
    broke.board.header.conserved = Some(false);
    broke.board.header.readiness = "disk full: free space".to_owned();
    vec![
        ("stages", pressed(&[])),
        (
            "sorted by load, reversed, paused",
            pressed(&[char('s'), char('r'), char(' ')]),
        ),
        ("verification", pressed(&[char('2')])),
        ("order", pressed(&[char('3')])),
        ("members", pressed(&[char('4')])),
        ("help", pressed(&[char('?')])),
        ("a node that has stopped", lost),
        ("a node in trouble", broke),
    ]
}

#[test]
fn a_terminal_of_80_by_24_shows_each_tab_the_help_and_a_pause() {
    let mut screens = String::new();
    for (name, view) in views() {
        let text = text(&drawn(&view, &Theme::new(true), (80, 24)));
        assert_eq!(text.lines().count(), 24);
        // Of what only differs above, the first lines say all.
        let shown = match name {
            "a node that has stopped" | "a node in trouble" => 2,
            _ => 24,
        };
        let lines: Vec<&str> = text.lines().take(shown).collect();
        screens.push_str(&format!("== {name}\n{}\n", lines.join("\n")));
    }
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tools/clearway/commands/monitor/samples/screens.txt"
    );
    if std::env::var_os(WRITE).is_some() {
        return std::fs::write(path, screens).expect("the file can be written");
    }
    let golden = std::fs::read_to_string(path).expect("the golden screens");
    assert!(
        golden == screens,
        "{path} differs; with {WRITE}=1 it is written:\n{screens}"
    );
}

#[test]
fn nothing_is_cut_off_at_80_columns() {
    for line in HELP {
        assert!(line.chars().count() <= 78, "{line}");
    }
    let board = view().board;
    let tabs = [
        ('2', &board.verification),
        ('3', &board.order),
        ('4', &board.members),
    ];
    for (digit, panel) in tabs {
        let mut view = view();
        key(&mut view, KeyCode::Char(digit));
        let text = text(&drawn(&view, &Theme::new(false), (80, 24)));
        for figure in &panel.figures {
            let value = shown(figure.value, figure.unit);
            let is_whole = |line: &str| line.contains(figure.name) && line.contains(&value);
            assert!(
                text.lines().any(is_whole),
                "{} {value} in {text}",
                figure.name
            );
        }
        for family in &panel.families {
            assert!(text.contains(family.title), "{} in {text}", family.title);
        }
    }
}

#[test]
fn every_window_can_be_drawn_on() {
    for (name, view) in views() {
        for width in [1, 2, 7, 20, 40, 79, 80, 81, 200] {
            for height in [1, 2, 3, 4, 5, 12, 23, 24, 60] {
                let screen = drawn(&view, &Theme::new(true), (width, height));
                let size = screen.buffer().area;
                assert_eq!((size.width, size.height), (width, height), "{name}");
            }
        }
    }
    let keys = text(&drawn(&view(), &Theme::new(true), (80, 5)));
    assert!(
        keys.lines()
            .last()
            .is_some_and(|line| line.starts_with("q quit")),
        "{keys}"
    );
}

#[test]
fn without_colours_what_matters_still_stands_out() {
    let coloured = |theme: &Theme| {
        views().iter().any(|(_, view)| {
            let backend = drawn(view, theme, (80, 24));
            let mut cells = backend.buffer().content.iter();
            cells.any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
        })
    };
    assert!(coloured(&Theme::new(true)));
    assert!(!coloured(&Theme::new(false)));
    let (_, broke) = views().pop().expect("a node in trouble");
    let backend = drawn(&broke, &Theme::new(false), (80, 24));
    let first = &backend.buffer().content[0];
    assert_eq!(first.symbol(), "C");
    assert!(first.modifier.contains(Modifier::BOLD));
}
