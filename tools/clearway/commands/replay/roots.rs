//! What a replay has computed of each block, a line each in a file: to be held against the same
//! log later, against the log of another validator, or against another version or backend.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clearway_replay::{Halt, Roots};
use clearway_types::units::Digest;
use serde::{Deserialize, Serialize};

use crate::commands::new_file::NewFile;
use crate::failure::{Failure, Kind};

/// Of the first line.
const SCHEMA: &str = "clearway/roots/1";
/// Longest line that is read: some 400 bytes are written.
const LINE_BYTES_MAX: u64 = 4096;

/// The first line: of which history the roots are.
#[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Head {
    schema: String,
    genesis: String,
}

/// The others.
#[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Line {
    height: u64,
    manifest: String,
    receipts_root: String,
    state_root: Option<String>,
    exec_head: String,
}

impl Line {
    fn of(roots: &Roots) -> Self {
        Self {
            height: roots.height.0,
            manifest: roots.manifest.to_string(),
            receipts_root: roots.receipts_root.to_string(),
            state_root: roots.state_root.map(|root| root.to_string()),
            exec_head: roots.exec_head.to_string(),
        }
    }

    /// What differs from what was recorded, where anything does.
    fn difference(&self, recorded: &Self) -> Option<String> {
        let root = |line: &Self| line.state_root.clone().unwrap_or_else(|| "none".to_owned());
        let fields = [
            (
                "height",
                self.height.to_string(),
                recorded.height.to_string(),
            ),
            ("manifest", self.manifest.clone(), recorded.manifest.clone()),
            (
                "receipts root",
                self.receipts_root.clone(),
                recorded.receipts_root.clone(),
            ),
            ("state root", root(self), root(recorded)),
            (
                "execution head",
                self.exec_head.clone(),
                recorded.exec_head.clone(),
            ),
        ];
        let mut differing = fields.into_iter().filter(|(_, own, other)| own != other);
        let (what, own, other) = differing.next()?;
        Some(format!("the {what} is {own}, recorded was {other}"))
    }
}

/// Writes the roots of a replay.
pub(super) struct Recorder {
    file: BufWriter<NewFile>,
    /// Lines written, the first one aside.
    count: u64,
}

impl Recorder {
    /// Makes the file: before the replay.
    pub(super) fn create(path: &Path, genesis: Digest) -> Result<Self, Failure> {
        let file = NewFile::create("a recording", path)?;
        let mut recorder = Self {
            file: BufWriter::new(file),
            count: 0,
        };
        recorder.put(&Head {
            schema: SCHEMA.to_owned(),
            genesis: genesis.to_string(),
        })?;
        Ok(recorder)
    }

    pub(super) fn write(&mut self, roots: &Roots) -> Result<(), Failure> {
        self.count += 1;
        self.put(&Line::of(roots))
    }

    fn put(&mut self, line: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(line).expect("text and numbers are JSON");
        let written = writeln!(self.file, "{text}");
        written.map_err(|error| self.failure(&error))
    }

    /// Gives the file its name; how many blocks it has.
    pub(super) fn finish(mut self) -> Result<u64, Failure> {
        let flushed = self.file.flush();
        let named = flushed.and_then(|()| self.file.get_mut().publish());
        named.map_err(|error| self.failure(&error))?;
        Ok(self.count)
    }

    fn failure(&self, error: &std::io::Error) -> Failure {
        let path = self.file.get_ref().path().display();
        let message = format!("--record {path}: {error}");
        Failure::new(Kind::Failed, message).remedy("make room, or name another file")
    }
}

/// Holds a replay to recorded roots.
pub(super) struct Checker {
    path: PathBuf,
    file: BufReader<File>,
    /// Lines read.
    line: u64,
    /// Blocks found as they were recorded.
    count: u64,
    /// Whether the recording has no further line.
    is_over: bool,
}

impl Checker {
    /// Opens a recording of this cluster: before the replay.
    pub(super) fn open(path: &Path, genesis: Digest) -> Result<Self, Failure> {
        let shown = path.display();
        let file = File::open(path);
        let file =
            file.map_err(|error| Failure::of_file(&error, format!("--check {shown}: {error}")))?;
        let mut checker = Self {
            path: path.to_owned(),
            file: BufReader::new(file),
            line: 0,
            count: 0,
            is_over: false,
        };
        let head: Option<Head> = checker.next()?;
        let head = head.filter(|head| head.schema == SCHEMA);
        let head = head.ok_or_else(|| checker.wrong("it is no recording of `replay --record`"))?;
        if head.genesis != genesis.to_string() {
            let message = format!(
                "--check {shown} was recorded of genesis {}, this cluster has {genesis}",
                head.genesis
            );
            return Err(Failure::new(Kind::Mismatch, message));
        }
        Ok(checker)
    }

    /// Whether a block is as it was recorded, as far as the recording goes.
    pub(super) fn check(&mut self, roots: &Roots) -> Result<Result<(), Halt>, Failure> {
        let Some(recorded) = self.next::<Line>()? else {
            return Ok(Ok(()));
        };
        Ok(match Line::of(roots).difference(&recorded) {
            Some(reason) => Err(Halt::Differs(reason)),
            None => {
                self.count += 1;
                Ok(())
            }
        })
    }

