//! The checks that come before a kind's own, in the order of their codes: 20 to 64.

use clearway_types::batch::EnvelopeDigests;
use clearway_types::code::{Outcome, ResultCode};
use clearway_types::control::{
    AccountOpen, FIELD_ALIAS, FIELD_CODE, FIELD_CREDIT_LINE, FIELD_FLAGS, KEY_SLOT_NONE, KeyRotate,
    LedgerDefine, LimitSet, ParticipantSet,
};
use clearway_types::envelope::Body;
use clearway_types::kind::{Kind, Layout};
use clearway_types::limits::LIVE_IDS_MAX;
use clearway_types::transfer::Transfer;
use clearway_types::units::Height;

use crate::clock::milliseconds;
use crate::state::State;

/// What the common checks say of an envelope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    /// Nothing against it so far.
    Fresh(Kind),
    /// The same bytes were executed at this height, with this code.
    Again(ResultCode, Height),
    /// Refused.
    Refused(Outcome),
}

/// An envelope's surroundings.
#[derive(Clone, Copy)]
pub(crate) struct Context {
    /// Whether its batch names a directory version that still holds.
    pub(crate) directory_fresh: bool,
    /// Whether it is part of a broken chain.
    pub(crate) chain_broken: bool,
    /// Entries of the id table that its chain needs.
    pub(crate) id_count: usize,
}

/// The common checks, in the order of their codes.
pub(crate) fn admit(
    state: &State,
    body: &Body,
    digests: &EnvelopeDigests,
    context: Context,
) -> Admission {
    match entry(state, body, context) {
        Ok(kind) => identity(state, kind, body, digests, context.id_count),
        Err(code) => Admission::Refused(Outcome::refused(code)),
    }
}

/// Codes 20 to 62. Such a refusal leaves no trace.
fn entry(state: &State, body: &Body, context: Context) -> Result<Kind, ResultCode> {
    let kind = shape(body)?;
    signer(state, body, context.directory_fresh)?;
    lifetime(state, body)?;
    match context.chain_broken {
        true => Err(ResultCode::ChainBroken),
        false => Ok(kind),
    }
}

/// Codes 20 to 44: what the bytes themselves say.
pub(crate) fn shape(body: &Body) -> Result<Kind, ResultCode> {
    let header = body.check_header();
    let kind = match header {
        Ok(kind) => kind,
        Err(code) if code < ResultCode::TimeoutNotAllowed => return Err(code),
        Err(_) => Kind::from_u8(body.kind).expect("a kind without a number is refused before"),
    };
    match kind.row().layout {
        Layout::Transfer => money_fields(kind, Transfer::of(body)),
        layout => reserved_fields(kind, layout, body),
    }?;
    header
}

fn money_fields(kind: Kind, transfer: &Transfer) -> Result<(), ResultCode> {
    if kind != Kind::Hold && transfer.timeout_s.get() != 0 {
        return Err(ResultCode::TimeoutNotAllowed);
    }
    let has_reference = transfer.reference != [0; 16];
    if matches!(kind, Kind::Issue | Kind::Redeem) && has_reference {
        return Err(ResultCode::RefNotAllowed);
    }
    let reserved = match kind {
        Kind::Hold => transfer.hold_parties().reserved != [0; 8],
        // A hold is voided whole, so a VOID has no amount.
        Kind::Void => transfer.amount.get() != 0,
        _ => false,
    };
    match reserved {
        true => Err(ResultCode::ReservedFieldSet),
        false => Ok(()),
    }
}

