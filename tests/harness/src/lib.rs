//! What the integration tests share: the folder of a cluster, a node in a process of its own,
//! stopped or killed on request, and a record of everything that it does to its files.

pub mod folder;
mod lossy;
pub mod record;
mod recorder;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

pub use lossy::Lossy;
pub use recorder::Recorder;

/// Longest time in which a node opens its door: it may have a long log to recover.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest time in which a node that stops or cannot go on ends, on a loaded machine.
const END_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time until a kill comes that something else counts down to.
const KILL_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest time for an answer of the operators' page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// A running `clearway node run`; killed when it is dropped.
#[derive(Debug)]
pub struct NodeProcess {
    child: Child,
    door: String,
    admin: String,
}

impl NodeProcess {
    /// Starts `command`, the program in its folder, on `door`; returns once the door is open.
    ///
    /// # Panics
    /// When the node does not say where its door is; its words are in the message.
    #[must_use]
    pub fn start(mut command: Command, config: &Path, door: &str) -> Self {
        let mut child = command
            .args(["node", "run", "--config"])
            .arg(config)
            .args(["--set", &format!("listen={door}")])
            .args(["--set", "admin_listen=127.0.0.1:0", "--set", "log=error"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("it was asked for");
        let (told, said) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            told.send(lines.take(2).collect::<Vec<String>>())
        });
        let lines = said.recv_timeout(START_TIMEOUT).unwrap_or_default();
        let address = |number: usize, name: &str| {
            let mut words = lines.get(number)?.split_whitespace();
            words.next().filter(|word| *word == name)?;
            words.next().map(str::to_owned)
        };
        match (address(0, "door"), address(1, "admin")) {
            (Some(door), Some(admin)) => Self { child, door, admin },
            _ => {
                // Only its words matter now.
                let _ = child.kill();
                panic!("the node says {lines:?}: {}", words(&mut child));
            }
        }
    }

    /// Address of the operators' page.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Address of the members' door.
    #[must_use]
    pub fn door(&self) -> &str {
        &self.door
    }

    /// Number of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop and waits for its orderly end.
    ///
    /// # Panics
    /// When it ends otherwise, or goes on; its words are in the message.
    pub fn stop(&mut self) {
        self.ask_to_stop();
        let (status, said) = self.end(END_TIMEOUT);
        assert!(status.success(), "{status}: {said}");
    }

    /// SIGTERM; [`NodeProcess::ended`] says how it ends.
    ///
    /// # Panics
    /// When it is not there any more.
    pub fn ask_to_stop(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(
            sent.expect("kill exists").success(),
            "the node is not there any more"
        );
    }

    /// Waits for an end by SIGKILL that comes from elsewhere.
    ///
    /// # Panics
    /// When it ends otherwise, or goes on; its words are in the message.
    pub fn wait_killed(&mut self) {
        let (status, said) = self.end(KILL_TIMEOUT);
        assert!(status.code().is_none(), "{status}: {said}");
    }

    /// Waits until it ends by itself, and gives its exit code and what it said.
    ///
    /// # Panics
    /// When it goes on.
    pub fn ended(&mut self) -> (Option<i32>, String) {
        let (status, said) = self.end(END_TIMEOUT);
        (status.code(), said)
    }

    /// Its standard error ends with it.
    fn end(&mut self, timeout: Duration) -> (ExitStatus, String) {
        let mut stderr = self.child.stderr.take().expect("it was asked for");
        let (told, said) = mpsc::channel();
        std::thread::spawn(move || {
            let mut words = String::new();
            let read = stderr.read_to_string(&mut words);
            told.send(read.map(|_| words))
        });
        let said = said.recv_timeout(timeout).expect("the node ends");
        let status = self.child.wait().expect("it has ended");
        (status, said.expect("its words are text"))
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    ///
    /// # Panics
    /// When it had ended by itself before; its words are in the message.
    pub fn kill(&mut self) {
        let ended = self.child.try_wait().expect("its state can be asked");
        assert!(
            ended.is_none(),
            "it ended by itself, {ended:?}: {}",
            words(&mut self.child)
        );
        self.child.kill().expect("it is running");
        self.child.wait().expect("it ends");
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // A node that has stopped cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A UDP address on loopback that is free now, for a door that must come back at the same place.
///
/// # Panics
/// When loopback has no free port.
#[must_use]
pub fn free_door() -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    socket.local_addr().expect("it is bound").to_string()
}

/// Status and body of a request to the operators' page at this address.
///
/// # Panics
/// When there is no such page.
#[must_use]
pub fn http(admin: &str, line: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(admin).expect("the page is there");
    let timeout = stream.set_read_timeout(Some(PAGE_TIMEOUT));
    timeout.expect("a socket has timeouts");
    let request = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// Whether these tests outlive their terminal, as under `nohup`: then so do the programs that they
/// start.
///
/// # Panics
/// Where the system does not say.
#[must_use]
pub fn hang_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = u64::from_str_radix(mask.expect("a mask").trim(), 16);
    mask.expect("hexadecimal digits") & 1 == 1
}

/// Waits until a program ends that was started with both outputs piped. One that goes on is killed.
///
/// # Panics
/// When its output cannot be read.
#[must_use]
pub fn output_within(child: Child, timeout: Duration) -> Output {
    let pid = child.id().to_string();
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    let output = end.recv_timeout(timeout).unwrap_or_else(|_| {
        // Killed, it has no exit code, which no test expects.
        let killed = Command::new("kill").args(["-KILL", &pid]).status();
        assert!(killed.expect("kill exists").success(), "it is running");
        end.recv().expect("its end is told")
    });
    output.expect("its output is read")
}

fn words(child: &mut Child) -> String {
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        // What cannot be read is not missed in a message.
        let _ = stderr.read_to_string(&mut said);
    }
    said
}

/// The number in an environment variable, or the usual one.
///
/// # Panics
/// When the variable holds something else.
#[must_use]
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}
