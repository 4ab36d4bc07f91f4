//! Members, keys, ledgers and money in being, by the commands that an operator types.

use clearway_node::genesis_file;
use clearway_types::account::Role;
use serde_json::{Value, json};

use crate::node::Served;
use crate::program::{Run, run as run_in};
use crate::twice::Payer;

/// The participant with this number as `member list` shows it.
fn member(node: &Served, number: u64) -> Value {
    let listed = node.as_member(2, &["member", "list"]).expect(0);
    let members = listed.json("members")["members"].clone();
    let members = members.as_array().expect("a list");
    let found = members.iter().find(|one| one["id"] == number);
    found.cloned().unwrap_or_default()
}

/// A node that takes many commands of one member in a row.
fn start() -> Served {
    Served::start_with(|dir| {
        let path = dir.join("node.toml");
        let text = std::fs::read_to_string(&path).expect("made by init");
        let text = text.replace("per_member_max = 8", "per_member_max = 100");
        std::fs::write(path, text).expect("written");
    })
}

fn says(run: Run, code: i32, expected: &str) {
    let run = run.expect(code);
    let said = run.said();
    assert!(
        said.contains(expected),
        "{}: {said} lacks {expected}",
        run.call
    );
    let error = run.json("error");
    assert_eq!(error["exit_code"], code, "{error}");
    assert_eq!(run.lines().len(), 1, "{}: {}", run.call, run.stdout);
}

#[test]
fn a_member_command_changes_what_it_names_and_nothing_else() {
    let mut node = start();
    let operator = |line: &str| {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        node.as_member(1, &arguments)
    };
    let before = member(&node, 3);
    assert_eq!(
        (&before["sponsor"], &before["suspended"]),
        (&1.into(), &false.into())
    );
    let lei = "529900T8BM49AURSDO55";
    let all = format!("member set 3 --role auditor --lei {lei} --bic CWAYDEFF --yes");
    let shown = operator(&all).expect(0);
    for change in [
        "role: member -> auditor",
        "LEI: none -> 5299",
        "BIC: none -> CWAY",
    ] {
        assert!(
            shown.said().contains(change),
            "{} lacks {change}",
            shown.said()
        );
    }
    assert!(!shown.said().contains("sponsor:"), "{}", shown.said());

    // Each step changes one field; every other one stays.
    let mut wanted = member(&node, 3);
    assert_eq!(
        (&wanted["role"], &wanted["lei"]),
        (&"auditor".into(), &lei.into())
    );
    let steps: [(&str, &str, Value); 6] = [
        ("member suspend 3 --yes", "suspended", true.into()),
        (
            "member set 3 --bic CWAYDEFFXXX --yes",
            "bic",
            "CWAYDEFFXXX".into(),
        ),
        ("member set 3 --sponsor 2 --yes", "sponsor", 2.into()),
        ("member set 3 --role member --yes", "role", "member".into()),
        ("member resume 3 --yes", "suspended", false.into()),
        ("member set 3 --sponsor 0 --yes", "sponsor", 0.into()),
    ];
    for (line, field, value) in steps {
        operator(line).expect(0);
        wanted[field] = value;
        assert_eq!(member(&node, 3), wanted, "{line}");
    }
    says(operator("member resume 3 --yes"), 1, "so already");
    says(operator("member set 3 --yes"), 1, "so already");
    // Without a terminal nobody can answer.
    says(operator("member suspend 3"), 2, "give --yes");
    assert_eq!(member(&node, 3), wanted);
    // The only operator stays able to sign.
    for line in [
        "member suspend 1",
        "member set 1 --role member",
        "member end-key 1 --key-slot 0",
    ] {
        let refused = operator(&format!("{line} --yes")).expect(1);
        assert!(
            refused.said().contains("ParticipantInvalid"),
            "{}",
            refused.said()
        );
    }
    node.node.stop();
}

