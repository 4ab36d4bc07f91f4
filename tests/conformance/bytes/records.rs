//! Golden bytes of envelopes, batches, manifests, certificates, receipts, events and proofs.

use clearway_crypto::certificate::{finalize_message, vote_namespace};
use clearway_crypto::hash::{self, ReceiptOf};
use clearway_crypto::keys::SigningKey;
use clearway_crypto::merkle;
use clearway_crypto::validators::ValidatorSecret;
use clearway_types::batch::{BatchHeader, LaneId};
use clearway_types::certificate::Certificate;
use clearway_types::code::{Outcome, ResultCode};
use clearway_types::control::{AccountOpen, KeyRotate, LedgerDefine, LimitSet, ParticipantSet};
use clearway_types::domain::{DomainTag, key_proof_message};
use clearway_types::envelope::{Body, Envelope};
use clearway_types::event::{Event, HoldExpired};
use clearway_types::final_record::FinalRecord;
use clearway_types::kind::{Kind, Layout};
use clearway_types::manifest::{BatchRef, EpochId, Manifest};
use clearway_types::messages::Duplicate;
use clearway_types::transfer::Transfer;
use clearway_types::units::{
    AccountId, Digest, Height, Incarnation, LedgerId, ParticipantId, TimeMs, TransferId,
    ValidatorNumber,
};
use clearway_types::wire::proof::{ExecLink, SettlementProof};
use zerocopy::IntoBytes as _;
use zerocopy::little_endian::{U16, U32, U64};

use super::{Table, digest, fill, n16, n32, n64};

pub(super) fn add(table: &mut Table) {
    add_envelopes(table);
    add_codes(table);
    add_batches(table);
    add_manifest(table);
    add_certificates(table);
    add_trees(table);
    add_receipts(table);
    add_final_records(table);
    table.add("proof of settlement", proof().encode());
}

/// A body of a layout: the fields that are given, and the header that all have.
macro_rules! body {
    ($layout:ident, $kind:expr, $($field:ident: $value:expr,)+) => {
        *$layout {
            id: TransferId(fill(0x10)),
            $($field: $value,)+
            signer: U32::new(n32(0x70)),
            expires_at: U32::new(n32(0x74)),
            kind: $kind as u8,
            version: 0x7d,
            flags: U16::new(n16(0x7e)),
        }
        .as_body()
    };
}

/// A body of each kind that members may sign.
fn body(kind: Kind) -> Body {
    match kind.row().layout {
        Layout::Transfer => body!(Transfer, kind,
            debit: U64::new(n64(0x20)),
            credit: U64::new(n64(0x28)),
            amount: U64::new(n64(0x30)),
            timeout_s: U32::new(n32(0x38)),
            value_day: U16::new(n16(0x3c)),
            code: U16::new(n16(0x3e)),
            reference: fill(0x40),
            uetr: fill(0x50),
            payload: fill(0x80),
            ledger: U32::new(n32(0x78)),
        ),
        Layout::LedgerDefine => body!(LedgerDefine, kind,
            code: fill(0x20),
            exponent: 0x28,
            reserved_a: fill(0x29),
            issuer: U32::new(n32(0x30)),
            reserved_b: U32::new(n32(0x34)),
            issuer_account: U64::new(n64(0x38)),
            reserved_c: fill(0x80),
            ledger: U32::new(n32(0x78)),
        ),
        Layout::ParticipantSet => body!(ParticipantSet, kind,
            participant: U32::new(n32(0x20)),
            role: 0x24,
            status: 0x25,
            key_slot: 0x26,
            reserved_a: 0x27,
            sponsor: U32::new(n32(0x28)),
            lei: fill(0x2c),
            bic: fill(0x40),
            reserved_b: fill(0x4b),
            key_valid_from: U64::new(n64(0x50)),
            reserved_c: U64::new(n64(0x58)),
            public_key: fill(0x80),
            ledger: U32::new(n32(0x78)),
        ),
        Layout::KeyRotate => body!(KeyRotate, kind,
            public_key: fill(0x20),
            proof: fill(0x80),
            slot: 0x78,
            reserved: fill(0x79),
        ),
        Layout::AccountOpen => body!(AccountOpen, kind,
            account: U64::new(n64(0x20)),
            credit_line: U64::new(n64(0x28)),
            code: U16::new(n16(0x30)),
            account_flags: U16::new(n16(0x32)),
            field_mask: U16::new(n16(0x34)),
            reserved_a: fill(0x80),
            alias: fill(0x40),
            ledger: U32::new(n32(0x78)),
        ),
        Layout::LimitSet => body!(LimitSet, kind,
            account: U64::new(n64(0x20)),
            counterparty: U32::new(n32(0x28)),
            reserved_a: U32::new(n32(0x2c)),
            limit: U64::new(n64(0x30)),
            reserved_b: fill(0x80),
            ledger: U32::new(n32(0x78)),
        ),
    }
}

