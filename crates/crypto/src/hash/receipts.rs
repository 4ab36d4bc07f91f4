//! Leaves of the receipts tree: of envelopes with their outcomes, then of events.

use clearway_types::code::Outcome;
use clearway_types::domain::prefix;
use clearway_types::event::Event;
use clearway_types::units::{Digest, Height};

use super::{BLOCK_BYTES, finish, sha256};

/// What a receipt is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReceiptOf<'a> {
    /// An envelope by its leaf, and what became of it.
    Envelope(&'a Digest, Outcome),
    /// What execution did by itself.
    Event(&'a Event),
}

/// The leaf at `index` of the receipts tree at `height`.
///
/// Height and index are those of the block that answers, also when it repeats an earlier answer. An
/// event has its digest where an envelope has its leaf, and no outcome: it is 4 bytes shorter.
#[must_use]
pub fn receipt_leaf(height: Height, index: u32, of: ReceiptOf<'_>) -> Digest {
    let [leaf] = match of {
        ReceiptOf::Envelope(leaf, outcome) => of_envelopes(height, [(leaf, index, outcome)]),
        ReceiptOf::Event(event) => [of_event(height, index, event, &mut Vec::new())],
    };
    leaf
}

/// All leaves of a block: [`receipt_leaf`] of its envelopes, then of its events.
#[must_use]
pub fn receipt_leaves(
    height: Height,
    envelopes: &[(&Digest, Outcome)],
    events: &[Event],
) -> Vec<Digest> {
    let indexed = |at: usize, (leaf, outcome)| (leaf, index_of(at), outcome);
    let (pairs, last) = envelopes.as_chunks::<2>();
    let pairs = pairs.iter().enumerate().flat_map(|(pair, &[left, right])| {
        let both = [indexed(2 * pair, left), indexed(2 * pair + 1, right)];
        of_envelopes(height, both)
    });
    let last = last.iter().flat_map(|&last| {
        let alone = indexed(envelopes.len() - 1, last);
        of_envelopes(height, [alone])
    });
    let mut bytes = Vec::new();
    let events = events.iter().enumerate().map(|(at, event)| {
        let index = index_of(envelopes.len() + at);
        of_event(height, index, event, &mut bytes)
    });
    pairs.chain(last).chain(events).collect()
}

/// Digest of an event's canonical bytes.
#[must_use]
pub fn event_digest(event: &Event) -> Digest {
    event_digest_in(event, &mut Vec::new())
}

/// `bytes` is room for the event's, whatever stands there.
fn event_digest_in(event: &Event, bytes: &mut Vec<u8>) -> Digest {
    bytes.clear();
    bytes.push(prefix::EVENT);
    event.encode(bytes);
    sha256(&[bytes])
}

fn of_event(height: Height, index: u32, event: &Event, bytes: &mut Vec<u8>) -> Digest {
    let mut block = [0; BLOCK_BYTES];
    put_place(&mut block, &event_digest_in(event, bytes), height, index);
    let [leaf] = finish([block], PLACE_BYTES);
    leaf
}

/// Bytes of a receipt before hashing that envelopes and events have in common.
const PLACE_BYTES: usize = 1 + 32 + 8 + 4;
/// Bytes of an envelope's receipt: the outcome comes last.
const ENVELOPE_BYTES: usize = PLACE_BYTES + 4;

fn index_of(at: usize) -> u32 {
    u32::try_from(at).expect("BLOCK_BYTES_MAX and EXPIRE_PER_BLOCK_MAX bound what a block leaves")
}

fn put_place(block: &mut [u8; BLOCK_BYTES], digest: &Digest, height: Height, index: u32) {
    block[0] = prefix::RECEIPT_LEAF;
    block[1..33].copy_from_slice(&digest.0);
    block[33..41].copy_from_slice(&height.0.to_le_bytes());
    block[41..PLACE_BYTES].copy_from_slice(&index.to_le_bytes());
}

fn of_envelopes<const N: usize>(height: Height, of: [(&Digest, u32, Outcome); N]) -> [Digest; N] {
    let blocks = of.map(|(leaf, index, outcome)| {
        let mut block = [0; BLOCK_BYTES];
        put_place(&mut block, leaf, height, index);
        block[PLACE_BYTES..ENVELOPE_BYTES].copy_from_slice(&outcome.to_bytes());
        block
    });
    finish(blocks, ENVELOPE_BYTES)
}

#[cfg(test)]
mod tests {
    use clearway_types::code::ResultCode;
    use clearway_types::event::HoldExpired;
    use clearway_types::units::{AccountId, LedgerId, ParticipantId, TransferId};

    use super::*;

    fn digest(seed: u8) -> Digest {
        Digest([seed; 32])
    }

    fn event(seed: u8) -> Event {
        Event::HoldExpired(HoldExpired {
            signer: ParticipantId(7),
            id: TransferId([seed; 16]),
            debit: AccountId(10),
            credit: AccountId(11),
            ledger: LedgerId(12),
            amount: 9,
        })
    }

    #[test]
    fn an_envelopes_leaf_is_the_plain_hash_of_place_and_outcome() {
        let outcome = Outcome::duplicate_of(ResultCode::InsufficientFunds);
        let expected = sha256(&[
            &[2],
            &[1; 32],
            &5u64.to_le_bytes(),
            &6u32.to_le_bytes(),
            &130u16.to_le_bytes(),
            &1u16.to_le_bytes(),
        ]);
        let of = ReceiptOf::Envelope(&digest(1), outcome);
        assert_eq!(receipt_leaf(Height(5), 6, of), expected);
    }

    #[test]
    fn an_events_leaf_is_the_plain_hash_of_place_and_all_its_bytes() {
        let of_event = sha256(&[
            &[0x0c],
            &[1],
            &7u32.to_le_bytes(),
            &[8; 16],
            &10u64.to_le_bytes(),
            &11u64.to_le_bytes(),
            &12u32.to_le_bytes(),
            &9u64.to_le_bytes(),
        ]);
        assert_eq!(event_digest(&event(8)), of_event);
        let expected = sha256(&[&[2], &of_event.0, &5u64.to_le_bytes(), &6u32.to_le_bytes()]);
        let of = ReceiptOf::Event(&event(8));
        assert_eq!(receipt_leaf(Height(5), 6, of), expected);
    }

    #[test]
    fn all_leaves_of_a_block_are_the_single_ones_with_events_last() {
        let all: Vec<Digest> = (0..8).map(digest).collect();
        let code = |at: u8| Outcome::new(ResultCode::ALL[usize::from(at)]);
        for (envelope_count, event_count) in [(0, 0), (0, 2), (1, 1), (2, 0), (3, 2), (4, 1)] {
            let envelopes: Vec<_> = all.iter().zip((0..envelope_count).map(code)).collect();
            let events: Vec<_> = (0..event_count).map(event).collect();
            let leaves = receipt_leaves(Height(7), &envelopes, &events);
            let of_envelopes = envelopes
                .iter()
                .map(|&(leaf, o)| ReceiptOf::Envelope(leaf, o));
            let of = of_envelopes.chain(events.iter().map(ReceiptOf::Event));
            let expected = (0..)
                .zip(of)
                .map(|(at, of)| receipt_leaf(Height(7), at, of));
            let expected: Vec<_> = expected.collect();
            assert_eq!(leaves, expected, "{envelope_count} and {event_count}");
        }
    }
}