#[test]
fn a_key_that_ends_is_told_with_the_height_at_which_it_does() {
    let mut node = start();
    let end = ["member", "end-key", "3", "--key-slot", "0", "--yes"];
    let ended = node.as_member(1, &end).expect(0);
    assert!(
        ended.said().contains("ends 256 heights"),
        "{}",
        ended.said()
    );
    let answer = ended.json("answer");
    let height = answer["height"].as_u64().expect("a height");
    assert_eq!(answer["takes_effect"], height + 256);
    assert_eq!(member(&node, 3)["keys"][0]["valid_to"], height + 256);
    // A second record would change nothing and tell a later height.
    let told = format!("ends at height {} already", height + 256);
    says(node.as_member(1, &end), 1, &told);
    node.node.stop();
}

#[test]
fn what_is_so_already_is_told_as_done_to_the_command_that_did_it() {
    let mut node = start();
    let new = "keys/new-2.insecure-plaintext";
    for key in [new, "keys/ninth.insecure-plaintext"] {
        let made = ["keys", "new", key, "--insecure-plaintext"];
        run_in(node.dir.path(), &made).expect(0);
    }
    let add = "member add 9 --member-key keys/ninth.pub";
    let rotate = format!("keys rotate {new}");
    // Who sends it, what is sent, and how it is refused where another command has done it.
    let rows = [
        (1, "ledger define 9 ZZZ --issuer-account 1.9", "defined"),
        (1, "member suspend 3 --yes", "so already"),
        (1, add, "registered already"),
        (2, &rotate, "holds this key already"),
    ];
    for (number, (member, line, words)) in rows.into_iter().enumerate() {
        let id = |last: &str| format!("0123456789abcdef0123456789{number}bb{last}00");
        let call = |id: Option<&str>| {
            let words = line
                .split(' ')
                .chain(["--id"].into_iter().filter(|_| id.is_some()));
            let words: Vec<&str> = words.chain(id).collect();
            node.as_member(member, &words)
        };
        let own = id("a");
        let first = call(Some(&own)).expect(0).json("answer");
        let again = call(Some(&own)).expect(0).json("answer");
        let told = |answer: &Value| (answer["state"].clone(), answer["height"].clone());
        assert_eq!(told(&again), told(&first), "{line}");
        says(call(None), 1, words);
        // An earlier use of this one may have done it: that is no end.
        let other = id("c");
        says(call(Some(&other)), 7, words);
    }
    node.node.stop();
}

#[test]
fn a_number_that_is_not_registered_is_an_error_and_registers_nobody() {
    let mut node = start();
    let key = "keys/member-3.insecure-plaintext";
    let rows: [(&[&str], i32, &str); 10] = [
        (
            &["member", "suspend", "99", "--yes"],
            5,
            "99 is not registered",
        ),
        (
            &["member", "resume", "99", "--yes"],
            5,
            "99 is not registered",
        ),
        (
            &["member", "set", "99", "--role", "operator", "--yes"],
            5,
            "99 is not registered",
        ),
        (
            &["member", "end-key", "99", "--key-slot", "0", "--yes"],
            5,
            "99 is not registered",
        ),
        (
            &[
                "member",
                "key",
                "99",
                "--key-slot",
                "1",
                "--member-key",
                key,
                "--yes",
            ],
            5,
            "99 is not registered",
        ),
        (
            &["member", "end-key", "3", "--key-slot", "2", "--yes"],
            5,
            "no key in slot 2",
        ),
        (
            &["member", "add", "3", "--member-key", key],
            1,
            "registered already",
        ),
        (&["account", "open", "99.1"], 5, "99 is not registered"),
        (
            &["account", "open", "3.2", "--ledger", "7"],
            5,
            "ledger 7 is not defined",
        ),
        (
            &["ledger", "define", "7", "GBP", "--issuer-account", "99.7"],
            5,
            "99 is not registered",
        ),
    ];
    for (arguments, code, expected) in rows {
        says(node.as_member(1, arguments), code, expected);
    }
    assert_eq!(member(&node, 99), Value::Null);
    node.node.stop();
}

