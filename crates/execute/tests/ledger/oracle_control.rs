//! The oracle's operators: participants, their keys, ledgers, and who approves what.

use clearway_crypto::keys::{check_possession, register_check};
use clearway_types::account::Role;
use clearway_types::code::ResultCode::{self, *};
use clearway_types::control::{KeyRotate, LedgerDefine, ParticipantSet};
use clearway_types::domain::DomainTag;
use clearway_types::envelope::Body;
use clearway_types::limits::{APPROVAL_S, KEY_LAG_MAX};
use clearway_types::units::ParticipantId;
use zerocopy::IntoBytes;

use crate::oracle::{Acc, Oracle, Party};
use crate::oracle_kinds::{Codes, owner};

fn is_live_operator(party: &Party) -> bool {
    party.role == Role::Operator && !party.suspended
}

/// Whether this signature makes the content approved by enough operators.
fn approve(oracle: &mut Oracle, body: &Body) -> bool {
    let mut content = body.as_bytes().to_vec();
    content[..16].fill(0);
    content[112..120].fill(0);
    content[126..].fill(0);
    let now = oracle.now_s();
    let old = oracle
        .approvals
        .remove(&content)
        .filter(|(until, _)| *until > now);
    let mut operators = old.map(|(_, operators)| operators).unwrap_or_default();
    operators.insert(body.signer.get());
    let live = |id: &&u32| oracle.parties.get(*id).is_some_and(is_live_operator);
    if operators.iter().filter(live).count() >= oracle.genesis.rules.operator_threshold as usize {
        return true;
    }
    let until = now + u64::from(APPROVAL_S);
    oracle.approvals.insert(content, (until, operators));
    false
}

/// Operators with a live key at a height.
fn signers(oracle: &Oracle, height: u64) -> usize {
    let live = |key: &Option<(u64, u64, _)>| {
        key.is_some_and(|(from, to, _)| from <= height && height < to)
    };
    let can = |party: &&Party| is_live_operator(party) && party.keys.iter().any(live);
    oracle.parties.values().filter(can).count()
}

/// A slot, and its key: first height, end, public key.
type SlotKey = (u8, (u64, u64, [u8; 32]));

/// Whether the record makes some height one at which too few operators can sign.
fn locks_out(oracle: &Oracle, p: &ParticipantSet, key: Option<SlotKey>) -> bool {
    let mut then = oracle.clone();
    let Some(party) = then.parties.get_mut(&p.participant.get()) else {
        return false;
    };
    party.role = Role::from_u8(p.role).unwrap_or(party.role);
    party.suspended = p.status == 1;
    if let Some((slot, entry)) = key {
        party.keys[usize::from(slot)] = Some(entry);
    }
    let threshold = oracle.genesis.rules.operator_threshold as usize;
    let keys = |oracle: &Oracle| -> Vec<_> {
        let parties = oracle.parties.values();
        parties.flat_map(|party| party.keys).flatten().collect()
    };
    let all = keys(oracle).into_iter().chain(keys(&then));
    let edges = all.flat_map(|(from, to, _)| [from, to]);
    let later = edges.filter(|height| *height > oracle.height);
    later.chain([oracle.height + 1]).any(|height| {
        let (was, is) = (signers(oracle, height), signers(&then, height));
        is < was && is < threshold
    })
}

/// Whether somebody else's slot holds the key, live or not.
fn is_anothers(oracle: &Oracle, id: u32, public_key: &[u8; 32]) -> bool {
    let mut others = oracle.parties.iter().filter(|(other, _)| **other != id);
    others.any(|(_, party)| party.keys.iter().flatten().any(|key| key.2 == *public_key))
}

