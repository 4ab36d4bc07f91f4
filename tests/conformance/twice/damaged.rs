//! An outbox with files in it that are no entries.

use std::path::Path;
use std::time::{Duration, SystemTime};

use clearway_crypto::hash::sha256;
use clearway_harness::{Lossy, folder};
use clearway_types::hex;
use serde_json::Value;

use crate::program::{Run, run};
use crate::twice::machines::keep_and_lose;
use crate::twice::{OWN_ID, Payer, TIMEOUT, TTL_BRIEF_S};

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
    // A second payment may be meant, or the first one typed anew.
    let second = payer.run(&network.door(), &pay).expect(6);
    let said = second.said();
    for words in [
        "the same instruction waits",
        &format!("`clearway resend {OWN_ID} --genesis"),
    ] {
        assert!(said.contains(words), "{said}");
    }
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
    payer.run(node.door(), &["lookup", &unused]).expect(6);
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
    let genesis = folder::genesis(payer.path()).hash().to_string();
    let left = left_of(2, &genesis);
    let leave = |age_s| {
        std::fs::write(&bad, &left).expect("written");
        set_age(&bad, age_s);
    };
    let pay = ["pay", "2.1", "3.1", "10.00", "--id", OWN_ID];
    let (lookup, resend) = (["lookup", OWN_ID], ["resend", OWN_ID]);
    // An hour is the longest life of an envelope, a day the margin for clocks that are off.
    for call in [&lookup[..], &resend, &resend[..1]] {
        leave(24 * 3600);
        payer.run(node.door(), call).expect(6);
        assert!(bad.exists(), "{call:?}: it may be executed yet");
        // It is told at what age it is put aside, and by which command.
        let refused = payer.run(node.door(), &pay).expect(6);
        let resend = format!("`clearway resend {OWN_ID} --genesis genesis.toml --key keys/");
        let owner = format!("participant 2 and the cluster of {genesis}");
        for words in [
            &resend[..],
            &owner,
            "at that cluster",
            "once it is 25 hours old",
        ] {
            assert!(refused.said().contains(words), "{}", refused.said());
        }
        leave(26 * 3600);
        let told = payer.run(node.door(), call).expect(1);
        for words in ["moved nothing and never will", "put aside"] {
            assert!(told.said().contains(words), "{call:?}: {}", told.said());
        }
        assert!(!bad.exists(), "{call:?}");
    }
    // Where it cannot be put aside that is told all the same.
    leave(26 * 3600);
    let aside = payer.outbox().join(format!("{OWN_ID}.damaged"));
    std::fs::remove_file(&aside).expect("it was put aside");
    std::fs::create_dir(&aside).expect("made");
    for call in [&lookup[..], &resend] {
        let told = payer.run(node.door(), call).expect(1);
        for words in ["moved nothing and never will", "stays in the outbox"] {
            assert!(told.said().contains(words), "{call:?}: {}", told.said());
        }
        assert!(bad.exists(), "{call:?}");
    }
    std::fs::remove_file(&bad).expect("it was left there");
    payer.run(node.door(), &pay).expect(0);
    assert_eq!(payer.paid(node.door()), 10);
    node.stop();
}

#[test]
fn the_end_of_a_damaged_entry_is_named_with_its_identifier() {
    let payer = Payer::new();
    let mut node = payer.node();
    let poor = ["pay", "2.1", "3.1", "99999999.00", "--id", OWN_ID];
    payer.run(node.door(), &poor).expect(1);
    let bad = payer.outbox().join(format!("{OWN_ID}.json"));
    let genesis = folder::genesis(payer.path()).hash().to_string();
    std::fs::write(&bad, left_of(2, &genesis)).expect("written");
    let told = payer.run(node.door(), &["resend", "--json"]).expect(1);
    let message = told.json("error")["message"].clone();
    let words = format!("{OWN_ID}: InsufficientFunds");
    assert_eq!(message, words.as_str(), "{}", told.said());
    assert!(!bad.exists(), "it is put aside");
    node.stop();
}

