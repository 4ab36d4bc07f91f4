//! A load process of its own: a job on stdin, `ready`, then `go` on stdin, a tally as answer.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use clearway_types::domain::DomainTag;
use clearway_types::genesis::HexBytes;
use clearway_types::hex;
use clearway_types::units::{Digest, TimeMs};
use serde::{Deserialize, Serialize};

use crate::cluster::Members;
use crate::driver::{self, DriverError, Plan};
use crate::files::{self, FileError};
use crate::machine::Usage;
use crate::measure::{Latency, Tally};
use crate::sign::{Share, StreamShape, sign};
use crate::timeline::{Timeline, TimelineParts};
use crate::workload::{Generator, Workload};

/// Where a workload comes from; a worker makes or reads it again itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A seed.
    Generated(Generator),
    /// Two files.
    Files {
        /// Payments.
        payments: PathBuf,
        /// Accounts.
        accounts: PathBuf,
    },
}

impl Source {
    /// Payments that belong together, and on one stream.
    #[must_use]
    pub fn group(&self) -> usize {
        match self {
            Self::Generated(generator) => generator.pattern.group(),
            Self::Files { .. } => 1,
        }
    }

    /// The workload.
    ///
    /// # Errors
    /// When the files are wrong.
    pub fn load(&self) -> Result<Workload, FileError> {
        match self {
            Self::Generated(generator) => Ok(generator.generate()),
            Self::Files { payments, accounts } => files::load(payments, accounts),
        }
    }
}

/// What a worker does.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The workload.
    pub source: Source,
    /// Seed of the members' keys.
    pub key_seed: u64,
    /// Hash of the cluster's genesis.
    pub genesis: HexBytes<32>,
    /// Time in identifiers and expiry.
    pub now: TimeMs,
    /// What a stream is.
    pub shape: StreamShape,
    /// Which streams are this worker's.
    pub share: Share,
    /// How they are offered.
    pub plan: Plan,
}

/// A tally as JSON; histograms in their own format, hexadecimal.
#[derive(Serialize, Deserialize)]
struct Answer {
    sent: u64,
    copies_sent: u64,
    codes: Vec<(u16, u64)>,
    response: String,
    service: String,
    timeline: TimelineParts,
    first_sent_us: Option<u64>,
    last_answer_us: Option<u64>,
    usage: Usage,
}

impl Answer {
    fn of(tally: &Tally, usage: Usage) -> Self {
        Self {
            sent: tally.sent,
            copies_sent: tally.copies_sent,
            codes: tally
                .codes
                .iter()
                .map(|(code, count)| (*code, *count))
                .collect(),
            response: hex::encode(&tally.response.to_bytes()),
            service: hex::encode(&tally.service.to_bytes()),
            timeline: tally.timeline.to_parts(),
            first_sent_us: tally.first_sent_us,
            last_answer_us: tally.last_answer_us,
            usage,
        }
    }

    fn tally(&self) -> Option<Tally> {
        Some(Tally {
            sent: self.sent,
            copies_sent: self.copies_sent,
            codes: self.codes.iter().copied().collect(),
            response: Latency::from_bytes(&hex::decode(&self.response)?)?,
            service: Latency::from_bytes(&hex::decode(&self.service)?)?,
            timeline: Timeline::from_parts(&self.timeline)?,
            first_sent_us: self.first_sent_us,
            last_answer_us: self.last_answer_us,
        })
    }
}

