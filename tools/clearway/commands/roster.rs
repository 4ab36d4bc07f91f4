//! What commands ask the node before they sign: participants, keys, ledgers, as they are now.

use clearway_types::account::{Currency, Participant};
use clearway_types::genesis::GenesisLedger;
use clearway_types::units::{LedgerId, ParticipantId};
use clearway_types::wire::roster::RosterView;

use crate::commands::connect::Session;
use crate::failure::{Failure, Kind};
use crate::notation::text;

impl Session {
    /// Participants, ledgers and approvals as the node has them.
    pub(crate) fn roster(&self) -> Result<RosterView, Failure> {
        self.ask(async |client| client.roster().await)
    }

    /// The same, asked for once, for checks of many envelopes.
    pub(super) fn known_roster(&self) -> Result<&RosterView, Failure> {
        match self.known_roster.get() {
            Some(roster) => Ok(roster),
            None => {
                let roster = self.roster()?;
                Ok(self.known_roster.get_or_init(|| roster))
            }
        }
    }

    /// The ledger that is meant: the named one, defined at genesis or later, or the only one of the
    /// genesis.
    pub(crate) fn ledger(&self, named: Option<u32>) -> Result<GenesisLedger, Failure> {
        let ledgers = &self.genesis.ledgers;
        let number = match (named, ledgers.as_slice()) {
            (None, [only]) => return Ok(only.clone()),
            (None, _) => {
                let message = "not one ledger in the genesis: name one with --ledger NUMBER \
                               (`clearway ledger list` shows them)";
                return Err(Failure::usage(message));
            }
            (Some(number), _) => LedgerId(number),
        };
        if let Some(found) = ledgers.iter().find(|ledger| ledger.id == number) {
            return Ok(found.clone());
        }
        self.roster()?.known_ledger(number)
    }
}

/// Look-ups that fail with what to do.
pub(crate) trait Known {
    /// The participant with this number.
    fn known(&self, number: u32) -> Result<&Participant, Failure>;
    /// The ledger with this number.
    fn known_ledger(&self, id: LedgerId) -> Result<GenesisLedger, Failure>;
}

impl Known for RosterView {
    fn known(&self, number: u32) -> Result<&Participant, Failure> {
        self.participant(ParticipantId(number)).ok_or_else(|| {
            let message = format!(
                "participant {number} is not registered: check the number with \
                 `clearway member list`, or register it with `clearway member add`"
            );
            Failure::new(Kind::NotFound, message)
        })
    }

    fn known_ledger(&self, id: LedgerId) -> Result<GenesisLedger, Failure> {
        let found = self.ledger(id).map(|known| described(&known.currency));
        found.ok_or_else(|| {
            let message = format!(
                "ledger {id} is not defined: check the number with `clearway ledger list`, or \
                 define it with `clearway ledger define`"
            );
            Failure::new(Kind::NotFound, message)
        })
    }
}

/// A ledger as a genesis describes one.
fn described(ledger: &Currency) -> GenesisLedger {
    GenesisLedger {
        id: ledger.id,
        code: text(&ledger.code),
        exponent: ledger.exponent,
        issuer: ledger.issuer,
        issuer_account: ledger.issuer_account,
    }
}
