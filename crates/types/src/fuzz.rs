//! The fuzz targets' bodies for this crate's decoders, and seeded mutants to run them without one.
//!
//! A body takes any bytes. It panics when a decoder does, or when a decoder accepts bytes that are
//! not the one spelling of what it read.

use bytes::Bytes;

use crate::batch::Batch;
use crate::certificate::Certificate;
use crate::codec::Reader;
use crate::envelope::{ENVELOPE_BYTES, envelopes};
use crate::final_record::FinalRecord;
use crate::hex;
use crate::manifest::Manifest;
use crate::seeded::SplitMix;
use crate::transfer::Transfer;
pub use crate::wire::fuzz::fuzz_frame;

/// Envelopes in place: every header check and every view of a body.
pub fn fuzz_envelope(data: &[u8]) {
    let whole_bytes = (data.len() / ENVELOPE_BYTES).saturating_mul(ENVELOPE_BYTES);
    for envelope in envelopes(&data[..whole_bytes]) {
        let verdict = envelope.body.check_header();
        assert_eq!(
            verdict,
            envelope.body.check_header(),
            "the same bytes, the same verdict"
        );
        let transfer = Transfer::of(&envelope.body);
        assert!(
            *transfer.as_body() == envelope.body,
            "a view changes no byte"
        );
        if let Ok(kind) = verdict {
            assert_eq!(kind as u8, envelope.body.kind, "the kind is the byte");
            assert!(envelope.body.flags().key_slot() < 4, "two bits of key slot");
        }
        let text = hex::encode(&envelope.signature);
        assert_eq!(
            hex::decode_array(&text),
            Some(envelope.signature),
            "hex is lossless"
        );
    }
}

/// The stored parts of a block: batch, manifest, certificate, final record.
pub fn fuzz_block(data: &[u8]) {
    if let Ok(manifest) = Manifest::decode(data) {
        assert_eq!(manifest.encode(), data, "one spelling of a manifest");
    }
    if let Ok(record) = FinalRecord::decode(data) {
        assert_eq!(record.encode(), data, "one spelling of a final record");
    }
    if let Ok((header, slab)) = Batch::decode_parts(&Bytes::copy_from_slice(data)) {
        assert_eq!(
            [&header.to_bytes()[..], &slab].concat(),
            data,
            "one spelling of a batch"
        );
        assert_eq!(
            envelopes(&slab).len(),
            header.count as usize,
            "as many as announced"
        );
    }
    let mut reader = Reader::new(data);
    if let Ok(certificate) = Certificate::decode(&mut reader) {
        let mut bytes = Vec::new();
        certificate.encode(&mut bytes);
        assert!(data.starts_with(&bytes), "one spelling of a certificate");
        let signers = certificate.signer_indexes();
        assert!(
            signers.count() <= usize::from(certificate.validator_count),
            "signers are members"
        );
    }
}

/// `count` mutants of `sample`, always the same ones for the same seed.
///
/// Each has a few of the faults that find decoder bugs: flipped bits, edge values in 1, 2, 4 and 8
/// bytes, cuts, tails, and runs that stand in the wrong place.
pub fn mutants(seed: u64, sample: &[u8], count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut random = SplitMix(seed);
    (0..count).map(move |_| {
        let mut bytes = sample.to_vec();
        for _ in 0..=random.index(4) {
            mutate(&mut bytes, &mut random);
        }
        bytes
    })
}

