//! The proof of a settlement: all that is needed to check a FINAL answer without trusting a node.
//!
//! What a checker does, in this order (`crates/client` has it as code):
//! 1. leaf = H(receipt of `envelope` at `height`, `index` with `outcome`), and `receipt_path` leads
//!    from it to `links[0].receipts_root` in a tree of `receipt_count` leaves;
//! 2. from `previous_exec_head`, the head before `height`, each link gives the next head;
//! 3. the last head is the one that `manifests[0]` names, at `height + links.len() - 1`;
//! 4. each further manifest names the one before it as its parent;
//! 5. `certificate` is a quorum's, over the digest of the last manifest.

use zerocopy::{FromBytes, IntoBytes};

use crate::certificate::Certificate;
use crate::code::Outcome;
use crate::codec::{DecodeError, Reader, Writer};
use crate::envelope::{ENVELOPE_BYTES, Envelope};
use crate::limits::{MANIFEST_BYTES_MAX, PROOF_LINKS_MAX, PROOF_MANIFESTS_MAX, PROOF_PATH_MAX};
use crate::units::{Digest, Height};

/// Version of the encoding, its first byte.
pub const PROOF_VERSION: u8 = 1;

/// What one height added to the chain of execution heads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExecLink {
    /// Merkle root of the height's receipts.
    pub receipts_root: Digest,
    /// State root, where one was due.
    pub state_root: Option<Digest>,
}

/// Everything between one envelope's outcome and a quorum's signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettlementProof {
    /// The envelope, so that the asker sees that it is its own.
    pub envelope: Envelope,
    /// Height of the block that executed it.
    pub height: Height,
    /// Position in the block's results.
    pub index: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// Leaves of the receipts tree at `height`.
    pub receipt_count: u64,
    /// Merkle path from the receipt to the receipts root, leaf level first.
    pub receipt_path: Vec<Digest>,
    /// Execution head at `height - 1`.
    pub previous_exec_head: Digest,
    /// The heights from `height` on, up to the one that the first manifest names.
    pub links: Vec<ExecLink>,
    /// Canonical bytes of manifests, each the parent of the next.
    pub manifests: Vec<Vec<u8>>,
    /// Finality of the last manifest.
    pub certificate: Certificate,
}

impl SettlementProof {
    /// The canonical bytes.
    ///
    /// # Panics
    /// When a list is longer than its limit: proofs are bounded where they are made.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let manifest_bytes: usize = self.manifests.iter().map(Vec::len).sum();
        let links_bytes = self.links.len().saturating_mul(65);
        let lists_bytes = manifest_bytes.saturating_add(links_bytes);
        let mut out = Vec::with_capacity(lists_bytes.saturating_add(1024));
        out.u8(PROOF_VERSION);
        out.bytes(self.envelope.as_bytes());
        out.u64(self.height.0);
        out.u32(self.index);
        out.bytes(&self.outcome.to_bytes());
        out.u64(self.receipt_count);
        put_count(&mut out, self.receipt_path.len(), PROOF_PATH_MAX);
        for digest in &self.receipt_path {
            out.digest(*digest);
        }
        out.digest(self.previous_exec_head);
        put_count(&mut out, self.links.len(), PROOF_LINKS_MAX);
        for link in &self.links {
            out.digest(link.receipts_root);
            out.flag(link.state_root.is_some());
            if let Some(root) = link.state_root {
                out.digest(root);
            }
        }
        put_count(&mut out, self.manifests.len(), PROOF_MANIFESTS_MAX);
        for manifest in &self.manifests {
            put_count(&mut out, manifest.len(), MANIFEST_BYTES_MAX);
            out.bytes(manifest);
        }
        self.certificate.encode(&mut out);
        out
    }

    /// Reads what [`SettlementProof::encode`] wrote; a proof is a whole record. Says nothing about
    /// its truth.
    ///
    /// # Errors
    /// A cut or overlong record, another version, a list beyond its limit, an unknown code.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != PROOF_VERSION {
            return Err(DecodeError::Invalid { field: "version" });
        }
        let envelope = Envelope::read_from_bytes(reader.bytes(ENVELOPE_BYTES)?)
            .expect("the reader gives the length asked for");
        let (height, index) = (Height(reader.u64()?), reader.u32()?);
        let outcome = Outcome::from_bytes(reader.array()?);
        let proof = Self {
            envelope,
            height,
            index,
            outcome: outcome.ok_or(DecodeError::Invalid { field: "code" })?,
            receipt_count: reader.u64()?,
            receipt_path: decode_path(&mut reader)?,
            previous_exec_head: reader.digest()?,
            links: decode_links(&mut reader)?,
            manifests: decode_manifests(&mut reader)?,
            certificate: Certificate::decode(&mut reader)?,
        };
        reader.finish()?;
        Ok(proof)
    }
}

