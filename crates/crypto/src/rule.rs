//! The validity rule, ZIP-215, in plain code: the one predicate that every backend computes.
//!
//! A signature (R, S) over a message M under key A is valid when all of these hold
//! (<https://zips.z.cash/zip-0215>):
//!
//! 1. A and R decode to curve points; a y at or above the field's prime and a "minus zero" x are
//!    accepted;
//! 2. S, 32 bytes little-endian, is below the group order L;
//! 3. `[8]([S]B - [k]A - R)` is the neutral element, where k is SHA-512(R || A || M) mod L over
//!    the bytes of R and A *as received*.
//!
//! Rule 3 has the factor 8, so that verification one by one and in batches (a random linear
//! combination) gives the same verdict on every input. RFC 8032 allows both equations and is
//! therefore no specification for consensus. Small-order and mixed-order keys pass this rule; they
//! are kept out by [`crate::keys::register_check`] when a key is registered.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest, Sha512};

/// The rule itself, written for reading: the oracle of the tests, about 0.1 ms per signature.
///
/// The message is the concatenation of `message`. Production code goes through [`crate::gate`].
#[must_use]
pub fn is_valid(public_key: &[u8; 32], message: &[&[u8]], signature: &[u8; 64]) -> bool {
    let (r_bytes, s_bytes) = halves(signature);
    let points = CompressedEdwardsY(*public_key)
        .decompress()
        .zip(CompressedEdwardsY(r_bytes).decompress());
    let scalar = Option::<Scalar>::from(Scalar::from_canonical_bytes(s_bytes));
    let (Some((a, r)), Some(s)) = (points, scalar) else {
        return false;
    };
    let k = challenge(&r_bytes, public_key, message);
    let residue = EdwardsPoint::mul_base(&s) - k * a - r;
    residue.mul_by_cofactor().is_identity()
}

/// R and S of a signature.
#[must_use]
pub fn halves(signature: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let (mut r, mut s) = ([0; 32], [0; 32]);
    r.copy_from_slice(&signature[..32]);
    s.copy_from_slice(&signature[32..]);
    (r, s)
}

/// k of rule 3.
pub(crate) fn challenge(r_bytes: &[u8; 32], public_key: &[u8; 32], message: &[&[u8]]) -> Scalar {
    let mut hasher = Sha512::new();
    hasher.update(r_bytes);
    hasher.update(public_key);
    for part in message {
        hasher.update(part);
    }
    Scalar::from_bytes_mod_order_wide(&hasher.finalize().into())
}
