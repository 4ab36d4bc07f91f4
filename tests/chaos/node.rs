//! A node's process under what others do to it while it runs.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clearway_harness::{folder, http};
use tempfile::{TempDir, tempdir};

use crate::play::signal;
use crate::world::{init, program};

/// Nothing here takes so long unless it is stuck.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A member's payment with the test's folder as working folder.
const PAY: &str = "pay 2.1 3.1 1 --insecure-plaintext --key keys/member-2.insecure-plaintext";

/// A node whose standard error is what a test makes of it.
struct Running {
    child: Child,
    door: String,
    admin: String,
}

fn cluster() -> TempDir {
    let dir = tempdir().expect("a temporary folder");
    init(dir.path(), ".");
    dir
}

impl Running {
    fn start(dir: &Path, stderr: Stdio, change: impl FnOnce(&mut Command)) -> Self {
        let started = Self::try_start(dir, stderr, change);
        started.unwrap_or_else(|mut child| {
            let said = child.stderr.take().map(|stderr| read(Some(stderr)));
            panic!("the node does not start: {said:?}")
        })
    }

    /// `Err` is the process, its words unread, when its output ends before both addresses.
    fn try_start(
        dir: &Path,
        stderr: Stdio,
        change: impl FnOnce(&mut Command),
    ) -> Result<Self, Child> {
        let mut command = program(dir);
        let run = "node run --config node.toml --set listen=127.0.0.1:0";
        command
            .args(run.split(' '))
            .stdout(Stdio::piped())
            .stderr(stderr);
        change(&mut command);
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("it was asked for");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let mut address = |name: &str| {
            let line = lines.next()?;
            let found = line.strip_prefix(name).map(|rest| rest.trim().to_owned());
            Some(found.unwrap_or_else(|| panic!("`{line}` is no {name}")))
        };
        match (address("door"), address("admin")) {
            (Some(door), Some(admin)) => Ok(Self { child, door, admin }),
            _ => Err(child),
        }
    }

    fn pay(&self, dir: &Path) {
        let server = ["--server", &self.door];
        folder::succeed(program(dir).args(PAY.split(' ').chain(server)));
    }

