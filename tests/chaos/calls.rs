//! The table of commands, each with arguments that let it do its work in the world's folder.

/// One call of the program.
#[derive(Debug)]
pub(crate) struct Call {
    /// Its words. `{n}` is a number that no other call has, `{door}` and `{admin}` the addresses of
    /// the world's node, `{as1}` and `{as2}` are the keys of the operator and of a member.
    pub(crate) words: &'static str,
    /// What it ends with when nothing is in its way; `None` where that depends on the calls before.
    pub(crate) exit: Option<i32>,
    /// What it ends with when its result cannot be written, where `exit` is 0.
    pub(crate) unwritten: i32,
    /// Whether it starts a node of its own, which needs what a node needs.
    pub(crate) node: bool,
}

const fn call(words: &'static str, exit: i32) -> Call {
    Call {
        words,
        exit: Some(exit),
        unwritten: 1,
        node: false,
    }
}

const fn with_node(words: &'static str) -> Call {
    Call {
        node: true,
        ..call(words, 0)
    }
}

/// Money has moved when its result cannot be written: 1 would say that it has not.
const fn paying(words: &'static str) -> Call {
    Call {
        unwritten: 6,
        ..call(words, 0)
    }
}

/// What changes the cluster may be refused the second time.
const fn change(words: &'static str) -> Call {
    Call {
        exit: None,
        ..call(words, 0)
    }
}

pub(crate) const CALLS: &[Call] = &[
    call("", 2),
    call("help", 0),
    call("--version", 0),
    with_node("demo --payments payments.csv --accounts accounts.csv"),
    with_node("bench --count 300 --account-count 50 --json bench-{n}.json"),
    with_node("bench --payments payments.csv --accounts accounts.csv --processes 1 --json"),
    call("bench compare report.json report.json", 0),
    call("bench page report.json page-{n}.html", 0),
    // The machine may be busier than it was.
    change("bench reproduce report.json --tolerance 100"),
    call(
        "bench verify --quick --rounds 1 --keys single --batch 2 --backend portable --invalid 0",
        0,
    ),
    call("bench hash --quick --rounds 1 --json hash-{n}.json", 0),
    call("replay stopped/data", 0),
    call("verify --vectors vectors.jsonl", 0),
    call("verify --vectors vectors.jsonl --json", 0),
    call("verify --list-backends", 0),
    call("inspect block stopped/data --height 1 --envelopes", 0),
    call(
        "inspect tx stopped/data --signer 2 --id 00000000000000000000000000000001",
        5,
    ),
    call("inspect state stopped/data", 0),
    call("inspect integrity stopped/data --json", 0),
    with_node("inspect metrics"),
    // A machine may let nobody sample.
    change("profile --seconds 1 --out p-{n}.folded -- clearway bench hash --quick --rounds 1"),
    call("doctor", 0),
    call("node init made-{n} --insecure-plaintext", 0),
    // The world's node holds the data.
    Call {
        node: true,
        ..call("node run --config node.toml --set listen=127.0.0.1:0", 1)
    },
    call("node config --config node.toml --origin", 0),
    call("node status {as2} --server {door}", 0),
    call("monitor --once --json --target {admin}", 0),
    call(
        "keys new made-{n}.insecure-plaintext --insecure-plaintext",
        0,
    ),
    change("keys list"),
    call(
        "keys check keys/operator.insecure-plaintext --insecure-plaintext",
        0,
    ),
    call(
        "gen workload --payments p-{n}.csv --accounts a-{n}.csv --count 50 --account-count 20",
        0,
    ),
    call("gen keys made-{n}", 0),
    change("member list"),
    change("member add 9 --member-key {key} {as1} --server {door}"),
    change("member set 3 {as1} --server {door}"),
    change("member suspend 99 {as1} --server {door}"),
    change("member resume 99 --yes {as1} --server {door}"),
    change("member key 3 --key-slot 1 --member-key {key} --yes {as1} --server {door}"),
    change("member end-key 3 --key-slot 1 --yes {as1} --server {door}"),
    // Sent for real, these two would change what the other calls need.
    change("keys rotate {key} --dry-run {as2} --server {door}"),
    change("ledger define 9 ZZZ --issuer-account 1.9 --dry-run {as1} --server {door}"),
    change("ledger list {as2} --server {door}"),
    change("approvals {as1} --server {door}"),
    change("issue 2.1 1 {as1} --server {door}"),
    change("redeem 2.1 1 {as1} --server {door}"),
    change("account open 3.{n} {as1} --server {door}"),
    change("account show 2.1 {as2} --server {door}"),
    change("account freeze 3.1 --state none {as1} --server {door}"),
    change("account limit 2.1 --lift --yes {as1} --server {door}"),
    change("account limit 2.1 --amount 1 {as2} --server {door}"),
    change("account follow 2.1 --to 1 {as2} --server {door}"),
    paying("pay 2.1 3.1 0.01 {as2} --server {door}"),
    paying("hold 2.1 3.1 0.01 {as2} --server {door} --json"),
    change("post 00000000000000000000000000000001 2.1 3.1 {as2} --server {door}"),
    change("void 00000000000000000000000000000001 2.1 3.1 {as2} --server {door}"),
    change("return 00000000000000000000000000000001 2.1 3.1 1 {as2} --server {door}"),
    change("lookup 00000000000000000000000000000001 {as2} --server {door}"),
    change("resend {as2} --server {door}"),
    call("resend --list {as2} --json", 0),
    // It came too late.
    call("submit late.bin {as2} --server {door}", 1),
    // Nobody listens there.
    call(
        "pay 2.1 3.1 0.01 {as2} --server 127.0.0.1:9 --timeout-s 1",
        7,
    ),
    call("exit-codes", 0),
    call("completions bash", 0),
];
