//! What a signature consists of, and what its equation multiplies by.

use super::field::spread;
use super::scalar::{self, Scalar, is_canonical, reduce_wide};
use super::sha512::{Words, hash};
use crate::backend::Item;

/// What is hashed: R || A || M, as received.
pub(crate) fn parts<'a>(item: &Item<'a>) -> [&'a [u8]; 4] {
    let r = &item.signature[..32];
    [r, item.public_key, item.prefix, item.message]
}

/// R as received.
pub(crate) fn r_of(item: &Item<'_>) -> [u8; 32] {
    *item.signature.first_chunk().expect("64 bytes")
}

/// S as received; the rule refuses those that are not below the group order.
pub(crate) fn s_of(item: &Item<'_>) -> Scalar {
    scalar::words(item.signature.last_chunk().expect("64 bytes"))
}

/// The factors of the key and of the base point, for an item a lane, all below the group order: an
/// S that the rule refuses takes no part.
pub(crate) fn factors<W: Words<LANES>, const LANES: usize>(
    token: W::Token,
    items: [&Item<'_>; LANES],
) -> [[Scalar; LANES]; 2] {
    let hashes = hash::<W, LANES>(token, &items.map(parts));
    let s = items.map(|item| Some(s_of(item)).filter(is_canonical).unwrap_or_default());
    [hashes.map(|hash| reduce_wide(&hash)), s]
}

/// Appends what is hashed of each item, hashed in lanes.
pub(crate) fn challenges<W: Words<LANES>, const LANES: usize>(
    token: W::Token,
    items: &[Item<'_>],
    hashes: &mut Vec<[u64; 8]>,
) {
    for chunk in items.chunks(LANES) {
        let messages = spread(chunk).map(parts);
        let found = hash::<W, LANES>(token, &messages);
        hashes.extend_from_slice(&found[..chunk.len()]);
    }
}
