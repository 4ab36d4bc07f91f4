//! Who may sign what: enforces the authority table of [`clearway_types::kind`].

use clearway_types::account::{KeyEntry, Participant, Role};
use clearway_types::code::ResultCode;
use clearway_types::envelope::Body;
use clearway_types::kind::{Authority, Kind};
use clearway_types::limits::KEY_LAG_MAX;
use clearway_types::units::{AccountId, Height, ParticipantId};

use crate::state::State;
use crate::tables::participants::is_operator;

/// Whether `signer` may sign an envelope of `kind`.
///
/// `named` is the participant whom the kind's row points at: the issuer of the ledger, the owner of
/// the debited account, whom the hold names, the sponsor of the account's owner.
///
/// # Errors
/// The row's refusal.
fn check(kind: Kind, signer: &Participant, named: ParticipantId) -> Result<(), ResultCode> {
    let row = kind.row();
    let is_named = named == signer.id && named != ParticipantId(0);
    let may = match row.authority {
        Authority::Operators => is_operator(signer),
        Authority::SponsorOrOperator => is_named || is_operator(signer),
        Authority::Participant => return Ok(()),
        Authority::LedgerIssuer
        | Authority::DebitOwner
        | Authority::OriginalCreditOwner
        | Authority::NamedByHold => is_named,
    };
    // An auditor reads everything and moves nothing, whatever it owns or sponsors.
    match may && signer.role != Role::Auditor {
        true => Ok(()),
        false => Err(ResultCode::NotAuthorised),
    }
}

/// Code 93: the signer against the authority table; see [`check`] for `named`.
pub(crate) fn authorise(
    state: &State,
    body: &Body,
    named: ParticipantId,
) -> Result<(), ResultCode> {
    let kind = Kind::from_u8(body.kind).expect("the header check has read it");
    let signer = state.participants.get(body.signer());
    check(
        kind,
        signer.expect("the common checks have found it"),
        named,
    )
}

/// The sponsor of an account's owner, whom the row of the account kinds names.
pub(crate) fn sponsor_of(state: &State, account: AccountId) -> ParticipantId {
    let owner = state.participants.get(account.owner());
    owner.map(|owner| owner.sponsor).unwrap_or_default()
}

/// Code 1: records the signer's approval; goes on once enough operators approve.
pub(crate) fn approved(state: &mut State, body: &Body) -> Result<(), ResultCode> {
    let (threshold, second) = (state.rules.operator_threshold, state.clock.second());
    match state
        .approvals
        .approve(body, &state.participants, threshold, second)
    {
        true => Ok(()),
        false => Err(ResultCode::AwaitingApproval),
    }
}

/// Code 77: when a key may begin in a slot that held `old`, which must have ended.
pub(crate) fn after_lag(state: &State, old: &KeyEntry) -> Result<Height, ResultCode> {
    match old.valid_to <= state.clock.height {
        true => Ok(Height(state.clock.height.0.saturating_add(KEY_LAG_MAX))),
        false => Err(ResultCode::KeySlotInUse),
    }
}

/// Code 78: a key signs for one participant, or nobody could tell by it who has signed.
pub(crate) fn nobody_elses(
    state: &State,
    id: ParticipantId,
    public_key: &[u8; 32],
) -> Result<(), ResultCode> {
    match state.participants.owner_of(public_key) {
        Some(owner) if owner != id => Err(ResultCode::KeyTaken),
        _ => Ok(()),
    }
}
