//! Other people's verification beside ours: a program of its own, asked round by round.
//!
//! The program is `benches/rivals`, built with flags of its own. It is told where an input lies and
//! whose round it is, a line each on its stdin, and answers with a line on its stdout; while it
//! works, this program waits, on the same core.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

use crate::signals::Scratch;

use super::contender::{Contender, Pace, wrong_verdict};
use super::inputs::Input;
use super::plan::{Keys, Shape};
use crate::failure::{Failure, Kind};

/// The program with the rivals, and what it said about itself.
pub(super) struct Rivals {
    process: Rc<RefCell<Process>>,
    implementations: Vec<Rival>,
    /// What it cannot do here, and why.
    notes: Vec<String>,
}

/// One implementation in the program.
#[derive(Clone)]
pub(super) struct Rival {
    process: Rc<RefCell<Process>>,
    name: String,
    mode: Mode,
}

/// How an implementation comes to verdicts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// By batch equations.
    Batch,
    /// One by one.
    Single,
    /// Many at once, a verdict each without an equation.
    Each,
}

/// The conversation with the running program.
struct Process {
    path: PathBuf,
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    folder: Scratch,
    /// Number of the input that the program holds.
    holds: Option<u64>,
}

impl Rivals {
    /// Starts the program and reads what it can.
    pub(super) fn start(command: Command) -> Result<Self, Failure> {
        let mut process = Process::start(command)?;
        let (mut found, mut notes) = (Vec::new(), Vec::new());
        loop {
            let line = process.answer()?;
            match line.split_once(' ') {
                Some(("batch", name)) => found.push((name.to_owned(), Mode::Batch)),
                Some(("single", name)) => found.push((name.to_owned(), Mode::Single)),
                Some(("each", name)) => found.push((name.to_owned(), Mode::Each)),
                Some(("note", note)) => notes.push(note.to_owned()),
                None if line == "ready" => break,
                _ => return Err(process.broken(&line)),
            }
        }
        let process = Rc::new(RefCell::new(process));
        let implementations = found.into_iter().map(|(name, mode)| Rival {
            process: Rc::clone(&process),
            name,
            mode,
        });
        Ok(Self {
            implementations: implementations.collect(),
            process,
            notes,
        })
    }

    /// The implementations, to be measured with ours.
    pub(super) fn implementations(&self) -> Vec<Rival> {
        self.implementations.clone()
    }

    /// Ends the program and sees that it ends well; gives its notes.
    pub(super) fn finish(self) -> Result<Vec<String>, Failure> {
        let mut process = self.process.borrow_mut();
        // The end of its stdin is what it waits for.
        process.ask = None;
        let status = process.child.wait()?;
        match status.success() {
            true => Ok(self.notes),
            false => Err(process.broken(&status.to_string())),
        }
    }
}

impl Contender for Rival {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_rival(&self) -> bool {
        true
    }

    fn takes(&self, shape: &Shape) -> bool {
        match self.mode {
            Mode::Each => true,
            Mode::Batch => shape.keys != Keys::Single,
            // Who expects invalid signatures does not try a batch first.
            Mode::Single => shape.keys == Keys::Single || shape.invalid_percent > 0.0,
        }
    }

    fn paces(&self, _: &Shape) -> &'static [Pace] {
        &[Pace::Steady]
    }

    fn round(&mut self, input: &Input, _: Pace) -> Result<f64, Failure> {
        let mut process = self.process.borrow_mut();
        process.load(input)?;
        process.tell(&format!("round {}", self.name))?;
        let line = process.answer()?;
        let wrong = |at| wrong_verdict(&self.name, &input.shape, at);
        let outcome = match line.split_once(' ') {
            Some(("micros", text)) => text.parse().ok().map(|micros: f64| Ok(micros * 1e-6)),
            Some(("wrong", text)) => text.parse().ok().map(|at| Err(wrong(at))),
            _ => None,
        };
        outcome.unwrap_or_else(|| Err(process.broken(&line)))
    }
}