    fn figure(&self, name: &str) -> f64 {
        let (_, text) = http(&self.admin, "GET /metrics");
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("no {name}: {text}"))
    }

    /// Waits until a figure has at least this value.
    fn wait_for(&self, name: &str, least: f64) {
        let from = Instant::now();
        while self.figure(name) < least {
            assert!(from.elapsed() < TIMEOUT, "{name} stays below {least}");
        }
    }

    fn stop(&mut self) -> ExitStatus {
        signal(self.child.id(), "-TERM");
        let from = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its state can be asked") {
                return status;
            }
            assert!(from.elapsed() < TIMEOUT, "the node does not stop");
            std::thread::yield_now();
        }
    }

    fn said(&mut self) -> String {
        read(self.child.stderr.take())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(stderr: Option<ChildStderr>) -> String {
    let mut said = String::new();
    let mut stderr = stderr.expect("it was asked for");
    stderr
        .read_to_string(&mut said)
        .expect("its words are text");
    said
}

/// Runs the node where it must end by itself, and gives exit code and words.
fn refused(dir: &Path, change: impl FnOnce(&mut Command)) -> (Option<i32>, String) {
    let mut command = program(dir);
    let run = "node run --config node.toml --set listen=127.0.0.1:0";
    command.args(run.split(' '));
    change(&mut command);
    let output = command.output().expect("the program starts");
    let said = String::from_utf8(output.stderr).expect("its words are text");
    (output.status.code(), said)
}

#[test]
fn a_log_that_nobody_can_write_is_counted_and_the_node_goes_on() {
    let full = File::options().write(true).open("/dev/full");
    let (gone, stuck) = (std::io::pipe(), std::io::pipe());
    let (gone, (_reads_nothing, stuck)) = (gone.expect("a pipe").1, stuck.expect("a pipe"));
    let ways = [
        ("a full disk", Stdio::from(full.expect("a full device"))),
        ("a reader that has gone", Stdio::from(gone)),
        ("a reader that has stopped", Stdio::from(stuck)),
    ];
    for (way, stderr) in ways {
        println!("{way}");
        let dir = cluster();
        // A line for each message of each link.
        let trace = ["--set", "log=clearway=trace"];
        let mut node = Running::start(dir.path(), stderr, |command| {
            command.args(trace);
        });
        node.pay(dir.path());
        // The last one takes some lines before it is full.
        if way != "a reader that has stopped" {
            node.wait_for("clearway_log_lines_dropped_total", 1.0);
        }
        node.pay(dir.path());
        assert!(node.stop().success(), "{way}");
        let replay = ["replay", "data", "--genesis", "genesis.toml"];
        folder::succeed(program(dir.path()).args(replay));
    }
}

/// A node whose standard output is a full disk; its addresses are not known.
fn without_output(dir: &Path, stderr: Stdio, more: &[&str]) -> Running {
    let run = "node run --config node.toml --set listen=127.0.0.1:0";
    let mut command = program(dir);
    command.args(run.split(' ')).args(more);
    command.stdout(full_disk()).stderr(stderr);
    Running {
        child: command.spawn().expect("the program starts"),
        door: String::new(),
        admin: String::new(),
    }
}

fn full_disk() -> Stdio {
    let full = File::options().write(true).open("/dev/full");
    Stdio::from(full.expect("a full device"))
}

#[test]
fn a_node_whose_output_cannot_be_written_tells_its_addresses_in_the_log() {
    let dir = cluster();
    let mut node = without_output(dir.path(), Stdio::piped(), &[]);
    let stderr = node.child.stderr.take().expect("it was asked for");
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let mut said = String::new();
    // The lines end with the node at the latest.
    while node.door.is_empty() {
        let line = lines.next().unwrap_or_else(|| panic!("it ended: {said}"));
        let word = |name: &str| {
            let rest = line.split(' ').find_map(|word| word.strip_prefix(name));
            rest.unwrap_or_default().to_owned()
        };
        (node.door, node.admin) = (word("door="), word("admin="));
        said.push_str(&line);
    }
    assert!(said.contains("cannot be written"), "{said}");
    node.pay(dir.path());
    assert!(node.figure("clearway_log_lines_dropped_total") >= 1.0);
    assert!(node.stop().success());
}

#[test]
fn a_node_whose_log_and_output_share_a_full_disk_runs_until_it_is_stopped() {
    let dir = cluster();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let admin = free.local_addr().expect("it is bound").to_string();
    drop(free);
    let set = format!("admin_listen={admin}");
    let mut node = without_output(dir.path(), full_disk(), &["--set", &set]);
    node.admin = admin;
    let from = Instant::now();
    while std::net::TcpStream::connect(&node.admin).is_err() {
        let ended = node.child.try_wait().expect("its state can be asked");
        assert!(ended.is_none(), "it ended: {ended:?}");
        assert!(from.elapsed() < TIMEOUT, "no admin address");
    }
    node.wait_for("clearway_block_height", 2.0);
    assert!(node.figure("clearway_log_lines_dropped_total") >= 1.0);
    assert!(node.stop().success());
}

#[test]
fn an_idle_node_says_little_and_without_colours() {
    let dir = cluster();
    let mut node = Running::start(dir.path(), Stdio::piped(), |command| {
        command.env_remove("NO_COLOR").env("CLICOLOR_FORCE", "1");
    });
    // Five seconds of heartbeats, each of which the engine has much to say about.
    node.wait_for("clearway_block_height", 20.0);
    assert!(node.stop().success());
    let said = node.said();
    assert!(said.lines().count() < 10, "{said}");
    assert!(said.contains("store open"), "{said}");
    assert!(!said.contains('\x1b'), "{said:?}");
    assert!(!said.contains('{'), "a record of the program's own: {said}");
}

#[test]
fn limits_that_are_too_low_are_found_before_anything_is_opened() {
    let dir = cluster();
    let limited = |limit: &str, words: &str| {
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")])
            .arg(program(dir.path()).get_program())
            .args(words.split(' '))
            .current_dir(dir.path());
        let output = command.output().expect("bash is there");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).replace("\n", " "),
        )
    };
    for (limit, found, help) in [
        ("ulimit -n 64", "64 open files", "ulimit -n"),
        ("ulimit -d 100000", "102400000 bytes of memory", "ulimit -d"),
        ("ulimit -s 100", "102400 bytes of stack", "ulimit -s"),
        ("ulimit -s 64", "65536 bytes of stack", "ulimit -s"),
        (
            "export RUST_MIN_STACK=1",
            "1 bytes of stack in a thread",
            "unset RUST_MIN_STACK",
        ),
    ] {
        let (code, said) = limited(limit, "node run --config node.toml");
        assert_eq!(code, Some(1), "{limit}: {said}");
        for word in [found, help] {
            assert!(said.contains(word), "{limit}: {said}");
        }
        assert!(!dir.path().join("data").exists(), "nothing was opened");
        let (code, told) = limited(limit, "doctor");
        assert_eq!(code, Some(0), "{limit}: {told}");
        assert!(told.contains(found), "{limit}: {told}");
    }
    // No command ends with a panic or without a word, and nothing was sent.
    let ask = "account show 2.1 --key keys/member-2.insecure-plaintext --insecure-plaintext";
    for (limit, found) in [
        ("ulimit -n 7", "7 open files"),
        // Those that the caller has left open count, too.
        (
            "for fd in 10 11 12 13 14 15 16 17 18; do eval \"exec $fd<.\"; done; ulimit -n 19",
            "19 open files and this program needs 2",
        ),
        ("ulimit -v 50000", "address space"),
        (
            "export RUST_MIN_STACK=1000000000000000",
            "unset RUST_MIN_STACK",
        ),
    ] {
        let (code, said) = limited(limit, ask);
        assert_eq!(code, Some(7), "{limit}: {said}");
        assert!(said.contains(found), "{limit}: {said}");
    }
    // A soft limit is raised as far as the hard one allows.
    let mut node = Running::start(dir.path(), Stdio::piped(), |command| {
        let plain = std::mem::replace(command, Command::new("bash"));
        command
            .args(["-c", "ulimit -Sn 64; exec \"$0\" \"$@\""])
            .arg(plain.get_program())
            .args(plain.get_args())
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    });
    assert!(node.stop().success());
}

