//! The stored result of a block: certificate, roots, events and one outcome an envelope.

use crate::certificate::Certificate;
use crate::code::Outcome;
use crate::codec::{DecodeError, Reader, Writer};
use crate::event::Event;
use crate::messages::{Duplicate, ExecutedBlock};
use crate::units::{Digest, Height};

/// What the store keeps of an executed block beside its manifest and batches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FinalRecord {
    /// Height of the block.
    pub height: Height,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Merkle root of the receipts.
    pub receipts_root: Digest,
    /// State root, where one was due.
    pub state_root: Option<Digest>,
    /// Execution head after the block.
    pub exec_head: Digest,
    /// Its certificate; `None` when only a descendant's was seen.
    pub certificate: Option<Certificate>,
    /// What execution did by itself, in this order.
    pub events: Vec<Event>,
    /// First heights of duplicates.
    pub duplicates: Vec<Duplicate>,
    /// One outcome an envelope, in block order.
    pub results: Vec<Outcome>,
}

impl FinalRecord {
    /// The record of an executed block.
    #[must_use]
    pub fn of(executed: &ExecutedBlock) -> Self {
        Self {
            height: executed.block.manifest.height,
            manifest: executed.block.digest,
            receipts_root: executed.receipts_root,
            state_root: executed.state_root,
            exec_head: executed.exec_head,
            certificate: executed.block.certificate.clone(),
            events: executed.events.clone(),
            duplicates: executed.duplicates.clone(),
            results: executed.results.clone(),
        }
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let results_bytes = self.results.len().saturating_mul(4);
        let mut out = Vec::with_capacity(results_bytes.saturating_add(320));
        out.u64(self.height.0);
        out.digest(self.manifest);
        out.digest(self.receipts_root);
        out.digest(self.exec_head);
        out.u8(u8::from(self.state_root.is_some()) | u8::from(self.certificate.is_some()) << 1);
        if let Some(root) = self.state_root {
            out.digest(root);
        }
        if let Some(certificate) = &self.certificate {
            certificate.encode(&mut out);
        }
        out.count(self.events.len());
        for event in &self.events {
            event.encode(&mut out);
        }
        out.count(self.duplicates.len());
        for duplicate in &self.duplicates {
            out.u32(duplicate.index);
            out.u64(duplicate.height.0);
        }
        out.count(self.results.len());
        for outcome in &self.results {
            out.bytes(&outcome.to_bytes());
        }
        out
    }

    /// Height and manifest of an encoded record, without the rest of it.
    ///
    /// # Errors
    /// A record that is cut before them.
    pub fn decode_name(bytes: &[u8]) -> Result<(Height, Digest), DecodeError> {
        let mut reader = Reader::new(bytes);
        Ok((Height(reader.u64()?), reader.digest()?))
    }

    /// Reads what [`FinalRecord::encode`] wrote.
    ///
    /// # Errors
    /// A cut or overlong record, an unknown event, result code or flag.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let height = Height(reader.u64()?);
        let (manifest, receipts_root) = (reader.digest()?, reader.digest()?);
        let exec_head = reader.digest()?;
        let parts = reader.u8()?;
        if parts > 3 {
            return Err(DecodeError::Invalid { field: "parts" });
        }
        let state_root = if parts & 1 == 1 {
            Some(reader.digest()?)
        } else {
            None
        };
        let certificate = if parts & 2 == 2 {
            Some(Certificate::decode(&mut reader)?)
        } else {
            None
        };
        let mut record = Self {
            height,
            manifest,
            receipts_root,
            state_root,
            exec_head,
            certificate,
            events: Vec::new(),
            duplicates: Vec::new(),
            results: Vec::new(),
        };
        // An event has its number at least.
        for _ in 0..reader.count(1)? {
            record.events.push(Event::decode(&mut reader)?);
        }
        for _ in 0..reader.count(12)? {
            let (index, height) = (reader.u32()?, Height(reader.u64()?));
            record.duplicates.push(Duplicate { index, height });
        }
        for _ in 0..reader.count(4)? {
            let outcome = Outcome::from_bytes(reader.array()?);
            record
                .results
                .push(outcome.ok_or(DecodeError::Invalid { field: "code" })?);
        }
        reader.finish()?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::ResultCode;

    #[test]
    fn decodes_to_itself_with_and_without_its_optional_parts() {
        let certificate = Certificate {
            epoch: 0,
            view: 3,
            parent_view: 2,
            payload: Digest([1; 32]),
            validator_count: 1,
            signers: vec![1],
            signature: [2; 48],
        };
        for (root, certificate) in [(None, None), (Some(Digest([3; 32])), Some(certificate))] {
            let record = FinalRecord {
                height: Height(4),
                manifest: Digest([1; 32]),
                receipts_root: Digest([5; 32]),
                state_root: root,
                exec_head: Digest([6; 32]),
                certificate,
                events: crate::event::samples(),
                duplicates: vec![Duplicate {
                    index: 0,
                    height: Height(2),
                }],
                results: vec![
                    Outcome::duplicate_of(ResultCode::Settled),
                    Outcome::new(ResultCode::InsufficientFunds),
                ],
            };
            let bytes = record.encode();
            let name = (record.height, record.manifest);
            assert_eq!(FinalRecord::decode_name(&bytes), Ok(name));
            assert_eq!(FinalRecord::decode(&bytes), Ok(record));
            for len in 0..bytes.len() {
                assert!(FinalRecord::decode(&bytes[..len]).is_err(), "cut at {len}");
            }
        }
    }
}
