//! PARTICIPANT_SET: registers or changes a participant, with at most one key, by m of n operators.
//!
//! A key for a slot that never held one is valid from the next height on. A key in place of one
//! that has ended is valid KEY_LAG_MAX heights later. A zero key ends the slot's key after
//! KEY_LAG_MAX heights; to stop a participant at once, suspend it.

use std::collections::BTreeSet;

use clearway_crypto::keys::register_check;
use clearway_types::account::{KeyEntry, Participant, Role};
use clearway_types::code::ResultCode;
use clearway_types::control::{KEY_SLOT_NONE, ParticipantSet};
use clearway_types::genesis::{bic_shape, lei_shape};
use clearway_types::limits::{KEY_LAG_MAX, PARTICIPANTS_MAX};
use clearway_types::units::{Height, ParticipantId};

use crate::authority::{after_lag, approved, authorise, nobody_elses};
use crate::state::State;
use crate::tables::participants::{NO_END, can_sign, is_operator};

/// Key slots of a participant.
const SLOTS: u8 = 4;

pub(crate) fn apply(state: &mut State, body: &ParticipantSet) -> Result<(), ResultCode> {
    let id = ParticipantId(body.participant.get());
    let sponsor = ParticipantId(body.sponsor.get());
    if sponsor != ParticipantId(0) && state.participants.get(sponsor).is_none() {
        return Err(ResultCode::ParticipantUnknown);
    }
    let before = state.participants.get(id);
    let participant = described(state, body, before)?;
    let key = match body.key_slot {
        KEY_SLOT_NONE => Ok(None),
        slot => key_for(state, body, before).map(|entry| Some((usize::from(slot), entry))),
    };
    if locks_out(state, before, &participant, key.ok().flatten()) {
        return Err(ResultCode::ParticipantInvalid);
    }
    let key = key?;
    authorise(state, body.as_body(), ParticipantId(0))?;
    approved(state, body.as_body())?;
    state.participants.set(participant);
    if let Some((slot, entry)) = key {
        state.participants.set_key(id, slot, entry);
    }
    Ok(())
}

/// Code 74: the participant as the record describes it, with the keys it had.
fn described(
    state: &State,
    body: &ParticipantSet,
    before: Option<&Participant>,
) -> Result<Participant, ResultCode> {
    let id = ParticipantId(body.participant.get());
    let role = Role::from_u8(body.role);
    let (Some(role), 0..=1) = (role, body.status) else {
        return Err(ResultCode::ParticipantInvalid);
    };
    let participant = Participant {
        id,
        role,
        suspended: body.status == 1,
        sponsor: ParticipantId(body.sponsor.get()),
        lei: body.lei,
        bic: body.bic,
        keys: before.map(|before| before.keys).unwrap_or_default(),
    };
    let slot_known = body.key_slot < SLOTS || body.key_slot == KEY_SLOT_NONE;
    let full = before.is_none() && state.participants.len() >= PARTICIPANTS_MAX;
    if id == ParticipantId(0)
        || participant.sponsor == id
        || !slot_known
        || full
        || !text_or_none(&body.lei, lei_shape)
        || !text_or_none(&body.bic, bic_shape)
    {
        return Err(ResultCode::ParticipantInvalid);
    }
    Ok(participant)
}

/// Code 74: whether at some height too few operators could sign, and fewer than without the record.
///
/// What takes an operator away now and what ends its last key later are one and the same: the rest
/// of its keys is compared height by height, so that the operators can always change something.
fn locks_out(
    state: &State,
    before: Option<&Participant>,
    after: &Participant,
    key: Option<(usize, KeyEntry)>,
) -> bool {
    let Some(before) = before.filter(|before| is_operator(before)) else {
        return false;
    };
    let mut after = after.clone();
    if let Some((slot, entry)) = key {
        after.keys[slot] = Some(entry);
    }
    let operators = || state.participants.operators();
    let threshold = state.rules.operator_threshold as usize;
    let from = state.clock.height.next();
    let changes = operators().chain([&after]).flat_map(|one| &one.keys);
    let changes = changes
        .flatten()
        .flat_map(|key| [key.valid_from, key.valid_to]);
    let heights: BTreeSet<Height> = changes
        .filter(|height| *height > from)
        .chain([from])
        .collect();
    heights.into_iter().any(|height| {
        let lost = can_sign(before, height) && !can_sign(&after, height);
        let others = || operators().filter(|one| one.id != after.id && can_sign(one, height));
        // No more are looked for than are needed.
        lost && others().take(threshold).count() < threshold
    })
}

/// Codes 75, 77 and 78: what the record makes of the slot it names.
fn key_for(
    state: &State,
    body: &ParticipantSet,
    before: Option<&Participant>,
) -> Result<KeyEntry, ResultCode> {
    let old = before.and_then(|before| before.keys[usize::from(body.key_slot)]);
    if body.public_key == [0; 32] {
        return end_key(state, old);
    }
    register_check(&body.public_key).map_err(|_| ResultCode::KeyInvalid)?;
    let earliest = match old {
        None => state.clock.height.next(),
        Some(old) => after_lag(state, &old)?,
    };
    nobody_elses(
        state,
        ParticipantId(body.participant.get()),
        &body.public_key,
    )?;
    Ok(KeyEntry {
        public_key: body.public_key,
        valid_from: earliest.max(Height(body.key_valid_from.get())),
        valid_to: NO_END,
    })
}

/// The slot's key, ending; code 75 when there is none that could end.
fn end_key(state: &State, old: Option<KeyEntry>) -> Result<KeyEntry, ResultCode> {
    let end = Height(state.clock.height.0.saturating_add(KEY_LAG_MAX));
    let old = old.ok_or(ResultCode::KeyInvalid)?;
    Ok(KeyEntry {
        valid_to: old.valid_to.min(end),
        ..old
    })
}

/// Whether a zero-padded field is empty or has the shape.
fn text_or_none(field: &[u8], shape: impl Fn(&str) -> bool) -> bool {
    let end = field
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(field.len());
    let (text, padding) = field.split_at(end);
    let clean = padding.iter().all(|&byte| byte == 0);
    clean && (text.is_empty() || std::str::from_utf8(text).is_ok_and(shape))
}
