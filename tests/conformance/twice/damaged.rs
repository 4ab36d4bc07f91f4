//! An outbox with files in it that are no entries.

use clearway_harness::Lossy;

use crate::twice::{OWN_ID, Payer, TIMEOUT};

#[test]
fn a_damaged_entry_and_a_stray_file_keep_no_other_one_back() {
    let payer = Payer::new();
    let mut node = payer.node();
    let network = Lossy::start(node.door());
    network.lose_answers_for(TIMEOUT);
    let pay = ["pay", "2.1", "3.1", "10.00", "--timeout-s", "2"];
    payer
        .run(&network.door(), &[&pay[..], &["--id", OWN_ID]].concat())
        .expect(6);
    network.lose_answers_for(TIMEOUT);
    payer.run(&network.door(), &pay).expect(6);
    assert_eq!(payer.waiting().len(), 2);
    let bad = payer.outbox().join(format!("{OWN_ID}.json"));
    let whole = std::fs::read(&bad).expect("it waits");
    std::fs::write(&bad, &whole[..whole.len() / 2]).expect("cut");
    let stray = payer.outbox().join("0-notes.json");
    std::fs::write(&stray, "not an entry").expect("written");

    // The whole one is sent, the others are named, and the end of one of them is not known.
    let sent = payer.run(node.door(), &["resend"]).expect(6);
    assert!(sent.stdout.contains("Settled"), "{}", sent.stdout);
    for words in [OWN_ID, "0-notes.json", "2 of 3 did not settle"] {
        assert!(sent.said().contains(words), "{}", sent.said());
    }
    assert_eq!(payer.waiting().len(), 2);
    // What the message says to type tells the end of the damaged one.
    let lookup = ["lookup", OWN_ID, "--prove"];
    let told = payer.run(node.door(), &lookup).expect(0);
    assert!(told.said().contains("no outbox entry"), "{}", told.said());
    // It alone knows when it ends: without it nobody can say that it never will be executed.
    let unused = OWN_ID.replace("abcd", "abce");
    let other = payer.outbox().join(format!("{unused}.json"));
    std::fs::write(&other, "").expect("written");
    payer.run(node.door(), &["lookup", &unused]).expect(5);
    for file in [bad, stray, other] {
        std::fs::remove_file(file).expect("it was left there");
    }
    payer.run(node.door(), &["resend"]).expect(0);
    assert_eq!(payer.paid(node.door()), 20);
    node.stop();
}
