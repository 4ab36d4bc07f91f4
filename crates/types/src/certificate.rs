//! The finality certificate: one aggregate BLS signature of a quorum over a manifest's digest.

use crate::codec::{DecodeError, Reader, Writer};
use crate::limits::VALIDATORS_MAX;
use crate::units::Digest;

/// Proves that a quorum finalized the manifest with digest `payload`.
///
/// Which bytes are signed is written in `crypto::certificate`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// Epoch of the validator set.
    pub epoch: u64,
    /// View of consensus in which the manifest was proposed.
    pub view: u64,
    /// View of the manifest's parent.
    pub parent_view: u64,
    /// Digest of the manifest.
    pub payload: Digest,
    /// Number of validators in the set: length of the bitmap.
    pub validator_count: u16,
    /// One bit a validator, the least significant bit of byte 0 first; unused bits are zero.
    pub signers: Vec<u8>,
    /// Aggregate signature, BLS12-381 G1, compressed.
    pub signature: [u8; 48],
}

impl Certificate {
    /// Appends the canonical bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.u64(self.epoch);
        out.u64(self.view);
        out.u64(self.parent_view);
        out.digest(self.payload);
        out.u16(self.validator_count);
        out.bytes(&self.signers);
        out.bytes(&self.signature);
    }

    /// Reads what [`Certificate::encode`] wrote.
    ///
    /// # Errors
    /// A cut record, too many validators, or bits set beyond the last validator.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (epoch, view, parent_view) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let payload = reader.digest()?;
        let validator_count = reader.u16()?;
        if validator_count == 0 || usize::from(validator_count) > VALIDATORS_MAX {
            return Err(DecodeError::Invalid {
                field: "validator_count",
            });
        }
        let signers = reader
            .bytes(usize::from(validator_count).div_ceil(8))?
            .to_vec();
        let used_bits = validator_count % 8;
        let last = *signers.last().expect("at least one validator");
        if used_bits != 0 && last >> used_bits != 0 {
            return Err(DecodeError::Invalid { field: "signers" });
        }
        let signature = reader.array()?;
        Ok(Self {
            epoch,
            view,
            parent_view,
            payload,
            validator_count,
            signers,
            signature,
        })
    }

    /// Indexes of the validators whose bit is set, ascending.
    pub fn signer_indexes(&self) -> impl Iterator<Item = usize> + '_ {
        (0..usize::from(self.validator_count)).filter(|index| {
            self.signers
                .get(index / 8)
                .is_some_and(|b| b >> (index % 8) & 1 == 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(validator_count: u16, signers: Vec<u8>) -> Certificate {
        Certificate {
            epoch: 0,
            view: 5,
            parent_view: 4,
            payload: Digest([7; 32]),
            validator_count,
            signers,
            signature: [9; 48],
        }
    }

    #[test]
    fn encodes_and_decodes_to_itself() {
        let certificate = sample(10, vec![0b1000_0001, 0b10]);
        let mut bytes = Vec::new();
        certificate.encode(&mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(Certificate::decode(&mut reader), Ok(certificate.clone()));
        reader.finish().unwrap();
        assert_eq!(certificate.signer_indexes().collect::<Vec<_>>(), [0, 7, 9]);
    }

    #[test]
    fn bits_beyond_the_last_validator_are_refused() {
        let mut bytes = Vec::new();
        sample(4, vec![0b1_0000]).encode(&mut bytes);
        assert_eq!(
            Certificate::decode(&mut Reader::new(&bytes)),
            Err(DecodeError::Invalid { field: "signers" })
        );
    }
}
