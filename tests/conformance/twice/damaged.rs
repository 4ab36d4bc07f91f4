//! An outbox with files in it that are no entries.

use std::time::{Duration, SystemTime};

use clearway_harness::Lossy;

use crate::program::Run;
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

    // Of one the log has the end by its identifier, which its file's name gives: that is told. The
    // whole one is sent, and nobody knows what the stray file was.
    let list = payer.run(node.door(), &["resend", "--list"]).expect(0);
    assert!(list.stdout.contains("no outbox entry"), "{}", list.stdout);
    let sent = payer.run(node.door(), &["resend", "--json"]).expect(6);
    for words in [OWN_ID, "10.00 EUR", "put aside", "0-notes.json"] {
        assert!(sent.said().contains(words), "{}", sent.said());
    }
    let told = |run: &Run| {
        let lines = run.lines();
        let told = lines.iter().filter(|line| line["state"] == "settled");
        told.count()
    };
    assert_eq!(told(&sent), 2, "{}", sent.stdout);
    std::fs::remove_file(stray).expect("it was left there");
    let aside = payer.outbox().join(format!("{OWN_ID}.damaged"));
    let kept = std::fs::read(&aside).expect("put aside");
    assert_eq!(kept, whole[..whole.len() / 2]);
    payer.run(node.door(), &["resend"]).expect(0);
    assert_eq!(payer.paid(node.door()), 20);

    // By its name too, and it ends by what the log has.
    std::fs::rename(&aside, &bad).expect("damaged once more");
    let sent = payer.run(node.door(), &["resend", OWN_ID, "--prove", "--json"]);
    assert_eq!(told(&sent.expect(0)), 1);
    std::fs::rename(&aside, &bad).expect("damaged once more");
    let told = payer
        .run(node.door(), &["lookup", OWN_ID, "--prove"])
        .expect(0);
    assert!(told.said().contains("no outbox entry"), "{}", told.said());
    std::fs::remove_file(bad).expect("a lookup leaves it");
    // It alone knows when it ends: without it nobody can say that it never will be executed.
    let unused = OWN_ID.replace("abcd", "abce");
    let other = payer.outbox().join(format!("{unused}.json"));
    std::fs::write(&other, "").expect("written");
    payer.run(node.door(), &["lookup", &unused]).expect(5);
    payer.run(node.door(), &["resend"]).expect(6);
    assert!(other.exists(), "its end is not known");
    node.stop();
}

#[test]
fn a_damaged_entry_that_is_older_than_any_envelope_is_put_aside_where_the_log_has_none() {
    let payer = Payer::new();
    let mut node = payer.node();
    std::fs::create_dir_all(payer.outbox()).expect("made");
    let bad = payer.outbox().join(format!("{OWN_ID}.json"));
    let leave = |age_s| {
        let file = std::fs::File::create(&bad).expect("made");
        let written = SystemTime::now() - Duration::from_secs(age_s);
        file.set_modified(written).expect("its time is set");
    };
    let pay = ["pay", "2.1", "3.1", "10.00", "--id", OWN_ID];
    let (lookup, resend) = (["lookup", OWN_ID], ["resend", OWN_ID]);
    // An hour is the longest life of an envelope, a day the margin for clocks that are off.
    for (call, young) in [(&lookup[..], 5), (&resend, 6), (&resend[..1], 6)] {
        leave(24 * 3600);
        payer.run(node.door(), call).expect(young);
        assert!(bad.exists(), "{call:?}: it may be executed yet");
        payer.run(node.door(), &pay).expect(6);
        leave(26 * 3600);
        let told = payer.run(node.door(), call).expect(1);
        for words in ["moved nothing and never will", "put aside"] {
            assert!(told.said().contains(words), "{call:?}: {}", told.said());
        }
        assert!(!bad.exists(), "{call:?}");
    }
    payer.run(node.door(), &pay).expect(0);
    assert_eq!(payer.paid(node.door()), 10);
    node.stop();
}