pub(crate) fn envelope() -> Envelope {
    Envelope {
        body: body(Kind::Transfer),
        signature: fill(0xa0),
    }
}

fn add_envelopes(table: &mut Table) {
    for &kind in Kind::ALL {
        table.add(format!("body {kind:?}"), body(kind).as_bytes());
    }
    let envelope = envelope();
    table.add("envelope", envelope.as_bytes());
    let digests = hash::envelope_digests(&envelope);
    table.add("digest of a body", digests.body);
    table.add("leaf of an envelope", digests.leaf.0);
    let (key, tag) = (SigningKey::from_seed(&fill(1)), DomainTag::new(digest(2)));
    table.add("domain tag", tag.0);
    table.add("signed bytes", tag.signed_bytes(&envelope.body));
    table.add("public key", key.public_key());
    let signed = key.sign_envelope(tag, envelope.body);
    table.add("signature of an envelope", signed.signature);
    let (participant, slot) = (ParticipantId(n32(3)), 7);
    let message = key_proof_message(tag, participant, slot, &key.public_key());
    table.add("message of a key's possession", message);
    let proof = key.prove_possession(tag, participant, slot);
    table.add("proof of a key's possession", proof);
}

fn add_codes(table: &mut Table) {
    for &code in ResultCode::ALL {
        table.add(format!("outcome {code:?}"), Outcome::new(code).to_bytes());
    }
    let repeated = Outcome::duplicate_of(ResultCode::InsufficientFunds);
    table.add("outcome repeated", repeated.to_bytes());
    let passing = Outcome::refused(ResultCode::SignerSuspended);
    table.add("outcome that may pass", passing.to_bytes());
}

fn lane(seed: u8) -> LaneId {
    LaneId {
        owner: ValidatorNumber(n32(seed)),
        incarnation: Incarnation(n32(seed + 4)),
    }
}

fn batch_header() -> BatchHeader {
    BatchHeader {
        lane: lane(0x10),
        count: 3,
        index: n64(0x20),
        previous: digest(0x30),
        directory_height: Height(n64(0x50)),
        time: TimeMs(n64(0x58)),
        envelopes_root: digest(0x60),
    }
}

fn add_batches(table: &mut Table) {
    let header = batch_header();
    table.add("batch header", header.to_bytes());
    table.add("batch digest", hash::batch_digest(&header).0);
    let envelopes = [Kind::Transfer, Kind::Hold, Kind::Post].map(|kind| Envelope {
        body: body(kind),
        signature: fill(kind as u8),
    });
    let digests = hash::envelope_digests_all(envelopes.as_bytes());
    let leaves: Vec<Digest> = digests.iter().map(|digests| digests.leaf).collect();
    table.add("batch root", merkle::root(&leaves).0);
}

pub(crate) fn manifest() -> Manifest {
    let batch = |seed| BatchRef {
        lane: lane(seed),
        count: n32(seed + 8),
        index: n64(seed + 12),
        digest: digest(seed + 20),
    };
    Manifest {
        epoch: EpochId {
            number: n64(0x10),
            validators: digest(0xd8),
        },
        height: Height(n64(0x18)),
        parent: digest(0x20),
        time: TimeMs(n64(0x40)),
        leader: ValidatorNumber(n32(0x48)),
        state_height: Height(n64(0x50)),
        exec_head: digest(0x58),
        batches: vec![batch(0x80), batch(0xb8)],
    }
}

fn add_manifest(table: &mut Table) {
    let bytes = manifest().encode();
    table.add("manifest", &bytes);
    table.add("manifest digest", hash::manifest_digest(&bytes).0);
}

pub(crate) fn certificate() -> Certificate {
    Certificate {
        epoch: n64(0x10),
        view: n64(0x18),
        parent_view: n64(0x20),
        payload: digest(0x30),
        validator_count: 10,
        signers: vec![0b1000_0101, 0b10],
        signature: fill(0x60),
    }
}