fn reserved_fields(kind: Kind, layout: Layout, body: &Body) -> Result<(), ResultCode> {
    let clear = match layout {
        Layout::Transfer => true,
        Layout::LedgerDefine => {
            let body = LedgerDefine::of(body);
            body.reserved_a == [0; 7] && body.reserved_b.get() == 0 && body.reserved_c == [0; 64]
        }
        Layout::ParticipantSet => {
            let body = ParticipantSet::of(body);
            let keyless = body.public_key == [0; 32] && body.key_valid_from.get() == 0;
            body.reserved_a == 0
                && body.reserved_b == [0; 5]
                && body.reserved_c.get() == 0
                && body.ledger.get() == 0
                && (body.key_slot != KEY_SLOT_NONE || keyless)
        }
        Layout::KeyRotate => {
            let body = KeyRotate::of(body);
            body.reserved == [0; 3] && body.slot <= 3
        }
        Layout::AccountOpen => account_fields_clear(kind, AccountOpen::of(body)),
        Layout::LimitSet => {
            let body = LimitSet::of(body);
            body.reserved_a.get() == 0 && body.reserved_b == [0; 72]
        }
    };
    match clear {
        true => Ok(()),
        false => Err(ResultCode::ReservedFieldSet),
    }
}

/// ACCOUNT_OPEN has no mask; of ACCOUNT_SET only the fields that the mask names may be used.
fn account_fields_clear(kind: Kind, body: &AccountOpen) -> bool {
    let mask = body.field_mask.get();
    if body.reserved_a != [0; 58] {
        return false;
    }
    if kind == Kind::AccountOpen {
        return mask == 0;
    }
    let clear = |bit: u16, is_zero: bool| mask & bit != 0 || is_zero;
    clear(FIELD_CREDIT_LINE, body.credit_line.get() == 0)
        && clear(FIELD_CODE, body.code.get() == 0)
        && clear(FIELD_FLAGS, body.account_flags.get() == 0)
        && clear(FIELD_ALIAS, body.alias == [0; 16])
}

/// Codes 50 to 54: who signed, and whether the key was live.
fn signer(state: &State, body: &Body, directory_fresh: bool) -> Result<(), ResultCode> {
    let signer = state.participants.get(body.signer());
    let signer = signer.ok_or(ResultCode::SignerUnknown)?;
    let key = signer.keys[body.flags().key_slot()].as_ref();
    let key = key.ok_or(ResultCode::KeySlotEmpty)?;
    if !directory_fresh || !key.valid_at(state.clock.height) {
        return Err(ResultCode::KeyNotValid);
    }
    match signer.suspended {
        true => Err(ResultCode::SignerSuspended),
        false => Ok(()),
    }
}

/// Codes 60 and 61.
fn lifetime(state: &State, body: &Body) -> Result<(), ResultCode> {
    let (time, ends) = (state.clock.time.0, milliseconds(body.expires_at().0));
    if time >= ends {
        return Err(ResultCode::Expired);
    }
    match ends > time.saturating_add(milliseconds(state.rules.ttl_s_max)) {
        true => Err(ResultCode::TtlTooLong),
        false => Ok(()),
    }
}

/// Codes 63 and 64: whether the identifier is free.
fn identity(
    state: &State,
    kind: Kind,
    body: &Body,
    digests: &EnvelopeDigests,
    id_count: usize,
) -> Admission {
    let (signer, id) = (body.signer(), body.id);
    if let Some(at) = state.ids.find(signer, id) {
        let entry = state.ids.get(at);
        if entry.digest == digests.body {
            let code = ResultCode::from_u16(entry.code).expect("codes are stored by number");
            return Admission::Again(code, entry.height);
        }
        return Admission::Refused(conflict(body.expires_at().0 > at.until));
    }
    if state.holds.get((signer, id)).is_some() {
        return Admission::Refused(conflict(true));
    }
    let share = LIVE_IDS_MAX
        .checked_div(state.participants.len())
        .unwrap_or(0);
    match state.ids.count_of(signer).saturating_add(id_count) > share {
        true => Admission::Refused(Outcome::refused(ResultCode::IdTableFull)),
        false => Admission::Fresh(kind),
    }
}

/// The identifier is taken; the envelope may succeed later if it outlives what took it.
fn conflict(outlives: bool) -> Outcome {
    match outlives {
        true => Outcome::refused(ResultCode::IdConflict),
        false => Outcome::new(ResultCode::IdConflict),
    }
}
