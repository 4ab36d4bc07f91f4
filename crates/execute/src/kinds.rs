//! What each kind does: one function a kind, its checks in the order of their codes, then its
//! effect.
//!
//! A function either returns a code and has changed nothing, or has applied the whole effect.

mod account_open;
mod account_set;
mod hold;
mod issue;
mod key_rotate;
pub(crate) mod ledger_define;
mod limit_set;
mod participant_set;
mod post;
mod redeem;
mod return_;
mod transfer;
mod void;

use clearway_types::code::{Outcome, ResultCode};
use clearway_types::control::{AccountOpen, KeyRotate, LedgerDefine, LimitSet, ParticipantSet};
use clearway_types::envelope::Body;
use clearway_types::kind::Kind;
use clearway_types::transfer::Transfer;

use crate::effect::Effect;
use crate::state::State;

/// Applies an envelope that the common checks admitted.
pub(crate) fn apply(state: &mut State, kind: Kind, body: &Body) -> Result<(), ResultCode> {
    match kind {
        Kind::Transfer => transfer::apply(state, Transfer::of(body)),
        Kind::Hold => hold::apply(state, Transfer::of(body)),
        Kind::Post => post::apply(state, Transfer::of(body)),
        Kind::Void => void::apply(state, Transfer::of(body)),
        Kind::Return => return_::apply(state, Transfer::of(body)),
        Kind::Issue => issue::apply(state, Transfer::of(body)),
        Kind::Redeem => redeem::apply(state, Transfer::of(body)),
        Kind::AccountOpen => account_open::apply(state, AccountOpen::of(body)),
        Kind::AccountSet => account_set::apply(state, AccountOpen::of(body)),
        Kind::LimitSet => limit_set::apply(state, LimitSet::of(body)),
        Kind::ParticipantSet => participant_set::apply(state, ParticipantSet::of(body)),
        Kind::KeyRotate => key_rotate::apply(state, KeyRotate::of(body)),
        Kind::LedgerDefine => ledger_define::apply(state, LedgerDefine::of(body)),
    }
}

/// What an envelope that was answered with `outcome` leaves with identifiers.
pub(crate) fn effect(body: &Body, outcome: Outcome) -> Effect {
    if !outcome.remembered() || !outcome.code.applied() {
        return Effect::Nothing;
    }
    match Kind::from_u8(body.kind) {
        Some(Kind::Transfer) => transfer::effect(Transfer::of(body)),
        Some(Kind::Return) => return_::effect(Transfer::of(body)),
        _ => Effect::Nothing,
    }
}
