//! `clearway monitor`: on a terminal, which it leaves as it was, as one table for logs and scripts,
//! and beside a node that stops.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use clearway_harness::hang_up_is_ignored;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::node::Served;
use crate::program::{program, run};

/// Longest time until something stands on the screen, or the program ends.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What the program sends to give the screen back, and to show the cursor.
const LEAVES: [&str; 2] = ["\u{1b}[?1049l", "\u{1b}[?25h"];

/// The monitor on a terminal of 80 x 24.
struct Watched {
    program: Child,
    /// Until it hangs up.
    keys: Option<File>,
    drawn: Receiver<Vec<u8>>,
    /// All that the program has sent so far.
    sent: Vec<u8>,
    /// The program's side, which would vanish with the program.
    terminal: OwnedFd,
    before: Termios,
}

impl Watched {
    fn start(node: &Served, variables: &[(&str, &str)]) -> Self {
        // No child may hold a side of it that is closed here.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a terminal");
        grantpt(&master)
            .and_then(|()| unlockpt(&master))
            .expect("it is ours");
        let path = ptsname(&master, Vec::new()).expect("it has a name");
        let terminal = rustix::fs::open(
            path,
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let terminal = terminal.expect("its other side");
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&terminal, size).expect("a terminal has a size");
        let before = tcgetattr(&terminal).expect("a terminal has attributes");
        let side = || Stdio::from(terminal.try_clone().expect("a further handle"));
        let program = program(node.dir.path())
            .args(["monitor", "--target", node.node.admin()])
            .envs(variables.iter().copied())
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .expect("the program starts");
        let keys = File::from(master);
        let mut screen = keys.try_clone().expect("a further handle");
        let (tell, drawn) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                if tell.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            program,
            keys: Some(keys),
            drawn,
            sent: Vec::new(),
            terminal,
            before,
        }
    }

    /// Waits until these words stand on the screen.
    fn wait(&mut self, words: &str) {
        self.wait_for(words, |watched| watched.screen().contains(words));
    }

    fn wait_for(&mut self, what: &str, is_there: impl Fn(&Self) -> bool) {
        let until = Instant::now() + TIMEOUT;
        while !is_there(self) {
            let left = until.saturating_duration_since(Instant::now());
            let more = self.drawn.recv_timeout(left);
            let more = more.unwrap_or_else(|_| panic!("no {what:?} on\n{}", self.screen()));
            self.sent.extend(more);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.sent).into_owned()
    }

    fn screen(&self) -> String {
        screen(&self.text())
    }

    fn press(&mut self, keys: &str) {
        let typed = self
            .keys
            .as_mut()
            .expect("a terminal")
            .write_all(keys.as_bytes());
        typed.expect("keys are heard");
    }

    /// Takes the terminal away, without the signal that a shell's terminal would send.
    fn hang_up(&mut self) {
        self.keys = None;
        // Its other holder reads until nobody wants what it reads.
        self.drawn = mpsc::channel().1;
    }

    fn signal(&self, name: &str) {
        let pid = self.program.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.expect("kill exists").success(), "it runs");
    }

    /// Waits for its end: the exit code.
    fn ended(&mut self) -> Option<i32> {
        let until = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.program.try_wait().expect("its state can be asked") {
                return status.code();
            }
            assert!(Instant::now() < until, "it goes on:\n{}", self.screen());
            std::thread::yield_now();
        }
    }

    /// The same, with the terminal as it was before.
    fn ended_and_gave_back(mut self) -> Option<i32> {
        let code = self.ended();
        for leave in LEAVES {
            self.wait_for(leave, |watched| watched.text().contains(leave));
        }
        let after = tcgetattr(&self.terminal).expect("a terminal has attributes");
        assert_eq!(after.local_modes, self.before.local_modes);
        assert_eq!(after.input_modes, self.before.input_modes);
        assert_eq!(after.output_modes, self.before.output_modes);
        code
    }
}

/// What stands on a screen of 80 x 24 to which this was sent, as far as our program uses it: places
/// and text, without the styles.
fn screen(sent: &str) -> String {
    const BLANK: [char; 80] = [' '; 80];
    let mut cells = [BLANK; 24];
    let (mut row, mut column) = (0, 0);
    let mut rest = sent.chars();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            if let Some(cell) = cells.get_mut(row).and_then(|cells| cells.get_mut(column)) {
                *cell = c;
            }
            column += 1;
            continue;
        }
        let sequence = rest.by_ref().skip_while(|c| *c == '[');
        let mut numbers = String::new();
        for c in sequence {
            match c {
                'H' => {
                    let place = numbers.split_once(';');
                    let number = |text: &str| text.parse::<usize>().map_or(0, |number| number - 1);
                    (row, column) =
                        place.map_or((0, 0), |(row, column)| (number(row), number(column)));
                    break;
                }
                c if c.is_ascii_alphabetic() => break,
                c => numbers.push(c),
            }
        }
    }
    let lines = cells.iter().map(|cells| cells.iter().collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}