#[test]
fn a_damaged_entry_of_another_signer_or_cluster_or_of_nobody_is_not_over_by_its_age() {
    let payer = Payer::new();
    let mut node = payer.node();
    std::fs::create_dir_all(payer.outbox()).expect("made");
    let bad = payer.outbox().join(format!("{OWN_ID}.json"));
    let genesis = folder::genesis(payer.path()).hash().to_string();
    let leave = |text: &str| {
        std::fs::write(&bad, text).expect("written");
        set_age(&bad, 26 * 3600);
    };
    let other = left_of(3, &genesis);
    let rows = [
        (String::new(), "--signer N --genesis genesis.toml"),
        (
            other.clone(),
            "resend 00000000000000000000000000abcd00 --as 3",
        ),
        (left_of(2, &"ab".repeat(32)), "look it up at that cluster"),
        (
            left_of(2, &genesis).replace("abcd00", "abcd10"),
            "--signer N",
        ),
        (
            left_of(2, &genesis).replace("\"signer\": 2", "\"signer\": "),
            "--signer N",
        ),
    ];
    let calls: [&[&str]; 3] = [&["lookup", OWN_ID], &["resend", OWN_ID], &["resend"]];
    for call in calls {
        for (text, words) in &rows {
            leave(text);
            let told = payer.run(node.door(), call).expect(6);
            let said = told.said();
            assert!(said.contains(words), "{call:?}: {text}: {said}");
            assert!(!said.contains("moved nothing"), "{call:?}: {text}: {said}");
            assert!(bad.exists(), "{call:?}: {text}");
        }
    }
    // Who signed it has had it executed: that is asked about, where the file says who that is.
    std::fs::remove_file(&bad).expect("it was left there");
    let pay = [
        "pay",
        "3.1",
        "2.1",
        "7.00",
        "--id",
        OWN_ID,
        "--insecure-plaintext",
    ];
    let as_other = [
        "--key",
        "keys/member-3.insecure-plaintext",
        "--server",
        node.door(),
    ];
    run(payer.path(), &[&pay[..], &as_other].concat()).expect(0);
    leave("");
    for call in calls {
        payer.run(node.door(), call).expect(6);
        assert!(bad.exists(), "{call:?}");
    }
    let asked = ["lookup", OWN_ID, "--signer", "3"];
    payer.run(node.door(), &asked).expect(0);
    leave(&other);
    for call in calls {
        let told = payer.run(node.door(), call).expect(0);
        assert!(told.said().contains("7.00 EUR") || call[0] == "lookup");
        assert_eq!(bad.exists(), call[0] == "lookup", "{call:?}");
        leave(&other);
    }
    node.stop();
}

/// What is left of an entry's file that was cut off.
fn left_of(signer: u32, genesis: &str) -> String {
    format!("{{\"id\": \"{OWN_ID}\",\n\"signer\": {signer},\n\"genesis\": \"{genesis}\",\n")
}

/// Makes a file as old as this.
fn set_age(path: &Path, age_s: u64) {
    let written = SystemTime::now() - Duration::from_secs(age_s);
    let file = std::fs::File::options().write(true).open(path);
    let dated = file.and_then(|file| file.set_modified(written));
    dated.expect("its time is set");
}

