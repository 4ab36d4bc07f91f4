//! Domain separation: what exactly is signed and hashed, so that no bytes serve two purposes.

use crate::codec::Writer;
use crate::envelope::{BODY_BYTES, Body};
use crate::units::{Digest, ParticipantId};

/// First 16 bytes of BLAKE3("clearway/1" || genesis hash): ties a signature to one cluster.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DomainTag(pub [u8; 16]);

/// Bytes that an envelope's signature covers.
pub const SIGNED_BYTES: usize = 16 + BODY_BYTES;

impl DomainTag {
    /// The tag of the cluster with this genesis hash.
    #[must_use]
    pub fn new(genesis: Digest) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"clearway/1");
        hasher.update(&genesis.0);
        let mut tag = [0; 16];
        tag.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(tag)
    }

    /// The bytes that are signed for `body`: tag, then body.
    #[must_use]
    pub fn signed_bytes(self, body: &Body) -> [u8; SIGNED_BYTES] {
        let mut bytes = [0; SIGNED_BYTES];
        bytes[..16].copy_from_slice(&self.0);
        bytes[16..].copy_from_slice(zerocopy::IntoBytes::as_bytes(body));
        bytes
    }
}

/// What a new key signs to prove possession in KEY_ROTATE and in genesis.
///
/// Tag, a fixed label that no envelope body can start with (its kind byte would be `s`, which has
/// no meaning), participant, slot and key.
#[must_use]
pub fn key_proof_message(
    tag: DomainTag,
    participant: ParticipantId,
    slot: u8,
    public_key: &[u8; 32],
) -> Vec<u8> {
    let mut message = Vec::with_capacity(16 + 24 + 4 + 1 + 32);
    message.bytes(&tag.0);
    message.bytes(b"clearway key possession\0");
    message.u32(participant.0);
    message.u8(slot);
    message.bytes(public_key);
    message
}

/// Prefix bytes of the hashes of the block chain; each is the first byte hashed.
pub mod prefix {
    /// Leaf of a batch: SHA-256(prefix, SHA-256(body), signature).
    pub const ENVELOPE_LEAF: u8 = 0x00;
    /// Leaf of a receipts tree.
    pub const RECEIPT_LEAF: u8 = 0x02;
    /// Root of a tree: SHA-256(prefix, leaf count, top node).
    pub const TREE_ROOT: u8 = 0x03;
    /// Digest of a batch header.
    pub const BATCH: u8 = 0x04;
    /// Digest of a manifest.
    pub const MANIFEST: u8 = 0x05;
    /// Link of the chain of execution heads.
    pub const EXEC_HEAD: u8 = 0x06;
    /// Leaf of the account tree.
    pub const ACCOUNT_LEAF: u8 = 0x07;
    /// Any other part of the state.
    pub const STATE_PART: u8 = 0x08;
    /// The state root over its parts.
    pub const STATE_ROOT: u8 = 0x09;
    /// BLAKE3 of the canonical genesis bytes.
    pub const GENESIS: u8 = 0x0a;
    /// Root over balances, for comparing runs.
    pub const BALANCES: u8 = 0x0b;
    /// Digest of an event: SHA-256(prefix, canonical bytes).
    pub const EVENT: u8 = 0x0c;
    /// Digest of a validator set.
    pub const VALIDATOR_SET: u8 = 0x0d;
}