fn add_certificates(table: &mut Table) {
    let mut bytes = Vec::new();
    certificate().encode(&mut bytes);
    table.add("certificate", bytes);
    let namespace = vote_namespace(digest(2));
    let message = finalize_message(&namespace, 300, 70_000, 69_999, digest(3));
    table.add("message of a finalize vote", message);
    let secret = ValidatorSecret::from_bytes(&fill(1)).expect("below the order");
    table.add("vote key", secret.public_key());
    table.add(
        "proof of a vote key's possession",
        secret.prove_possession(),
    );
}

fn add_trees(table: &mut Table) {
    let leaves = [1, 2, 3, 4, 5].map(digest);
    table.add("node", hash::node(&leaves[0], &leaves[1]).0);
    for count in 0..=leaves.len() {
        let root = merkle::root(&leaves[..count]);
        table.add(format!("root of {count} leaves"), root.0);
    }
    for index in 0..leaves.len() {
        let path = merkle::path(&leaves, index);
        table.add(format!("path to leaf {index} of 5"), path.as_bytes());
    }
    let (head, root, state) = (digest(1), digest(2), digest(3));
    let height = Height(n64(4));
    let next = hash::exec_head(&head, height, &root, Some(&state));
    table.add("execution head with a state root", next.0);
    let next = hash::exec_head(&head, height, &root, None);
    table.add("execution head without one", next.0);
}

/// One of each event.
pub(crate) fn events() -> Vec<Event> {
    let events = vec![Event::HoldExpired(HoldExpired {
        signer: ParticipantId(n32(0x10)),
        id: TransferId(fill(0x20)),
        debit: AccountId(n64(0x30)),
        credit: AccountId(n64(0x38)),
        ledger: LedgerId(n32(0x40)),
        amount: n64(0x48),
    })];
    let sampled = events.iter().map(|event| (event.number(), event.name()));
    let sampled: Vec<_> = sampled.collect();
    assert_eq!(sampled, Event::ALL, "a sample for each event");
    events
}

fn add_receipts(table: &mut Table) {
    let (height, index, leaf) = (Height(n64(0x30)), n32(0x40), digest(0x10));
    let outcome = Outcome::duplicate_of(ResultCode::InsufficientFunds);
    let receipt = hash::receipt_leaf(height, index, ReceiptOf::Envelope(&leaf, outcome));
    table.add("receipt of an envelope", receipt.0);
    let events = events();
    for event in &events {
        let name = event.name();
        let mut bytes = Vec::new();
        event.encode(&mut bytes);
        table.add(format!("event {name}"), bytes);
        table.add(
            format!("digest of event {name}"),
            hash::event_digest(event).0,
        );
        let receipt = hash::receipt_leaf(height, index, ReceiptOf::Event(event));
        table.add(format!("receipt of event {name}"), receipt.0);
    }
    let others = [1, 2, 3].map(digest);
    let envelopes: Vec<_> = others.iter().map(|leaf| (leaf, outcome)).collect();
    let leaves = hash::receipt_leaves(height, &envelopes, &events);
    table.add("receipts of a block", leaves.as_bytes());
    table.add("receipts root", merkle::root(&leaves).0);
}

fn add_final_records(table: &mut Table) {
    let record = FinalRecord {
        height: Height(n64(0x10)),
        manifest: digest(0x20),
        receipts_root: digest(0x40),
        state_root: Some(digest(0x60)),
        exec_head: digest(0x80),
        certificate: Some(certificate()),
        events: events(),
        duplicates: vec![Duplicate {
            index: n32(0xa0),
            height: Height(n64(0xa8)),
        }],
        results: vec![
            Outcome::new(ResultCode::Settled),
            Outcome::duplicate_of(ResultCode::InsufficientFunds),
        ],
    };
    table.add("final record", record.encode());
    let bare = FinalRecord {
        state_root: None,
        certificate: None,
        events: Vec::new(),
        duplicates: Vec::new(),
        results: Vec::new(),
        ..record
    };
    table.add("final record of an empty block", bare.encode());
}

pub(crate) fn proof() -> SettlementProof {
    let link = |seed, state_root| ExecLink {
        receipts_root: digest(seed),
        state_root,
    };
    SettlementProof {
        envelope: envelope(),
        height: Height(n64(0x10)),
        index: n32(0x18),
        outcome: Outcome::duplicate_of(ResultCode::InsufficientFunds),
        receipt_count: n64(0x20),
        receipt_path: vec![digest(0x30), digest(0x31)],
        previous_exec_head: digest(0x32),
        links: vec![link(0x33, None), link(0x34, Some(digest(0x35)))],
        manifests: vec![fill::<9>(0x36).to_vec(), fill::<5>(0x40).to_vec()],
        certificate: certificate(),
    }
}