#[test]
fn an_entry_that_was_changed_since_it_was_signed_is_damaged_however_whole_it_looks() {
    let payer = Payer::new();
    let pay = ["pay", "2.1", "3.1", "10.00", "--id", OWN_ID];
    keep_and_lose(&payer, &pay);
    let path = payer.outbox().join(format!("{OWN_ID}.json"));
    let kept = std::fs::read(&path).expect("it waits");
    let mut node = payer.node();
    // As another member's, as more money, and with a checksum that is right again.
    let (signer, amount) = ((112, 3), (32, 1));
    for (at, value) in [signer, amount] {
        let mut entry: Value = serde_json::from_slice(&kept).expect("an entry");
        let text = |entry: &Value, name: &str| {
            let text = entry[name].as_str().expect("text");
            hex::decode(text).expect("hexadecimal")
        };
        let mut envelope = text(&entry, "envelope");
        assert_ne!(envelope[at], value, "byte {at}");
        envelope[at] = value;
        let checksum = sha256(&[&text(&entry, "genesis"), &envelope]);
        entry["envelope"] = hex::encode(&envelope).into();
        entry["checksum"] = checksum.to_string().into();
        let write = |age_s| {
            std::fs::write(&path, entry.to_string()).expect("written");
            set_age(&path, age_s);
        };
        write(0);
        // Where one field says another signer than the next, nobody knows whose it was.
        let old = if at == 112 { 6 } else { 1 };
        // As far as its own key shows it, also where no node is asked.
        let list = payer.run(node.door(), &["resend", "--list"]).expect(0);
        let shown = list.stdout.contains("of participant 2 has not signed");
        assert_eq!(shown, at != 112, "{}", list.stdout);
        let named = if at == 112 { 3 } else { 2 };
        let words = format!("the key in slot 0 of participant {named} has not signed");
        for call in [&["lookup", OWN_ID][..], &["resend"], &pay] {
            let told = payer.run(node.door(), call).expect(6);
            let said = told.said();
            for words in [
                &words[..],
                "it was changed, or that slot has taken another key",
            ] {
                assert!(said.contains(words), "{at}: {call:?}: {said}");
            }
            assert!(!said.contains("no outbox entry"), "{at}: {call:?}: {said}");
        }
        write(26 * 3600);
        payer.run(node.door(), &["resend", OWN_ID]).expect(old);
        assert_eq!(path.exists(), old == 6, "it is put aside");
    }
    payer.run(node.door(), &pay).expect(0);
    assert_eq!(payer.paid(node.door()), 10);
    // Where the log has the identifier, that is told.
    std::fs::write(&path, &kept).expect("the copy that was lost");
    payer.run(node.door(), &["resend", OWN_ID]).expect(0);
    assert!(payer.waiting().iter().all(|name| name.contains("damaged")));
    node.stop();
}

#[test]
fn an_entry_whose_slot_has_taken_another_key_since_ends_by_its_own_time() {
    let payer = Payer::with_ttl(TTL_BRIEF_S);
    keep_and_lose(&payer, &["pay", "2.1", "3.1", "10.00", "--id", OWN_ID]);
    let path = payer.outbox().join(format!("{OWN_ID}.json"));
    let kept = std::fs::read(&path).expect("it waits");
    let mut node = payer.quick_node();
    let door = node.door().to_owned();
    let change = |call: &[&str]| payer.change_key(&door, call);
    let new = "new.insecure-plaintext";
    let make = ["keys", "new", new, "--insecure-plaintext"];
    run(payer.path(), &make).expect(0);
    let slot = ["--key-slot", "0", "--yes"];
    change(&[&["member", "end-key", "2"][..], &slot].concat());
    let key = ["member", "key", "2", "--member-key", "new.pub"];
    change(&[&key[..], &slot].concat());

    let entry: Value = serde_json::from_slice(&kept).expect("an entry");
    let ends_s = entry["expires_at"].as_u64().expect("a number");
    payer.reach(&door, "time_ms", 1000 * (ends_s + 2));
    let outbox = payer.outbox();
    let outbox = outbox.to_str().expect("text");
    let by_new = |call: &[&str]| {
        let key = ["--key", new, "--as", "2", "--outbox", outbox];
        let at = ["--insecure-plaintext", "--server", &door];
        run(payer.path(), &[call, &key, &at].concat())
    };
    let list = by_new(&["resend", "--list"]).expect(0);
    assert!(list.stdout.contains("10.00"), "{}", list.stdout);
    let told = by_new(&["resend", "--json"]).expect(1);
    assert_eq!(told.json("answer")["state"], "expired", "{}", told.said());
    assert!(payer.waiting().is_empty());
    node.stop();
}
