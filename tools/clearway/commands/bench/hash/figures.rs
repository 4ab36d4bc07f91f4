//! What is hashed, by whom: the figures, their inputs, and the library that all must equal.

use clearway_crypto::backend::Item;
use clearway_crypto::challenge;
use clearway_crypto::hash::{self, Hasher};
use clearway_types::batch::EnvelopeDigests;
use clearway_types::domain::DomainTag;
use clearway_types::envelope::{ENVELOPE_BYTES, envelopes as envelopes_of};
use clearway_types::units::Digest;

use crate::failure::{Failure, Kind};

/// Inputs of each figure: a full batch of envelopes.
const INPUT_COUNT: usize = 8192;
/// Keys that the challenges take turns with.
const KEY_COUNT: usize = 32;

/// What a figure's hashes are.
pub(super) trait Hash: PartialEq {
    /// Its first eight bytes, for the checksum.
    fn first_word(&self) -> u64;
}

/// A kind of hash, and what makes it on this machine.
pub(super) struct Figure<'a, T> {
    pub(super) name: &'static str,
    /// What a node uses.
    pub(super) own: Implementation<'a, T>,
    /// The hashers without vector instructions, an input at a time; the library first.
    pub(super) one_by_one: Vec<Implementation<'a, T>>,
}

/// Something that hashes all inputs of a figure.
pub(super) struct Implementation<'a, T> {
    /// Its name in reports.
    pub(super) name: &'static str,
    pass: Box<dyn Fn() -> Vec<T> + 'a>,
}

impl<'a, T> Implementation<'a, T> {
    pub(super) fn new(name: &'static str, pass: impl Fn() -> Vec<T> + 'a) -> Self {
        Self {
            name,
            pass: Box::new(pass),
        }
    }

    /// The hash of each input, in order.
    pub(super) fn hashes(&self) -> Vec<T> {
        (self.pass)()
    }
}

impl<'a, T: Hash> Figure<'a, T> {
    /// What each implementation must give.
    pub(super) fn expected(&self) -> Vec<T> {
        self.one_by_one[0].hashes()
    }

    /// What has a row: where a node hashes an input at a time too, that is one.
    pub(super) fn implementations(&self) -> Vec<&Implementation<'a, T>> {
        let others = self.one_by_one.iter();
        let others = others.filter(|other| other.name != self.own.name);
        std::iter::once(&self.own).chain(others).collect()
    }

    /// Fails with [`Kind::Mismatch`] when one of the hashes is not the expected one.
    pub(super) fn check(
        &self,
        implementation: &Implementation<'_, T>,
        expected: &[T],
        found: &[T],
    ) -> Result<(), Failure> {
        if found == expected {
            return Ok(());
        }
        let mut pairs = found.iter().zip(expected);
        let wrong = pairs.position(|(found, expected)| found != expected);
        // All that both have is right: one of them has more.
        let at = wrong.unwrap_or(found.len().min(expected.len()));
        let message = format!(
            "{} gives a wrong hash of input {at} of {}; do not use this build on this machine, and \
             report it",
            implementation.name, self.name
        );
        Err(Failure::new(Kind::Mismatch, message))
    }
}

/// What is hashed, the same in every run: speed does not depend on the bytes.
pub(super) struct Inputs {
    tag: DomainTag,
    keys: Vec<[u8; 32]>,
    /// Envelopes side by side.
    slab: Vec<u8>,
    /// Two for each node.
    digests: Vec<Digest>,
}

impl Inputs {
    pub(super) fn new() -> Self {
        // No two neighbours have the same bytes, so that exchanged lanes show.
        let slab = (0..251).cycle().take(INPUT_COUNT * ENVELOPE_BYTES);
        let digest = |number: usize| hash::sha256(&[&number.to_le_bytes()]);
        Self {
            tag: DomainTag([0xa5; 16]),
            keys: (0..KEY_COUNT).map(|number| digest(number).0).collect(),
            slab: slab.collect(),
            digests: (0..2 * INPUT_COUNT).map(digest).collect(),
        }
    }

