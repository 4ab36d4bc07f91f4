//! Nobody may be led to pay twice: lost answers, commands cut off, the same identifier again,
//! clocks that are off.

mod at_once;
mod clocks;
mod clusters;
mod damaged;
mod machines;
mod passing;
mod submitted;
mod untold;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clearway_client::ClusterKeys;
use clearway_harness::{Lossy, NodeProcess, folder};
use clearway_types::limits::KEY_LAG_MAX;
use clearway_types::wire::proof::SettlementProof;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::program::{Run, end_of, program, run};

/// MAX_TTL of the cluster here, seconds; the program's envelopes live half of it, which is long on
/// a loaded machine and short beside the hours that clocks are off by.
const TTL_S: u32 = 60;
/// The same where an envelope's end is waited for.
const TTL_BRIEF_S: u32 = 8;
/// Nothing here takes so long unless it is stuck.
const TIMEOUT: Duration = Duration::from_secs(20);
/// An identifier of the member's own.
const OWN_ID: &str = "00000000000000000000000000abcd00";

/// A cluster's folder, and the program as its member 2.
pub(crate) struct Payer {
    dir: TempDir,
}

impl Payer {
    pub(crate) fn new() -> Self {
        Self::with_ttl(TTL_S)
    }

    fn with_ttl(ttl_s_max: u32) -> Self {
        let dir = tempdir().expect("a temporary folder");
        folder::init(program(dir.path()));
        folder::set_rules(dir.path(), |rules| rules.ttl_s_max = ttl_s_max);
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn node(&self) -> NodeProcess {
        NodeProcess::start(program(self.path()), Path::new("node.toml"), "127.0.0.1:0")
    }

    /// A node whose heights follow each other quickly, for keys, which take effect after many.
    fn quick_node(&self) -> NodeProcess {
        let mut node = program(self.path());
        node.env("CLEARWAY_ORDER_HEARTBEAT_MS", "10");
        NodeProcess::start(node, Path::new("node.toml"), "127.0.0.1:0")
    }

    /// Lets the operator change a key, and waits until that has its effect.
    fn change_key(&self, door: &str, call: &[&str]) {
        let answer = self.as_operator(door, &[call, &["--json"]].concat());
        let height = answer.expect(0).json("answer")["height"].as_u64();
        let effective = height.expect("a height") + KEY_LAG_MAX;
        self.reach(door, "height", effective);
    }

    /// A call as that member, at this door.
    pub(crate) fn arguments<'a>(door: &'a str, call: &[&'a str]) -> Vec<&'a str> {
        let mut all = call.to_vec();
        all.extend(["--key", "keys/member-2.insecure-plaintext"]);
        all.extend(["--insecure-plaintext", "--server", door]);
        all
    }

    /// Runs a command at this door.
    pub(crate) fn run(&self, door: &str, call: &[&str]) -> Run {
        run(self.path(), &Self::arguments(door, call))
    }

    /// Runs a command of the operator at this door.
    fn as_operator(&self, door: &str, call: &[&str]) -> Run {
        let key = ["--key", "keys/operator.insecure-plaintext"];
        let at = ["--insecure-plaintext", "--server", door];
        run(self.path(), &[call, &key, &at].concat())
    }

    /// Waits until this figure of the node's status has reached a value.
    fn reach(&self, door: &str, what: &str, wanted: u64) {
        let from = Instant::now();
        let status = ["node", "status", "--json"];
        let asked = || {
            self.as_operator(door, &status)
                .expect(0)
                .json("node-status")
        };
        while asked()[what].as_u64() < Some(wanted) {
            assert!(from.elapsed() < 3 * TIMEOUT, "{what} stays below {wanted}");
        }
    }

    /// Starts a command at this door, its result going there.
    fn start(&self, door: &str, call: &[&str], result: Stdio) -> Child {
        program(self.path())
            .args(Self::arguments(door, call))
            .stdout(result)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    }

    /// What member 2 has paid, in units.
    fn paid(&self, door: &str) -> i64 {
        let shown = self
            .run(door, &["account", "show", "2.1", "--json"])
            .expect(0);
        let balance = shown.json("account")["balance"].clone();
        let left: f64 = balance.as_str().expect("text").parse().expect("a number");
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole units, far below 2^53"
        )]
        let left = left as i64;
        1_000_000 - left
    }

    fn outbox(&self) -> PathBuf {
        self.path().join("keys/member-2.insecure-plaintext.outbox")
    }

    /// Identifiers that wait in the outbox, and whatever else lies there beside what was told.
    fn waiting(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.outbox()) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.expect("read").file_name());
        names
            .map(|name| name.to_string_lossy().replace(".json", ""))
            .filter(|name| !name.ends_with(".told"))
            .collect()
    }
}

