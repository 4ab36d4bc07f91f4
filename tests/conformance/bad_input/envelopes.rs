//! Envelopes whose header, signer, signature, life span, chain or identifier is wrong.

use clearway_client::{Draft, Identity, Signer};
use clearway_types::account::Role;
use clearway_types::amount::Amount;
use clearway_types::code::ResultCode;
use clearway_types::envelope::{Body, Envelope};
use clearway_types::flags::Flags;
use clearway_types::units::{Digest, ParticipantId, TransferId};

use crate::bad_input::desk::{BALANCE, Desk, EUR, account, pay};
use crate::bad_input::{Bad, Counter, Row, Told};

const HEADER: Counter = Counter::Line("clearway_verify_refused_header_total", 1);
const BAD_SIGNATURE: Counter =
    Counter::Line("clearway_ingest_drops_total{reason=\"BadSignature\"}", 1);
const UNKNOWN_SIGNER: Counter =
    Counter::Line("clearway_ingest_drops_total{reason=\"UnknownSigner\"}", 1);
const BROKEN_TWICE: Counter =
    Counter::Line("clearway_ingest_drops_total{reason=\"ChainBroken\"}", 2);

const fn header(
    name: &'static str,
    edit: fn(&mut Body),
    code: ResultCode,
    says: &'static str,
) -> Row {
    Row {
        name,
        bad: Bad::Edited(edit),
        told: Told::Code(code),
        counter: HEADER,
        says,
    }
}

const fn flag(name: &'static str, edit: fn(&mut Body), code: ResultCode) -> Row {
    header(name, edit, code, "clear")
}

/// A field of the body that only execution looks at.
const fn field(
    name: &'static str,
    edit: fn(&mut Body),
    code: ResultCode,
    says: &'static str,
) -> Row {
    Row {
        name,
        bad: Bad::Edited(edit),
        told: Told::Code(code),
        counter: Counter::Executed,
        says,
    }
}

const fn sent(
    name: &'static str,
    bad: fn(&Desk, &[Envelope]) -> Vec<Envelope>,
    told: Told,
    counter: Counter,
    says: &'static str,
) -> Row {
    Row {
        name,
        bad: Bad::Envelopes {
            given: nothing,
            bad,
        },
        told,
        counter,
        says,
    }
}

/// After a payment that has settled.
const fn after_a_payment(
    name: &'static str,
    bad: fn(&Desk, &[Envelope]) -> Vec<Envelope>,
    told: Told,
    counter: Counter,
    says: &'static str,
) -> Row {
    Row {
        name,
        bad: Bad::Envelopes { given: paid, bad },
        told,
        counter,
        says,
    }
}

fn nothing(_: &Desk) -> Vec<Envelope> {
    Vec::new()
}

fn paid(desk: &Desk) -> Vec<Envelope> {
    desk.settle(&[desk.sign(2, pay(2, 3, 10))])
}

fn overdraft(desk: &Desk) -> Envelope {
    desk.sign(2, pay(2, 3, 2 * BALANCE))
}

/// This many linked payments of 2 to 3.
fn chain(desk: &Desk, by: u32, len: usize) -> Vec<Envelope> {
    let drafts = vec![pay(2, 3, 1); len];
    desk.signer(by).sign_chain(&drafts).expect("a chain")
}

fn set_flag(body: &mut Body, flag: u16) {
    body.flags.set(body.flags.get() | flag);
}

/// Signs a payment as this identity, for the cluster with this genesis.
fn signed_as(identity: Identity, genesis: Digest) -> Envelope {
    let signer = Signer::new(identity, genesis).expect("randomness");
    signer.sign(pay(2, 3, 1))
}

