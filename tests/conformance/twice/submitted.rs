//! Envelopes that were signed elsewhere: sent as they are, once, or refused before anything is.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use clearway_client::{Draft, Identity, Signer};
use clearway_harness::{Lossy, folder};
use clearway_types::amount::Amount;
use clearway_types::envelope::{ENVELOPE_BYTES, Envelope};
use clearway_types::hex;
use clearway_types::units::{AccountId, LedgerId, ParticipantId, TransferId, UnixSeconds};
use serde_json::Value;
use zerocopy::IntoBytes as _;

use crate::program::{Run, end_of};
use crate::twice::machines::wait_until;
use crate::twice::{OWN_ID, Payer, TIMEOUT, TTL_BRIEF_S, to_type};

const EUR: LedgerId = LedgerId(978);

/// Signs payments of 10.00 as member 2 would on a machine of its own.
fn signer(payer: &Payer) -> Signer {
    let identity = folder::identity(payer.path(), 2);
    let genesis = folder::genesis(payer.path()).hash();
    Signer::new(identity, genesis).expect("identifiers")
}

/// The first account of a participant.
fn account(owner: u32) -> AccountId {
    AccountId::new(ParticipantId(owner), 1)
}

fn draft() -> Draft {
    Draft::transfer(account(2), account(3), Amount::new(1000, EUR))
}

/// Writes a file and submits it.
fn submit(payer: &Payer, door: &str, bytes: &[u8], more: &[&str]) -> Run {
    std::fs::write(payer.path().join("signed.bin"), bytes).expect("written");
    payer.run(
        door,
        &[&["submit", "signed.bin", "--json"][..], more].concat(),
    )
}

fn answers(run: &Run) -> Vec<Value> {
    let mut lines = run.lines();
    lines.retain(|line| line["schema"] == "clearway/answer/1");
    lines
}

#[test]
fn envelopes_of_a_file_settle_as_they_are_and_once() {
    let payer = Payer::new();
    let mut node = payer.node();
    let signer = signer(&payer);
    let signed = [signer.sign(draft()), signer.sign(draft())];
    let first = submit(&payer, node.door(), signed.as_bytes(), &["--prove"]).expect(0);
    let told = answers(&first);
    for (envelope, answer) in signed.iter().zip(&told) {
        let id = envelope.body.id.to_string();
        assert_eq!(
            (&answer["id"], &answer["state"], &answer["proven"]),
            (&id.as_str().into(), &"settled".into(), &true.into()),
            "the proof is one of these bytes"
        );
        assert!(first.stderr.contains(&id), "named before it is sent");
    }
    assert_eq!(told.len(), 2);
    let again = submit(&payer, node.door(), signed.as_bytes(), &[]).expect(0);
    for (answer, first) in answers(&again).iter().zip(&told) {
        assert_eq!(
            (&answer["height"], &answer["duplicate"]),
            (&first["height"], &true.into())
        );
    }
    assert_eq!(payer.paid(node.door()), 20);
    assert!(payer.waiting().is_empty());

    // From standard input, and what a dry run shows.
    let dry_run = ["pay", "2.1", "3.1", "10.00", "--dry-run", "--json"];
    let dry = payer.run(node.door(), &dry_run).expect(0).json("dry-run");
    let bytes = hex::decode(dry["envelope"].as_str().expect("text")).expect("hexadecimal");
    let call = ["submit", "-"];
    let mut command = crate::program::program(payer.path());
    command.args(Payer::arguments(node.door(), &call));
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = pipes.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("asked for");
    stdin.write_all(&bytes).expect("it reads");
    drop(stdin);
    end_of(child, &call).expect(0);
    assert_eq!(payer.paid(node.door()), 30);
    node.stop();
}