/// The worker's side: job from `input`, lines to `output`.
///
/// # Errors
/// When the job is wrong or its load is not answered; the message goes to the worker's stderr.
pub fn work(
    mut input: impl BufRead,
    mut output: impl Write,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let job: Job = serde_json::from_str(&line)?;
    let workload = job.source.load()?;
    let members = Members::new(job.key_seed);
    let tag = DomainTag::new(Digest(job.genesis.0));
    let streams = sign(&workload, &members, tag, job.now, job.shape, job.share);
    drop(workload);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let number = job.share.part * job.plan.connections;
    let clients = runtime.block_on(driver::connect(&job.plan, &members, number))?;
    writeln!(output, "ready")?;
    output.flush()?;
    line.clear();
    input.read_line(&mut line)?;
    let start_us: u64 = line.trim().parse()?;
    let before = Usage::now();
    let tally = runtime.block_on(driver::offer(
        &clients,
        streams,
        &job.plan,
        start_us,
        &|_| {},
    ))?;
    let answer = Answer::of(&tally, Usage::now().since(&before));
    for client in &clients {
        runtime.block_on(client.close());
    }
    writeln!(output, "{}", serde_json::to_string(&answer)?)?;
    Ok(output.flush()?)
}

/// Worker processes that have signed and connected and wait for the start.
pub struct Workers(Vec<Worker>);

struct Worker {
    part: usize,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Workers {
    /// Starts a process for each job: `program` with `arguments`; returns when all are ready.
    ///
    /// # Errors
    /// When one cannot be started or fails before it is ready.
    pub fn start(
        program: &std::path::Path,
        arguments: &[&str],
        jobs: &[Job],
    ) -> Result<Self, DriverError> {
        let mut workers = Self(Vec::new());
        for (part, job) in jobs.iter().enumerate() {
            let mut child = Command::new(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let mut input = child.stdin.take().expect("it was asked for");
            let output = BufReader::new(child.stdout.take().expect("it was asked for"));
            let text = serde_json::to_string(job).expect("a job has only plain fields");
            let sent = writeln!(input, "{text}");
            workers.0.push(Worker {
                part,
                child,
                input,
                output,
            });
            sent?;
        }
        for worker in &mut workers.0 {
            let line = worker.line()?;
            if line != "ready" {
                return Err(worker.failed(format!("said `{line}` instead of `ready`")));
            }
        }
        Ok(workers)
    }

    /// Lets all go at the same moment and waits for what they measured.
    ///
    /// # Errors
    /// When one fails.
    pub fn go(mut self, start_us: u64) -> Result<(Tally, Usage), DriverError> {
        for worker in &mut self.0 {
            writeln!(worker.input, "{start_us}")?;
            worker.input.flush()?;
        }
        let (mut sum, mut usage) = (Tally::default(), Usage::default());
        for worker in &mut self.0 {
            let line = worker.line()?;
            let answer: Option<Answer> = serde_json::from_str(&line).ok();
            let tally = answer.as_ref().and_then(Answer::tally);
            let (Some(answer), Some(tally)) = (answer, tally) else {
                return Err(worker.failed("its answer is no tally".to_owned()));
            };
            sum.add(&tally);
            usage.cpu_seconds += answer.usage.cpu_seconds;
            usage.bytes_written += answer.usage.bytes_written;
        }
        Ok((sum, usage))
    }
}

impl Worker {
    fn line(&mut self) -> Result<String, DriverError> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            let status = self.child.wait()?;
            return Err(self.failed(format!("ended with {status}; see its message above")));
        }
        Ok(line.trim_end().to_owned())
    }

    fn failed(&self, message: String) -> DriverError {
        DriverError::Worker {
            part: self.part,
            message,
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.0 {
            // One that has ended already cannot be killed, and need not be.
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use clearway_types::code::ResultCode;

    use super::*;

    #[test]
    fn a_tally_comes_back_from_its_answer() {
        let mut tally = Tally::default();
        tally.record(ResultCode::Settled, 3);
        tally.respond(1_000, 1_700, 3);
        tally.service.record(600, 3);
        tally.sent_at(5, 3);
        tally.copies_sent = 4;
        tally.answered_at(705);
        let text = serde_json::to_string(&Answer::of(&tally, Usage::default())).expect("written");
        let answer: Answer = serde_json::from_str(&text).expect("read");
        assert_eq!(answer.tally(), Some(tally));
    }

    #[test]
    fn a_broken_job_is_an_error_and_not_a_panic() {
        for text in ["", "{}\n", "no json\n"] {
            assert!(work(text.as_bytes(), Vec::new()).is_err(), "{text:?}");
        }
    }
}
