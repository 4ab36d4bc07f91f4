//! A node in a process of its own, and the commands that talk to it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clearway_harness::{NodeProcess, http, output_within};
use tempfile::{TempDir, tempdir};

use crate::program::{Run, program, run};

/// Far less than the ten seconds after which a node misses a connection that was left open.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A running node in its folder; stopped when the test ends it, killed when the test fails.
pub(crate) struct Served {
    pub(crate) dir: TempDir,
    pub(crate) node: NodeProcess,
}

impl Served {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| ())
    }

    /// A node whose folder is changed before it starts.
    pub(crate) fn start_with(change: impl FnOnce(&Path)) -> Self {
        let dir = tempdir().expect("a temporary folder");
        let init = ["node", "init", ".", "--insecure-plaintext", "--json"];
        let made = run(dir.path(), &init).expect(0).json("node-init");
        assert_eq!(made["accounts"][0], "2.1");
        run(dir.path(), &init).expect(1);
        change(dir.path());
        let node = serve(dir.path());
        Self { dir, node }
    }

    /// Takes the log away in one step: while a folder is emptied file by file, the node may put
    /// files back into it.
    fn remove_log(&self) {
        let aside = self.dir.path().join("removed");
        std::fs::rename(self.dir.path().join("data/log"), &aside).expect("it was there");
        std::fs::remove_dir_all(aside).expect("it was there");
    }

    /// Runs a command as a member.
    pub(crate) fn as_member(&self, number: u32, arguments: &[&str]) -> Run {
        let key = match number {
            1 => "keys/operator.insecure-plaintext".to_owned(),
            _ => format!("keys/member-{number}.insecure-plaintext"),
        };
        let mut all = arguments.to_vec();
        all.extend([
            "--key",
            &key,
            "--insecure-plaintext",
            "--server",
            self.node.door(),
            "--json",
        ]);
        run(self.dir.path(), &all)
    }
}

fn serve(dir: &Path) -> NodeProcess {
    NodeProcess::start(program(dir), Path::new("node.toml"), "127.0.0.1:0")
}

#[test]
fn members_pay_hold_post_void_and_return_and_the_node_comes_back_with_their_money() {
    let mut node = Served::start();
    let pay = node
        .as_member(2, &["pay", "2.1", "3.1", "103.55", "--prove"])
        .expect(0);
    let paid = pay.json("answer");
    assert_eq!(
        (&paid["code"], &paid["final"]),
        (&"Settled".into(), &true.into())
    );
    assert_eq!(paid["proven"], true, "{paid}");
    let id = paid["id"].as_str().expect("text");

    let back = node
        .as_member(3, &["return", id, "3.1", "2.1", "3.55"])
        .expect(0);
    assert_eq!(back.json("answer")["code"], "Settled");
    let too_much = node
        .as_member(3, &["return", id, "3.1", "2.1", "100.01"])
        .expect(1);
    assert!(
        too_much.said().contains("ReturnExceeded"),
        "{}",
        too_much.said()
    );

    let hold = node
        .as_member(2, &["hold", "2.1", "3.1", "50.00"])
        .expect(0)
        .json("answer");
    let hold = hold["id"].as_str().expect("text");
    node.as_member(2, &["post", hold, "2.1", "3.1", "20.00"])
        .expect(0);
    let late = node.as_member(2, &["void", hold, "2.1", "3.1"]).expect(1);
    assert!(late.said().contains("HoldPosted"), "{}", late.said());

    let stranger = node.as_member(3, &["pay", "2.1", "3.1", "1.00"]).expect(1);
    assert!(
        stranger.said().contains("NotAuthorised")
            && stranger
                .said()
                .contains("signed by the owner of the debited account"),
        "{}",
        stranger.said()
    );
    let poor = node
        .as_member(3, &["pay", "3.1", "2.1", "99999999.00"])
        .expect(1);
    assert!(poor.said().contains("InsufficientFunds"), "{}", poor.said());

    let balance = |node: &Served, account: &str| {
        let owner = account[..1].parse().expect("a digit");
        let shown = node
            .as_member(owner, &["account", "show", account])
            .expect(0)
            .json("account");
        shown["balance"].as_str().expect("text").to_owned()
    };
    assert_eq!(balance(&node, "2.1"), "999880.00");
    assert_eq!(balance(&node, "3.1"), "1000120.00");
    let others = node.as_member(2, &["account", "show", "3.1"]).expect(1);
    assert!(others.said().contains("NotAllowed"), "{}", others.said());
    node.as_member(1, &["account", "show", "9.9"]).expect(5);
    node.node.stop();

    node.node = serve(node.dir.path());
    assert_eq!(balance(&node, "2.1"), "999880.00");
    assert_eq!(balance(&node, "3.1"), "1000120.00");
    node.node.stop();
    let replayed = run(node.dir.path(), &["replay", "data", "--json"])
        .expect(0)
        .json("replay");
    assert_eq!(replayed["conserved"], true);
    let bounded = run(node.dir.path(), &["replay", "data", "--cores", "1"]).expect(0);
    let said = bounded.said();
    assert!(said.starts_with("share 1 of "), "{said}");
    assert!(said.contains("cores, low priority"), "{said}");
    let too_many = run(node.dir.path(), &["replay", "data", "--cores", "9999"]).expect(2);
    assert!(
        too_many.said().contains("--cores 9999"),
        "{}",
        too_many.said()
    );
}

