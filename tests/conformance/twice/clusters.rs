//! One outbox, two clusters: what waits for one is not touched at the other.

use clearway_harness::{Lossy, folder};

use crate::twice::{OWN_ID, Payer, TIMEOUT, to_type};

#[test]
fn a_genesis_with_other_rules_is_refused_before_anything_is_sent() {
    let payer = Payer::new();
    let mut node = payer.node();
    let own = folder::genesis(payer.path()).hash().to_string();
    folder::set_rules(payer.path(), |rules| rules.ttl_s_max += 1);
    let other = folder::genesis(payer.path()).hash().to_string();
    let pay = ["pay", "2.1", "3.1", "10.00"];
    let own_id = ["--id", OWN_ID];
    for call in [
        &pay[..],
        &[&pay[..], &own_id].concat(),
        &["lookup", OWN_ID],
        &["resend"],
        &["account", "show", "2.1"],
        &["node", "status"],
    ] {
        let refused = payer.run(node.door(), call).expect(3);
        for words in [&own, &other, "genesis.toml", "own genesis file"] {
            assert!(refused.said().contains(words), "{}", refused.said());
        }
        let unsent = refused.said().contains("nothing was sent");
        assert_eq!(unsent, call[0] == "pay", "{}", refused.said());
    }
    assert!(payer.waiting().is_empty());
    node.stop();
}

#[test]
fn a_node_of_another_cluster_refuses_the_key_and_nothing_is_signed() {
    let (here, there) = (Payer::new(), Payer::new());
    let mut other_node = there.node();
    let pay = ["pay", "2.1", "3.1", "10.00"];
    let refused = here.run(other_node.door(), &pay).expect(1);
    for words in ["refuses this key", "a node of your cluster"] {
        assert!(refused.said().contains(words), "{}", refused.said());
    }
    assert!(here.waiting().is_empty());
    other_node.stop();
}

#[test]
fn an_entry_of_another_signer_is_told_apart_by_the_signer() {
    let payer = Payer::new();
    let mut node = payer.node();
    let network = Lossy::start(node.door());
    network.lose_answers_for(TIMEOUT);
    let door = network.door();
    let pay = [
        "pay", "2.1", "3.1", "10.00", "--id", OWN_ID, "--outbox", "shared",
    ];
    let other = [
        "--key",
        "keys/member-3.insecure-plaintext",
        "--insecure-plaintext",
    ];
    let lost = [&pay[..], &other, &["--server", &door, "--timeout-s", "2"]].concat();
    crate::program::run(payer.path(), &lost).expect(6);
    let refused = payer.run(node.door(), &pay).expect(3);
    for words in [
        "another instruction of participant 3",
        "differs in: signer;",
    ] {
        assert!(refused.said().contains(words), "{}", refused.said());
    }
    node.stop();
}

#[test]
fn an_entry_of_another_cluster_is_not_sent_overwritten_or_forgotten() {
    let (here, there) = (Payer::new(), Payer::new());
    let (mut node, mut other_node) = (here.node(), there.node());
    let network = Lossy::start(node.door());
    network.lose_answers_for(TIMEOUT);
    let outbox = here.outbox();
    let outbox = ["--outbox", outbox.to_str().expect("text")];
    let pay = ["pay", "2.1", "3.1", "10.00", "--id", OWN_ID];
    let timeout = ["--timeout-s", "2"];
    let lost = here.run(&network.door(), &[&pay[..], &outbox, &timeout].concat());
    let lost = lost.expect(6);
    let entry = here.outbox().join(format!("{OWN_ID}.json"));
    let kept = std::fs::read(&entry).expect("it waits");

    let beside = |call: &[&str]| there.run(other_node.door(), &[call, &outbox].concat());
    let refused = |call: &[&str]| {
        let refused = beside(call).expect(3);
        let words = "was signed for the cluster with genesis";
        assert!(refused.said().contains(words), "{}", refused.said());
        assert_eq!(std::fs::read(&entry).expect("it waits"), kept, "{call:?}");
    };
    let (lookup, resend) = (["lookup", OWN_ID], ["resend", OWN_ID]);
    for call in [&lookup[..], &pay, &resend, &["resend"]] {
        refused(call);
    }
    assert_eq!(there.paid(other_node.door()), 0);
    // The same identifier is free there, and its end there says nothing about here.
    there.run(other_node.door(), &pay).expect(0);
    let again = beside(&pay).expect(0);
    assert!(again.said().contains("stays: "), "{}", again.said());
    assert_eq!(std::fs::read(&entry).expect("it waits"), kept);
    refused(&lookup);
    assert_eq!(there.paid(other_node.door()), 10);

    network.heal();
    let resend = &to_type(&lost)[1];
    let resend: Vec<&str> = resend.iter().map(String::as_str).collect();
    crate::program::run(here.path(), &resend).expect(0);
    assert_eq!(here.paid(node.door()), 10);
    assert!(here.waiting().is_empty());
    node.stop();
    other_node.stop();
}