fn put_count(out: &mut Vec<u8>, count: usize, max: usize) {
    assert!(count <= max, "a part of a proof is beyond its limit");
    out.count(count);
}

fn bounded(
    reader: &mut Reader<'_>,
    item_bytes: usize,
    max: usize,
    field: &'static str,
) -> Result<usize, DecodeError> {
    match reader.count(item_bytes)? {
        count if count > max => Err(DecodeError::Invalid { field }),
        count => Ok(count),
    }
}

fn decode_path(reader: &mut Reader<'_>) -> Result<Vec<Digest>, DecodeError> {
    let count = bounded(reader, 32, PROOF_PATH_MAX, "receipt_path")?;
    (0..count).map(|_| reader.digest()).collect()
}

fn decode_links(reader: &mut Reader<'_>) -> Result<Vec<ExecLink>, DecodeError> {
    let count = bounded(reader, 33, PROOF_LINKS_MAX, "links")?;
    let mut links = Vec::with_capacity(count);
    for _ in 0..count {
        let receipts_root = reader.digest()?;
        let has_root = reader.flag("state_root")?;
        let state_root = has_root.then(|| reader.digest()).transpose()?;
        links.push(ExecLink {
            receipts_root,
            state_root,
        });
    }
    Ok(links)
}

fn decode_manifests(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, DecodeError> {
    let count = bounded(reader, 4, PROOF_MANIFESTS_MAX, "manifests")?;
    let mut manifests = Vec::with_capacity(count);
    for _ in 0..count {
        let len = bounded(reader, 1, MANIFEST_BYTES_MAX, "manifest")?;
        manifests.push(reader.bytes(len)?.to_vec());
    }
    Ok(manifests)
}

/// A well-formed proof of nothing, for tests of its bytes.
#[cfg(test)]
pub(crate) fn sample() -> SettlementProof {
    let link = |state_root| ExecLink {
        receipts_root: Digest([1; 32]),
        state_root,
    };
    SettlementProof {
        envelope: zerocopy::FromZeros::new_zeroed(),
        height: Height(9),
        index: 3,
        outcome: Outcome::new(crate::code::ResultCode::Settled),
        receipt_count: 5,
        receipt_path: vec![Digest([2; 32]); 3],
        previous_exec_head: Digest([3; 32]),
        links: vec![link(None), link(Some(Digest([4; 32])))],
        manifests: vec![vec![5; 60], vec![]],
        certificate: Certificate {
            epoch: 0,
            view: 3,
            parent_view: 2,
            payload: Digest([1; 32]),
            validator_count: 1,
            signers: vec![1],
            signature: [2; 48],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_to_itself_and_refuses_cuts_and_tails() {
        let proof = sample();
        let bytes = proof.encode();
        assert_eq!(SettlementProof::decode(&bytes), Ok(proof));
        for len in 0..bytes.len() {
            assert!(SettlementProof::decode(&bytes[..len]).is_err(), "{len}");
        }
        let tail = [bytes.as_slice(), &[0]].concat();
        let excess = Err(DecodeError::Trailing { excess: 1 });
        assert_eq!(SettlementProof::decode(&tail), excess);
    }

    #[test]
    fn lists_beyond_their_limits_are_refused() {
        let mut proof = sample();
        proof.receipt_path = vec![Digest::ZERO; PROOF_PATH_MAX];
        let mut bytes = proof.encode();
        let count_at = 1 + ENVELOPE_BYTES + 8 + 4 + 4 + 8;
        let over = u32::try_from(PROOF_PATH_MAX + 1).expect("small");
        bytes[count_at..count_at + 4].copy_from_slice(&over.to_le_bytes());
        let field = "receipt_path";
        assert_eq!(
            SettlementProof::decode(&bytes),
            Err(DecodeError::Invalid { field })
        );
    }
}