#[test]
fn an_identifier_that_was_used_is_looked_up_before_anything_is_sent() {
    let payer = Payer::new();
    let mut node = payer.node();
    let pay = ["pay", "2.1", "3.1", "10.00", "--id", OWN_ID];
    payer.run(node.door(), &pay).expect(0);
    let id = TransferId(hex::decode_array(OWN_ID).expect("an identifier"));
    let brief = signer(&payer).with_ttl(Duration::from_secs(7));
    let not_sent =
        |run: &Run| assert!(!run.stderr.contains("clearway/sending/1"), "{}", run.stderr);
    // The same instruction with another end is that instruction.
    let anew = brief.sign_with_id(draft(), id);
    let told = submit(&payer, node.door(), anew.as_bytes(), &[]).expect(0);
    let answer = &answers(&told)[0];
    assert_eq!(
        (&answer["state"], &answer["duplicate"]),
        (&"settled".into(), &true.into())
    );
    let ends = anew.body.expires_at().0;
    assert_ne!(
        answer["executed_expires_at"], ends,
        "not these bytes: {answer}"
    );
    assert!(answer["executed_expires_at"].is_number(), "{answer}");
    not_sent(&told);
    let more = Draft::transfer(account(2), account(3), Amount::new(1001, EUR));
    let other = brief.sign_with_id(more, id);
    let told = submit(&payer, node.door(), other.as_bytes(), &[]).expect(3);
    for words in ["another instruction", "nothing was sent"] {
        assert!(told.said().contains(words), "{}", told.said());
    }
    not_sent(&told);
    // Beside others it has an answer of its own, and the summary names it.
    let good = signer(&payer).sign(draft());
    let both = [other, good];
    let told = submit(&payer, node.door(), both.as_bytes(), &[]).expect(3);
    let answered = answers(&told);
    let states: Vec<&Value> = answered.iter().map(|answer| &answer["state"]).collect();
    assert_eq!(states, ["conflict", "settled"], "{}", told.stdout);
    for words in [
        "of 2 instructions 1 did what they are for, 1 not what they should be",
        &format!("one of them: identifier {OWN_ID}"),
    ] {
        assert!(told.said().contains(words), "{}", told.said());
    }
    // An end that the cluster does not take yet.
    let late = signer(&payer).with_ttl(Duration::from_secs(3600));
    let late = late.sign(draft());
    let told = submit(&payer, node.door(), late.as_bytes(), &[]).expect(7);
    assert!(
        told.said().contains("type the same command again in"),
        "{}",
        told.said()
    );
    not_sent(&told);
    assert_eq!(payer.paid(node.door()), 20);
    assert!(payer.waiting().is_empty());
    node.stop();
}

#[test]
fn what_can_be_seen_to_be_wrong_is_refused_before_anything_is_sent() {
    let (payer, other) = (Payer::new(), Payer::new());
    let mut node = payer.node();
    let mine = signer(&payer);
    let good = mine.sign(draft());
    let changed = |change: fn(&mut Envelope)| {
        let mut envelope = good;
        change(&mut envelope);
        [good, envelope].as_bytes().to_vec()
    };
    let chain = mine.sign_chain(&[draft(), draft()]).expect("a chain");
    let elsewhere = Signer::new(
        mine.identity().clone(),
        folder::genesis(other.path()).hash(),
    );
    let elsewhere = elsewhere.expect("identifiers").sign(draft());
    let stranger = Identity::from_seed(&[9; 32], ParticipantId(2), 0);
    let genesis = folder::genesis(payer.path()).hash();
    let forged = Signer::new(stranger, genesis)
        .expect("identifiers")
        .sign(draft());
    let hexadecimal = hex::encode(good.as_bytes());
    let not_signed = "not signed by the key of participant 2 in slot 0 for this cluster";
    let rows: [(&[u8], i32, &str); 11] = [
        (&[], 2, "no envelope"),
        (&good.as_bytes()[1..], 2, "191 bytes are no whole number"),
        (
            &[good.as_bytes(), b"\n"].concat(),
            2,
            "193 bytes are no whole number",
        ),
        (hexadecimal.as_bytes(), 2, "xxd -r -p"),
        (
            &vec![1; 1001 * ENVELOPE_BYTES],
            2,
            "more than 1000 envelopes",
        ),
        (&changed(|two| two.body.version = 2), 2, "envelope 2 of 2"),
        (&changed(|two| two.body.kind = 0x14), 2, "KindUnknown"),
        (&changed(|two| two.body.fields[16] ^= 1), 3, not_signed),
        (chain.as_bytes(), 2, "one of a chain"),
        (elsewhere.as_bytes(), 3, not_signed),
        (forged.as_bytes(), 3, not_signed),
    ];
    for (bytes, code, words) in rows {
        let refused = submit(&payer, node.door(), bytes, &[]).expect(code);
        for words in [words, "signed.bin: ", "nothing was sent"] {
            assert!(
                refused.said().contains(words),
                "{words}: {}",
                refused.said()
            );
        }
        assert_eq!(refused.lines().len(), 1, "{}", refused.stdout);
    }
    let none = payer.run(node.door(), &["submit", "none.bin"]).expect(5);
    assert!(none.said().contains("none.bin"), "{}", none.said());
    let gone = ["--timeout-s", "1"];
    let gone = submit(&payer, "127.0.0.1:9", good.as_bytes(), &gone).expect(7);
    assert!(gone.said().contains("nothing was sent"), "{}", gone.said());
    assert_eq!(payer.paid(node.door()), 0);
    assert!(payer.waiting().is_empty());
    // The good one of those files is free to be sent.
    submit(&payer, node.door(), good.as_bytes(), &[]).expect(0);
    node.stop();
}

