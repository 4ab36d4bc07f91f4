//! What cannot be told, forgotten or asked once money may have moved never looks as if it had not.

use std::fs::File;
use std::process::{Command, Stdio};

use clearway_harness::Lossy;

use crate::program::{Run, end_of, program, run};
use crate::twice::machines::keep_and_lose;
use crate::twice::{OWN_ID, Payer, TIMEOUT, wait_until_it_loses};

/// Runs a command whose result goes to a full disk.
fn unwritten(payer: &Payer, door: &str, call: &[&str]) -> Run {
    let full = File::options().write(true).open("/dev/full");
    let full = Stdio::from(full.expect("this system has a full device"));
    end_of(payer.start(door, call, full), call)
}

#[test]
fn an_answer_that_cannot_be_written_is_no_failed_payment() {
    let payer = Payer::new();
    let mut node = payer.node();
    let pay = ["pay", "2.1", "3.1", "10.00"];
    let untold = unwritten(&payer, node.door(), &pay).expect(6);
    for words in ["cannot be written", "Settled at height"] {
        assert!(untold.said().contains(words), "{}", untold.said());
    }
    // What was not told is not forgotten, until a lookup tells it.
    let waiting = payer.waiting();
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    let lookup = ["lookup", &waiting[0]];
    unwritten(&payer, node.door(), &lookup).expect(6);
    assert_eq!(payer.waiting(), waiting);
    payer.run(node.door(), &lookup).expect(0);
    assert!(payer.waiting().is_empty());
    assert_eq!(payer.paid(node.door()), 10);
    // What moved nothing has failed, told or not.
    let too_much = ["pay", "2.1", "3.1", "99999999.00"];
    unwritten(&payer, node.door(), &too_much).expect(1);
    node.stop();
}