#[test]
fn a_ledger_is_defined_filled_used_and_emptied() {
    let mut node = start();
    let run = |number: u32, line: &str| {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        node.as_member(number, &arguments)
    };
    let supply = |number: u32| {
        let listed = run(number, "ledger list").expect(0).json("ledgers");
        let all = listed["ledgers"].as_array().expect("a list").clone();
        assert_eq!((all.len(), &all[1]["code"]), (2, &"KWD".into()), "{listed}");
        all[1]["supply"].clone()
    };
    run(
        1,
        "ledger define 414 KWD --exponent 3 --issuer-account 1.414",
    )
    .expect(0);
    says(
        run(1, "ledger define 414 KWD --issuer-account 1.415"),
        1,
        "defined already",
    );
    says(
        run(1, "ledger define 415 KWD --issuer-account 1.415"),
        1,
        "KWD is the code of ledger 414 already",
    );
    says(
        run(1, "ledger define 5 kwd --issuer-account 1.5"),
        2,
        "capitals",
    );
    for account in ["1.4", "2.4", "3.4"] {
        run(1, &format!("account open {account} --ledger 414")).expect(0);
    }
    run(1, "issue 2.4 10.125 --ledger 414 --prove").expect(0);
    assert_eq!(supply(1), "10.125");
    assert_eq!(
        supply(2),
        Value::Null,
        "told to its issuer and to overseers"
    );
    run(2, "pay 2.4 3.4 4.005 --ledger 414").expect(0);
    says(
        run(2, "pay 2.4 3.4 0.0001 --ledger 414"),
        2,
        "more decimals",
    );
    let shown = run(3, "account show 3.4").expect(0).json("account");
    assert_eq!(shown["balance"], "4.005");
    run(3, "pay 3.4 1.4 4.005 --ledger 414").expect(0);
    let beyond = run(1, "redeem 1.4 4.006 --ledger 414").expect(1);
    assert!(
        beyond.said().contains("InsufficientFunds"),
        "{}",
        beyond.said()
    );
    run(1, "redeem 1.4 4.005 --ledger 414").expect(0);
    assert_eq!(supply(1), "6.120");
    let stranger = run(2, "issue 2.4 1 --ledger 414").expect(1);
    assert!(
        stranger.said().contains("NotAuthorised"),
        "{}",
        stranger.said()
    );
    node.node.stop();
}

#[test]
fn a_key_is_rotated_into_a_free_slot() {
    let mut node = start();
    let new = "keys/new-2.insecure-plaintext";
    let made = ["keys", "new", new, "--insecure-plaintext"];
    run_in(node.dir.path(), &made).expect(0);
    let of_another = node.as_member(2, &["keys", "rotate", "keys/member-3.insecure-plaintext"]);
    says(
        of_another,
        1,
        "slot 0 of participant 3 holds this key already",
    );
    let taken = node.as_member(2, &["keys", "rotate", new, "--new-slot", "0"]);
    says(taken, 1, "has not ended");
    let rotated = node.as_member(2, &["keys", "rotate", new]).expect(0);
    let height = rotated.json("answer")["height"].as_u64().expect("a height");
    for words in [
        "key slot 1",
        "slot 0 stays valid",
        "member end-key 2 --key-slot 0",
    ] {
        assert!(rotated.said().contains(words), "{}", rotated.said());
    }
    let keys = member(&node, 2)["keys"].clone();
    assert_eq!(
        (&keys[1]["slot"], &keys[1]["valid_from"]),
        (&1.into(), &(height + 256).into())
    );
    let validator = "keys/validator.insecure-plaintext";
    let refused = node.as_member(2, &["keys", "rotate", validator]);
    says(refused, 1, "a member key is needed");
    let calls: [&[&str]; 2] = [
        &["member", "add", "9", "--member-key", validator],
        &[
            "member",
            "key",
            "2",
            "--key-slot",
            "2",
            "--yes",
            "--member-key",
            "keys/validator.pub",
        ],
    ];
    for call in calls {
        let refused = node.as_member(1, call);
        says(refused, 1, "a member key is needed");
    }
    let public = node.as_member(2, &["keys", "rotate", "keys/member-3.pub"]);
    says(
        public,
        2,
        "name the key file itself: keys/member-3.insecure-plaintext",
    );
    node.node.stop();
}

