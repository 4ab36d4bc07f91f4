//! Records on the page: bodies, what is hashed and signed, manifests, certificates, proofs.

use blst::min_sig::SecretKey;
use clearway_crypto::certificate::{SIGNATURE_DST, finalize_message, vote_namespace};
use clearway_crypto::hash::{self, ReceiptOf, sha256};
use clearway_crypto::keys::SigningKey;
use clearway_crypto::merkle;
use clearway_crypto::validators::{
    POSSESSION_DST, POSSESSION_NAMESPACE, ValidatorSecret, check_possession, genesis_epoch,
};
use clearway_types::account::{AccountFlags, Role};
use clearway_types::control::{
    AccountOpen, FIELD_ALIAS, FIELD_CODE, FIELD_CREDIT_LINE, FIELD_FLAGS, KEY_SLOT_NONE, KeyRotate,
    LIMIT_LIFT, LedgerDefine, LimitSet, ParticipantSet,
};
use clearway_types::domain::{DomainTag, key_proof_message, prefix};
use clearway_types::envelope::Body;
use clearway_types::event::Event;
use clearway_types::limits::{EXPONENT_MAX, LANE_STEP_MAX, VALIDATORS_MAX};
use clearway_types::manifest::PROTOCOL_VERSION;
use clearway_types::transfer::Transfer;
use clearway_types::units::{Height, ParticipantId};
use clearway_types::wire::proof::PROOF_VERSION;
use zerocopy::IntoBytes as _;

use super::Named;
use super::genesis;
use super::table::{Part, counted, field, held, joined, layout, record, rows, varying};
use crate::bytes::records::{certificate, envelope, events, manifest, proof};
use crate::bytes::{digest, fill, n32, n64};

pub(super) fn all() -> Vec<Named> {
    let mut all = bodies();
    all.extend([
        ("hashes", hashes()),
        ("events", event_table()),
        ("manifest", manifest_table()),
        ("certificate", certificate_table()),
        ("signed", signed()),
        ("key_possession", key_possession()),
        ("proof", proof_table()),
    ]);
    all
}

fn bodies() -> Vec<Named> {
    vec![
        ("body", body()),
        ("Transfer", transfer()),
        ("LedgerDefine", ledger_define()),
        ("ParticipantSet", participant_set()),
        ("KeyRotate", key_rotate()),
        ("AccountOpen", account_open()),
        ("LimitSet", limit_set()),
    ]
}

fn body() -> String {
    layout!(Body {
        id: "identifier, 16 bytes that the client makes",
        fields: "fields of the kind",
        signer: "participant who signed",
        expires_at: "seconds since 1970: invalid from then on",
        ledger: "currency or asset, or the kind's own",
        kind: "see the kinds",
        version: "1",
        flags: "see the flags",
    })
}

fn transfer() -> String {
    layout!(body Transfer {
        debit: "account that pays",
        credit: "account that is paid",
        amount: "minor units of `ledger`",
        timeout_s: "HOLD: seconds of cluster time, else 0",
        value_day: "value date, days since 1970-01-01; recorded as it is",
        code: "purpose or reason; recorded as it is",
        reference: "POST, VOID: the hold's identifier; RETURN: the original's; TRANSFER: free",
        uetr: "end-to-end reference; recorded as it is",
        payload: "BLAKE3 of a message that goes another way, or zeros; recorded as it is",
        ;
        ledger: "currency or asset of both accounts",
    })
}

fn ledger_define() -> String {
    layout!(body LedgerDefine {
        code: "ISO 4217 code or asset name, text",
        exponent: "decimals of the minor unit, 0 to 18",
        reserved_a: "",
        issuer: "participant who may ISSUE and REDEEM",
        reserved_b: "",
        issuer_account: "its account, which this record opens",
        reserved_c: "",
        ;
        ledger: "the new ledger's number",
    })
}

