//! The fuzz target's body for the members' door: headers, questions and answers of any bytes.

use crate::code::Outcome;
use crate::codec::Reader;
use crate::envelope::ENVELOPE_BYTES;
use crate::fuzz::fuzz_envelope;
use crate::limits::STREAM_ENVELOPES_MAX;
use crate::units::Height;
use crate::wire::proof::SettlementProof;
use crate::wire::query::{AccountView, FollowItem, FollowRequest, Found, Lookup, StatusView};
use crate::wire::roster::RosterView;
use crate::wire::{AnswerHeader, HINTED_BYTES, Op, RunHeader, StreamHeader, parse_outcomes};

/// Stream headers and what follows them, runs, answers. Panics when a decoder does, or when it
/// accepts bytes that are not the one spelling of what it read.
pub fn fuzz_frame(data: &[u8]) {
    if let Some(head) = data.first_chunk() {
        if let Ok((op, count)) = StreamHeader::parse(*head) {
            assert_eq!(StreamHeader::new(op, count).to_bytes(), *head);
            fuzz_request(op, count, &data[head.len()..]);
        }
        if let Ok(run) = RunHeader::parse(*head, 0, STREAM_ENVELOPES_MAX) {
            let height = Height(run.height.get());
            let again = RunHeader::new(height, run.first_index.get(), run.count.get());
            assert_eq!(again.to_bytes(), *head, "one spelling of a run");
        }
    }
    if let Some(Ok((status, bytes))) = data.first_chunk().map(|head| AnswerHeader::parse(*head)) {
        assert!(data.starts_with(&AnswerHeader::new(status, bytes).to_bytes()));
    }
    if let Ok(outcomes) = parse_outcomes(data) {
        let again: Vec<u8> = outcomes.into_iter().flat_map(Outcome::to_bytes).collect();
        assert_eq!(again, data, "one spelling of outcomes");
    }
    fuzz_answer(data);
}

/// What follows a stream header.
fn fuzz_request(op: Op, count: usize, rest: &[u8]) {
    match op {
        Op::Submit => {
            let announced_bytes = count.saturating_mul(ENVELOPE_BYTES);
            fuzz_envelope(&rest[..rest.len().min(announced_bytes)]);
        }
        Op::SubmitHinted => {
            for item in rest.chunks_exact(HINTED_BYTES).take(count) {
                fuzz_envelope(&item[..ENVELOPE_BYTES]);
            }
        }
        Op::Lookup | Op::Proof => {
            if let Ok(lookup) = Lookup::decode(&mut Reader::new(rest)) {
                let mut again = Vec::new();
                lookup.encode(&mut again);
                assert!(rest.starts_with(&again), "one spelling of a lookup");
            }
        }
        Op::Follow => {
            if let Ok(request) = FollowRequest::decode(rest) {
                assert_eq!(request.to_bytes(), rest, "one spelling of a request");
            }
        }
        Op::Account | Op::Status | Op::Roster => {}
    }
}

/// What a client reads from a node that it does not trust.
fn fuzz_answer(data: &[u8]) {
    if let Ok(view) = AccountView::decode(data) {
        assert_eq!(view.to_bytes(), data, "one spelling of an account");
    }
    if let Ok(view) = RosterView::decode(data) {
        assert_eq!(view.to_bytes(), data, "one spelling of a roster");
    }
    if let Ok(view) = StatusView::decode(data) {
        assert_eq!(view.to_bytes(), data, "one spelling of a status");
    }
    if let Ok(proof) = SettlementProof::decode(data) {
        assert_eq!(proof.encode(), data, "one spelling of a proof");
    }
    if let Ok(found) = Found::decode(&mut Reader::new(data)) {
        let mut again = Vec::new();
        Found::encode(found.as_ref(), &mut again);
        assert!(data.starts_with(&again), "one spelling of a place");
    }
    if let Ok(item) = FollowItem::decode(&mut Reader::new(data)) {
        let mut again = Vec::new();
        item.encode(&mut again);
        assert!(data.starts_with(&again), "one spelling of a feed item");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::mutants;

    const SEED: u64 = 0xd00e;

    #[test]
    fn frames_have_one_spelling_on_mutants() {
        let item_bytes = |item: FollowItem| {
            let mut bytes = Vec::new();
            item.encode(&mut bytes);
            bytes
        };
        let through = item_bytes(FollowItem::Through { height: Height(3) });
        let events = crate::event::samples().into_iter().map(|event| {
            item_bytes(FollowItem::Event {
                height: Height(3),
                index: 4,
                event,
            })
        });
        let others = [
            [&StreamHeader::new(Op::Lookup, 2).to_bytes()[..], &[7; 40]].concat(),
            [&StreamHeader::new(Op::Submit, 2).to_bytes()[..], &[1; 384]].concat(),
            [
                &StreamHeader::new(Op::SubmitHinted, 2).to_bytes()[..],
                &[1; 448],
            ]
            .concat(),
            [&StreamHeader::new(Op::Follow, 1).to_bytes()[..], &[1; 20]].concat(),
            RunHeader::new(Height(7), 0, 3).to_bytes().to_vec(),
            crate::wire::proof::sample().encode(),
            crate::wire::roster::sample().to_bytes(),
            through,
            vec![0; 136],
        ];
        for (row, sample) in others.into_iter().chain(events).enumerate() {
            fuzz_frame(&sample);
            for (index, mutant) in mutants(SEED, &sample, 4000).enumerate() {
                let run = std::panic::catch_unwind(|| fuzz_frame(&mutant));
                let text = crate::hex::encode(&mutant);
                assert!(run.is_ok(), "seed {SEED:#x}, row {row}, {index}: {text}");
            }
        }
    }
}
