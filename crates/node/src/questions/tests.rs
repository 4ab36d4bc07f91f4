//! What an answer costs: each record of the log is read as often as it has to be, however many
//! names a question holds.

use clearway_client::ClientError;
use clearway_types::envelope::Envelope;
use clearway_types::manifest::Manifest;
use clearway_types::wire::AnswerStatus;
use clearway_types::wire::query::Lookup;

use crate::node::Node;
use crate::testing::{Member, Stand};

const PAYMENT_COUNT: usize = 500;

/// Records read while `work` is done; nobody else reads any.
fn reads<R>(node: &Node, work: impl FnOnce() -> R) -> (u64, R) {
    let figures = node.figures();
    let count = || figures.store.reads.value();
    let before = count();
    let done = work();
    (count() - before, done)
}

fn pay(payer: &Member) -> Vec<Envelope> {
    let payments = payer.payments(2, 3, PAYMENT_COUNT);
    let receipts = payer.runtime.block_on(payer.client.submit(&payments));
    assert_eq!(receipts.expect("answered").settled_count(), PAYMENT_COUNT);
    payments
}

#[test]
fn a_look_up_of_many_names_reads_each_batch_once_and_none_for_who_sees_everything() {
    let stand = Stand::new(4 << 20);
    let node = stand.start();
    let names: Vec<Lookup> = pay(&stand.member(&node, 2))
        .iter()
        .map(Lookup::of)
        .collect();
    let ask = |participant: u8| {
        let asker = stand.member(&node, participant);
        reads(&node, || {
            asker.runtime.block_on(asker.client.lookup_all(&names))
        })
    };
    // Final records alone: the payer needs no batch to see its own payments.
    let (finals, found) = ask(2);
    assert!(found.expect("its own").iter().all(Option::is_some));
    let (by_payee, found) = ask(3);
    assert!(found.expect("paid to it").iter().all(Option::is_some));
    let (by_operator, found) = ask(1);
    assert!(found.expect("it sees all").iter().all(Option::is_some));
    assert_eq!(by_operator, finals);
    // A block orders at least one batch, and a stream of 500 payments is few of them.
    assert!(
        by_payee - finals < 10,
        "{by_payee} reads, {finals} of them for results"
    );
    let (by_stranger, refused) = ask(4);
    let refused = matches!(refused, Err(ClientError::Status(AnswerStatus::NotAllowed)));
    assert!(refused);
    assert_eq!(by_stranger, finals + 1, "the first foreign batch is enough");
    node.stop().expect("nothing failed");
}

#[test]
fn a_proof_reads_one_block_and_what_certifies_it() {
    let stand = Stand::new(4 << 20);
    let node = stand.start();
    let payer = stand.member(&node, 2);
    let payments = pay(&payer);
    let last = Lookup::of(payments.last().expect("some"));
    let prove = || {
        payer
            .runtime
            .block_on(payer.client.proof(last.signer, last.id))
    };
    let (count, proof) = loop {
        match reads(&node, prove) {
            (_, Err(ClientError::Status(AnswerStatus::NotReady))) => {}
            (count, proof) => break (count, proof.expect("answered").expect("executed")),
        }
    };
    // Its result, the head before it, the envelope's batch; then the log from its block to the one
    // with the certificate, once.
    let place = |height| node.index.block(height).expect("read").expect("final");
    let certified = Manifest::decode(proof.manifests.last().expect("one at least"));
    let from = place(proof.height).low.0;
    let to = place(certified.expect("a manifest").height).sequence.0;
    assert!(
        count <= 3 + to + 1 - from,
        "{count} reads of {from} to {to}"
    );
    node.stop().expect("nothing failed");
}
