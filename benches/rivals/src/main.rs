//! Other people's Ed25519 verification, measured round by round for `clearway bench verify`.
//!
//! Says on stdout what it has: `batch NAME`, `single NAME` or `each NAME` a line, `note TEXT` for
//! what it has not, then `ready`. Then, for each line on stdin, a line on stdout:
//!
//! * `input BATCH_LEN known|fresh PATH`: reads signatures to measure with; `ready`. Of `known` keys
//!   a rival may have ready whatever it likes; `fresh` ones it meets as bytes.
//! * `round NAME`: a verdict on each signature; `micros NUMBER`, processor time of this thread, or
//!   `wrong INDEX`, the first verdict that is not the one in the file.
//!
//! It ends with its stdin.

mod dalek;
mod input;
mod rival;
#[cfg(target_feature = "avx512ifma")]
mod simd;
mod singles;
mod zebra;

use std::error::Error;
use std::io::{self, BufRead as _, Write as _};

use dalek::Dalek;
use input::{Batch, Input};
use rival::Rival;
use rustix::time::{ClockId, clock_gettime};
use singles::Singles;
use zebra::Zebra;

fn main() -> Result<(), Box<dyn Error>> {
    let mut rivals = rivals();
    for rival in &rivals {
        say(&format!("{} {}", rival.mode(), rival.name()))?;
    }
    for note in notes() {
        say(&format!("note {note}"))?;
    }
    say("ready")?;
    let mut input = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answer = match line.split_once(' ') {
            Some(("input", rest)) => {
                let read = Input::read(rest)?;
                for rival in &mut rivals {
                    rival.prepare(&read);
                }
                input = Some(read);
                "ready".to_owned()
            }
            Some(("round", name)) => {
                let input = input.as_ref().ok_or("a round without an input")?;
                let rival = rivals.iter_mut().find(|rival| rival.name() == name);
                round(rival.ok_or("no such rival")?.as_mut(), input)
            }
            _ => return Err(format!("unknown request `{line}`").into()),
        };
        say(&answer)?;
    }
    Ok(())
}

fn rivals() -> Vec<Box<dyn Rival>> {
    let rivals: Vec<Box<dyn Rival>> = vec![
        Box::new(zebra::Batches::default()),
        Box::new(Singles::<Zebra>::default()),
        Box::new(dalek::Batches::default()),
        Box::new(Singles::<Dalek>::default()),
    ];
    #[cfg(target_feature = "avx512ifma")]
    let rivals = {
        let mut rivals = rivals;
        rivals.push(Box::new(simd::cold()));
        rivals.push(Box::new(simd::hot()));
        rivals
    };
    rivals
}

/// What is not measured, and why.
fn notes() -> Vec<&'static str> {
    let mut notes = Vec::new();
    if cfg!(not(target_feature = "avx512ifma")) {
        notes.push(
            "NOT MEASURED: ed25519-simd 0.1. It has no path without AVX-512 (F, BW, DQ, IFMA), for \
             which this program was not built because the processor that built it lacks them; \
             ratios here are against the other rivals alone",
        );
        notes.push("curve25519-dalek, under zebra and dalek, works with AVX2 here, not AVX-512");
    }
    notes
}

fn round(rival: &mut dyn Rival, input: &Input) -> String {
    let messages: Vec<&[u8]> = input.messages.iter().map(|message| &message[..]).collect();
    // The opposite of what is expected, so that a verdict that is not given is seen.
    let mut valid: Vec<bool> = input.expected.iter().map(|expected| !expected).collect();
    let since = cpu_micros();
    for first in (0..messages.len()).step_by(input.batch_len) {
        let end = messages.len().min(first + input.batch_len);
        let batch = Batch {
            keys: &input.keys[first..end],
            signatures: &input.signatures[first..end],
            messages: &messages[first..end],
        };
        rival.verify(&batch, first, &mut valid[first..end]);
    }
    let micros = cpu_micros() - since;
    let mut both = valid.iter().zip(&input.expected);
    match both.position(|(found, expected)| found != expected) {
        None => format!("micros {micros}"),
        Some(at) => format!("wrong {at}"),
    }
}

fn cpu_micros() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 * 1e-3
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
