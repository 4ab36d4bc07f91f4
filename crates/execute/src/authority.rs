//! Who may sign what: enforces the authority table of [`clearway_types::kind`].

use clearway_types::account::{Participant, Role};
use clearway_types::code::ResultCode;
use clearway_types::kind::{Authority, Kind};
use clearway_types::units::ParticipantId;

use crate::participants::is_operator;

/// Whether `signer` may sign an envelope of `kind`.
///
/// `named` is the participant whom the kind's row points at: the issuer of the ledger, the owner of
/// the debited account, whom the hold names, the sponsor of the account's owner.
///
/// # Errors
/// The row's refusal.
pub(crate) fn check(
    kind: Kind,
    signer: &Participant,
    named: ParticipantId,
) -> Result<(), ResultCode> {
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
        Authority::Execution => false,
    };
    // An auditor reads everything and moves nothing, whatever it owns or sponsors.
    match may && signer.role != Role::Auditor {
        true => Ok(()),
        false => Err(row.refusal),
    }
}