/// Waits until something has been sent and its answer is being lost.
fn wait_until_it_loses(network: &Lossy) {
    let from = Instant::now();
    while !network.is_losing() {
        assert!(from.elapsed() < TIMEOUT, "nothing is sent");
        std::thread::yield_now();
    }
}

/// The line that a command with `--json` says before it sends.
fn announced(run: &Run) -> Value {
    let line = run
        .stderr
        .lines()
        .find(|line| line.contains("clearway/sending/1"));
    serde_json::from_str(line.unwrap_or_else(|| panic!("nothing announced: {}", run.stderr)))
        .expect("a JSON object on one line")
}

/// The commands that a message says to type, as words.
fn to_type(run: &Run) -> Vec<Vec<String>> {
    let said = run.said();
    let commands = said.split('`').filter(|part| part.starts_with("clearway "));
    commands
        .map(|command| command.split(' ').skip(1).map(str::to_owned).collect())
        .collect()
}

#[test]
fn answers_that_are_lost_until_the_envelope_has_expired_still_say_settled() {
    let payer = Payer::with_ttl(TTL_BRIEF_S);
    let mut node = payer.node();
    let network = Lossy::start(node.door());
    // The envelope lives 4 seconds; what is sent again after that is refused as expired.
    network.lose_answers_for(Duration::from_millis(5500));
    let pay = ["pay", "2.1", "3.1", "10.00", "--timeout-s", "30", "--json"];
    let paid = payer.run(&network.door(), &pay).expect(0);
    let answer = paid.json("answer");
    assert_eq!(
        (&answer["code"], &answer["state"]),
        (&"Settled".into(), &"settled".into())
    );
    assert_eq!(answer["id"], announced(&paid)["id"]);
    assert_eq!(payer.paid(node.door()), 10);
    assert!(payer.waiting().is_empty());
    node.stop();
}

#[test]
fn a_payment_that_is_never_answered_is_named_and_taken_up_again_by_what_the_message_says() {
    let payer = Payer::new();
    let mut node = payer.node();
    let network = Lossy::start(node.door());
    let mut paid = 0;
    for number in 0..2 {
        network.lose_answers_for(TIMEOUT);
        let pay = ["pay", "2.1", "3.1", "10.00", "--timeout-s", "2", "--json"];
        let lost = payer.run(&network.door(), &pay).expect(6);
        paid += 10;
        let id = announced(&lost)["id"].as_str().expect("text").to_owned();
        assert_eq!(lost.json("answer")["state"], "unknown");
        assert_eq!(payer.waiting(), std::slice::from_ref(&id));
        // What waits is listed, and no node is asked.
        let list = payer.run("127.0.0.1:9", &["resend", "--list", "--json"]);
        let list = list.expect(0).json("outbox-list")["waiting"].clone();
        assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
        let told = ["id", "kind", "from", "to", "amount"].map(|field| &list[0][field]);
        assert_eq!(told, [&id, "Transfer", "2.1", "3.1", "10.00"]);
        let commands = to_type(&lost);
        let verbs: Vec<&str> = commands.iter().map(|words| words[0].as_str()).collect();
        assert_eq!(verbs, ["lookup", "resend"], "{}", lost.said());
        // Once by either of the two commands, typed as they stand.
        network.heal();
        let words: Vec<&str> = commands[number].iter().map(String::as_str).collect();
        let told = run(payer.path(), &words).expect(0);
        assert!(told.stdout.contains(&id), "{}", told.stdout);
        assert_eq!(payer.paid(node.door()), paid, "{words:?}");
        assert!(payer.waiting().is_empty(), "its end was told");
    }
    node.stop();
}

#[test]
fn a_command_that_is_killed_has_named_its_payment_and_resend_ends_it() {
    let payer = Payer::new();
    let mut node = payer.node();
    let network = Lossy::start(node.door());
    network.lose_answers_for(TIMEOUT);
    let door = network.door();
    let pay = ["pay", "2.1", "3.1", "10.00", "--timeout-s", "60", "--json"];
    let mut child = payer.start(&door, &pay, Stdio::piped());
    wait_until_it_loses(&network);
    child.kill().expect("it is running");
    let killed = end_of(child, &pay);
    let id = announced(&killed)["id"].clone();
    assert_eq!(payer.waiting(), [id.as_str().expect("text")]);
    network.heal();
    // Whatever is left of its time: the copies are settled once.
    let sent = payer.run(node.door(), &["resend", "--json"]).expect(0);
    let answer = sent.json("answer");
    assert_eq!((&answer["id"], &answer["state"]), (&id, &"settled".into()));
    assert_eq!(payer.paid(node.door()), 10);
    payer.run(node.door(), &["resend"]).expect(0);
    assert_eq!(payer.paid(node.door()), 10);
    node.stop();
}

