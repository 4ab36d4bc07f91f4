//! What scripts read: with `--json`, every command answers with JSON objects, one a line, each with
//! its schema, and an error is one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clearway_types::hex;
use serde_json::Value;

use crate::node::Served;
use crate::profile::{beside_work, is_forbidden};
use crate::program::{Run, run};

/// A call, what it ends with, and the schema of what it answers; none for an error alone.
type Row = (&'static str, i32, &'static str);

/// On a running node; `{1}` is the operator with its door, `{2}` and `{3}` are members, `{height}`
/// is how far it is, `{admin}` where its operators' page is; `{own}` is this process, which works.
const ONLINE: &[Row] = &[
    ("submit signed.bin {2}", 0, "answer"),
    ("submit none.bin {2}", 5, ""),
    (
        "pay 2.1 3.1 0.01 --id 00000000000000000000000000000200 {2}",
        0,
        "answer",
    ),
    (
        "pay 2.1 3.1 0.02 --id 00000000000000000000000000000200 {2}",
        3,
        "",
    ),
    (
        "return 00000000000000000000000000000200 3.1 2.1 0.01 {3}",
        0,
        "answer",
    ),
    ("account follow 2.1 --to {height} {2}", 0, "account-entry"),
    ("account follow 9.9 --to 9 {1}", 5, ""),
    ("lookup 00000000000000000000000000000200 {2}", 0, "lookup"),
    ("node status {2}", 0, "node-status"),
    ("monitor --once --target {admin}", 0, "monitor"),
    ("node status {2} --genesis none.toml", 5, ""),
    ("member list {2}", 0, "members"),
    ("member list {2} --genesis none.toml", 5, ""),
    ("member add 9 --member-key keys/ninth.pub {1}", 0, "answer"),
    ("member add 9 --member-key keys/ninth.pub {1}", 1, ""),
    ("member set 3 --bic CWAYDEFF --yes {1}", 0, "answer"),
    ("member set 3 --bic CWAYDEFF --yes {1}", 1, ""),
    ("member set 3 --lei 529900T8BM49AURSDO54 --yes {1}", 2, ""),
    ("member suspend 9 --yes {1}", 0, "answer"),
    ("member suspend 99 --yes {1}", 5, ""),
    ("member resume 9 --yes {1}", 0, "answer"),
    ("member resume 9 {1}", 1, ""),
    (
        "member key 9 --key-slot 1 --member-key keys/next.pub --yes {1}",
        0,
        "answer",
    ),
    (
        "member key 9 --key-slot 1 --member-key none.pub --yes {1}",
        5,
        "",
    ),
    ("member end-key 9 --key-slot 0 --yes {1}", 0, "answer"),
    ("member end-key 9 --key-slot 3 --yes {1}", 5, ""),
    ("account open 3.2 {1}", 0, "answer"),
    ("account open 3.2 {1}", 1, "answer"),
    ("account show 2.1 {2}", 0, "account"),
    ("account show 3.1 {2}", 1, ""),
    ("account show 9.9 {1}", 5, ""),
    ("account freeze 3.2 --state debit {1}", 0, "answer"),
    ("account freeze 3.9 --state debit {1}", 1, "answer"),
    ("account limit 2.1 --amount 500 {1}", 0, "answer"),
    ("account limit 2.1 --lift {1}", 2, ""),
    ("account limit 2.1 --amount 0.001 {1}", 2, ""),
    ("ledger list {2}", 0, "ledgers"),
    ("ledger list --key none.age", 5, ""),
    ("ledger define 9 ZZZ --issuer-account 1.9 {1}", 0, "answer"),
    ("ledger define 9 ZZZ --issuer-account 1.9 {1}", 1, ""),
    ("approvals {1}", 0, "approvals"),
    ("approvals {2}", 1, ""),
    ("issue 2.1 1 {1}", 0, "answer"),
    ("issue 2.1 1 {2}", 1, "answer"),
    ("account open 1.2 {1}", 0, "answer"),
    ("issue 1.2 1 {1}", 0, "answer"),
    ("redeem 1.2 1 {1}", 0, "answer"),
    ("redeem 2.1 1 {1}", 1, "answer"),
    ("pay 2.1 3.1 0.01 --dry-run {2}", 0, "dry-run"),
    ("pay 2.1 3.1 600 {2}", 1, "answer"),
    (
        "pay 2.1 3.1 1 {2} --server 127.0.0.1:9 --timeout-s 1",
        7,
        "",
    ),
    ("pay 2.1 3.1 1 {2} --outbox genesis.toml", 1, ""),
    (
        "hold 2.1 3.1 0.01 --id 00000000000000000000000000000300 {2}",
        0,
        "answer",
    ),
    (
        "post 00000000000000000000000000000300 2.1 3.1 {2}",
        0,
        "answer",
    ),
    (
        "hold 2.1 3.1 0.01 --id 00000000000000000000000000000400 {2}",
        0,
        "answer",
    ),
    (
        "void 00000000000000000000000000000400 2.1 3.1 {2}",
        0,
        "answer",
    ),
    ("hold 2.1 3.1 600 {2}", 1, "answer"),
    (
        "post 00000000000000000000000000000100 2.1 3.1 {2}",
        1,
        "answer",
    ),
    (
        "void 00000000000000000000000000000100 2.1 3.1 {2}",
        1,
        "answer",
    ),
    (
        "return 00000000000000000000000000000100 2.1 3.1 1 {2}",
        1,
        "answer",
    ),
    ("lookup 00000000000000000000000000000100 {2}", 5, "lookup"),
    (
        "lookup 00000000000000000000000000000100 {2} --server 127.0.0.1:9 --timeout-s 1",
        6,
        "",
    ),
    ("resend {2}", 0, "outbox-list"),
    ("resend --list {2}", 0, "outbox-list"),
    ("resend 00000000000000000000000000000100 {2}", 5, ""),
    (
        "keys rotate keys/new.insecure-plaintext --dry-run {2}",
        0,
        "dry-run",
    ),
    ("keys rotate none.age {2}", 5, ""),
];

