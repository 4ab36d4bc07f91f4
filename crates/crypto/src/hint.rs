//! Hints: what a signature leaves out of its R, for its verifier.
//!
//! A signature has y of the point R and the sign of x; finding x takes half of the time of a
//! verdict in a batch. The signer, or the first verifier, can hand on x (little-endian, 32 bytes)
//! beside the signature. It is not signed and belongs to no record: a verifier checks it with five
//! products and, where it is wrong or missing, finds x itself. Verdicts do not depend on it.

use clearway_types::wire::HINT_BYTES;

use crate::simd;

/// The hint for each signature, zeros where R is no point; `None` on a machine without the vector
/// unit that makes them in about 1 us each.
#[must_use]
pub fn hints<'a>(
    signatures: impl IntoIterator<Item = &'a [u8; 64]>,
) -> Option<Vec<[u8; HINT_BYTES]>> {
    let r_of = |signature: &[u8; 64]| *signature.first_chunk().expect("64 bytes");
    let encodings: Vec<[u8; 32]> = signatures.into_iter().map(r_of).collect();
    simd::hints(&encodings)
}