pub(crate) fn participant_set(oracle: &mut Oracle, p: &ParticipantSet) -> ResultCode {
    let mut codes = Codes::default();
    let (id, sponsor, slot) = (p.participant.get(), p.sponsor.get(), p.key_slot);
    let before = oracle.parties.get(&id).cloned();
    codes.when(
        sponsor != 0 && !oracle.parties.contains_key(&sponsor),
        ParticipantUnknown,
    );
    codes.when(
        id == 0 || sponsor == id || p.role > 2 || p.status > 1,
        ParticipantInvalid,
    );
    codes.when(slot > 3 && slot != 255, ParticipantInvalid);
    // The generator makes no identifiers, so only empty ones are right here.
    codes.when(p.lei != [0; 20] || p.bic != [0; 11], ParticipantInvalid);
    let mut entry = None;
    if slot < 4 {
        let old = before
            .as_ref()
            .and_then(|party| party.keys[usize::from(slot)]);
        if p.public_key == [0; 32] {
            codes.when(old.is_none(), KeyInvalid);
            entry = old.map(|(from, to, key)| (from, to.min(oracle.height + KEY_LAG_MAX), key));
        } else {
            codes.when(register_check(&p.public_key).is_err(), KeyInvalid);
            codes.when(
                old.is_some_and(|(_, to, _)| to > oracle.height),
                KeySlotInUse,
            );
            codes.when(is_anothers(oracle, id, &p.public_key), KeyTaken);
            let lag = if old.is_some() { KEY_LAG_MAX } else { 1 };
            let from = (oracle.height + lag).max(p.key_valid_from.get());
            entry = Some((from, u64::MAX, p.public_key));
        }
    }
    codes.when(
        oracle.parties[&p.signer.get()].role != Role::Operator,
        NotAuthorised,
    );
    let wrong = [KeyInvalid, KeySlotInUse, KeyTaken];
    let sound = !wrong.iter().any(|code| codes.0.contains(code));
    let key = entry.filter(|_| sound).map(|entry| (slot, entry));
    codes.when(locks_out(oracle, p, key), ParticipantInvalid);
    if let Some(code) = codes.first() {
        return code;
    }
    if !approve(oracle, p.as_body()) {
        return AwaitingApproval;
    }
    oracle.keys_changed |= before.is_none() || entry.is_some();
    let mut keys = before.map(|party| party.keys).unwrap_or_default();
    if entry.is_some() {
        keys[usize::from(slot)] = entry;
    }
    let party = Party {
        role: Role::from_u8(p.role).unwrap(),
        suspended: p.status == 1,
        sponsor,
        keys,
    };
    oracle.parties.insert(id, party);
    Settled
}

pub(crate) fn key_rotate(oracle: &mut Oracle, k: &KeyRotate) -> ResultCode {
    let mut codes = Codes::default();
    let tag = DomainTag::new(oracle.genesis.hash());
    let (signer, slot) = (k.signer.get(), usize::from(k.slot));
    codes.when(register_check(&k.public_key).is_err(), KeyInvalid);
    let proof = check_possession(tag, ParticipantId(signer), k.slot, &k.public_key, &k.proof);
    codes.when(proof.is_err(), KeyProofInvalid);
    let old = oracle.parties[&signer].keys[slot];
    codes.when(
        old.is_some_and(|(_, to, _)| to > oracle.height),
        KeySlotInUse,
    );
    codes.when(is_anothers(oracle, signer, &k.public_key), KeyTaken);
    if let Some(code) = codes.first() {
        return code;
    }
    let entry = (oracle.height + KEY_LAG_MAX, u64::MAX, k.public_key);
    oracle.parties.get_mut(&signer).unwrap().keys[slot] = Some(entry);
    oracle.keys_changed = true;
    Settled
}

pub(crate) fn ledger_define(oracle: &mut Oracle, l: &LedgerDefine) -> ResultCode {
    let mut codes = Codes::default();
    let (id, account) = (l.ledger.get(), l.issuer_account.get());
    codes.when(oracle.ledgers.contains_key(&id), LedgerExists);
    let len = l.code.iter().take_while(|byte| **byte != 0).count();
    let shape = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let named = len > 0 && l.code[..len].iter().all(shape) && l.code[len..].iter().all(|b| *b == 0);
    codes.when(id == 0 || !named || l.exponent > 18, LedgerInvalid);
    codes.when(
        !oracle.parties.contains_key(&l.issuer.get()),
        ParticipantUnknown,
    );
    codes.when(oracle.accounts.contains_key(&account), AccountExists);
    codes.when(owner(account) != l.issuer.get(), AccountInvalid);
    codes.when(
        oracle.parties[&l.signer.get()].role != Role::Operator,
        NotAuthorised,
    );
    if let Some(code) = codes.first() {
        return code;
    }
    if !approve(oracle, l.as_body()) {
        return AwaitingApproval;
    }
    oracle.ledgers.insert(id, (l.issuer.get(), account));
    let acc = Acc {
        ledger: id,
        issuer: true,
        ..Acc::default()
    };
    oracle.accounts.insert(account, acc);
    Settled
}