/// Without a node, after that one has stopped.
const OFFLINE: &[Row] = &[
    ("demo --payments p.csv --accounts a.csv", 0, "run"),
    ("demo --payments none.csv --accounts a.csv", 5, ""),
    ("bench --count 300 --account-count 50", 0, "run"),
    (
        "bench --count 300 --account-count 50 --assert tps_final>1e9",
        4,
        "run",
    ),
    ("bench --payments p.csv --accounts none.csv", 5, ""),
    ("bench compare report.json report.json", 0, "comparison"),
    ("bench compare report.json none.json", 5, ""),
    ("bench page report.json report.html", 0, "page"),
    ("bench page report.json none/report.html", 2, ""),
    (
        "bench reproduce report.json --tolerance 100 --latency-tolerance 100",
        0,
        "reproduction",
    ),
    ("bench reproduce genesis.toml", 1, ""),
    (
        "bench verify --quick --rounds 1 --keys single --batch 2 --backend portable --invalid 0",
        0,
        "bench_verify",
    ),
    ("bench verify --backend abacus", 5, ""),
    ("bench hash --quick --rounds 1", 0, "bench_hash"),
    ("replay data", 0, "replay"),
    ("replay none", 5, ""),
    ("replay data --to 1", 0, "replay"),
    ("replay data --to 99999999", 5, "replay"),
    ("replay data --to 0", 2, ""),
    ("replay data --record roots.jsonl", 0, "replay"),
    ("replay data --record roots.jsonl", 2, ""),
    ("replay data --check roots.jsonl", 0, "replay"),
    ("replay data --check genesis.toml", 1, ""),
    ("replay data --check none.jsonl", 5, ""),
    ("replay data --genesis node.toml", 1, ""),
    ("verify --list-backends", 0, "backends"),
    ("verify --vectors bad.jsonl", 1, ""),
    ("verify --vectors invalid.jsonl", 3, "verdict"),
    ("verify --vectors none.jsonl", 5, ""),
    ("inspect block data --height 1 --envelopes", 0, "block"),
    ("inspect block data --height 99999999", 5, ""),
    ("inspect block data --height 0", 2, ""),
    (
        "inspect tx data --signer 2 --id 00000000000000000000000000000200",
        0,
        "envelope",
    ),
    (
        "inspect tx data --signer 9 --id 00000000000000000000000000000100",
        5,
        "",
    ),
    ("inspect state data", 0, "log-state"),
    ("inspect state none --genesis genesis.toml", 5, ""),
    ("inspect integrity data", 0, "integrity"),
    ("inspect integrity none", 5, ""),
    ("inspect metrics", 0, "metrics"),
    ("monitor --once --target 127.0.0.1:9", 6, ""),
    (
        "profile --seconds 1 --out p.folded --pid {own}",
        0,
        "profile",
    ),
    ("profile --pid 4194305", 5, ""),
    ("doctor", 0, "doctor"),
    ("doctor --dir none", 5, ""),
    ("node init made --insecure-plaintext", 0, "node-init"),
    ("node init made --insecure-plaintext", 1, ""),
    ("node init else --insecure-plaintext --currency euro", 2, ""),
    ("node config --config node.toml", 0, "config"),
    ("node config --config none.toml", 5, ""),
    (
        "keys new made.insecure-plaintext --insecure-plaintext",
        0,
        "key",
    ),
    (
        "keys new made.insecure-plaintext --insecure-plaintext",
        1,
        "",
    ),
    ("keys list", 0, "keys"),
    ("keys list none", 5, ""),
    (
        "keys check keys/operator.insecure-plaintext --insecure-plaintext",
        0,
        "key",
    ),
    ("keys check none.age", 5, ""),
    (
        "gen workload --payments mp.csv --accounts ma.csv --count 50 --account-count 20",
        0,
        "workload",
    ),
    (
        "gen workload --payments mp.csv --accounts ma.csv --zipf 9",
        2,
        "",
    ),
    ("gen keys made-keys", 0, "keys-written"),
    ("gen keys made-keys", 1, ""),
    ("exit-codes", 0, "exit-codes"),
];