#[test]
fn after_a_node_has_gone_the_rest_is_neither_sent_nor_waited_for() {
    let payer = Payer::new();
    let mut node = payer.node();
    let signer = signer(&payer);
    let network = Lossy::start(node.door());
    network.lose_answers_for(TIMEOUT);
    let signed: Vec<_> = (0..12).map(|_| signer.sign(draft())).collect();
    let brief = ["--timeout-s", "2"];
    let from = Instant::now();
    let lost = submit(&payer, &network.door(), signed.as_bytes(), &brief).expect(6);
    assert!(
        from.elapsed() < Duration::from_secs(15),
        "each was waited for"
    );
    let told = answers(&lost);
    let count = |state: &str| {
        told.iter()
            .filter(|answer| answer["state"] == state)
            .count()
    };
    let (unknown, rest) = (count("unknown"), count("not_sent"));
    assert!(unknown > 0 && rest > 0, "{}", lost.said());
    assert_eq!(unknown + rest, signed.len());
    let not_sent = format!("{rest} not sent");
    assert!(lost.said().contains(&not_sent), "{}", lost.said());
    // What waits ends like what is sent now: once.
    submit(&payer, node.door(), signed.as_bytes(), &[]).expect(0);
    assert!(payer.waiting().is_empty());
    assert_eq!(payer.paid(node.door()), 12 * 10);
    node.stop();
}

#[test]
fn what_the_node_alone_can_say_ends_as_a_further_copy_does() {
    let payer = Payer::with_ttl(TTL_BRIEF_S);
    let mut node = payer.node();
    let signer = signer(&payer).with_ttl(Duration::from_secs(4));
    let network = Lossy::start(node.door());
    network.lose_answers_for(TIMEOUT);
    let (brief, timeout) = (["--timeout-s", "2"], ["--timeout-s", "20"]);
    let signed = signer.sign(draft());
    let lost = submit(&payer, &network.door(), signed.as_bytes(), &brief).expect(6);
    assert_eq!(payer.waiting(), [signed.body.id.to_string()]);
    network.heal();
    let resend = &to_type(&lost)[1];
    assert_eq!(resend[0], "resend");
    let resend: Vec<&str> = resend.iter().map(String::as_str).collect();
    crate::program::run(payer.path(), &resend).expect(0);
    assert!(payer.waiting().is_empty());

    // One that comes too late, one without cover, one of a key that nobody has registered.
    let late = signer.sign(draft());
    wait_until(&payer, node.door(), late.body.expires_at().0.into());
    let too_much = Amount::new(u64::MAX / 2, EUR);
    let poor = signer.sign(Draft::transfer(account(2), account(3), too_much));
    let unknown = Identity::from_seed(&[9; 32], ParticipantId(2), 3);
    let genesis = folder::genesis(payer.path()).hash();
    let unknown = Signer::new(unknown, genesis).expect("identifiers");
    let unknown = unknown.with_ttl(Duration::from_secs(4)).sign(draft());
    // Another copy may have come while the key was there: the end is open, and the code is named.
    let open = submit(
        &payer,
        node.door(),
        unknown.as_bytes(),
        &["--timeout-s", "1"],
    )
    .expect(6);
    assert!(
        open.said().contains("answers KeySlotEmpty"),
        "{}",
        open.said()
    );
    for (envelope, state) in [(late, "expired"), (poor, "rejected"), (unknown, "refused")] {
        let told = submit(&payer, node.door(), envelope.as_bytes(), &timeout).expect(1);
        let answer = told.json("answer");
        assert_eq!(answer["state"], state, "{answer}");
    }
    assert_eq!(payer.paid(node.door()), 10);
    assert!(payer.waiting().is_empty());

    // Other bytes of the same name wait: they come first.
    let named = signer.sign(draft());
    network.lose_answers_for(TIMEOUT);
    submit(&payer, &network.door(), named.as_bytes(), &brief).expect(6);
    let later = UnixSeconds(named.body.expires_at().0 + 1);
    let other = signer.sign_as(draft(), named.body.id, later);
    let refused = submit(&payer, node.door(), other.as_bytes(), &[]).expect(3);
    assert!(
        refused
            .said()
            .contains("waits in the outbox as other bytes"),
        "{}",
        refused.said()
    );
    node.stop();
}