#[test]
fn a_machine_without_a_thread_to_spare_clears_a_payment_all_the_same() {
    let payer = Payer::new();
    let mut node = payer.node();
    let pay = ["pay", "2.1", "3.1", "10.00"];
    // Stacks of this size have no room in the address space, so no further thread starts.
    let child = Command::new("bash")
        .args(["-c", "ulimit -v 900000; exec \"$0\" \"$@\""])
        .arg(program(payer.path()).get_program())
        .args(Payer::arguments(node.door(), &pay))
        .current_dir(payer.path())
        .env("RUST_MIN_STACK", (1 << 30).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    end_of(child.expect("bash is there"), &pay).expect(0);
    assert!(payer.waiting().is_empty());
    assert_eq!(payer.paid(node.door()), 10);
    node.stop();
}

#[test]
fn an_entry_that_cannot_be_forgotten_is_no_failed_payment() {
    let payer = Payer::new();
    let mut node = payer.node();
    let network = Lossy::start(node.door());
    network.lose_answers_for(TIMEOUT);
    let pay = ["pay", "2.1", "3.1", "10.00", "--timeout-s", "20"];
    let child = payer.start(&network.door(), &pay, Stdio::piped());
    wait_until_it_loses(&network);
    // A folder with something in it cannot be removed as a file is.
    let entry = payer.outbox().join(format!("{}.json", payer.waiting()[0]));
    std::fs::remove_file(&entry).expect("it was kept");
    std::fs::create_dir_all(entry.join("x")).expect("made");
    network.heal();
    let told = end_of(child, &pay).expect(0);
    assert!(
        told.said().contains("stays in the outbox"),
        "{}",
        told.said()
    );
    assert_eq!(payer.paid(node.door()), 10);
    node.stop();
}

#[test]
fn who_rotates_a_key_is_told_what_waits_under_the_old_one() {
    let payer = Payer::new();
    keep_and_lose(&payer, &["pay", "2.1", "3.1", "10.00", "--id", OWN_ID]);
    let new = "new.insecure-plaintext";
    let make = ["keys", "new", new, "--insecure-plaintext"];
    run(payer.path(), &make).expect(0);
    let mut node = payer.node();
    let outbox = "keys/member-2.insecure-plaintext.outbox";
    // The folder that is named is the new key's, too.
    let named = ["keys", "rotate", new, "--outbox", outbox, "--dry-run"];
    let said = payer.run(node.door(), &named).expect(0).said();
    let words = format!("in {outbox} is not known. Before the old key ends");
    assert!(said.contains(&words), "{said}");
    let rotated = payer.run(node.door(), &["keys", "rotate", new]).expect(0);
    for words in [
        &format!("the end of one envelope in {outbox} is not known"),
        "an outbox of its own, new.insecure-plaintext.outbox",
        "`clearway resend --genesis genesis.toml --key keys/member-2.insecure-plaintext",
    ] {
        assert!(rotated.said().contains(words), "{}", rotated.said());
    }
    payer.run(node.door(), &["resend"]).expect(0);
    assert_eq!(payer.paid(node.door()), 10);
    let make = [
        "keys",
        "new",
        "next.insecure-plaintext",
        "--insecure-plaintext",
    ];
    run(payer.path(), &make).expect(0);
    let rotate = ["keys", "rotate", "next.insecure-plaintext"];
    let rotated = payer.run(node.door(), &rotate).expect(0);
    assert!(
        !rotated.said().contains("is not known"),
        "{}",
        rotated.said()
    );
    node.stop();
}

#[test]
fn what_cannot_be_asked_is_not_known() {
    let payer = Payer::new();
    let none = ["--genesis", "none.toml"];
    let pay = ["pay", "2.1", "3.1", "10.00"];
    let rows: [(&[&str], i32); 4] = [
        (&["lookup", OWN_ID], 6),
        (&["resend"], 6),
        (&[&pay[..], &["--id", OWN_ID]].concat(), 5),
        (&pay, 5),
    ];
    for (call, code) in rows {
        let refused = payer
            .run("127.0.0.1:9", &[call, &none].concat())
            .expect(code);
        assert!(refused.said().contains("none.toml"), "{}", refused.said());
    }
}

#[test]
fn what_was_not_sent_has_a_code_of_its_own_that_is_never_a_final_no() {
    let payer = Payer::new();
    std::fs::write(payer.path().join("file"), "").expect("written");
    let mut node = payer.node();
    let pay = ["pay", "2.1", "3.1", "10.00", "--timeout-s", "1", "--json"];
    let own = ["--id", OWN_ID];
    let unwritable = ["--outbox", "file"];
    let gone = "127.0.0.1:9";
    let rows: [(&str, &[&[&str]], i32); 4] = [
        (gone, &[&pay], 7),
        (gone, &[&pay, &own], 7),
        // Of a fresh identifier no money can have moved; of this one an earlier use may have.
        (node.door(), &[&pay, &unwritable], 1),
        (node.door(), &[&pay, &own, &unwritable], 7),
    ];
    for (door, call, code) in rows {
        let refused = payer.run(door, &call.concat()).expect(code);
        let error = refused.json("error");
        assert_eq!(error["exit_code"], code);
        let said = error["message"].as_str().expect("text");
        assert!(said.contains("nothing was sent"), "{said}");
    }
    assert_eq!(payer.paid(node.door()), 0);
    node.stop();
}

#[test]
fn what_does_not_wait_needs_no_node() {
    let payer = Payer::new();
    let rows: [(&[&str], i32, &str); 3] = [
        (&["resend"], 0, "nothing waits"),
        (&["resend", OWN_ID], 5, "does not wait in the outbox"),
        (
            &["resend", "--list", "--outbox", "nowhere"],
            5,
            "no outbox is in nowhere",
        ),
    ];
    for (call, code, words) in rows {
        let run = payer.run("127.0.0.1:9", call).expect(code);
        let said = format!("{}{}", run.said(), run.stdout);
        assert!(said.contains(words), "{call:?}: {said}");
    }
}

#[test]
fn what_was_refused_for_a_wrong_slot_is_told_to_the_right_one() {
    let payer = Payer::new();
    let mut node = payer.quick_node();
    let new = "new.insecure-plaintext";
    let make = ["keys", "new", new, "--insecure-plaintext"];
    run(payer.path(), &make).expect(0);
    let add = ["member", "key", "2", "--member-key", "new.pub"];
    let slot = ["--key-slot", "1", "--yes"];
    payer.change_key(node.door(), &[&add[..], &slot].concat());
    let by_new = |call: &[&str]| {
        let key = ["--key", new, "--as", "2", "--insecure-plaintext"];
        run(
            payer.path(),
            &[call, &key, &["--server", node.door()]].concat(),
        )
    };
    let pay = ["pay", "2.1", "3.1", "10.00", "--id", OWN_ID];
    let refused = by_new(&[&pay[..], &["--slot", "0"]].concat()).expect(1);
    assert!(
        refused.said().contains("BadSignature"),
        "{}",
        refused.said()
    );
    for slot in ["0", "1"] {
        let told = by_new(&["lookup", OWN_ID, "--slot", slot]).expect(1);
        assert!(
            told.said().contains("as was told before"),
            "{}",
            told.said()
        );
    }
    node.stop();
}