fn participant_set() -> String {
    let roles = [Role::Member, Role::Operator, Role::Auditor].map(|role| role as u8);
    assert_eq!(
        (roles, KEY_SLOT_NONE),
        ([0, 1, 2], 255),
        "as the table has them"
    );
    layout!(body ParticipantSet {
        participant: "its number",
        role: "0 member, 1 operator, 2 auditor",
        status: "0 active, 1 suspended",
        key_slot: "slot of `public_key`, 0 to 3; 255: all keys stay",
        reserved_a: "",
        sponsor: "who may open its accounts, or 0",
        lei: "ISO 17442, text",
        bic: "ISO 9362, text",
        reserved_b: "",
        key_valid_from: "first height at which the key is valid; 0: as soon as may be",
        reserved_c: "",
        public_key: "Ed25519 key for `key_slot`",
        ;
        ledger: "zero",
    })
}

fn key_rotate() -> String {
    layout!(body KeyRotate {
        public_key: "the new Ed25519 key",
        proof: "its signature of its possession",
        ;
        slot: "slot to fill, 0 to 3",
        reserved: "",
    })
}

fn account_open() -> String {
    use AccountFlags as F;
    assert_eq!([F::FROZEN_DEBIT, F::FROZEN_CREDIT, F::CLOSED], [2, 4, 8]);
    let masks = [FIELD_CREDIT_LINE, FIELD_CODE, FIELD_FLAGS, FIELD_ALIAS];
    assert_eq!(masks, [1, 2, 4, 8], "as the table has them");
    layout!(body AccountOpen {
        account: "its number, which names its owner",
        credit_line: "how far debits may exceed credits, minor units",
        code: "the owner's own classification",
        account_flags: "2 no debits, 4 no credits, 8 closed",
        field_mask: "ACCOUNT_SET: what changes, 1 credit line, 2 code, 4 flags, 8 alias; else 0",
        reserved_a: "",
        alias: "short hash of an IBAN or proxy, 16 bytes",
        ;
        ledger: "currency or asset of the account",
    })
}

fn limit_set() -> String {
    layout!(body LimitSet {
        account: "account whose payments are limited",
        counterparty: "the paid participant; 0: everyone",
        reserved_a: "",
        limit: "minor units a day, net; 2⁶⁴ - 1 lifts the limit",
        reserved_b: "",
        ;
        ledger: "ledger of the account",
    })
}