#[test]
fn a_command_that_a_signal_ends_says_what_to_type_to_people_and_scripts() {
    let payer = Payer::new();
    let mut node = payer.node();
    let network = Lossy::start(node.door());
    let door = network.door();
    let pay = ["pay", "2.1", "3.1", "10.00", "--timeout-s", "60", "--json"];
    let signals = [("-INT", 130, "interrupted"), ("-TERM", 143, "terminated")];
    for (index, (signal, code, word)) in signals.into_iter().enumerate() {
        network.lose_answers_for(TIMEOUT);
        let child = payer.start(&door, &pay, Stdio::piped());
        wait_until_it_loses(&network);
        let pid = child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill runs").success());
        let ended = end_of(child, &pay).expect(code);
        let error = ended.json("error");
        assert_eq!(
            (&error["error"], &error["exit_code"]),
            (&word.into(), &code.into())
        );
        network.heal();
        let words = &to_type(&ended)[index];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let told = run(payer.path(), &words).expect(0);
        let id = announced(&ended)["id"].as_str().expect("text").to_owned();
        assert!(told.stdout.contains(&id), "{}", told.stdout);
        assert!(payer.waiting().is_empty(), "its end was told");
    }
    assert_eq!(payer.paid(node.door()), 20);
    node.stop();
}

#[test]
fn a_refused_connection_says_that_nothing_was_sent() {
    let payer = Payer::new();
    for call in [
        &["pay", "2.1", "3.1", "1.00"][..],
        &["hold", "2.1", "3.1", "1.00"],
        &["account", "freeze", "2.1", "--state", "debit"],
        &["member", "suspend", "3"],
    ] {
        let mut call = call.to_vec();
        call.extend(["--timeout-s", "1"]);
        let refused = payer.run("127.0.0.1:9", &call).expect(7);
        assert!(
            refused.said().contains("nothing was sent"),
            "{}",
            refused.said()
        );
        assert!(refused.stdout.is_empty() && payer.waiting().is_empty());
    }
}

#[test]
fn an_identifier_of_ones_own_moves_money_once() {
    let payer = Payer::new();
    let mut node = payer.node();
    let door = node.door().to_owned();
    let pay = |amount: &'static str| {
        let call = ["pay", "2.1", "3.1", amount, "--id", OWN_ID, "--json"];
        payer.run(&door, &call)
    };
    let first = pay("10.00").expect(0).json("answer");
    assert_eq!(
        (&first["id"], &first["state"]),
        (&OWN_ID.into(), &"settled".into())
    );
    for _ in 0..2 {
        let again = pay("10.00").expect(0).json("answer");
        assert_eq!(
            (&again["height"], &again["state"]),
            (&first["height"], &"settled".into())
        );
    }
    // What was executed ends at another time than what is signed now; its proof is the first's.
    let prove = ["pay", "2.1", "3.1", "10.00", "--id", OWN_ID, "--prove"];
    let proven = payer.run(&door, &[&prove[..], &["--json"]].concat());
    let proven = proven.expect(0).json("answer");
    assert_eq!(
        (&proven["proven"], &proven["height"]),
        (&true.into(), &first["height"])
    );
    let other = pay("11.00").expect(3);
    assert!(
        other.said().contains("another instruction") && other.said().contains("10.00 EUR"),
        "{}",
        other.said()
    );
    assert!(
        other.said().contains("nothing was sent"),
        "{}",
        other.said()
    );
    assert!(
        other.said().contains("differs in: amount;"),
        "{}",
        other.said()
    );
    // One that looks the same names what does not show, or shows in passing.
    let reference = ["--reference", OWN_ID];
    let call = ["pay", "2.1", "3.1", "10.00", "--id", OWN_ID];
    let other = payer
        .run(&door, &[&call[..], &reference].concat())
        .expect(3);
    assert!(
        other.said().contains("differs in: reference;"),
        "{}",
        other.said()
    );
    assert_eq!(payer.paid(&door), 10);
    assert!(payer.waiting().is_empty());
    node.stop();
}