#[test]
fn operators_see_what_waits_for_them_and_approve_it() {
    let mut node = Served::start_with(|dir| {
        let path = dir.join("genesis.toml");
        let mut genesis = genesis_file::load(&path).expect("made by init");
        genesis.rules.operator_threshold = 2;
        genesis.participants[2].role = Role::Operator;
        genesis_file::save(&path, &genesis).expect("written");
    });
    let waiting = |node: &Served| {
        let listed = node.as_member(3, &["approvals"]).expect(0);
        let listed = listed.json("approvals");
        listed["approvals"].as_array().expect("a list").clone()
    };
    assert!(waiting(&node).is_empty());
    let suspend = ["member", "suspend", "2", "--yes"];
    let first = node.as_member(1, &suspend).expect(0).json("answer");
    assert_eq!(first["code"], "AwaitingApproval");
    assert_eq!(member(&node, 2)["suspended"], false);
    let [one] = &waiting(&node)[..] else {
        panic!("{:?}", waiting(&node));
    };
    assert_eq!(
        (&one["approved_by"], &one["needed"]),
        (&vec![1].into(), &2.into())
    );
    let what = one["what"].as_str().expect("text");
    assert_eq!(what, "participant 2, role member, suspended yes, sponsor 1");
    says(
        node.as_member(2, &["approvals"]),
        1,
        "operators and auditors",
    );
    let second = node.as_member(3, &suspend).expect(0).json("answer");
    assert_eq!(second["code"], "Settled");
    assert!(waiting(&node).is_empty());
    let refused = node.as_member(2, &["pay", "2.1", "3.1", "1"]).expect(6);
    assert!(
        refused.said().contains("SignerSuspended"),
        "{}",
        refused.said()
    );
    node.node.stop();
}

#[test]
fn debit_limits_are_shown_and_lifted_by_name_alone() {
    let mut node = start();
    let run = |number: u32, line: &str| {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        node.as_member(number, &arguments)
    };
    let shown = || {
        let shown = run(2, "account show 2.1").expect(0).json("account");
        assert_eq!(
            shown["limit_count"],
            shown["limits"].as_array().expect("a list").len()
        );
        shown["limits"].clone()
    };
    assert_eq!(shown(), json!([]));
    run(1, "account limit 2.1 --amount 500.50").expect(0);
    run(1, "account limit 2.1 --amount 20 --towards 3").expect(0);
    run(2, "pay 2.1 3.1 12.25").expect(0);
    let everyone = json!({ "towards": 0, "limit": "500.50", "paid_net": "12.25" });
    let to_three = json!({ "towards": 3, "limit": "20.00", "paid_net": "12.25" });
    assert_eq!(shown(), json!([everyone, to_three]));
    let show = Payer::arguments(node.node.door(), &["account", "show", "2.1"]);
    let text = run_in(node.dir.path(), &show).expect(0).stdout;
    for words in [
        "500.50 a day to everyone",
        "20.00 a day to participant 3, 12.25 paid net today (on its first day: since it was set)",
    ] {
        assert!(text.contains(words), "{text}");
    }

    // A ledger that is named is the account's own, or it is told.
    run(2, "account show 2.1 --ledger 978").expect(0);
    let refused = run(2, "account show 2.1 --ledger 979").expect(5);
    assert!(
        refused.said().contains("kept in ledger 978"),
        "{}",
        refused.said()
    );

    // Neither by leaving something out nor without a yes.
    let refused = run(1, "account limit 2.1").expect(2);
    assert!(refused.said().contains("--amount"), "{}", refused.said());
    says(run(1, "account limit 2.1 --lift"), 2, "give --yes");
    let largest = "account limit 2.1 --amount 184467440737095516.15 --yes";
    says(run(1, largest), 2, "give --lift");
    // Another such number: of a hold it would settle all.
    let hold = "00000000000000000000000000000700";
    let post = format!("post {hold} 2.1 3.1 184467440737095516.15");
    says(run(2, &post), 2, "leave it out");
    says(
        run(1, "account limit 2.1 --lift --towards 1 --yes"),
        1,
        "no debit limit",
    );
    assert_eq!(shown(), json!([everyone, to_three]));
    let lifted = run(1, "account limit 2.1 --lift --towards 3 --yes").expect(0);
    let told = "debit limit: 20.00 EUR a day -> none";
    assert!(lifted.said().contains(told), "{}", lifted.said());
    assert_eq!(shown(), json!([everyone]));
    node.node.stop();
}