/// `clearway/NAME/N`.
fn is_schema(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let [program, name, version] = parts[..] else {
        return false;
    };
    let letters = |c: char| c.is_ascii_lowercase() || "-_".contains(c);
    let named = !name.is_empty() && name.chars().all(letters);
    program == "clearway" && named && version.parse::<u32>().is_ok_and(|number| number > 0)
}

/// What clients are told of an answer: its fields, and the words of its `state`.
struct AnswerTable {
    fields: Vec<String>,
    states: Vec<String>,
}

impl AnswerTable {
    /// As the page of the protocol has them.
    fn read() -> Self {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/PROTOCOL.md");
        let page = std::fs::read_to_string(page).expect("the page");
        let (_, after) = page.split_once("`clearway/answer/1`:").expect("the table");
        let lines = after.lines().skip_while(|line| !line.starts_with('|'));
        let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
        let quoted = |text: &str| -> Vec<String> {
            let words = text.split('`').skip(1).step_by(2);
            words.map(str::to_owned).collect()
        };
        let (mut fields, mut states) = (Vec::new(), Vec::new());
        for row in rows {
            let (names, meaning) = row[1..].split_once('|').expect("two cells");
            let names = quoted(names);
            if names == ["state"] {
                states = quoted(meaning);
            }
            fields.extend(names);
        }
        assert!(
            fields.len() > 3 && states.len() > 3,
            "{fields:?} {states:?}"
        );
        Self { fields, states }
    }

    /// Of a line that is an answer.
    fn check(&self, line: &Value) -> Result<(), String> {
        let lacks = self.fields.iter().find(|name| line.get(name).is_none());
        if let Some(name) = lacks {
            return Err(format!("an answer without `{name}`: {line}"));
        }
        match self.states.iter().any(|word| line["state"] == **word) {
            true => Ok(()),
            false => Err(format!("a state that clients do not know: {line}")),
        }
    }
}

/// Every line is an object with a schema; an error stands at the end, and nowhere else.
fn check(
    words: &BTreeMap<u64, String>,
    answers: &AnswerTable,
    run: &Run,
    code: i32,
    schema: &str,
) -> Result<(), String> {
    if run.code != code {
        return Err(format!(
            "ends with {} and not {code}: {}",
            run.code,
            run.said()
        ));
    }
    let mut lines = run.lines();
    let name_of = |line: &Value| line["schema"].as_str().unwrap_or_default().to_owned();
    if let Some(line) = lines.iter().find(|line| !is_schema(&name_of(line))) {
        return Err(format!("no schema: {line}"));
    }
    if code != 0 {
        let error = lines.pop().unwrap_or_default();
        let word = u64::try_from(code).ok().and_then(|code| words.get(&code));
        let said = error["message"].as_str().unwrap_or_default();
        let same = error["error"].as_str() == word.map(String::as_str);
        let whole = name_of(&error) == "clearway/error/1" && error["exit_code"] == code;
        let one_line = !said.is_empty() && !said.contains('\n');
        if !same || !whole || !one_line {
            return Err(format!("no error of code {code}: {error}"));
        }
    }
    let is_answer = |line: &&Value| name_of(line) == "clearway/answer/1";
    for line in lines.iter().filter(is_answer) {
        answers.check(line)?;
    }
    let expected = format!("clearway/{schema}/1");
    match lines.iter().find(|line| name_of(line) != expected) {
        Some(line) => Err(format!("no {expected}: {line}")),
        None if lines.is_empty() != schema.is_empty() => Err(format!("no {expected}")),
        None => Ok(()),
    }
}

/// How far a node is.
fn height(node: &Served) -> String {
    let status = node.as_member(2, &["node", "status"]).expect(0);
    status.json("node-status")["height"].to_string()
}

