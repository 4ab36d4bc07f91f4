//! KEY_ROTATE: a new key in one of the signer's slots, proved by its holder, valid KEY_LAG_MAX
//! heights later. The slot is empty or its key has ended; keys in other slots stay valid.

use clearway_crypto::keys::{check_possession, register_check};
use clearway_types::account::KeyEntry;
use clearway_types::code::ResultCode;
use clearway_types::control::KeyRotate;
use clearway_types::limits::KEY_LAG_MAX;
use clearway_types::units::{Height, ParticipantId};

use crate::authority::{after_lag, authorise, nobody_elses};
use crate::state::State;
use crate::tables::participants::NO_END;

pub(crate) fn apply(state: &mut State, body: &KeyRotate) -> Result<(), ResultCode> {
    let signer = ParticipantId(body.signer.get());
    let slot = usize::from(body.slot);
    register_check(&body.public_key).map_err(|_| ResultCode::KeyInvalid)?;
    check_possession(state.tag, signer, body.slot, &body.public_key, &body.proof)
        .map_err(|_| ResultCode::KeyProofInvalid)?;
    let participant = state.participants.get(signer);
    let participant = participant.expect("the common checks have found it");
    let valid_from = match participant.keys[slot] {
        None => Height(state.clock.height.0.saturating_add(KEY_LAG_MAX)),
        Some(old) => after_lag(state, &old)?,
    };
    nobody_elses(state, signer, &body.public_key)?;
    authorise(state, body.as_body(), signer)?;
    let entry = KeyEntry {
        public_key: body.public_key,
        valid_from,
        valid_to: NO_END,
    };
    state.participants.set_key(signer, slot, entry);
    Ok(())
}