/// The lines of a feed that ends at a height.
fn feed(node: &Served, number: u32, account: &str, to: u64) -> Vec<Value> {
    let to = to.to_string();
    let run = node.as_member(number, &["account", "follow", account, "--to", &to]);
    let lines = run.expect(0).stdout;
    let lines = lines.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect()
}

#[test]
fn a_feed_tells_what_touched_the_account_in_its_currency_and_nothing_else() {
    let mut node = start();
    let done = |number: u32, line: &str, code: i32| {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        node.as_member(number, &arguments)
            .expect(code)
            .json("answer")
    };
    let id = |answer: &Value| answer["id"].as_str().expect("text").to_owned();
    let height = |answer: &Value| answer["height"].as_u64().expect("a number");
    done(2, "pay 2.1 3.1 1.50", 0);
    let hold = id(&done(2, "hold 2.1 3.1 20.25", 0));
    // A stranger is refused, and so is the member itself.
    done(3, "pay 2.1 3.1 7.00", 1);
    done(2, "pay 2.1 3.1 99999999.00", 1);
    done(2, &format!("post {hold} 2.1 3.1"), 0);
    let freed = id(&done(2, "hold 2.1 3.1 3.00", 0));
    done(2, &format!("void {freed} 2.1 3.1"), 0);
    done(1, "account limit 2.1 --amount 5000 --towards 3", 0);
    done(1, "account limit 2.1 --lift --towards 3 --yes", 0);
    done(1, "account freeze 3.1 --state debit", 0);
    let last = height(&done(1, "account freeze 2.1 --state none", 0));
    // What comes later is beyond the end.
    done(2, "pay 2.1 3.1 0.01", 0);
    let lines = feed(&node, 2, "2.1", last);
    let told: Vec<(&str, &str, &str)> = lines
        .iter()
        .map(|line| {
            let field = |name: &str| line[name].as_str().unwrap_or("-");
            (field("kind"), field("amount"), field("code"))
        })
        .collect();
    assert_eq!(
        told,
        [
            ("Transfer", "1.50", "Settled"),
            ("Hold", "20.25", "Settled"),
            ("Transfer", "99999999.00", "InsufficientFunds"),
            ("Post", "20.25", "Settled"),
            ("Hold", "3.00", "Settled"),
            ("Void", "3.00", "Settled"),
            ("LimitSet", "-", "Settled"),
            ("LimitSet", "-", "Settled"),
            ("AccountSet", "-", "Settled"),
        ],
        "{lines:?}"
    );
    assert_eq!(
        (&lines[6]["limit"], &lines[6]["towards"]),
        (&"5000.00 EUR".into(), &3.into())
    );
    assert_eq!(lines[7]["limit"], "none");
    // From the POST on, the amount comes from the node.
    let from = lines[3]["height"].as_u64().expect("a number").to_string();
    let to = last.to_string();
    let follow = ["account", "follow", "2.1", "--from", &from, "--to", &to];
    let rest = node.as_member(2, &follow).expect(0).stdout;
    let first: Value = serde_json::from_str(rest.lines().next().expect("a line")).expect("JSON");
    assert_eq!(
        (&first["kind"], &first["amount"]),
        (&"Post".into(), &"20.25".into())
    );
    // The other side sees the payments and its own freeze.
    let theirs = feed(&node, 3, "3.1", last);
    let kinds: Vec<&str> = theirs
        .iter()
        .filter_map(|line| line["kind"].as_str())
        .collect();
    let expected = [
        "Transfer",
        "Hold",
        "Transfer",
        "Post",
        "Hold",
        "Void",
        "AccountSet",
    ];
    assert_eq!(kinds, expected, "{theirs:?}");
    says(
        node.as_member(1, &["account", "follow", "9.9"]),
        5,
        "9.9 does not exist",
    );
    for what in ["show", "follow"] {
        let elsewhere = ["account", what, "2.1", "--ledger", "840"];
        says(
            node.as_member(2, &elsewhere),
            5,
            "is kept in ledger 978, and not in 840",
        );
    }
    let turned = ["account", "follow", "2.1", "--from", "5", "--to", "4"];
    says(node.as_member(2, &turned), 2, "before --from");
    node.node.stop();
}