impl Process {
    fn start(mut command: Command) -> Result<Self, Failure> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let path = PathBuf::from(command.get_program());
        let mut child = command.spawn().map_err(|error| {
            let shown = path.display();
            let message = format!("{shown}: {error}; `cargo dev bench-verify` builds it");
            Failure::new(Kind::NotFound, message)
        })?;
        let ask = child.stdin.take();
        let answers = child.stdout.take().expect("it was started with a pipe");
        Ok(Self {
            path,
            child,
            ask,
            answers: BufReader::new(answers),
            folder: Scratch::new()?,
            holds: None,
        })
    }

    /// Gives it an input that it does not hold yet.
    fn load(&mut self, input: &Input) -> Result<(), Failure> {
        if self.holds == Some(input.number) {
            return Ok(());
        }
        let path = self.folder.path().join("input");
        write(input, &path)?;
        let knows = match input.shape.keys {
            Keys::Distinct => "fresh",
            _ => "known",
        };
        let (batch_len, shown) = (input.shape.batch_len, path.display());
        self.tell(&format!("input {batch_len} {knows} {shown}"))?;
        let line = self.answer()?;
        if line != "ready" {
            return Err(self.broken(&line));
        }
        self.holds = Some(input.number);
        Ok(())
    }

    fn tell(&mut self, line: &str) -> Result<(), Failure> {
        let ask = self.ask.as_mut().expect("open until it is finished");
        match writeln!(ask, "{line}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(self.broken("it has ended"))
            }
            other => Ok(other?),
        }
    }

    fn answer(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match line.pop() {
            Some('\n') => Ok(line),
            _ => Err(self.broken("it has ended")),
        }
    }

    fn broken(&self, what: &str) -> Failure {
        let message = format!(
            "{} answers `{what}`; build it again with `cargo dev bench-verify`",
            self.path.display()
        );
        Failure::new(Kind::Failed, message)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.ask = None;
        // It ends with its stdin; where it already has, there is nothing to wait for.
        let _ = self.child.wait();
    }
}

/// One signature after the other: key, R, S, one byte for the verdict, length and message.
fn write(input: &Input, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for case in &input.cases {
        file.write_all(&case.public_key)?;
        file.write_all(&case.signature)?;
        file.write_all(&[u8::from(case.valid)])?;
        let len = u16::try_from(case.message.len()).map_err(io::Error::other)?;
        file.write_all(&len.to_le_bytes())?;
        file.write_all(&case.message)?;
    }
    file.into_inner()?.sync_data()
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::inputs::Maker;
    use super::*;

    /// Some words of shell that stand for the rivals.
    fn started(answers: &str) -> Result<Rivals, Failure> {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{answers}; while read -r line; do :; done")]);
        Rivals::start(shell)
    }

    #[test]
    fn each_kind_of_answer_is_understood_and_anything_else_is_refused() {
        let shape = Shape {
            keys: Keys::Shared32,
            batch_len: 64,
            invalid_percent: 0.0,
        };
        let inputs = Maker::new(1).inputs(&shape, 1);
        let hello = "echo 'batch one'; echo 'single two'; echo 'note none'; echo ready";
        let rows = [
            ("echo ready; echo micros 250000", "0.25"),
            ("echo ready; echo wrong 3", "wrong verdict on signature 3"),
            ("echo ready; echo wrong x", "answers `wrong x`"),
            ("echo ready; echo micros soon", "answers `micros soon`"),
            ("echo no", "answers `no`"),
            ("exit 0", "it has ended"),
        ];
        for (answers, expected) in rows {
            let rivals = started(&format!("{hello}; {answers}")).expect("it says hello");
            let [mut one, two] = <[Rival; 2]>::try_from(rivals.implementations())
                .unwrap_or_else(|_| panic!("two are there"));
            assert!(one.takes(&shape) && !two.takes(&shape), "{answers}");
            let said = match one.round(inputs.of_round(0), Pace::Steady) {
                Ok(seconds) => seconds.to_string(),
                Err(failure) => failure.to_string(),
            };
            assert!(said.contains(expected), "{answers}: {said}");
            let notes = rivals.finish().expect("a shell ends well");
            assert_eq!(notes, ["none"]);
        }
        for hello in ["echo both three", "exit 1"] {
            assert!(started(hello).is_err(), "{hello}");
        }
        let none = Rivals::start(Command::new("./no-such-program"));
        assert!(none.is_err_and(|failure| failure.to_string().contains("bench-verify")));
    }
}