fn mutate(bytes: &mut Vec<u8>, random: &mut SplitMix) {
    const EDGES: [u64; 8] = [0, 1, 0x7f, 0x80, 0xff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];
    // 0 in an empty record, which has no place.
    let at = random.index(bytes.len().max(1));
    match random.index(6) {
        0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << random.index(8),
        2 if !bytes.is_empty() => {
            let edge = EDGES[random.index(EDGES.len())].to_le_bytes();
            let tail = &mut bytes[at..];
            let width = (1 << random.index(4)).min(tail.len());
            tail[..width].copy_from_slice(&edge[..width]);
        }
        3 => bytes.truncate(at),
        4 => {
            let count = random.index(40);
            bytes.extend(random.bytes(count));
        }
        _ => {
            let run = bytes[at..]
                .iter()
                .copied()
                .take(random.index(64))
                .collect::<Vec<_>>();
            let to = random.index(bytes.len().saturating_add(1));
            bytes.splice(to..to, run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchHeader, LaneId};
    use crate::code::{Outcome, ResultCode};
    use crate::manifest::{BatchRef, EpochId};
    use crate::units::{Digest, Height, TimeMs, ValidatorNumber};
    use zerocopy::IntoBytes;

    const SEED: u64 = 0x5eed;
    const MUTANT_COUNT: usize = 20_000;

    /// Runs a body on a sample and on its mutants.
    fn attack(body: fn(&[u8]), sample: &[u8]) {
        body(sample);
        for (index, mutant) in mutants(SEED, sample, MUTANT_COUNT).enumerate() {
            let run = std::panic::catch_unwind(|| body(&mutant));
            assert!(
                run.is_ok(),
                "seed {SEED:#x}, mutant {index}: {}",
                hex::encode(&mutant)
            );
        }
    }

    fn batch() -> Vec<u8> {
        let header = BatchHeader {
            lane: LaneId::first(ValidatorNumber(1)),
            count: 2,
            index: 1,
            previous: Digest::ZERO,
            directory_height: Height(1),
            time: TimeMs(1),
            envelopes_root: Digest([3; 32]),
        };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend([7; 2 * ENVELOPE_BYTES]);
        bytes
    }

    fn certificate() -> Certificate {
        Certificate {
            epoch: 0,
            view: 2,
            parent_view: 1,
            payload: Digest([7; 32]),
            validator_count: 10,
            signers: vec![0xff, 1],
            signature: [9; 48],
        }
    }

    fn manifest() -> Vec<u8> {
        let batch = BatchRef {
            lane: LaneId::first(ValidatorNumber(1)),
            count: 2,
            index: 1,
            digest: Digest([4; 32]),
        };
        let manifest = Manifest {
            epoch: EpochId::default(),
            height: Height(1),
            parent: Digest([1; 32]),
            time: TimeMs(1),
            leader: ValidatorNumber(1),
            state_height: Height(0),
            exec_head: Digest([2; 32]),
            batches: vec![batch; 3],
        };
        manifest.encode()
    }

    fn final_record() -> Vec<u8> {
        let record = FinalRecord {
            height: Height(1),
            manifest: Digest([1; 32]),
            receipts_root: Digest([2; 32]),
            state_root: Some(Digest([3; 32])),
            exec_head: Digest([4; 32]),
            certificate: Some(certificate()),
            events: crate::event::samples(),
            duplicates: Vec::new(),
            results: vec![Outcome::new(ResultCode::Settled); 3],
        };
        record.encode()
    }

    #[test]
    fn envelope_views_hold_on_mutants() {
        let mut envelope = crate::envelope::Envelope {
            body: zerocopy::FromZeros::new_zeroed(),
            signature: [5; 64],
        };
        envelope.body.kind = crate::kind::Kind::Transfer as u8;
        envelope.body.version = crate::envelope::VERSION;
        attack(fuzz_envelope, envelope.as_bytes());
    }

    #[test]
    fn block_decoders_accept_one_spelling_only_on_mutants() {
        let mut certificate_bytes = Vec::new();
        certificate().encode(&mut certificate_bytes);
        for sample in [
            batch(),
            manifest(),
            final_record(),
            certificate_bytes,
            Vec::new(),
        ] {
            attack(fuzz_block, &sample);
        }
    }

    #[test]
    fn mutants_are_the_same_for_a_seed_and_differ_from_the_sample() {
        let sample = manifest();
        let first: Vec<Vec<u8>> = mutants(SEED, &sample, 200).collect();
        assert_eq!(first, mutants(SEED, &sample, 200).collect::<Vec<_>>());
        let same_count = first.iter().filter(|mutant| **mutant == sample).count();
        assert!(
            same_count < 20,
            "{same_count} of 200 mutants change nothing"
        );
        assert!(first.iter().any(|mutant| mutant.len() < sample.len()));
        assert!(first.iter().any(|mutant| mutant.len() > sample.len()));
    }
}