#[test]
fn variables_that_are_not_for_the_node_do_not_stop_it() {
    let dir = cluster();
    let mut node = Running::start(dir.path(), Stdio::piped(), |command| {
        command.envs([
            ("CLEARWAY_KEY", "keys/member-2.insecure-plaintext"),
            ("CLEARWAY_PORT", "tcp://10.0.0.7:7400"),
            ("CLEARWAY_PORT_7400_TCP_ADDR", "10.0.0.7"),
            ("CLEARWAY_SERVICE_HOST", "10.0.0.7"),
            ("CLEARWAY_LISTN", "127.0.0.1:0"),
        ]);
    });
    assert!(node.stop().success());
    let said = node.said();
    let warned: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("variable"))
        .collect();
    assert_eq!(warned.len(), 1, "{said}");
    assert!(warned[0].contains("CLEARWAY_LISTN"), "{said}");
    assert!(
        warned[0].contains("did you mean CLEARWAY_LISTEN?"),
        "{said}"
    );
}

#[test]
fn drivers_find_a_runtime_folder_where_the_system_has_none() {
    let dir = cluster();
    let mut node = Running::start(dir.path(), Stdio::piped(), |command| {
        command.env_remove("XDG_RUNTIME_DIR");
    });
    let about = Path::new("/proc").join(node.child.id().to_string());
    let environment = std::fs::read(about.join("environ")).expect("read");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let named = environment
        .split('\0')
        .any(|it| it.starts_with("XDG_RUNTIME_DIR=/"));
    assert!(named || cfg!(not(feature = "gpu")), "{environment}");
    assert!(node.stop().success());
    assert!(
        !node.said().contains("XDG_RUNTIME_DIR"),
        "drivers are quiet"
    );
}

