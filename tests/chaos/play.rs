//! One call of the program under what others do to it, and what must hold whatever that is.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use clearway_load::random::Random;

use crate::calls::Call;
use crate::world::{World, program};

/// Nothing here takes so long unless it is stuck.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Exit codes that the program's help promises.
const EXITS: std::ops::RangeInclusive<i32> = 0..=7;
/// Longest time before a signal comes, milliseconds.
const SIGNAL_MS_MAX: u64 = 400;

/// What others do to the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    /// Nothing.
    Plain,
    /// The reader of standard output has gone, or of standard error, or of both.
    OutputGone,
    ErrorsGone,
    BothGone,
    /// The disk behind standard output is full, or behind standard error, or both.
    OutputFull,
    ErrorsFull,
    BothFull,
    /// No standard stream is open.
    AllClosed,
    /// 64 open files.
    FewFiles,
    /// Files of 64 KiB at most.
    SmallFiles,
    /// The environment of a container behind a service called `clearway`, and of a member's desk.
    Kubernetes,
    /// Variables of other programs and of no program, not all of them text.
    Strange,
    /// The folder for temporary files is not there.
    NoTemporaryFolder,
    /// An argument that nobody expects, by its number.
    Odd(usize),
    /// SIGINT or SIGTERM while it works.
    Interrupted,
    Terminated,
}

const ALL: [How; 15] = [
    How::OutputGone,
    How::ErrorsGone,
    How::BothGone,
    How::OutputFull,
    How::ErrorsFull,
    How::BothFull,
    How::AllClosed,
    How::FewFiles,
    How::SmallFiles,
    How::Kubernetes,
    How::Strange,
    How::NoTemporaryFolder,
    How::Odd(0),
    How::Interrupted,
    How::Terminated,
];

impl How {
    /// Any of them.
    pub(crate) fn any(random: &mut Random) -> Self {
        let below = |random: &mut Random, bound: usize| {
            usize::try_from(random.below(bound as u64)).expect("small")
        };
        match ALL[below(random, ALL.len())] {
            Self::Odd(_) => Self::Odd(below(random, ODD_COUNT)),
            how => how,
        }
    }
}

/// Words that nobody expects; none of them leads out of the world's folder.
const ODD: [&[u8]; 16] = [
    b"",
    b" ",
    b"-",
    b"--",
    b"--=",
    b"---",
    b"0",
    b"-1",
    b"1e999",
    b"nan",
    b"340282366920938463463374607431768211456",
    b"%s%n{}\x1b[31m",
    "\u{1f4b6}\u{202e}".as_bytes(),
    b"\xff\xfe\x80",
    b"/dev/null",
    b"/dev/full",
];

/// Each of them at the end, and in place of the last word.
pub(crate) const ODD_COUNT: usize = 2 * ODD.len();

fn with_odd(mut words: Vec<OsString>, number: usize) -> Vec<OsString> {
    if number >= ODD.len() {
        words.pop();
    }
    words.push(OsString::from_vec(ODD[number % ODD.len()].to_vec()));
    words
}

/// Plays a call, and says what is wrong with how it ended.
pub(crate) fn play(world: &World, call: &Call, hows: &[How]) -> Result<(), String> {
    let mut words: Vec<OsString> = world.words(call).into_iter().map(Into::into).collect();
    for how in hows {
        if let How::Odd(number) = how {
            words = with_odd(words, *number);
        }
    }
    let temporary = world.dir().join("tmp");
    let mut command = within_limits(world, hows);
    command
        .args(&words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    hows.iter().for_each(|how| take_streams(&mut command, *how));
    let (output, told) = run(command, hows, call.words.len() as u64);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let failed = |what: String| {
        let status = output.status;
        Err(format!(
            "clearway {words:?} under {hows:?}: {what}\n{status}\n{said}"
        ))
    };
    if !told {
        return failed(format!("does not end within {TIMEOUT:?}"));
    }
    if said.contains("panicked at") || said.contains("RUST_BACKTRACE") {
        return failed("panics".to_owned());
    }
    if let Err(what) = judge(call, hows, &output) {
        return failed(what);
    }
    let left: Vec<_> = std::fs::read_dir(&temporary).expect("listed").collect();
    match left.is_empty() {
        true => Ok(()),
        false => failed(format!("leaves {left:?}")),
    }
}

fn judge(call: &Call, hows: &[How], output: &Output) -> Result<(), String> {
    let signalled = hows
        .iter()
        .any(|how| matches!(how, How::Interrupted | How::Terminated));
    let by_signal = |code: Option<i32>| match code {
        Some(code) => code == 130 || code == 143,
        None => matches!(output.status.signal(), Some(2 | 15)),
    };
    let code = output.status.code();
    if signalled && by_signal(code) {
        return Ok(());
    }
    if !code.is_some_and(|code| EXITS.contains(&code)) {
        return Err("no exit code of its own".to_owned());
    }
    let expected = match hows {
        [How::OutputFull | How::BothFull] if call.exit == Some(0) => Some(call.unwritten),
        [How::FewFiles | How::SmallFiles] if call.node => Some(1),
        [How::NoTemporaryFolder] if call.node && call.exit == Some(0) => Some(1),
        [How::Plain | How::OutputGone | How::ErrorsGone | How::BothGone] => call.exit,
        [How::ErrorsFull | How::AllClosed | How::Kubernetes | How::Strange] => call.exit,
        _ => None,
    };
    match expected {
        Some(expected) if code != Some(expected) => Err(format!("not {expected}")),
        _ => Ok(()),
    }
}

/// The program in its environment, started by a shell where limits or closed streams are asked for.
/// The shell itself has the environment of the test: a strange one makes it talk, and end where
/// nobody reads that.
fn within_limits(world: &World, hows: &[How]) -> Command {
    let mut plain = program(world.dir());
    plain.env("TMPDIR", world.dir().join("tmp"));
    hows.iter().for_each(|how| surround(&mut plain, *how));
    let mut prelude = String::new();
    for how in hows {
        prelude.push_str(match how {
            How::FewFiles => "ulimit -n 64; ",
            How::SmallFiles => "ulimit -f 64; ",
            How::AllClosed => "exec <&- >&- 2>&-; ",
            _ => "",
        });
    }
    if prelude.is_empty() {
        return plain;
    }
    let mut command = Command::new("bash");
    let script = format!("{prelude}exec /usr/bin/env \"$@\"");
    command.args(["-c", &script, "bash"]);
    for (name, _) in plain.get_envs().filter(|(_, value)| value.is_none()) {
        command.arg("-u").arg(name);
    }
    for (name, value) in plain.get_envs() {
        if let Some(value) = value {
            let mut setting = name.to_owned();
            setting.push("=");
            setting.push(value);
            command.arg(setting);
        }
    }
    command
        .arg(plain.get_program())
        .current_dir(world.dir())
        .stdin(Stdio::null());
    command
}

/// Standard output and error that are full or have no reader.
fn take_streams(command: &mut Command, how: How) {
    let full = || File::options().write(true).open("/dev/full");
    let full = || Stdio::from(full().expect("this system has a full device"));
    let gone = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        Stdio::from(writer)
    };
    match how {
        How::OutputGone => {
            command.stdout(gone());
        }
        How::ErrorsGone => {
            command.stderr(gone());
        }
        How::BothGone => {
            command.stdout(gone()).stderr(gone());
        }
        How::OutputFull => {
            command.stdout(full());
        }
        How::ErrorsFull => {
            command.stderr(full());
        }
        How::BothFull => {
            command.stdout(full()).stderr(full());
        }
        _ => {}
    }
}

