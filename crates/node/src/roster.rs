//! Who and what is registered: the answer to [`clearway_types::wire::Op::Roster`].

use clearway_execute::Ledger;
use clearway_types::account::Role;
use clearway_types::units::ParticipantId;
use clearway_types::wire::roster::{LedgerView, ROSTER_PARTICIPANTS_MAX, RosterView};

/// The view of `asker`, participants from `first` on.
///
/// Participants and ledgers are public among members; what there is of a currency is seen by its
/// issuer, everything by operators and auditors.
pub(crate) fn view(ledger: &Ledger, asker: ParticipantId, first: ParticipantId) -> RosterView {
    let role = ledger.participant(asker).map(|one| one.role);
    let oversees = matches!(role, Some(Role::Operator | Role::Auditor));
    let is_first = first == ParticipantId(0);
    let mut participants = ledger.participants_from(first);
    let some = participants.by_ref().take(ROSTER_PARTICIPANTS_MAX).cloned();
    let some: Vec<_> = some.collect();
    let ledgers = ledger.ledgers().zip(ledger.conserved());
    let ledgers = ledgers.filter(|_| is_first).map(|(known, sums)| {
        let told = oversees || known.issuer == asker;
        LedgerView {
            ledger: known.clone(),
            supply: told.then_some(sums.supply),
        }
    });
    RosterView {
        height: ledger.height(),
        time: ledger.time(),
        operator_threshold: ledger.operator_threshold(),
        next: participants.next().map(|one| one.id).unwrap_or_default(),
        participants: some,
        ledgers: ledgers.collect(),
        approvals: (is_first && oversees).then(|| ledger.approvals().collect()),
    }
}