/// What the operators' page says of them.
fn question_cores(node: &NodeProcess) -> f64 {
    let (_, page) = http(node.admin(), "GET /metrics");
    let name = "clearway_ingest_question_cores ";
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    let cores = line.expect("a line for it").parse();
    cores.expect("a number")
}

#[test]
fn what_questions_take_of_the_processor_is_set_and_shown() {
    let node = Served::start();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let half = (cores / 2).max(1);
    assert_eq!(question_cores(&node.node), half as f64, "half of the cores");
    let Served { dir, mut node } = node;
    node.stop();
    let mut command = program(dir.path());
    command.env("CLEARWAY_DOOR_QUESTION_CORES", "256");
    let mut node = NodeProcess::start(command, Path::new("node.toml"), "127.0.0.1:0");
    assert_eq!(question_cores(&node), cores as f64, "all there are");
    node.stop();
}

#[test]
fn a_watermark_emptied_while_the_node_runs_is_written_anew_and_told_of() {
    let mut node = Served::start();
    let path = node.dir.path().join("data/log/watermark");
    let emptied = std::fs::OpenOptions::new().write(true).open(&path);
    emptied.and_then(|file| file.set_len(0)).expect("emptied");
    let pay = ["pay", "2.1", "3.1", "10.00"];
    node.as_member(2, &pay).expect(0);
    let counted = || {
        let page = http(node.node.admin(), "GET /metrics").1;
        page.contains("\nclearway_store_watermarks_damaged_total 1.0\n")
    };
    let from = Instant::now();
    while !counted() {
        assert!(from.elapsed() < 4 * TIMEOUT, "never found");
    }
    node.as_member(2, &pay).expect(0);
    // Without a stop in good order, which would need no watermark.
    node.node.kill();
    node.node = serve(node.dir.path());
    let account = ["account", "show", "2.1"];
    let shown = node.as_member(2, &account).expect(0).json("account");
    assert_eq!(shown["debits_posted"], "20.00", "{shown}");
    node.node.stop();
}

#[test]
fn a_log_that_is_removed_while_the_node_runs_is_written_anew_and_told_of() {
    let mut node = Served::start();
    let pay = ["pay", "2.1", "3.1", "10.00"];
    node.as_member(2, &pay).expect(0);
    node.remove_log();
    let from = Instant::now();
    let name = "\nclearway_store_files_restored_total 2.0\n";
    while !http(node.node.admin(), "GET /metrics").1.contains(name) {
        assert!(from.elapsed() < 4 * TIMEOUT, "never found");
    }
    let pay_again = ["pay", "2.1", "3.1", "10.00", "--prove"];
    node.as_member(2, &pay_again).expect(0);
    node.node.kill();
    node.node = serve(node.dir.path());
    let account = ["account", "show", "2.1"];
    let shown = node.as_member(2, &account).expect(0).json("account");
    assert_eq!(shown["debits_posted"], "20.00", "{shown}");
    node.node.stop();
}

