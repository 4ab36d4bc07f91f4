//! A "no" in a block that may pass while its envelope lives is no end: every command says so.

use crate::program::Run;
use crate::twice::machines::wait_until;
use crate::twice::{OWN_ID, Payer, TTL_BRIEF_S};

/// Has the operator suspend the payer, or let it sign again.
fn operator(payer: &Payer, door: &str, verb: &str) {
    let call = ["member", verb, "2", "--yes"];
    payer.as_operator(door, &call).expect(0);
}

/// That the identifier is open, in these words.
fn is_open(told: Run, schema: &str) {
    let told = told.expect(6);
    let view = told.json(schema);
    assert_eq!(
        (&view["state"], &view["final"], &view["code"]),
        (&"open".into(), &false.into(), &"SignerSuspended".into()),
        "{}",
        told.call
    );
    for words in [
        "was not executed yet (a copy was refused at height",
        "with SignerSuspended: ",
        "and still may be: do not sign it anew",
        &format!("`clearway resend {OWN_ID} --genesis"),
    ] {
        assert!(
            told.said().contains(words),
            "{}: {}",
            told.call,
            told.said()
        );
    }
}

#[test]
fn a_no_that_may_pass_is_told_alike_by_all_commands_and_waits() {
    let payer = Payer::new();
    let mut node = payer.node();
    let door = node.door().to_owned();
    operator(&payer, &door, "suspend");
    let pay = ["pay", "2.1", "3.1", "10.00", "--id", OWN_ID, "--json"];
    let brief = ["--timeout-s", "2"];
    let resend = ["resend", OWN_ID, "--json"];
    for (call, schema) in [
        (&pay[..], "answer"),
        (&["lookup", OWN_ID, "--json"], "lookup"),
        (&[&resend[..], &brief].concat(), "answer"),
        (&[&pay[..], &brief].concat(), "answer"),
    ] {
        is_open(payer.run(&door, call), schema);
        assert_eq!(payer.waiting(), [OWN_ID], "{call:?}");
    }
    operator(&payer, &door, "resume");
    let told = payer.run(&door, &resend).expect(0).json("answer");
    assert_eq!(told["state"], "settled");
    assert_eq!(payer.paid(&door), 10);
    assert!(payer.waiting().is_empty());
    node.stop();
}

#[test]
fn once_its_time_is_over_such_a_no_is_its_end() {
    let payer = Payer::with_ttl(TTL_BRIEF_S);
    let mut node = payer.node();
    operator(&payer, node.door(), "suspend");
    let pay = ["pay", "2.1", "3.1", "10.00", "--id", OWN_ID, "--json"];
    is_open(payer.run(node.door(), &pay), "answer");
    let entry = std::fs::read(payer.outbox().join(format!("{OWN_ID}.json")));
    let entry: serde_json::Value =
        serde_json::from_slice(&entry.expect("it waits")).expect("an entry");
    let ends = entry["expires_at"].as_u64().expect("a number");
    wait_until(&payer, node.door(), ends);
    let told = payer.run(node.door(), &["resend", "--json"]).expect(1);
    assert_eq!(told.json("answer")["state"], "expired");
    assert!(payer.waiting().is_empty());
    // What was promised once is said whenever it is asked for.
    for _ in 0..2 {
        let asked = payer.run(node.door(), &["lookup", OWN_ID, "--json"]);
        let asked = asked.expect(1).json("lookup");
        assert_eq!(asked["state"], "expired");
        assert!(payer.waiting().is_empty());
    }
    node.stop();
}