/// The environment.
fn surround(command: &mut Command, how: How) {
    match how {
        How::NoTemporaryFolder => {
            command.env("TMPDIR", "not-there");
        }
        How::Kubernetes => {
            command.envs([
                ("CLEARWAY_SERVICE_HOST", "10.0.0.7"),
                ("CLEARWAY_SERVICE_PORT", "7400"),
                ("CLEARWAY_PORT", "tcp://10.0.0.7:7400"),
                ("CLEARWAY_PORT_7400_TCP", "tcp://10.0.0.7:7400"),
                ("CLEARWAY_PORT_7400_TCP_PROTO", "tcp"),
                ("CLEARWAY_PORT_7400_TCP_PORT", "7400"),
                ("CLEARWAY_PORT_7400_TCP_ADDR", "10.0.0.7"),
                ("CLEARWAY_KEY", "keys/member-2.insecure-plaintext"),
                ("CLEARWAY_GENESIS", "genesis.toml"),
                ("CLEARWAY_LISTN", "nobody's"),
            ]);
        }
        How::Strange => {
            let no_text = OsString::from_vec(b"\xff\xfe\x80".to_vec());
            command
                .env("CLEARWAY_STRANGE", &no_text)
                .env("STRANGE", &no_text)
                .env_remove("XDG_RUNTIME_DIR")
                .env_remove("NO_COLOR")
                .env_remove("PATH")
                .envs([
                    ("RUST_BACKTRACE", "full"),
                    ("RUST_LOG", "trace,,=="),
                    ("TOKIO_WORKER_THREADS", "many"),
                    ("RAYON_NUM_THREADS", "-1"),
                    ("COLUMNS", "0"),
                    ("LINES", "x"),
                    ("TERM", "nonsense"),
                    ("LANG", "xx_XX.latin1"),
                    ("LC_ALL", "xx"),
                    ("TZ", "No/Where"),
                    ("HOME", "/nowhere"),
                    ("CLICOLOR_FORCE", "1"),
                ]);
        }
        _ => {}
    }
}

/// Runs it to its end, and says whether it came by itself.
fn run(mut command: Command, hows: &[How], salt: u64) -> (Output, bool) {
    let child = command.spawn().expect("the program starts");
    // The parent's ends of the pipes go with it.
    drop(command);
    let pid = child.id();
    let ended = watched(child);
    for how in hows {
        let name = match how {
            How::Interrupted => "-INT",
            How::Terminated => "-TERM",
            _ => continue,
        };
        // Different calls are met at different moments, each at the same one every time.
        let after = Duration::from_millis(salt.wrapping_mul(37) % SIGNAL_MS_MAX);
        if let Ok(output) = ended.recv_timeout(after) {
            return (output, true);
        }
        signal(pid, name);
    }
    match ended.recv_timeout(TIMEOUT) {
        Ok(output) => (output, true),
        Err(_) => {
            signal(pid, "-KILL");
            (ended.recv().expect("its end is told"), false)
        }
    }
}

fn watched(child: Child) -> Receiver<Output> {
    let (told, ended) = channel();
    std::thread::spawn(move || {
        let output = child.wait_with_output().expect("its output is read");
        // Nobody listens where the test has failed meanwhile.
        let _ = told.send(output);
    });
    ended
}

/// Sends a signal; a process that has ended meanwhile does not mind.
pub(crate) fn signal(pid: u32, name: &str) {
    let mut kill = Command::new("kill");
    kill.args([name, &pid.to_string()]).stderr(Stdio::null());
    kill.status().expect("kill exists");
}