#[test]
fn a_node_ends_whose_log_was_exchanged_for_an_older_copy() {
    let mut node = Served::start();
    let log = node.dir.path().join("data/log");
    let (copy, aside) = (node.dir.path().join("copy"), node.dir.path().join("own"));
    let pay = ["pay", "2.1", "3.1", "10.00"];
    node.as_member(2, &pay).expect(0);
    std::fs::create_dir(&copy).expect("made");
    for file in std::fs::read_dir(&log).expect("the log") {
        let file = file.expect("a file of the log");
        std::fs::copy(file.path(), copy.join(file.file_name())).expect("copied");
    }
    node.as_member(2, &pay).expect(0);
    std::fs::rename(&log, &aside).expect("it was there");
    std::fs::rename(&copy, &log).expect("it was made");
    let (code, said) = node.node.ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another log was put in the place"), "{said}");
    // As its message says.
    std::fs::remove_dir_all(&log).expect("the copy");
    std::fs::rename(&aside, &log).expect("its own");
    node.node = serve(node.dir.path());
    let shown = node
        .as_member(2, &["account", "show", "2.1"])
        .expect(0)
        .json("account");
    assert_eq!(shown["debits_posted"], "20.00", "{shown}");
    node.node.stop();
}

#[test]
fn what_is_removed_right_before_a_stop_is_written_anew_by_it() {
    let mut node = Served::start();
    for (count, gone) in (1..).zip(["watermark", "identity", ""]) {
        node.as_member(2, &["pay", "2.1", "3.1", "10.00"]).expect(0);
        match gone {
            "" => node.remove_log(),
            _ => std::fs::remove_file(node.dir.path().join("data/log").join(gone)).expect("there"),
        }
        node.node.stop();
        node.node = serve(node.dir.path());
        let account = ["account", "show", "2.1"];
        let shown = node.as_member(2, &account).expect(0).json("account");
        assert_eq!(
            shown["debits_posted"],
            format!("{count}0.00"),
            "{gone}: {shown}"
        );
    }
    node.node.stop();
}

#[test]
fn a_stop_that_leaves_a_log_which_is_not_whole_says_so() {
    let mut node = Served::start();
    let log = node.dir.path().join("data/log");
    let pay = ["pay", "2.1", "3.1", "10.00"];
    node.as_member(2, &pay).expect(0);
    std::fs::copy(log.join("watermark"), log.join("older")).expect("copied");
    node.as_member(2, &pay).expect(0);
    std::fs::rename(log.join("older"), log.join("watermark")).expect("it was there");
    node.node.ask_to_stop();
    let (code, said) = node.node.ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another watermark file stands"), "{said}");
    node.node = serve(node.dir.path());
    let account = ["account", "show", "2.1"];
    let shown = node.as_member(2, &account).expect(0).json("account");
    assert_eq!(shown["debits_posted"], "20.00", "{shown}");
    node.node.stop();
}

#[test]
fn an_operator_registers_a_member_and_opens_its_account() {
    let mut node = Served::start();
    let key = "keys/member-7.insecure-plaintext";
    run(
        node.dir.path(),
        &["keys", "new", key, "--insecure-plaintext"],
    )
    .expect(0);
    let by_member = node
        .as_member(2, &["member", "add", "7", "--member-key", key])
        .expect(1);
    assert!(
        by_member.said().contains("NotAuthorised"),
        "{}",
        by_member.said()
    );
    node.as_member(1, &["member", "add", "7", "--member-key", key])
        .expect(0);
    node.as_member(1, &["account", "open", "7.1", "--credit-line", "5.00"])
        .expect(0);
    node.as_member(2, &["pay", "2.1", "7.1", "10.00"]).expect(0);
    node.as_member(7, &["pay", "7.1", "2.1", "15.00", "--as", "7"])
        .expect(0);
    let broke = node
        .as_member(7, &["pay", "7.1", "2.1", "0.01", "--as", "7"])
        .expect(1);
    assert!(
        broke.said().contains("InsufficientFunds"),
        "{}",
        broke.said()
    );
    node.as_member(1, &["account", "freeze", "7.1", "--state", "credit"])
        .expect(0);
    let frozen = node.as_member(2, &["pay", "2.1", "7.1", "1.00"]).expect(1);
    assert!(frozen.said().contains("CreditFrozen"), "{}", frozen.said());
    node.node.stop();
}

