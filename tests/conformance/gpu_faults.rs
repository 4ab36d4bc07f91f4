//! A node whose GPU lies, hangs or disappears: blocks go on, and every payment is answered rightly.

use std::sync::Arc;
use std::time::Duration;

use clearway_crypto::gate::Gate;
use clearway_gpu::batch::Batch;
use clearway_gpu::device::Size;
use clearway_gpu::faults::{Fault, Faulty};
use clearway_gpu::twin::device::TwinDevice;
use clearway_gpu::{Gpu, Timings};
use clearway_node::{Gather, Node, Parts};

use crate::stand::{Payer, Stand};

/// Payments of one stream, and how far apart those with a broken signature stand.
const PAYMENTS: usize = 120;
const BROKEN_EVERY: usize = 10;
/// Streams one after the other: the fault strikes, the device recovers or does not.
const STREAMS: usize = 3;

/// A processor's gate with a GPU that is the twin behind a fault.
fn gate(fault: Fault, rate: f64, seed: u64) -> (Gate, Arc<Gpu>) {
    let size = Size {
        items_max: 80,
        batch_words_max: Batch::words_max(80),
        key_slots: 80,
        ring_len: 3,
    };
    let opener = move || {
        let device = Faulty::new(TwinDevice::new(size), fault, rate, seed);
        Ok(Box::new(device) as _)
    };
    let timings = Timings {
        retry_min: Duration::from_millis(10),
        ..Timings::default()
    };
    let cpu = Gate::new().expect("this machine computes rightly");
    let gpu = Gpu::with_opener(Box::new(opener), timings, Arc::new(cpu.clone()));
    let gpu = Arc::new(gpu.expect("healthy at first"));
    let gate = cpu
        .and(Arc::clone(&gpu) as _)
        .expect("no wrong verdict leaves");
    (gate, gpu)
}

#[test]
fn blocks_go_on_whatever_the_gpu_does() {
    let seed: u64 = rand::random();
    let rows = [
        (Fault::Flip, 0.01),
        (Fault::Shift, 1.0),
        (Fault::Repeat, 1.0),
        (Fault::AllTrue, 1.0),
        (Fault::ShortCompare, 1.0),
        (Fault::NoChecks, 1.0),
        (Fault::AllFalse, 0.2),
        (Fault::Stuck, 1.0),
        (Fault::Slow(Duration::from_millis(300)), 0.5),
        (Fault::Lost, 0.5),
    ];
    for (fault, rate) in rows {
        println!("seed {seed}: {fault:?} at {rate}");
        let (gate, gpu) = gate(fault, rate, seed);
        let (on_gpu, elsewhere) = clear(gate, "gpu");
        // Each signature has one verdict, by one of the two. Where the GPU keeps answers waiting,
        // a client on a loaded machine may have sent a stream again.
        let (verdicts, sent) = (on_gpu + elsewhere, STREAMS * PAYMENTS);
        let again = matches!(fault, Fault::Stuck | Fault::Slow(_)) && verdicts > sent;
        assert!(verdicts == sent || again, "{fault:?}: {verdicts} {gpu:?}");
    }
}

#[test]
fn the_metrics_page_tells_the_gpus_verdicts_from_the_processors() {
    let (gate, gpu) = gate(Fault::Flip, 0.0, 1);
    let broken = STREAMS * PAYMENTS.div_ceil(BROKEN_EVERY);
    // What the GPU refuses is looked at again.
    let expected = (STREAMS * PAYMENTS - broken, broken);
    assert_eq!(clear(gate, "gpu"), expected, "{gpu:?}");
}

#[test]
fn left_to_choose_a_node_measures_both_and_leaves_a_slower_gpu_alone() {
    let (gate, gpu) = gate(Fault::Flip, 0.0, 1);
    assert_eq!(clear(gate, "auto"), (0, STREAMS * PAYMENTS), "{gpu:?}");
    // It was measured, and found slower than the processor, as a twin is.
    assert!(gpu.metrics().accepted.value() > 4096, "{gpu:?}");
}

/// Clears streams of payments over a node with this gate; each gets the answer that it must. Tells
/// how many signatures the metrics page gives to the GPU, and how many to its fallback.
fn clear(gate: Gate, backend: &str) -> (usize, usize) {
    let mut stand = Stand::new();
    stand.config.backend = backend.to_owned();
    let parts = Parts::real(gate);
    let node = Node::start_with(&stand.config, &stand.genesis, &stand.validator, parts);
    let node = node.expect("it starts");
    stand.visit(&node, pay);
    assert!(node.durable_height().0 > 0);
    let page: Arc<dyn Gather> = node.figures();
    let page = clearway_node::render(&page).expect("text");
    node.stop().expect("it stops");
    let mut counts = (0, 0);
    for line in page.lines() {
        if let Some(row) = line.strip_prefix("clearway_verify_verdicts_total{backend=") {
            let (name, count) = row.split_once("} ").expect("a label and a value");
            let whole = count.strip_suffix(".0").unwrap_or(count);
            let place = if name == "\"gpu\"" {
                &mut counts.0
            } else {
                &mut counts.1
            };
            *place += whole.parse::<usize>().expect("a whole number");
        }
    }
    counts
}

async fn pay(payer: &Payer) {
    for stream in 0..STREAMS {
        let mut payments = Vec::with_capacity(PAYMENTS);
        for at in 0..PAYMENTS {
            let mut payment = payer.payment();
            if at % BROKEN_EVERY == 0 {
                payment.signature[40] ^= 1;
            }
            payments.push(payment);
        }
        let answers = payer.client.submit(&payments).await.expect("answered");
        assert_eq!(answers.len(), PAYMENTS);
        for (at, answer) in answers.iter().enumerate() {
            let sound = at % BROKEN_EVERY != 0;
            assert_eq!(answer.settled(), sound, "stream {stream}, payment {at}");
        }
    }
}