/// The journal is the engine's alone: a single validator goes on from its newest certificate.
#[test]
fn a_lost_or_damaged_journal_is_told_and_needs_no_hand_where_the_store_has_the_same() {
    let dir = cluster();
    let start = || Running::start(dir.path(), Stdio::piped(), |_| {});
    let mut node = start();
    node.pay(dir.path());
    assert!(node.stop().success());
    let engine = dir.path().join("data/engine");
    for round in 0..3 {
        std::fs::remove_dir_all(&engine).expect("it was there");
        let mut node = start();
        node.pay(dir.path());
        assert!((node.figure("clearway_order_journals_lost_total") - 1.0).abs() < f64::EPSILON);
        assert!(node.stop().success(), "round {round}");
        let said = node.said();
        assert!(said.contains("journal is missing"), "{said}");
    }
    // A bit of the file in use here and there: damaged, or torn and cut off; never a panic.
    let file = engine.join("journal-0");
    let good = std::fs::read(&file).expect("read");
    let used = good.iter().rposition(|byte| *byte != 0).expect("frames") + 1;
    let mut mended = 0;
    for at in [2, 40, used / 3, used / 2, used - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&file, &bad).expect("written");
        let kept = dir.path().join("kept");
        copy(&engine, &kept);
        let (code, said, _) = ended_or_stopped(dir.path());
        println!("byte {at} of {used}: {code:?} {said}");
        for word in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
            assert!(!said.contains(word), "{said}");
        }
        assert_eq!(code, Some(0), "{said}");
        mended += usize::from(said.contains("going on without it from the newest stored"));
        std::fs::remove_dir_all(&engine).expect("it was there");
        copy(&kept, &engine);
        std::fs::remove_dir_all(&kept).expect("it was made");
        std::fs::write(&file, &good).expect("written");
    }
    assert!(mended > 0, "no flip damaged the journal");
    // The way out.
    std::fs::rename(&engine, dir.path().join("moved")).expect("moved");
    let mut node = start();
    node.pay(dir.path());
    assert!(node.stop().success());
    let replay = ["replay", "data", "--genesis", "genesis.toml"];
    folder::succeed(program(dir.path()).args(replay));
}

/// Exit code and words of a node that ends by itself, or is stopped once it orders blocks; and
/// whether it said that it runs.
fn ended_or_stopped(dir: &Path) -> (Option<i32>, String, bool) {
    let mut node = match Running::try_start(dir, Stdio::piped(), |_| {}) {
        Ok(node) => node,
        Err(mut child) => {
            let code = child.wait().expect("it ends").code();
            return (code, read(child.stderr.take()), false);
        }
    };
    let height = || {
        let mut stream = std::net::TcpStream::connect(&node.admin).ok()?;
        std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix("clearway_block_height "));
        line?.parse::<f64>().ok()
    };
    let from = Instant::now();
    let first = height();
    loop {
        let goes_on = match (height(), first) {
            (Some(now), Some(first)) => now > first,
            _ => false,
        };
        if goes_on {
            let code = node.stop().code();
            return (code, node.said(), true);
        }
        if let Some(status) = node.child.try_wait().expect("its state can be asked") {
            return (status.code(), node.said(), true);
        }
        assert!(from.elapsed() < TIMEOUT, "it neither goes on nor ends");
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status();
    assert!(copied.expect("cp exists").success());
}

#[test]
fn a_report_without_a_place_is_refused_before_the_work() {
    let dir = tempdir().expect("a temporary folder");
    for command in [
        "demo --quick",
        "bench --quick",
        "bench verify",
        "bench hash",
    ] {
        for place in ["nowhere/x.json", "."] {
            let words = command.split(' ').chain(["--json", place]);
            let output = program(dir.path()).args(words).output();
            let output = output.expect("the program starts");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{command}: {said}");
            assert!(said.contains(place), "{command}: {said}");
            assert!(!said.contains("workload"), "{command} began: {said}");
        }
    }
    // What a file holds is kept until there is something to replace it with.
    let report = dir.path().join("report.json");
    std::fs::write(&report, "the one before").expect("written");
    let failing = "bench --payments none.csv --accounts none.csv --json report.json";
    let output = program(dir.path()).args(failing.split(' ')).output();
    assert!(!output.expect("the program starts").status.success());
    let kept = std::fs::read_to_string(&report).expect("read");
    assert_eq!(kept, "the one before");
    let fresh = failing.replace("report.json", "fresh.json");
    let output = program(dir.path()).args(fresh.split(' ')).output();
    assert!(!output.expect("the program starts").status.success());
    assert!(!dir.path().join("fresh.json").exists(), "nothing half done");
}

#[test]
fn a_report_whose_file_turns_out_full_is_printed_instead() {
    let dir = tempdir().expect("a temporary folder");
    let words = "bench --count 300 --account-count 50 --json /dev/full";
    let output = program(dir.path()).args(words.split(' ')).output();
    let output = output.expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--json /dev/full"), "{said}");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("clearway/run/1"), "{printed}");
    assert!(printed.contains("\"sent\":300"), "{printed}");
}

#[test]
fn a_node_that_is_refused_says_why_on_one_line() {
    let dir = cluster();
    let (code, said) = refused(dir.path(), |command| {
        command.args(["--set", "log=clearway=loud"]);
    });
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("write info or clearway=debug"), "{said}");
}