pub(crate) const ROWS: &[Row] = &[
    header(
        "schema version 2",
        |b| b.version = 2,
        ResultCode::VersionUnknown,
        "current client",
    ),
    header(
        "an unknown kind",
        |b| b.kind = 0xee,
        ResultCode::KindUnknown,
        "deploy/README.md",
    ),
    header(
        "a kind whose number is only reserved",
        |b| b.kind = 0x14,
        ResultCode::KindUnknown,
        "deploy/README.md",
    ),
    flag(
        "a reserved flag",
        |b| set_flag(b, 1 << 12),
        ResultCode::ReservedFlagSet,
    ),
    flag(
        "balancing debit",
        |b| set_flag(b, Flags::BALANCING_DEBIT),
        ResultCode::BalancingDebitNotActive,
    ),
    flag(
        "balancing credit",
        |b| set_flag(b, Flags::BALANCING_CREDIT),
        ResultCode::BalancingCreditNotActive,
    ),
    flag(
        "queue if short",
        |b| set_flag(b, Flags::QUEUE_IF_SHORT),
        ResultCode::QueueIfShortNotActive,
    ),
    flag(
        "closing",
        |b| set_flag(b, Flags::CLOSING),
        ResultCode::ClosingNotActive,
    ),
    flag(
        "imported",
        |b| set_flag(b, Flags::IMPORTED),
        ResultCode::ImportedNotActive,
    ),
    flag(
        "confidential",
        |b| set_flag(b, Flags::CONFIDENTIAL),
        ResultCode::ConfidentialNotActive,
    ),
    flag(
        "no offset",
        |b| set_flag(b, Flags::NO_OFFSET),
        ResultCode::NoOffsetNotActive,
    ),
    flag(
        "a priority",
        |b| set_flag(b, 1 << 8),
        ResultCode::PriorityNotActive,
    ),
    header(
        "an identifier of zeros",
        |b| b.id = TransferId::ZERO,
        ResultCode::IdReserved,
        "time-ordered one",
    ),
    header(
        "an identifier of ones",
        |b| b.id = TransferId::MAX,
        ResultCode::IdReserved,
        "unique",
    ),
    // Byte 40 of the body, 24 of the kind's fields: `timeout_s`.
    field(
        "a payment with a time-out",
        |b| b.fields[24] = 1,
        ResultCode::TimeoutNotAllowed,
        "set it to zero",
    ),
    field(
        "an expiry too far in the future",
        |b| b.expires_at.set(u32::MAX),
        ResultCode::TtlTooLong,
        "sign with an earlier end",
    ),
    Row {
        name: "an expiry in the past",
        bad: Bad::Edited(|b| b.expires_at.set(1_700_000_000)),
        told: Told::Code(ResultCode::Expired),
        counter: Counter::Line("clearway_ingest_drops_total{reason=\"Expired\"}", 1),
        says: "sign a new envelope",
    },
    sent(
        "a control record in a chain",
        |desk, _| {
            let record = Draft::participant_set(ParticipantId(3), Role::Member, false);
            let mut chain = chain(desk, 1, 2);
            let mut body = *record.body();
            let head = chain[0].body;
            (body.id, body.signer, body.expires_at) = (head.id, head.signer, head.expires_at);
            body.flags = head.flags;
            chain[0] = desk.sign_body(1, body);
            chain
        },
        Told::Codes(&[ResultCode::LinkNotAllowed, ResultCode::LinkedFailed]),
        Counter::Lines(&[
            ("clearway_verify_refused_header_total", 1),
            ("clearway_verify_refused_linked_total", 1),
        ]),
        "send the record by itself",
    ),
    sent(
        "a signature for another cluster",
        |desk, _| vec![signed_as(desk.identity(2), Digest([7; 32]))],
        Told::Code(ResultCode::BadSignature),
        BAD_SIGNATURE,
        "this cluster's genesis hash",
    ),
    sent(
        "one wrong bit of a signature's point",
        |desk, _| {
            let mut payment = desk.sign(2, pay(2, 3, 1));
            payment.signature[5] ^= 1;
            vec![payment]
        },
        Told::Code(ResultCode::BadSignature),
        BAD_SIGNATURE,
        "sign the body as sent",
    ),
    sent(
        "a signature scalar out of range",
        |desk, _| {
            let mut payment = desk.sign(2, pay(2, 3, 1));
            payment.signature[63] |= 0xe0;
            vec![payment]
        },
        Told::Code(ResultCode::BadSignature),
        BAD_SIGNATURE,
        "sign the body as sent",
    ),
    sent(
        "an amount changed after it was signed",
        |desk, _| {
            let mut payment = desk.sign(2, pay(2, 3, 1));
            payment.body.fields[16] = 2;
            vec![payment]
        },
        Told::Code(ResultCode::BadSignature),
        BAD_SIGNATURE,
        "sign the body as sent",
    ),
    sent(
        "a payment signed with another member's key",
        |desk, _| {
            let mut body = desk.sign(2, pay(2, 3, 1)).body;
            body.id.0[14] ^= 1;
            vec![desk.sign_body(3, body)]
        },
        Told::Code(ResultCode::BadSignature),
        BAD_SIGNATURE,
        "with the key of its slot",
    ),
    sent(
        "a signer whom nobody registered",
        |desk, _| {
            let stranger = Identity::from_seed(&[9; 32], ParticipantId(77), 0);
            vec![signed_as(stranger, desk.genesis().hash())]
        },
        Told::Code(ResultCode::SignerUnknown),
        UNKNOWN_SIGNER,
        "have an operator register it",
    ),
    sent(
        "a key slot that is empty",
        |desk, _| vec![signed_as(desk.identity_in(2, 2), desk.genesis().hash())],
        Told::Code(ResultCode::KeySlotEmpty),
        UNKNOWN_SIGNER,
        "name the slot of the key that signs",
    ),
    Row::refused(
        "a signer who is suspended",
        9,
        || pay(9, 3, 1),
        ResultCode::SignerSuspended,
        "ask an operator",
    ),
    sent(
        "a chain that ends open",
        |desk, _| {
            let mut chain = chain(desk, 2, 3);
            chain.pop();
            chain
        },
        Told::Codes(&[ResultCode::ChainBroken; 2]),
        BROKEN_TWICE,
        "its last member not linked",
    ),
    sent(
        "a chain with a gap",
        |desk, _| {
            let mut chain = chain(desk, 2, 3);
            chain.remove(1);
            chain
        },
        Told::Codes(&[ResultCode::ChainBroken; 2]),
        BROKEN_TWICE,
        "with consecutive identifiers",
    ),
    sent(
        "a chain that starts in the middle",
        |desk, _| {
            let mut chain = chain(desk, 2, 3);
            chain.remove(0);
            chain
        },
        Told::Codes(&[ResultCode::ChainBroken; 2]),
        BROKEN_TWICE,
        "send it whole on one stream",
    ),
    sent(
        "a chain of two signers",
        |desk, _| {
            let mut chain = chain(desk, 2, 2);
            let mut body = chain[1].body;
            body.signer.set(3);
            chain[1] = desk.sign_body(3, body);
            chain
        },
        Told::Codes(&[ResultCode::ChainBroken; 2]),
        BROKEN_TWICE,
        "send it whole",
    ),
    sent(
        "a chain with one wrong signature",
        |desk, _| {
            let mut chain = chain(desk, 2, 3);
            chain[2].signature[5] ^= 1;
            chain
        },
        Told::Codes(&[
            ResultCode::LinkedFailed,
            ResultCode::LinkedFailed,
            ResultCode::BadSignature,
        ]),
        Counter::Lines(&[
            ("clearway_ingest_drops_total{reason=\"BadSignature\"}", 1),
            ("clearway_verify_refused_linked_total", 2),
        ]),
        "see the other codes",
    ),
    sent(
        "a chain whose second payment has no funds",
        |desk, _| {
            let drafts = [pay(2, 3, 1), pay(2, 3, 2 * BALANCE)];
            desk.signer(2).sign_chain(&drafts).expect("a chain")
        },
        Told::Codes(&[ResultCode::LinkedFailed, ResultCode::InsufficientFunds]),
        Counter::Executed,
        "see the other codes",
    ),
    after_a_payment(
        "the same bytes again",
        |_, given| given.to_vec(),
        Told::Again(ResultCode::Settled),
        Counter::Line("clearway_execute_duplicates_total", 1),
        "Applied to the ledger",
    ),
    Row {
        name: "a refused payment again",
        bad: Bad::Envelopes {
            given: |desk| {
                let refused = overdraft(desk);
                let answers = desk.submit(&[refused]);
                assert_eq!(answers[0].outcome.code, ResultCode::InsufficientFunds);
                vec![refused]
            },
            bad: |_, given| given.to_vec(),
        },
        told: Told::Again(ResultCode::InsufficientFunds),
        counter: Counter::Line("clearway_execute_duplicates_total", 1),
        says: "fund the account",
    },
    after_a_payment(
        "an identifier used again for another amount",
        |desk, given| {
            let first = given[0].body;
            vec![
                desk.signer(2)
                    .sign_as(pay(2, 3, 11), first.id, first.expires_at()),
            ]
        },
        Told::Code(ResultCode::IdConflict),
        Counter::Executed,
        "make a fresh identifier",
    ),
    after_a_payment(
        "an identifier used again for another kind",
        |desk, given| {
            let first = given[0].body;
            let hold = Draft::hold(account(2, 1), account(3, 1), Amount::new(10, EUR), 60);
            vec![desk.signer(2).sign_as(hold, first.id, first.expires_at())]
        },
        Told::Code(ResultCode::IdConflict),
        Counter::Executed,
        "make a fresh identifier",
    ),
];
