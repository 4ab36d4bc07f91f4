//! Who and what is registered: the answer to [`clearway_types::wire::Op::Roster`].

use std::collections::BTreeMap;
use std::sync::Arc;

use clearway_execute::Ledger;
use clearway_types::account::{Participant, Role};
use clearway_types::units::ParticipantId;
use clearway_types::wire::roster::{LedgerView, ROSTER_PARTICIPANTS_MAX, RosterView};

/// A view that lacks its participants, and all of them: thousands are copied by the asking thread,
/// and execution goes on meanwhile.
pub(crate) struct Roster {
    participants: Arc<BTreeMap<ParticipantId, Participant>>,
    view: RosterView,
}

impl Roster {
    /// What `asker` may see; ledgers and approvals come with the page that starts at number 0.
    ///
    /// Participants and ledgers are public among members; what there is of a currency is seen by
    /// its issuer, everything by operators and auditors.
    pub(crate) fn of(ledger: &Ledger, asker: ParticipantId, first: ParticipantId) -> Self {
        let role = ledger.participant(asker).map(|one| one.role);
        let oversees = matches!(role, Some(Role::Operator | Role::Auditor));
        let is_first = first == ParticipantId(0);
        let ledgers = ledger.currencies().zip(ledger.conserved());
        let ledgers = ledgers.filter(|_| is_first).map(|(known, sums)| {
            let told = oversees || known.issuer == asker;
            LedgerView {
                currency: known.clone(),
                supply: told.then_some(sums.supply),
            }
        });
        let view = RosterView {
            height: ledger.height(),
            time: ledger.time(),
            operator_threshold: ledger.operator_threshold(),
            next: ParticipantId::default(),
            participants: Vec::new(),
            ledgers: ledgers.collect(),
            approvals: (is_first && oversees).then(|| ledger.approvals().collect()),
        };
        Self {
            participants: ledger.participants_shared(),
            view,
        }
    }

    /// The view with its participants from `first` on.
    pub(crate) fn page(self, first: ParticipantId) -> RosterView {
        let mut participants = self.participants.range(first..).map(|(_, one)| one);
        let some = participants.by_ref().take(ROSTER_PARTICIPANTS_MAX);
        RosterView {
            participants: some.cloned().collect(),
            next: participants.next().map(|one| one.id).unwrap_or_default(),
            ..self.view
        }
    }
}

#[cfg(test)]
mod tests {
    use clearway_crypto::keys::SigningKey;
    use clearway_types::genesis::HexBytes;

    use super::*;
    use crate::keystore::ValidatorKeys;
    use crate::testing::genesis;

    #[test]
    fn the_pages_hold_everybody_once_and_execution_copies_nobody() {
        let mut genesis = genesis(&ValidatorKeys::generate().expect("randomness"));
        let member = genesis.participants[1].clone();
        let count = 2 * u32::try_from(ROSTER_PARTICIPANTS_MAX).expect("small") + 5;
        genesis.participants.extend((5..=count).map(|id| {
            let mut one = member.clone();
            one.id = ParticipantId(id);
            // Each has a key of its own.
            let mut seed = [0xff; 32];
            seed[..4].copy_from_slice(&id.to_le_bytes());
            one.public_key = HexBytes(SigningKey::from_seed(&seed).public_key());
            one
        }));
        let ledger = Ledger::from_genesis(&genesis).expect("it is right");
        let (mut found, mut first, mut page_count) = (Vec::new(), ParticipantId(0), 0);
        loop {
            let roster = Roster::of(&ledger, ParticipantId(2), first);
            assert!(roster.view.participants.is_empty(), "not on this thread");
            assert!(Arc::ptr_eq(
                &roster.participants,
                &ledger.participants_shared()
            ));
            let page = roster.page(first);
            assert_eq!(page.ledgers.is_empty(), page_count > 0);
            found.extend(page.participants.iter().map(|one| one.id.0));
            (first, page_count) = (page.next, page_count + 1);
            if first == ParticipantId(0) {
                break;
            }
        }
        assert_eq!(page_count, 3);
        assert_eq!(found, (1..=count).collect::<Vec<_>>());
    }
}
