//! A command that is started to be profiled.

use std::io;
use std::process::{self, Child, ExitStatus};
use std::time::Duration;

use clearway_profile::{Profile, ProfileError, record};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::oneshot;

use super::{failure, stage_of};
use crate::failure::{Failure, Kind};
use crate::limits::Limits;
use crate::{signals, ui};

/// How often a command is asked whether it has ended.
const ASK_INTERVAL: Duration = Duration::from_millis(20);
/// Name of this program, which need not be on the search path.
const OWN_NAME: &str = "clearway";

/// A started command, which a signal to this program ends too.
pub(super) struct Command {
    child: Child,
    /// Its first word.
    name: String,
    signal: oneshot::Receiver<Kind>,
    /// The signal that came.
    told: Option<Kind>,
}

impl Command {
    /// Starts one; its output goes where ours goes, unless that is for scripts.
    pub(super) fn start(words: &[String], json: bool) -> Result<Self, Failure> {
        let signal = signals::notice()?;
        let name = words[0].clone();
        let program = match name.as_str() {
            OWN_NAME => std::env::current_exe()?,
            name => name.into(),
        };
        let mut command = process::Command::new(program);
        if json {
            command.stdout(io::stderr());
        }
        let started = command.args(&words[1..]).spawn();
        let child = started.map_err(|error| {
            let message = format!("cannot start `{name}`: {error}; check its name and path");
            Failure::of_file(&error, message)
        })?;
        Ok(Self {
            child,
            name,
            signal,
            told: None,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Samples it while it runs. Where that cannot be done it is stopped.
    pub(super) fn record(&mut self, at_most: Duration) -> Result<Profile, Failure> {
        Limits::raised();
        let profile = record(self.pid(), at_most, stage_of, &mut || self.runs());
        self.check_signal()?;
        profile.map_err(|error| match self.child.try_wait() {
            Ok(Some(status)) if is_unseen(&error) => {
                let name = &self.name;
                let message = format!("`{name}` ended with {status} before it was seen at work");
                Failure::new(Kind::Failed, message).remedy("give it more to do")
            }
            _ => {
                self.stop();
                failure(error)
            }
        })
    }

    /// Waits for its end, which is a failure unless it is a success.
    pub(super) fn wait(&mut self) -> Result<Result<(), Failure>, Failure> {
        if let Ok(None) = self.child.try_wait() {
            ui::note(&format!("sampled; waiting for `{}` to end", self.name));
        }
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(self.judge(status));
            }
            self.check_signal()?;
            std::thread::sleep(ASK_INTERVAL);
        }
    }

    fn judge(&self, status: ExitStatus) -> Result<(), Failure> {
        match status.success() {
            true => Ok(()),
            false => {
                let message = format!("`{}` ended with {status}; its words stand above", self.name);
                Err(Failure::new(Kind::Failed, message))
            }
        }
    }

    fn runs(&mut self) -> bool {
        !self.is_told() && matches!(self.child.try_wait(), Ok(None))
    }

    /// Stops the command where a signal has asked this program to end: what it has made so far is
    /// removed on its way out.
    fn check_signal(&mut self) -> Result<(), Failure> {
        if self.is_told()
            && let Some(kind) = self.told
        {
            self.stop();
            let message = format!(
                "interrupted: `{}` was stopped, no profile was written",
                self.name
            );
            return Err(Failure::new(kind, message));
        }
        Ok(())
    }

    fn is_told(&mut self) -> bool {
        self.told = self.told.or_else(|| self.signal.try_recv().ok());
        self.told.is_some()
    }

    /// Asks it to end, and waits: what it has to put in order takes its time.
    fn stop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            // One that ends at this moment needs no signal.
            let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
            let _ = self.child.wait();
        }
    }
}

/// Whether there was nothing to sample.
fn is_unseen(error: &ProfileError) -> bool {
    matches!(
        error,
        ProfileError::NoProcess { .. } | ProfileError::Idle { .. }
    )
}