/// What is hashed by SHA-256 into this digest.
fn by_sha256(name: &str, digest: [u8; 32], parts: &[Part<'_>]) -> Vec<String> {
    let (text, bytes) = joined(parts);
    assert_eq!(sha256(&[&bytes]).0, digest, "{name}");
    vec![name.to_owned(), "SHA-256".to_owned(), text]
}

fn hashes() -> String {
    let mut cells = hashes_of_genesis();
    cells.extend(hashes_of_receipts());
    cells.extend(hashes_of_blocks());
    rows(&["digest", "by", "of"], cells)
}

fn hashes_of_genesis() -> Vec<Vec<String>> {
    let genesis = genesis::sample();
    let hash = genesis.hash().0;
    let (text, bytes) = joined(&[("", b"clearway/1"), ("genesis hash", &hash)]);
    let tag = DomainTag::new(genesis.hash()).0;
    assert_eq!(blake3::hash(&bytes).as_bytes()[..16], tag);
    // Its canonical bytes are held to their hash where their table is made.
    let (canonical, _) = joined(&[("", &[prefix::GENESIS]), ("canonical bytes", &[])]);
    let validator = &genesis.validators[0];
    let validators = by_sha256(
        "validators",
        genesis_epoch(&genesis).validators.0,
        &[
            ("", &[prefix::VALIDATOR_SET]),
            (
                "of each validator: number u32",
                &validator.number.0.to_le_bytes(),
            ),
            ("`public_key`", &validator.public_key.0),
            ("`bls_public_key`", &validator.bls_public_key.0),
        ],
    );
    let blake3 = |name: &str, by: &str, of| vec![name.to_owned(), by.to_owned(), of];
    vec![
        blake3("genesis hash", "BLAKE3", canonical),
        blake3("domain tag", "BLAKE3, first 16 bytes", text),
        validators,
    ]
}

fn hashes_of_receipts() -> Vec<Vec<String>> {
    let envelope = envelope();
    let leaf = hash::envelope_digests(&envelope).leaf;
    let body = sha256(&[envelope.body.as_bytes()]);
    let proof = proof();
    let (height, index, outcome) = (proof.height, proof.index, proof.outcome);
    let receipt = hash::receipt_leaf(height, index, ReceiptOf::Envelope(&leaf, outcome));
    let event = events()[0];
    let mut event_bytes = Vec::new();
    event.encode(&mut event_bytes);
    let event_digest = hash::event_digest(&event);
    let of_event = hash::receipt_leaf(height, index, ReceiptOf::Event(&event));
    let height = height.0.to_le_bytes();
    let index = index.to_le_bytes();
    vec![
        by_sha256(
            "leaf of an envelope",
            leaf.0,
            &[
                ("", &[prefix::ENVELOPE_LEAF]),
                ("SHA-256(body)", &body.0),
                ("signature", &envelope.signature),
            ],
        ),
        by_sha256(
            "receipt of an envelope",
            receipt.0,
            &[
                ("", &[prefix::RECEIPT_LEAF]),
                ("leaf of the envelope", &leaf.0),
                ("height u64", &height),
                ("index u32", &index),
                ("outcome (4 bytes)", &outcome.to_bytes()),
            ],
        ),
        by_sha256(
            "event",
            event_digest.0,
            &[("", &[prefix::EVENT]), ("its bytes", &event_bytes)],
        ),
        by_sha256(
            "receipt of an event",
            of_event.0,
            &[
                ("", &[prefix::RECEIPT_LEAF]),
                ("digest of the event", &event_digest.0),
                ("height u64", &height),
                ("index u32", &index),
            ],
        ),
    ]
}

fn hashes_of_blocks() -> Vec<Vec<String>> {
    let leaves = [1, 2, 3].map(digest);
    let node = hash::node(&leaves[0], &leaves[1]);
    let top = hash::node(&node, &leaves[2]);
    let bytes = manifest().encode();
    let (height, previous) = (Height(n64(4)), digest(1));
    let (receipts, state) = (digest(2), digest(3));
    let head = |state| hash::exec_head(&previous, height, &receipts, state);
    let height_bytes = height.0.to_le_bytes();
    let linked: [Part<'_>; 4] = [
        ("", &[prefix::EXEC_HEAD]),
        ("head of the height before", &previous.0),
        ("height u64", &height_bytes),
        ("receipts root", &receipts.0),
    ];
    let without = [&linked[..], &[("", &[0])]].concat();
    let with = [&linked[..], &[("", &[1]), ("state root", &state.0)]].concat();
    vec![
        by_sha256(
            "node",
            node.0,
            &[("left", &leaves[0].0), ("right", &leaves[1].0)],
        ),
        by_sha256(
            "root",
            merkle::root(&leaves).0,
            &[
                ("", &[prefix::TREE_ROOT]),
                ("count of leaves u64", &3u64.to_le_bytes()),
                ("top", &top.0),
            ],
        ),
        by_sha256(
            "manifest",
            hash::manifest_digest(&bytes).0,
            &[("", &[prefix::MANIFEST]), ("its bytes", &bytes)],
        ),
        by_sha256("head without a state root", head(None).0, &without),
        by_sha256("head with a state root", head(Some(&state)).0, &with),
    ]
}

fn event_table() -> String {
    let cells = events().into_iter().map(|event| {
        let (number, name) = (event.number(), event.name());
        let mut bytes = Vec::new();
        event.encode(&mut bytes);
        let parts = match event {
            Event::HoldExpired(of) => held(
                &bytes,
                &[
                    ("", &[number]),
                    ("signer u32", &of.signer.0.to_le_bytes()),
                    ("identifier (16) of a hold that has ended", &of.id.0),
                    ("its debit account u64", &of.debit.0.to_le_bytes()),
                    ("credit account u64", &of.credit.0.to_le_bytes()),
                    ("ledger u32", &of.ledger.0.to_le_bytes()),
                    ("amount freed u64", &of.amount.to_le_bytes()),
                ],
            ),
        };
        vec![format!("`{name}`"), parts]
    });
    rows(&["event", "bytes"], cells.collect::<Vec<_>>())
}

fn manifest_table() -> String {
    let of = manifest();
    let bytes = of.encode();
    let batches = &bytes[HEAD_BYTES..];
    assert_eq!(batches.len(), of.batches.len() * REF_BYTES);
    let one = &of.batches[0];
    // The prose tells a reference.
    held(
        &batches[..REF_BYTES],
        &[
            ("validator", &one.lane.owner.0.to_le_bytes()),
            ("incarnation", &one.lane.incarnation.0.to_le_bytes()),
            ("count", &one.count.to_le_bytes()),
            ("place", &one.index.to_le_bytes()),
            ("digest", &one.digest.0),
        ],
    );
    record(
        &bytes,
        &[
            field(
                "version",
                PROTOCOL_VERSION.to_le_bytes(),
                "protocol version",
            ),
            field(
                "epoch",
                of.epoch.number.to_le_bytes(),
                "number of the validator set; 0",
            ),
            field(
                "validators",
                of.epoch.validators.0,
                "digest of the validators",
            ),
            field("height", of.height.0.to_le_bytes(), "its height, from 1"),
            field(
                "parent",
                of.parent.0,
                "digest of the manifest before; genesis hash at height 1",
            ),
            field(
                "time",
                of.time.0.to_le_bytes(),
                "cluster time, ms since 1970",
            ),
            field(
                "leader",
                of.leader.0.to_le_bytes(),
                "validator who proposed it",
            ),
            field(
                "state_height",
                of.state_height.0.to_le_bytes(),
                "height whose result it names",
            ),
            field("exec_head", of.exec_head.0, "head of `state_height`"),
            field(
                "count",
                counted(of.batches.len(), &[]),
                "batches, at most 2048",
            ),
            varying("batches", "52 each", batches, "in the order of execution"),
        ],
    )
}

const _: () = assert!(
    VALIDATORS_MAX == 128 && VALIDATORS_MAX * LANE_STEP_MAX == 2048 && EXPONENT_MAX == 18,
    "as the tables have them"
);
const _: () = assert!(
    LIMIT_LIFT == u64::MAX && PROOF_VERSION == 1,
    "as the tables have them"
);
/// Bytes of a manifest before its batches.
const HEAD_BYTES: usize = 140;
/// Bytes of a reference to a batch, as the prose says.
const REF_BYTES: usize = 52;

fn certificate_table() -> String {
    let of = certificate();
    let mut bytes = Vec::new();
    of.encode(&mut bytes);
    record(
        &bytes,
        &[
            field(
                "epoch",
                of.epoch.to_le_bytes(),
                "number of the validator set",
            ),
            field(
                "view",
                of.view.to_le_bytes(),
                "view in which the manifest was proposed",
            ),
            field(
                "parent_view",
                of.parent_view.to_le_bytes(),
                "view of its parent",
            ),
            field("payload", of.payload.0, "digest of the manifest"),
            field(
                "validator_count",
                of.validator_count.to_le_bytes(),
                "validators n, 1 to 128",
            ),
            varying(
                "signers",
                "(n + 7) / 8",
                &of.signers,
                "a bit for each, from bit 0 of the first byte; bits beyond n are 0",
            ),
            field(
                "signature",
                of.signature,
                "the sum of the signers' signatures",
            ),
        ],
    )
}

fn signed() -> String {
    let text = |bytes: &[u8]| format!("`{}`", String::from_utf8_lossy(bytes));
    let genesis = digest(2);
    // 57 bytes: a name of 16, the hash, a suffix of 9; so the varint is one byte.
    let message = finalize_message(&vote_namespace(genesis), 300, 70_000, 69_999, digest(3));
    let vote = held(
        &message,
        &[
            ("", &[57]),
            ("", b"clearway/1 vote "),
            ("genesis hash", &genesis.0),
            ("", b"_FINALIZE"),
            ("varint(epoch)", &[0xac, 0x02]),
            ("varint(view)", &[0xf0, 0xa2, 0x04]),
            ("varint(parent_view)", &[0xef, 0xa2, 0x04]),
            ("payload", &digest(3).0),
        ],
    );
    let secret: [u8; 32] = fill(1);
    let key = ValidatorSecret::from_bytes(&secret).expect("below the order");
    let key = key.public_key();
    let len = u8::try_from(POSSESSION_NAMESPACE.len()).expect("short");
    let (possession, bytes) = joined(&[
        ("", &[len]),
        ("", POSSESSION_NAMESPACE),
        ("`bls_public_key`", &key),
    ]);
    // Signed by itself, so that the row is the message that a node checks.
    let signer = SecretKey::from_bytes(&secret).expect("below the order");
    let proof = signer.sign(&bytes, POSSESSION_DST, &[]).compress();
    assert!(check_possession(&key, &proof), "{possession}");
    let cells = [
        [
            "`signature` of a certificate".to_owned(),
            text(SIGNATURE_DST),
            vote,
        ],
        [
            "`bls_proof` of a validator".to_owned(),
            text(POSSESSION_DST),
            possession,
        ],
    ];
    rows(&["what", "tag", "message"], cells.map(Vec::from))
}

/// What the prose of KEY_ROTATE points to.
fn key_possession() -> String {
    let (tag, participant, slot) = (DomainTag::new(digest(2)), ParticipantId(n32(3)), 7);
    let key = SigningKey::from_seed(&fill(1)).public_key();
    held(
        &key_proof_message(tag, participant, slot, &key),
        &[
            ("domain tag", &tag.0),
            ("", b"clearway key possession"),
            ("", &[0]),
            ("participant u32", &participant.0.to_le_bytes()),
            ("slot u8", &[slot]),
            ("public key", &key),
        ],
    )
}

fn proof_table() -> String {
    let of = proof();
    let count = |len: usize| counted(len, &[]);
    let path: Vec<u8> = of.receipt_path.iter().flat_map(|one| one.0).collect();
    let links = of.links.iter().flat_map(|link| {
        let state = link
            .state_root
            .map_or(vec![0], |root| [&[1], &root.0[..]].concat());
        [&link.receipts_root.0[..], &state].concat()
    });
    let manifests = of.manifests.iter();
    let manifests = manifests.flat_map(|one| counted(one.len(), one));
    let mut certificate_bytes = Vec::new();
    of.certificate.encode(&mut certificate_bytes);
    record(
        &of.encode(),
        &[
            field("version", [PROOF_VERSION], "1"),
            field(
                "envelope",
                of.envelope.as_bytes(),
                "the envelope that was executed",
            ),
            field("height", of.height.0.to_le_bytes(), "height of its block"),
            field(
                "index",
                of.index.to_le_bytes(),
                "its place among the block's receipts",
            ),
            field("outcome", of.outcome.to_bytes(), "code u16, flags u16"),
            field(
                "receipt_count",
                of.receipt_count.to_le_bytes(),
                "receipts of the block",
            ),
            field(
                "path_count",
                count(of.receipt_path.len()),
                "digests that follow",
            ),
            varying("receipt_path", "32 each", path, "from the receipt upwards"),
            field(
                "previous_exec_head",
                of.previous_exec_head.0,
                "head of `height - 1`",
            ),
            field(
                "link_count",
                count(of.links.len()),
                "links that follow, one for each height",
            ),
            varying(
                "links",
                "33 or 65 each",
                links.collect::<Vec<_>>(),
                "`receipts_root` 32; 0, or 1 and the state root 32",
            ),
            field(
                "manifest_count",
                count(of.manifests.len()),
                "manifests that follow",
            ),
            varying(
                "manifests",
                "varying",
                manifests.collect::<Vec<_>>(),
                "each: its length u32, then its bytes",
            ),
            varying(
                "certificate",
                "varying",
                certificate_bytes,
                "of the last manifest",
            ),
        ],
    )
}