impl Drop for Watched {
    fn drop(&mut self) {
        // It has ended, unless the test fails.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn a_terminal_is_drawn_on_and_given_back_whatever_ends_the_monitor() {
    let node = Served::start();
    let ends: [(&str, i32); 5] = [
        ("q", 0),
        ("\u{1b}", 0),
        ("\u{3}", 130),
        ("-TERM", 143),
        ("-HUP", 129),
    ];
    for (end, code) in ends {
        if end == "-HUP" && hang_up_is_ignored() {
            println!("NOT RUN: {end}, which the caller of these tests ignores");
            continue;
        }
        let mut watched = Watched::start(&node, &[]);
        for words in [
            "conserved yes  ready",
            "feedback",
            "query_execute",
            "? help",
        ] {
            watched.wait(words);
        }
        match end.starts_with('-') {
            true => watched.signal(end),
            false => watched.press(end),
        }
        assert_eq!(watched.ended_and_gave_back(), Some(code), "{end:?}");
    }
}

#[test]
fn a_terminal_that_goes_away_ends_the_monitor() {
    let node = Served::start();
    let mut watched = Watched::start(&node, &[]);
    watched.wait("? help");
    watched.hang_up();
    assert_eq!(watched.ended(), Some(129));
}

#[test]
fn keys_are_heard_and_a_node_that_stops_is_told_of() {
    let mut node = Served::start();
    let mut watched = Watched::start(&node, &[]);
    watched.wait("help");
    let rows = [
        ("2", "verdicts a group"),
        ("3", "batches sealed"),
        ("4", "connections open"),
        ("?", "reverse the order"),
        ("?1", "query_execute"),
        ("ss", "sort: pressure"),
    ];
    for (keys, word) in rows {
        watched.press(keys);
        watched.wait(word);
    }
    node.node.stop();
    watched.press(" ");
    watched.wait("PAUSED");
    watched.wait("NO ANSWER for");
    watched.press("q");
    assert_eq!(watched.ended_and_gave_back(), Some(0));
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let node = Served::start();
    // Green, as the library writes it.
    let green = "\u{1b}[38;5;2";
    for (unwanted, coloured) in [("", true), ("1", false)] {
        let mut watched = Watched::start(&node, &[("NO_COLOR", unwanted)]);
        watched.wait("help");
        let has = watched.text().contains(green);
        watched.press("q");
        assert_eq!(watched.ended_and_gave_back(), Some(0));
        assert_eq!(has, coloured, "NO_COLOR={unwanted}");
    }
}

#[test]
fn one_look_is_a_table_for_logs_and_an_object_for_scripts() {
    let node = Served::start();
    node.as_member(2, &["pay", "2.1", "3.1", "1.00"]).expect(0);
    let once = ["monitor", "--once", "--target", node.node.admin()];
    let table = run(node.dir.path(), &once).expect(0).stdout;
    for words in [
        "conserved",
        "yes",
        "back-pressure",
        "verify_order",
        "checkpointer",
        "p99",
    ] {
        assert!(table.contains(words), "{words} in {table}");
    }
    assert!(!table.contains('\u{1b}'), "{table}");
    let told = run(node.dir.path(), &[&once[..], &["--json"]].concat()).expect(0);
    let told = told.json("monitor");
    assert_eq!(told["target"], node.node.admin());
    assert_eq!(told["readiness"], "ready");
    assert_eq!(told["conserved"], true);
    assert!(told["height"].as_f64() >= Some(1.0), "{told}");
    assert!(told["interval_s"].as_f64() >= Some(1.0), "{told}");
    assert!(told["payments_per_s"].is_number(), "{told}");
    let named = |field: &str, key: &str| -> Vec<String> {
        let rows = told[field].as_array().expect("rows").iter();
        rows.map(|row| row[key].as_str().expect("a name").to_owned())
            .collect()
    };
    for row in clearway_node::topology::LINKS {
        assert!(
            named("links", "link").iter().any(|link| link == row.name),
            "{told}"
        );
    }
    for row in clearway_node::topology::STAGES {
        for threads in row.threads {
            let stages = named("stages", "stage");
            assert!(stages.iter().any(|stage| stage == threads.name), "{told}");
        }
    }
    let room = told["links"].as_array().expect("rows").iter();
    let room: Vec<f64> = room.filter_map(|link| link["capacity"].as_f64()).collect();
    assert_eq!(room.len(), clearway_node::topology::LINKS.len(), "{told}");
    assert!(room.iter().all(|room| *room >= 16.0), "{room:?}");
    let settled = told["members"]["families"].as_array().expect("rows").iter();
    let settled = settled.filter(|family| family["title"] == "executed");
    let settled: Vec<_> = settled
        .map(|family| &family["series"][0]["labels"])
        .collect();
    assert_eq!(settled, ["Settled Transfer"], "{told}");
    let by_config = ["monitor", "--once", "--config", "node.toml"];
    let set = [("CLEARWAY_ADMIN_LISTEN", node.node.admin())];
    crate::program::run_briefly(node.dir.path(), &set, &by_config).expect(0);
}
