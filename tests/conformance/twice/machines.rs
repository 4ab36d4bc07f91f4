//! One identifier, two machines, two instructions: the one that was not executed is never told as
//! the other.

use clearway_harness::Lossy;
use serde_json::Value;

use crate::twice::{OWN_ID, Payer, TIMEOUT, TTL_BRIEF_S, TTL_S};

#[test]
fn the_instruction_of_another_machine_is_never_told_as_ones_own() {
    told_apart(TTL_S, false);
}

#[test]
fn nor_is_it_once_a_copy_of_ones_own_comes_too_late() {
    told_apart(TTL_BRIEF_S, true);
}

#[test]
fn one_that_outlives_what_has_its_identifier_waits_until_the_ledger_is_asked() {
    let payer = Payer::with_ttl(TTL_S);
    let elsewhere = ["--outbox", "elsewhere"];
    let limit = |amount| {
        [
            "account", "limit", "2.1", "--amount", amount, "--id", OWN_ID,
        ]
    };
    keep_and_lose(&payer, &[&limit("11.00")[..], &elsewhere].concat());
    keep_and_lose(&payer, &limit("10.00"));
    let mut node = payer.node();
    // It is not the member's to set, and has the identifier all the same.
    let refused = [&["resend", OWN_ID, "--json"][..], &elsewhere].concat();
    let refused = payer.run(node.door(), &refused).expect(1);
    assert_eq!(refused.json("answer")["code"], "NotAuthorised");
    // The ledger keeps the name for MAX_TTL after what has it, and says so to a copy alone.
    for (call, schema, waits) in [("lookup", "lookup", true), ("resend", "answer", false)] {
        let told = payer.run(node.door(), &[call, OWN_ID, "--json"]).expect(3);
        let view = told.json(schema);
        assert_eq!(
            (&view["state"], &view["final"]),
            (&"conflict".into(), &false.into()),
            "{call}"
        );
        let said = told.said();
        assert!(said.contains("another instruction"), "{call}: {said}");
        for words in [
            "may be executed still",
            &format!("`clearway resend {OWN_ID} --genesis"),
        ] {
            assert_eq!(said.contains(words), waits, "{call}: {said}");
        }
        assert_eq!(payer.waiting().len(), usize::from(waits), "{call}");
    }
    node.stop();
}

fn told_apart(ttl_s: u32, late: bool) {
    let payer = Payer::with_ttl(ttl_s);
    let own = ["pay", "2.1", "3.1", "10.00", "--id", OWN_ID];
    keep_and_lose(&payer, &own);
    let mut node = payer.node();
    let elsewhere = ["--outbox", "elsewhere"];
    let other = ["pay", "2.1", "3.1", "11.00", "--id", OWN_ID];
    payer
        .run(node.door(), &[&other[..], &elsewhere].concat())
        .expect(0);
    let kept = payer.outbox().join(format!("{OWN_ID}.json"));
    let entry = std::fs::read(&kept).expect("it waits");
    if late {
        // A further copy is refused then without a look at its identifier, and the log is asked by
        // name.
        wait_until_over(&payer, node.door(), &entry);
    }
    let ask = |call: &[&str]| {
        let told = payer.run(node.door(), &[call, &["--json"]].concat());
        let told = told.expect(3);
        let said = told.said();
        for words in ["another instruction", "11.00 EUR"] {
            assert!(said.contains(words), "{call:?}: {said}");
        }
        // Who signs it anew is told why not, and not what the first copy came to.
        assert_eq!(kept.exists(), call == own, "{call:?}");
        std::fs::write(&kept, &entry).expect("kept again");
        told
    };
    let lookup = ask(&["lookup", OWN_ID]).json("lookup");
    assert_eq!(
        (&lookup["state"], &lookup["final"]),
        (&"conflict".into(), &false.into())
    );
    assert_eq!(lookup["instruction"]["amount"], "11.00");
    // What was executed is the other instruction, and so is its height.
    assert!(lookup["other_height"].is_u64(), "{lookup}");
    assert_eq!(
        (&lookup["height"], &lookup["code"]),
        (&Value::Null, &"IdConflict".into())
    );
    ask(&["lookup", OWN_ID, "--prove"]);
    ask(&own);
    let resent = ask(&["resend", OWN_ID]).json("answer");
    assert_eq!(
        (&resent["state"], &resent["final"]),
        (&"conflict".into(), &false.into())
    );
    if late {
        let heights = (&resent["height"], &resent["other_height"]);
        assert_eq!(heights, (&0.into(), &lookup["other_height"]));
    }
    // The end that was told is told again, though nothing waits any more.
    for _ in 0..2 {
        let told = payer.run(node.door(), &["lookup", OWN_ID]).expect(3);
        assert!(
            told.said().contains("another instruction"),
            "{}",
            told.said()
        );
        assert!(!kept.exists());
    }
    assert_eq!(payer.paid(node.door()), 11);
    // Where the identifier alone is held, the answer says which instruction has it.
    let lookup = ["lookup", OWN_ID, "--json"];
    let told = payer.run(node.door(), &[&lookup[..], &elsewhere].concat());
    let told = told.expect(0).json("lookup");
    let instruction = &told["instruction"];
    let told = ["from", "to", "amount"].map(|field| &instruction[field]);
    assert_eq!(told, ["2.1", "3.1", "11.00"]);
    node.stop();
}

/// Waits until cluster time has passed the end of an entry's envelope.
fn wait_until_over(payer: &Payer, door: &str, entry: &[u8]) {
    let entry: Value = serde_json::from_slice(entry).expect("an entry");
    wait_until(payer, door, entry["expires_at"].as_u64().expect("a number"));
}

/// Waits until cluster time has passed this second and its margin.
pub(super) fn wait_until(payer: &Payer, door: &str, ends_s: u64) {
    payer.reach(door, "time_ms", 1000 * ends_s + 1001);
}

/// Leaves an envelope in the outbox that no log has: its answer is lost, then its node's data.
pub(super) fn keep_and_lose(payer: &Payer, call: &[&str]) {
    let mut node = payer.node();
    let network = Lossy::start(node.door());
    network.lose_answers_for(TIMEOUT);
    let timeout = ["--timeout-s", "2"];
    payer
        .run(&network.door(), &[call, &timeout].concat())
        .expect(6);
    node.stop();
    std::fs::remove_dir_all(payer.path().join("data")).expect("its data");
}