#[test]
fn an_identifier_whose_answer_was_lost_still_moves_money_once() {
    let payer = Payer::new();
    let mut node = payer.node();
    let network = Lossy::start(node.door());
    network.lose_answers_for(TIMEOUT);
    let pay = [
        "pay",
        "2.1",
        "3.1",
        "10.00",
        "--id",
        OWN_ID,
        "--timeout-s",
        "2",
        "--json",
    ];
    payer.run(&network.door(), &pay).expect(6);
    assert_eq!(payer.waiting(), [OWN_ID]);
    // It may have been executed, whatever is sent now.
    let silent = payer.run("127.0.0.1:9", &pay).expect(6);
    assert!(
        silent.said().contains(&format!("resend {OWN_ID}")),
        "{}",
        silent.said()
    );
    payer.run(node.door(), &pay).expect(0);
    assert_eq!(payer.paid(node.door()), 10);
    assert!(payer.waiting().is_empty());
    node.stop();
}

#[test]
fn a_no_to_what_is_asked_sends_no_copy_that_waits_either() {
    let payer = Payer::new();
    let suspend = ["member", "suspend", "3", "--id", OWN_ID];
    machines::keep_and_lose(&payer, &[&suspend[..], &["--yes"]].concat());
    let mut node = payer.node();
    let refused = payer.run(node.door(), &suspend).expect(2);
    for words in ["no terminal to ask on", "nothing was sent"] {
        assert!(refused.said().contains(words), "{}", refused.said());
    }
    assert_eq!(payer.waiting(), [OWN_ID]);
    // A dry run under that name says that it would not be what is sent.
    let dry = ["pay", "2.1", "3.1", "1", "--id", OWN_ID, "--dry-run"];
    let dry = payer.run(node.door(), &dry).expect(0);
    assert!(dry.said().contains("waits in the outbox"), "{}", dry.said());
    let lookup = payer.run(node.door(), &["lookup", OWN_ID, "--json"]);
    assert_eq!(lookup.expect(6).json("lookup")["state"], "open");
    // A yes sends it; that this member may not do this is another matter.
    let sent = payer.run(node.door(), &[&suspend[..], &["--yes", "--json"]].concat());
    assert_eq!(sent.expect(1).json("answer")["code"], "NotAuthorised");
    node.stop();
}

#[test]
fn a_dry_run_signs_and_sends_nothing() {
    let payer = Payer::new();
    let pay = ["pay", "2.1", "3.1", "10.00", "--dry-run", "--json"];
    // No node is there, and none is needed.
    let dry = payer.run("127.0.0.1:9", &pay).expect(0).json("dry-run");
    assert_eq!(
        (&dry["sent"], &dry["kind"]),
        (&false.into(), &"Transfer".into())
    );
    assert_eq!(
        (&dry["to"], &dry["amount"]),
        (&"3.1".into(), &"10.00".into())
    );
    assert_eq!(dry["envelope"].as_str().expect("text").len(), 2 * 192);
    assert!(payer.waiting().is_empty());
    let mut node = payer.node();
    payer.run(node.door(), &pay).expect(0);
    assert_eq!(payer.paid(node.door()), 0);
    let id = dry["id"].as_str().expect("text");
    let unknown = payer.run(node.door(), &["lookup", id, "--json"]).expect(5);
    assert_eq!(unknown.json("lookup")["state"], "not_executed");
    node.stop();
}

#[test]
fn a_lookup_says_what_became_of_a_payment_and_proves_it() {
    let payer = Payer::new();
    let mut node = payer.node();
    let paid = payer
        .run(node.door(), &["pay", "2.1", "3.1", "10.00", "--json"])
        .expect(0);
    let id = paid.json("answer")["id"].as_str().expect("text").to_owned();
    let found = payer
        .run(node.door(), &["lookup", &id, "--prove", "--json"])
        .expect(0);
    let found = found.json("lookup");
    assert_eq!(
        (&found["state"], &found["proven"]),
        (&"settled".into(), &true.into())
    );
    assert_eq!(found["height"], paid.json("answer")["height"]);
    // Of a payment whose envelope is not kept here it says which one that is.
    let instruction = &found["instruction"];
    let told = ["from", "to", "amount", "currency"].map(|field| &instruction[field]);
    assert_eq!(told, ["2.1", "3.1", "10.00", "EUR"]);
    let poor = payer
        .run(node.door(), &["pay", "2.1", "3.1", "99999999.00", "--json"])
        .expect(1);
    assert_eq!(poor.json("answer")["state"], "rejected");
    let id = poor.json("answer")["id"].as_str().expect("text").to_owned();
    let found = payer.run(node.door(), &["lookup", &id, "--json"]).expect(1);
    assert_eq!(found.json("lookup")["state"], "rejected");
    node.stop();
}