    /// Each envelope's signature, under the keys in turn.
    pub(super) fn items(&self) -> Vec<Item<'_>> {
        let signed = envelopes_of(&self.slab)
            .iter()
            .zip(self.keys.iter().cycle());
        signed
            .map(|(envelope, key)| Item::envelope(&self.tag, key, envelope))
            .collect()
    }
}

/// The hashers that take an input at a time, the library first.
fn one_by_one<'a, T, F>(pass: impl Fn(Hasher) -> F) -> Vec<Implementation<'a, T>>
where
    F: Fn() -> Vec<T> + 'a,
{
    Hasher::one_by_one()
        .map(|hasher| Implementation::new(hasher.name(), pass(hasher)))
        .collect()
}

/// SHA-512 of R, A and the 144 bytes that an envelope's signature covers.
pub(super) fn challenges<'a>(items: &'a [Item<'a>]) -> Figure<'a, [u64; 8]> {
    Figure {
        name: "sha512_208_bytes",
        own: Implementation::new(challenge::challenges(&[]).by, || {
            challenge::challenges(items).hashes
        }),
        one_by_one: one_by_one(|hasher| {
            move || {
                let one = |item| challenge::challenge_by(hasher, item);
                items.iter().map(one).collect()
            }
        }),
    }
}

/// Nodes over pairs that do not depend on one another.
pub(super) fn nodes(inputs: &Inputs) -> Figure<'_, Digest> {
    let (pairs, _) = inputs.digests.as_chunks::<2>();
    let (pairs_of_pairs, _) = inputs.digests.as_chunks::<4>();
    let two_by_two = || {
        let two = |[a, b, c, d]: &[Digest; 4]| hash::two_nodes([[a, b], [c, d]]);
        pairs_of_pairs.iter().flat_map(two).collect()
    };
    Figure {
        name: "sha256_node",
        own: Implementation::new(hash::chosen().name(), two_by_two),
        one_by_one: one_by_one(|hasher| {
            move || {
                let one = |[left, right]: &[Digest; 2]| hash::node_by(hasher, left, right);
                pairs.iter().map(one).collect()
            }
        }),
    }
}

/// Both digests of each envelope, which count as one.
pub(super) fn envelopes(inputs: &Inputs) -> Figure<'_, EnvelopeDigests> {
    Figure {
        name: "envelope_digests",
        own: Implementation::new(hash::chosen().name(), || {
            hash::envelope_digests_all(&inputs.slab)
        }),
        one_by_one: one_by_one(|hasher| {
            move || {
                let one = |envelope| hash::envelope_digests_by(hasher, envelope);
                envelopes_of(&inputs.slab).iter().map(one).collect()
            }
        }),
    }
}

impl Hash for [u64; 8] {
    fn first_word(&self) -> u64 {
        self[0]
    }
}

impl Hash for Digest {
    fn first_word(&self) -> u64 {
        u64::from_le_bytes(*self.0.first_chunk().expect("32 bytes"))
    }
}

impl Hash for EnvelopeDigests {
    fn first_word(&self) -> u64 {
        self.leaf.first_word()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_hashes_all_inputs_as_the_library_does() {
        fn check<T: Hash>(figure: &Figure<'_, T>) {
            let expected = figure.expected();
            assert_eq!(expected.len(), INPUT_COUNT, "{}", figure.name);
            let neighbours = expected.windows(2).all(|pair| pair[0] != pair[1]);
            assert!(neighbours, "{}", figure.name);
            for implementation in figure.implementations() {
                let checked = figure.check(implementation, &expected, &implementation.hashes());
                checked.expect("right hashes");
                let short = figure.check(implementation, &expected, &expected[1..]);
                short.expect_err("one is missing");
            }
        }
        let inputs = Inputs::new();
        let items = inputs.items();
        assert!(items.iter().all(|item| item.message_len() == 144));
        check(&challenges(&items));
        check(&nodes(&inputs));
        check(&envelopes(&inputs));
    }
}
