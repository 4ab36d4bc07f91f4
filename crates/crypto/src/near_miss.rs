//! Signatures that a single step of a verification refuses: all other steps find them right, so a
//! backend in which that step fails accepts them.

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::scalar::Scalar;

use clearway_types::seeded::SplitMix;

use crate::suite::{Case, add_group_order, forge_encoded, join};

/// Bytes of R that a near miss has in common with the point that is computed.
pub const HEAD_BYTES: usize = 8;

/// The step that refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NearMiss {
    /// Comparing R to its last byte: its first eight are those of the point that S, k and the key
    /// give. A signer can make it: k is taken over the R that is sent.
    TailOfR,
    /// Comparing S with the group order: S + L has the effect of S in every equation.
    SBeyondOrder,
    /// Decoding the key: where what is no point counts as the neutral point, any S with R = `[S]B`
    /// passes, and anybody can make it.
    KeyNoPoint,
}

impl NearMiss {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TailOfR, Self::SBeyondOrder, Self::KeyNoPoint];

    /// One that `random` draws, over a message of 144 bytes; the rule refuses it.
    #[must_use]
    pub fn case(self, random: &mut SplitMix) -> Case {
        let secret = Scalar::from(1 + random.next_u64() % 1000);
        let nonce = Scalar::from(random.next_u64());
        let key = (ED25519_BASEPOINT_POINT * secret).compress().0;
        let r = (ED25519_BASEPOINT_POINT * nonce).compress().0;
        let mut case = match self {
            Self::TailOfR => {
                let mut other = r;
                let at = HEAD_BYTES + random.index(31 - HEAD_BYTES);
                other[at] ^= 1 << random.index(8);
                forge_encoded("R with another tail", secret, key, other, nonce)
            }
            Self::SBeyondOrder => {
                let mut case = forge_encoded("S + L", secret, key, r, nonce);
                add_group_order(&mut case.signature);
                case
            }
            Self::KeyNoPoint => {
                let mut case = forge_encoded("a key that is no point", secret, key, r, nonce);
                case.public_key = no_point(random);
                case.signature = join(r, nonce.to_bytes());
                case
            }
        };
        case.valid = false;
        case
    }
}

/// Every other encoding is none of a point.
fn no_point(random: &mut SplitMix) -> [u8; 32] {
    loop {
        let mut encoding = [0; 32];
        encoding[..8].copy_from_slice(&random.next_u64().to_le_bytes());
        if CompressedEdwardsY(encoding).decompress().is_none() {
            return encoding;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule;

    #[test]
    fn the_rule_refuses_each() {
        let mut random = SplitMix(21);
        for round in 0..20 {
            for near in NearMiss::ALL {
                let case = near.case(&mut random);
                let valid = rule::is_valid(&case.public_key, &[&case.message], &case.signature);
                assert!(!valid, "{near:?} of round {round}");
            }
        }
    }

    #[test]
    fn only_the_size_of_s_is_wrong() {
        let mut random = SplitMix(23);
        let mut case = NearMiss::SBeyondOrder.case(&mut random);
        let (r, s) = rule::halves(&case.signature);
        case.signature = join(r, Scalar::from_bytes_mod_order(s).to_bytes());
        let valid = rule::is_valid(&case.public_key, &[&case.message], &case.signature);
        assert!(valid, "the same S below the order");
    }

    #[test]
    fn only_the_key_is_wrong() {
        let mut random = SplitMix(24);
        let case = NearMiss::KeyNoPoint.case(&mut random);
        assert_eq!(CompressedEdwardsY(case.public_key).decompress(), None);
        let (r, s) = rule::halves(&case.signature);
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)).expect("below the order");
        assert_eq!((ED25519_BASEPOINT_POINT * s).compress().0, r);
    }

    #[test]
    fn only_the_tail_of_r_is_wrong() {
        let mut random = SplitMix(22);
        let case = NearMiss::TailOfR.case(&mut random);
        let (r, s) = rule::halves(&case.signature);
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)).expect("below the order");
        let key = CompressedEdwardsY(case.public_key)
            .decompress()
            .expect("a point");
        let k = rule::challenge(&r, &case.public_key, &[&case.message]);
        let computed = (ED25519_BASEPOINT_POINT * s - key * k).compress().0;
        assert_eq!(computed[..HEAD_BYTES], r[..HEAD_BYTES]);
        assert_ne!(computed, r);
    }
}
