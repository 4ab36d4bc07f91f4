//! `clearway verify`: verdicts on signature vectors, one a line; or the backends of this machine.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use clearway_crypto::backend::Item;
use clearway_crypto::gate::{BackendId, Gate, GateError};
use clearway_node::backends;
use clearway_types::hex;
use serde::{Deserialize, Serialize};

use crate::backends::BackendArgs;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::streams;
use crate::ui::{self, Output};

/// Lines that are named in the message about mismatches; the verdicts name all.
const NAMED_MAX: usize = 10;

#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0, every signature is valid, or is what its line expects; 3, one is \
not: the message names the first lines"
)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["vectors", "list_backends"]))]
pub(crate) struct Args {
    /// JSON lines {"pk_hex","sig_hex","msg_hex"} with optional "zip215_valid"; .gz, or - for stdin
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,
    #[command(flatten)]
    backend: BackendArgs,
    /// Signatures verified together; 1 for one by one
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    /// Name the backends of this machine, the fastest last
    #[arg(long)]
    list_backends: bool,
    #[command(flatten)]
    output: Output,
}

/// One line of a vectors file.
#[derive(Deserialize)]
struct Vector {
    pk_hex: String,
    sig_hex: String,
    msg_hex: String,
    zip215_valid: Option<bool>,
}

/// A vector in bytes; a key or signature of another length is never valid.
struct Question {
    line: usize,
    public_key: Option<[u8; 32]>,
    signature: Option<[u8; 64]>,
    message: Vec<u8>,
    expected: Option<bool>,
}

#[derive(Serialize)]
struct SignatureVerdict {
    line: usize,
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<bool>,
}

/// Names of the backends that pass their self-test here.
pub(crate) fn backend_names() -> Result<Vec<&'static str>, GateError> {
    Ok(Gate::new()?
        .backends()
        .map(|(_, backend)| backend.name())
        .collect())
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.list_backends {
        let gate = Gate::new().or_fail(Kind::Failed)?;
        let mut names: Vec<&str> = gate.backends().map(|(_, backend)| backend.name()).collect();
        // Listed first: nobody gets it without asking.
        if backends::adapters().iter().any(|adapter| adapter.usable) {
            names.insert(0, "gpu");
        }
        #[derive(Serialize)]
        struct Backends<'a> {
            backends: &'a [&'a str],
            preferred: &'a str,
        }
        let backends = Backends {
            backends: &names,
            preferred: gate.name(gate.preferred()),
        };
        return args
            .output
            .result("backends", &backends, || names.join("\n"));
    }
    let (gate, backend) = args.backend.open()?;
    let path = args.vectors.as_deref().unwrap_or(Path::new("-"));
    let bad = verify_file(&gate, backend, path, args)?;
    let what = [
        (&bad.mismatches, "of the verdicts are not the expected ones"),
        (
            &bad.invalid,
            "of the signatures are not valid, and no `zip215_valid` says that they should not be",
        ),
    ];
    let what = what.into_iter().filter(|(lines, _)| !lines.is_empty());
    let what: Vec<String> = what
        .map(|(lines, what)| {
            format!(
                "{} {what}: {} line {}",
                lines.len(),
                path.display(),
                named(lines)
            )
        })
        .collect();
    match what.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(Kind::Mismatch, what.join("; "))),
    }
}

/// The first few of these lines.
fn named(lines: &[usize]) -> String {
    let first: Vec<String> = lines.iter().take(NAMED_MAX).map(usize::to_string).collect();
    let more = if lines.len() > NAMED_MAX {
        " and more"
    } else {
        ""
    };
    first.join(", ") + more
}

/// Lines that scripts must know of.
#[derive(Default)]
struct Bad {
    /// The verdict is not the expected one.
    mismatches: Vec<usize>,
    /// Not valid, and nothing was expected.
    invalid: Vec<usize>,
}

/// Writes a verdict per line; gives the lines that scripts must know of.
fn verify_file(gate: &Gate, backend: BackendId, path: &Path, args: &Args) -> Result<Bad, Failure> {
    let mut out = streams::results();
    let mut bad = Bad::default();
    let mut waiting = Vec::new();
    for (index, line) in open(path)?.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        waiting.push(question(path, index + 1, &line)?);
        if waiting.len() == args.batch as usize {
            answer(gate, backend, &waiting, args.output, &mut out, &mut bad)?;
            waiting.clear();
        }
    }
    answer(gate, backend, &waiting, args.output, &mut out, &mut bad)?;
    ui::told(out.flush())?;
    Ok(bad)
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file = clearway_node::read::open(path).map_err(|error| {
        let message = format!("{}: {error}; check the path", path.display());
        Failure::of_file(&error, message)
    })?;
    let bytes: Box<dyn Read> = if path.extension().is_some_and(|ending| ending == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(file)
    };
    Ok(Box::new(BufReader::new(bytes)))
}

fn question(path: &Path, line: usize, text: &str) -> Result<Question, Failure> {
    let wrong = |what: String| {
        let message = format!("{}:{line}: {what}; write one vector a line", path.display());
        Failure::new(Kind::Failed, message)
    };
    let vector: Vector = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let bytes = |name: &str, text: &str| {
        hex::decode(text).ok_or_else(|| wrong(format!("`{name}` is not hexadecimal")))
    };
    Ok(Question {
        line,
        public_key: bytes("pk_hex", &vector.pk_hex)?.try_into().ok(),
        signature: bytes("sig_hex", &vector.sig_hex)?.try_into().ok(),
        message: bytes("msg_hex", &vector.msg_hex)?,
        expected: vector.zip215_valid,
    })
}

fn answer(
    gate: &Gate,
    backend: BackendId,
    questions: &[Question],
    output: Output,
    out: &mut impl std::io::Write,
    bad: &mut Bad,
) -> Result<(), Failure> {
    let mut items = Vec::with_capacity(questions.len());
    let mut places = Vec::with_capacity(questions.len());
    for question in questions {
        let place = match (&question.public_key, &question.signature) {
            (Some(public_key), Some(signature)) => {
                items.push(Item {
                    public_key,
                    prefix: &[],
                    message: &question.message,
                    signature,
                    hint: None,
                });
                Some(items.len() - 1)
            }
            _ => None,
        };
        places.push(place);
    }
    let verdicts = gate.verify(backend, &items);
    for (question, place) in questions.iter().zip(places) {
        let verdict = SignatureVerdict {
            line: question.line,
            valid: place.is_some_and(|place| verdicts.is_valid(place)),
            expected: question.expected,
        };
        let wrong = verdict
            .expected
            .is_some_and(|expected| expected != verdict.valid);
        if wrong {
            bad.mismatches.push(verdict.line);
        } else if verdict.expected.is_none() && !verdict.valid {
            bad.invalid.push(verdict.line);
        }
        if output.json {
            let line = ui::to_json("verdict", &verdict)?;
            ui::told(writeln!(out, "{line}"))?;
        } else {
            let word = if verdict.valid { "valid" } else { "invalid" };
            let note = if wrong { "  MISMATCH" } else { "" };
            ui::told(writeln!(out, "{} {word}{note}", verdict.line))?;
        }
    }
    Ok(())
}

/// The message that `doctor` shows when no backend can be trusted.
pub(crate) fn backends_or_note() -> Vec<&'static str> {
    backend_names().unwrap_or_else(|error| {
        ui::note(&error.to_string());
        Vec::new()
    })
}