#[test]
fn the_proof_of_a_payment_goes_into_a_new_file_as_its_canonical_bytes() {
    let payer = Payer::new();
    let mut node = payer.node();
    let pay = ["pay", "2.1", "3.1", "10.00", "--json"];
    let paid = payer.run(node.door(), &pay).expect(0).json("answer");
    let id = paid["id"].as_str().expect("text").to_owned();
    let call = ["lookup", &id, "--proof", "paid.proof", "--json"];
    let found = payer.run(node.door(), &call).expect(0).json("lookup");
    assert_eq!(found["proven"], true);
    let path = payer.path().join("paid.proof");
    let bytes = std::fs::read(&path).expect("it was made");
    let proof = SettlementProof::decode(&bytes).expect("a proof");
    let keys = ClusterKeys::from_genesis(&folder::genesis(payer.path())).expect("keys");
    let receipt = keys.check(&proof.envelope, &proof).expect("it holds");
    assert_eq!(receipt.height.0, found["height"]);
    assert_eq!(proof.envelope.body.id.to_string(), id);

    // What has the name stays, and nothing is asked.
    let refused = payer.run("127.0.0.1:9", &call).expect(2);
    assert!(
        refused.said().contains("exists already"),
        "{}",
        refused.said()
    );
    assert_eq!(std::fs::read(&path).expect("still there"), bytes);
    // Where there is nothing to prove, or nobody to ask, no file is left.
    let other = payer.path().join("none.proof");
    let unknown = [
        "lookup",
        OWN_ID,
        "--proof",
        "none.proof",
        "--timeout-s",
        "1",
    ];
    payer.run(node.door(), &unknown).expect(5);
    assert!(!other.exists());
    payer.run("127.0.0.1:9", &unknown).expect(6);
    assert!(!other.exists());
    let folder = ["lookup", &id, "--proof", "gone/paid.proof"];
    let refused = payer.run(node.door(), &folder).expect(2);
    assert!(
        refused.said().contains("gone/paid.proof"),
        "{}",
        refused.said()
    );
    node.stop();
}

#[test]
fn a_proof_is_whole_under_its_name_or_not_there_however_its_command_ends() {
    let payer = Payer::new();
    let mut node = payer.node();
    let pay = ["pay", "2.1", "3.1", "10.00", "--id", OWN_ID];
    payer.run(node.door(), &pay).expect(0);
    let call = ["lookup", OWN_ID, "--proof", "paid.proof"];
    let beside = || {
        let names = std::fs::read_dir(payer.path()).expect("a folder");
        let names = names.map(|entry| entry.expect("read").file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with("paid.proof"))
            .count()
    };
    let mut child = payer.start("127.0.0.1:9", &call, Stdio::piped());
    let from = Instant::now();
    while beside() == 0 {
        assert!(from.elapsed() < TIMEOUT, "no file is made");
        std::thread::yield_now();
    }
    child.kill().expect("it is running");
    end_of(child, &call);
    let path = payer.path().join("paid.proof");
    assert!(!path.exists(), "it has no proof yet");
    payer.run(node.door(), &call).expect(0);
    let bytes = std::fs::read(&path).expect("it was made");
    SettlementProof::decode(&bytes).expect("a proof");
    assert_eq!(beside(), 2, "the proof, and what the killed command left");
    node.stop();
}

#[test]
fn an_outbox_that_cannot_be_written_sends_nothing() {
    let payer = Payer::new();
    let mut node = payer.node();
    std::fs::write(payer.path().join("file"), "").expect("written");
    let pay = ["pay", "2.1", "3.1", "10.00", "--outbox", "file"];
    let refused = payer.run(node.door(), &pay).expect(1);
    let said = refused.said();
    assert!(
        said.contains("--outbox FOLDER") && said.contains("nothing was sent"),
        "{said}"
    );
    assert_eq!(payer.paid(node.door()), 0);
    node.stop();
}

#[test]
fn commands_in_a_row_do_not_use_up_the_members_connections() {
    let payer = Payer::new();
    let mut node = payer.node();
    let from = Instant::now();
    for _ in 0..12 {
        payer
            .run(node.door(), &["pay", "2.1", "3.1", "1.00"])
            .expect(0);
    }
    // A connection that is left open is missed after ten seconds: none was waited for.
    assert!(from.elapsed() < TIMEOUT, "{:?}", from.elapsed());
    assert_eq!(payer.paid(node.door()), 12);
    let page = || clearway_harness::http(node.admin(), "GET /metrics").1;
    while !page().contains("\nclearway_ingest_connections_open 0.0\n") {
        assert!(from.elapsed() < TIMEOUT, "a connection is left open");
    }
    node.stop();
}