#[test]
fn a_node_that_is_not_there_is_unavailable() {
    let dir = tempdir().expect("a temporary folder");
    run(dir.path(), &["node", "init", ".", "--insecure-plaintext"]).expect(0);
    let run = run(
        dir.path(),
        &[
            "node",
            "status",
            "--key",
            "keys/member-2.insecure-plaintext",
            "--insecure-plaintext",
            "--server",
            "127.0.0.1:9",
            "--timeout-s",
            "1",
        ],
    );
    assert!(matches!(run.code, 1 | 6), "{}: {}", run.code, run.said());
    assert!(run.said().contains("127.0.0.1:9"), "{}", run.said());
}

#[test]
fn a_feed_tells_both_sides_of_a_hold_that_ended_by_time() {
    let mut node = Served::start();
    let hold = ["hold", "2.1", "3.1", "50.00", "--hold-s", "1"];
    let held = node.as_member(2, &hold).expect(0).json("answer");
    // Idle blocks come four times a second: 16 heights later the second is over.
    let to = held["height"].as_u64().expect("a number") + 16;
    for (member, account) in [(2, "2.1"), (3, "3.1")] {
        let feed = ["account", "follow", account, "--to", &to.to_string()];
        let items = node.as_member(member, &feed).expect(0).stdout;
        let item = |line: &str| -> serde_json::Value {
            serde_json::from_str(line).expect("a JSON object a line")
        };
        let ended: Vec<serde_json::Value> = items
            .lines()
            .map(item)
            .filter(|item| !item["expired_hold_of"].is_null())
            .collect();
        assert_eq!(ended.len(), 1, "{items}");
        assert_eq!(
            (&ended[0]["id"], &ended[0]["amount_minor"]),
            (&held["id"], &"5000".into())
        );
    }
    node.node.stop();
}

#[test]
fn a_feed_that_is_interrupted_or_has_no_reader_ends_and_closes_its_connection() {
    let mut node = Served::start();
    node.as_member(2, &["pay", "2.1", "3.1", "1.00"]).expect(0);
    let interrupt = |child: &mut Child| {
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.expect("kill exists").success());
    };
    // The account is quiet: nothing is written that would show that nobody reads it.
    let leave = |child: &mut Child| drop(child.stdout.take());
    feed_ends(&node, interrupt, 130);
    feed_ends(&node, leave, 0);
    node.node.stop();
}

/// Follows an account until its first line has come, ends the feed, and waits until its connection
/// is closed.
fn feed_ends(node: &Served, end: impl FnOnce(&mut Child), code: i32) {
    let follow = "account follow 2.1 --key keys/member-2.insecure-plaintext --insecure-plaintext";
    let mut child = program(node.dir.path())
        .args(follow.split(' '))
        .args(["--server", node.node.door()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let told = child.stdout.as_mut().expect("it was asked for");
    BufReader::new(told).read_line(&mut line).expect("a line");
    assert!(line.contains("Transfer"), "{line}");
    let open = |count: &str| {
        let (_, page) = http(node.node.admin(), "GET /metrics");
        page.contains(&format!("\nclearway_ingest_connections_open {count}\n"))
    };
    let from = Instant::now();
    while !open("1.0") {
        assert!(from.elapsed() < TIMEOUT, "the feed's alone is open");
    }
    end(&mut child);
    let from = Instant::now();
    let ended = output_within(child, TIMEOUT).status;
    assert_eq!(ended.code(), Some(code));
    while !open("0.0") {
        assert!(from.elapsed() < TIMEOUT, "it is left open");
    }
}