    /// How many blocks were compared. With `to_the_end` of the log, a recording that goes on beyond
    /// it is of blocks that the log has lost.
    pub(super) fn finish(mut self, to_the_end: bool) -> Result<u64, Failure> {
        if let Some(more) = self.next::<Line>()?.filter(|_| to_the_end) {
            let message = format!(
                "the recording {} goes on with height {}, where this log ends: blocks that were \
                 there are missing",
                self.path.display(),
                more.height
            );
            return Err(Failure::new(Kind::Mismatch, message));
        }
        Ok(self.count)
    }

    fn next<T: for<'a> Deserialize<'a>>(&mut self) -> Result<Option<T>, Failure> {
        if self.is_over {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let mut limited = self.file.by_ref().take(LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut bytes);
        self.line += 1;
        read.map_err(|error| self.wrong(&error.to_string()))?;
        if bytes.is_empty() {
            self.is_over = true;
            return Ok(None);
        }
        let line = serde_json::from_slice(&bytes);
        line.map(Some)
            .map_err(|error| self.wrong(&error.to_string()))
    }

    fn wrong(&self, why: &str) -> Failure {
        let message = format!("--check {}, line {}: {why}", self.path.display(), self.line);
        Failure::new(Kind::Failed, message).remedy("give a file that `replay --record` wrote whole")
    }
}

#[cfg(test)]
mod tests {
    use clearway_types::units::Height;

    use super::*;

    fn roots(height: u64) -> Roots {
        let digest = |part: u8| Digest([part.wrapping_add(height.to_le_bytes()[0]); 32]);
        Roots {
            height: Height(height),
            manifest: digest(1),
            receipts_root: digest(2),
            state_root: height.is_multiple_of(2).then(|| digest(3)),
            exec_head: digest(4),
        }
    }

    /// What is changed, and the words that tell it.
    type Change = (fn(&mut Roots), &'static str);

    const GENESIS: Digest = Digest([7; 32]);

    fn record(dir: &Path, heights: u64) -> PathBuf {
        let path = dir.join("roots.jsonl");
        let mut recorder = Recorder::create(&path, GENESIS).expect("free");
        for height in 1..=heights {
            recorder.write(&roots(height)).expect("written");
        }
        assert!(!path.exists(), "it has its name once it is whole");
        assert_eq!(recorder.finish().expect("named"), heights);
        path
    }

    #[test]
    fn a_replay_is_held_to_what_was_recorded_as_far_as_that_goes() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = record(dir.path(), 3);
        let open = || Checker::open(&path, GENESIS).expect("it was recorded");
        let mut checker = open();
        for height in 1..=5 {
            assert_eq!(checker.check(&roots(height)).expect("read"), Ok(()));
        }
        assert_eq!(checker.finish(true).expect("all was compared"), 3);
        let mut shorter = open();
        shorter.check(&roots(1)).expect("read").expect("equal");
        let lost = shorter.finish(true).expect_err("two are missing");
        assert_eq!(lost.kind(), Kind::Mismatch);
        let mut part = open();
        part.check(&roots(1)).expect("read").expect("equal");
        assert_eq!(part.finish(false).expect("a part was asked for"), 1);
        let changes: [Change; 5] = [
            (|it| it.height.0 += 1, "the height is 2, recorded was 1"),
            (|it| it.manifest.0[0] ^= 1, "the manifest is"),
            (|it| it.receipts_root.0[0] ^= 1, "the receipts root is"),
            (|it| it.state_root = Some(GENESIS), "recorded was none"),
            (|it| it.exec_head.0[0] ^= 1, "the execution head is"),
        ];
        for (change, words) in changes {
            let mut changed = roots(1);
            change(&mut changed);
            let Err(Halt::Differs(reason)) = open().check(&changed).expect("read") else {
                panic!("{words}");
            };
            assert!(reason.contains(words), "{reason}");
        }
    }

    #[test]
    fn what_is_no_recording_is_told_with_its_line() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = record(dir.path(), 2);
        let other = Checker::open(&path, Digest([8; 32]))
            .err()
            .expect("another cluster's");
        assert_eq!(other.kind(), Kind::Mismatch);
        let whole = std::fs::read_to_string(&path).expect("read");
        let cut = &whole[..whole.len() - 20];
        let endless = "x".repeat(10_000);
        for (text, line) in [
            ("", "line 1"),
            ("{}\n", "line 1"),
            ("no json\n", "line 1"),
            (&endless, "line 1"),
            (cut, "line 3"),
        ] {
            std::fs::write(&path, text).expect("written");
            let read = Checker::open(&path, GENESIS).and_then(|mut checker| {
                for height in 1..=2 {
                    let _ = checker.check(&roots(height))?;
                }
                checker.finish(true)
            });
            let failure = read.expect_err(line);
            assert_eq!(failure.kind(), Kind::Failed);
            assert!(failure.to_string().contains(line), "{failure}");
        }
    }
}