/// Names of the commands below a path, by its help; itself where there are none, or beside them.
fn commands(dir: &Path, path: &str, into: &mut BTreeSet<String>) {
    let words: Vec<&str> = path.split_whitespace().chain(["--help"]).collect();
    let help = run(dir, &words).expect(0).stdout;
    let (_, after) = help.split_once("Commands:\n").unwrap_or(("", ""));
    let listed = after.lines().take_while(|line| !line.trim().is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| *name != "help") {
        commands(dir, &format!("{path} {name}"), into);
    }
    if help.contains("--json") {
        into.insert(path.trim().to_owned());
    }
}

#[test]
fn every_answer_and_every_error_is_a_json_object_on_a_line_of_its_own() {
    let mut node = Served::start_with(|dir| {
        let path = dir.join("node.toml");
        let text = std::fs::read_to_string(&path).expect("made by init");
        let text = text.replace("per_member_max = 8", "per_member_max = 100");
        std::fs::write(path, text).expect("written");
    });
    let dir = node.dir.path();
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("written");
    write("a.csv", "nodeid,init_balance\n1,100\n2,100\n");
    write("p.csv", "sourceNodeId,targetNodeId,value\n1,2,1\n2,1,1\n");
    write("bad.jsonl", "{}\n");
    write(
        "invalid.jsonl",
        "{\"pk_hex\":\"\",\"sig_hex\":\"\",\"msg_hex\":\"\"}\n",
    );
    for name in ["new", "ninth", "next"] {
        let key = format!("keys/{name}.insecure-plaintext");
        run(dir, &["keys", "new", &key, "--insecure-plaintext"]).expect(0);
    }
    let report = "bench --count 300 --account-count 50 --json report.json";
    run(dir, &report.split(' ').collect::<Vec<_>>()).expect(0);

    let dry_run = ["pay", "2.1", "3.1", "0.01", "--dry-run"];
    let signed = node.as_member(2, &dry_run).expect(0).json("dry-run");
    let signed = hex::decode(signed["envelope"].as_str().expect("text"));
    std::fs::write(dir.join("signed.bin"), signed.expect("hexadecimal")).expect("written");

    let codes = run(dir, &["exit-codes", "--json"]).expect(0);
    let codes = codes.json("exit-codes")["exit_codes"].clone();
    let codes = codes.as_array().expect("a list").iter();
    let words = codes.map(|row| {
        let code = row["code"].as_u64().expect("a number");
        (code, row["error"].as_str().expect("a word").to_owned())
    });
    let words: BTreeMap<u64, String> = words.collect();

    let answers = AnswerTable::read();
    let mut failures = Vec::new();
    let mut play = |node: &Served, (line, code, schema): Row, more: &str| {
        let as_member = |name: &str| {
            let key = format!("--key keys/{name}.insecure-plaintext --insecure-plaintext");
            format!("{key} --server {}", node.node.door())
        };
        let line = line
            .replace("{own}", &std::process::id().to_string())
            .replace("{1}", &as_member("operator"))
            .replace("{2}", &as_member("member-2"))
            .replace("{3}", &as_member("member-3"))
            .replace("{admin}", node.node.admin());
        let line = match line.contains("{height}") && more.is_empty() {
            true => line.replace("{height}", &height(node)),
            false => line,
        };
        let line = format!("{line} --json {more}");
        // What is said last counts.
        let line = match line.matches("--server").count() {
            2 => line.replacen(&format!("--server {} ", node.node.door()), "", 1),
            _ => line,
        };
        let call: Vec<&str> = line.split_whitespace().collect();
        let told = match call.contains(&"profile") {
            true => beside_work(|| run(node.dir.path(), &call)),
            false => run(node.dir.path(), &call),
        };
        if is_forbidden(&told) {
            return;
        }
        if let Err(failure) = check(&words, &answers, &told, code, schema) {
            failures.push(format!("{}: {failure}", told.call));
        }
    };
    for row in ONLINE {
        play(&node, *row, "");
    }
    node.node.stop();
    for row in OFFLINE {
        play(&node, *row, "");
    }
    for (line, ..) in ONLINE.iter().chain(OFFLINE) {
        play(&node, (line, 2, ""), "--no-such-switch");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));

    let mut all = BTreeSet::new();
    commands(node.dir.path(), "", &mut all);
    assert!(all.len() >= 40, "{all:?}");
    let calls = || ONLINE.iter().chain(OFFLINE);
    let has_row = |command: &str, failed: bool| {
        let starts = |line: &str| line == command || line.starts_with(&format!("{command} "));
        calls().any(|(line, code, _)| starts(line) && (*code != 0) == failed)
    };
    let missing: Vec<&String> = all.iter().filter(|one| !has_row(one, false)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let never: Vec<&String> = all.iter().filter(|one| !has_row(one, true)).collect();
    assert_eq!(never, ["bench hash", "exit-codes", "inspect metrics"]);
}
