//! Challenges: the SHA-512 of R, A and the message in a signature's equation, several at a time.
//!
//! Backends hash them as they verify. Here they are hashed alone, by the same code, so that a bench
//! can say what part of a verdict they are.

use crate::backend::Item;
use crate::hash::{self, Hasher};
use crate::simd;

/// The challenges of some signatures, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenges {
    /// What hashed them: the widest vector unit of this machine by its backend's name, or the
    /// hasher of this process where it has none.
    pub by: &'static str,
    /// Each hash as a 512-bit little-endian number, lowest word first, not reduced.
    pub hashes: Vec<[u64; 8]>,
}

/// SHA-512 of R || A || prefix || message for each item. Allocates the hashes, 64 bytes per item.
///
/// A vector unit hashes as many side by side as it has lanes, if all of them take equally many
/// blocks, at most four (431 bytes of message); others go to the hasher of this process one by one.
#[must_use]
pub fn challenges(items: &[Item<'_>]) -> Challenges {
    match simd::challenges(items) {
        Some((by, hashes)) => Challenges { by, hashes },
        None => {
            let hasher = hash::chosen();
            let one = |item| challenge_by(hasher, item);
            Challenges {
                by: hasher.name(),
                hashes: items.iter().map(one).collect(),
            }
        }
    }
}

/// The same of one item, by this hasher.
#[must_use]
pub fn challenge_by(hasher: Hasher, item: &Item<'_>) -> [u64; 8] {
    simd::challenge_by(hasher, item)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha512};

    use super::*;

    /// Items with messages of these lengths, no two of them alike.
    fn items<'a>(bytes: &'a [u8], message_lens: &[usize]) -> Vec<Item<'a>> {
        let item = |(at, &len): (usize, &usize)| {
            let bytes = &bytes[7 * at..];
            let (prefix, message) = bytes[96..][..len].split_at(len.min(16));
            Item {
                public_key: bytes.first_chunk().expect("32 bytes"),
                prefix,
                message,
                signature: bytes[32..].first_chunk().expect("64 bytes"),
                hint: None,
            }
        };
        message_lens.iter().enumerate().map(item).collect()
    }

    fn check(items: &[Item<'_>]) {
        let found = challenges(items);
        assert_eq!(found.hashes.len(), items.len());
        for (at, (item, hash)) in items.iter().zip(&found.hashes).enumerate() {
            let r = &item.signature[..32];
            let message = [r, item.public_key, item.prefix, item.message].concat();
            let expected = Sha512::digest(&message);
            let bytes = hash.map(u64::to_le_bytes);
            let said = format!("{} bytes at {at} by {}", message.len(), found.by);
            assert_eq!(bytes.as_flattened(), expected.as_slice(), "{said}");
            for hasher in Hasher::here() {
                assert_eq!(challenge_by(hasher, item), *hash, "{said}, {hasher:?}");
            }
        }
    }

    #[test]
    fn each_length_and_count_is_hashed_as_the_general_hasher_does() {
        let bytes: Vec<u8> = (0..251).cycle().take(1024).collect();
        for len in 0..300 {
            // Around four and eight lanes.
            for count in [0, 1, 3, 4, 5, 7, 8, 9, 17] {
                check(&items(&bytes, &vec![len; count]));
            }
        }
    }

    #[test]
    fn lanes_of_different_lengths_and_of_many_blocks_are_hashed_rightly() {
        let bytes: Vec<u8> = (0..251).cycle().take(1024).collect();
        // 47 bytes of message end the first block, 431 the fourth and last that lanes take.
        let rows: [&[usize]; 5] = [
            &[47, 48, 47, 48, 47, 48, 47, 48],
            &[46, 47, 40, 41, 42, 43, 44, 45],
            &[431; 9],
            &[432; 9],
            &[0, 600, 175, 176, 303, 304, 431, 432, 144, 144],
        ];
        for message_lens in rows {
            check(&items(&bytes, message_lens));
        }
    }

    #[test]
    fn the_unit_is_that_of_the_widest_backend() {
        let by = challenges(&[]).by;
        let widest = simd::backends().last().map(|backend| backend.name());
        assert_eq!(by, widest.unwrap_or(hash::chosen().name()));
    }
}
