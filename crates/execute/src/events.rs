//! What execution does by itself when a block begins, each thing with an event that tells of it.

use clearway_types::event::{Event, HoldExpired};
use clearway_types::limits::EXPIRE_PER_BLOCK_MAX;
use clearway_types::units::LedgerId;

use crate::money;
use crate::state::State;
use crate::tables::holds::HoldState;

/// Does all that is due, before the first envelope. The order is a rule of the ledger.
pub(crate) fn all(state: &mut State) -> Vec<Event> {
    let mut events = Vec::new();
    expire_holds(state, &mut events);
    events
}

/// Ends overdue holds, in the order of deadline and key; what is left over waits a block.
fn expire_holds(state: &mut State, events: &mut Vec<Event>) {
    for _ in 0..EXPIRE_PER_BLOCK_MAX {
        let Some(hold) = state.holds.first_overdue(state.clock.time) else {
            break;
        };
        let pair = money::pair_of(state, &hold);
        money::release(state, pair, hold.amount.get());
        let until = state.envelopes_end();
        state.holds.replace(hold.ended(HoldState::Expired, until));
        let (signer, id) = hold.key();
        let (debit, credit) = hold.accounts();
        events.push(Event::HoldExpired(HoldExpired {
            signer,
            id,
            debit,
            credit,
            ledger: LedgerId(hold.ledger.get()),
            amount: hold.amount.get(),
        }));
    }
}
