//! Keys and directory versions: when a key begins and ends, and which batches may rely on it.

use std::sync::Arc;

use clearway_crypto::keys::SigningKey;
use clearway_types::code::ResultCode::*;
use clearway_types::envelope::Body;
use clearway_types::flags::Flags;
use clearway_types::limits::KEY_LAG_MAX;
use clearway_types::units::{Height, ParticipantId};
use zerocopy::little_endian::{U16, U64};

use crate::support::*;

/// A payment of 1 by Alice, signed with the key of `slot`.
fn payment(world: &mut World, slot: u8) -> Body {
    let mut transfer = world.transfer(A, B, 1);
    transfer.flags = U16::new(Flags::new(slot, false).0);
    *transfer.as_body()
}

/// A KEY_ROTATE to a key of the test's choice, with its proof.
fn rotate_to(world: &mut World, signer: u32, slot: u8, key: &SigningKey) -> Body {
    let mut rotate = world.key_rotate(signer, slot, 7);
    rotate.public_key = key.public_key();
    rotate.proof = key.prove_possession(world.tag(), ParticipantId(signer), slot);
    *rotate.as_body()
}

#[test]
fn a_rotated_key_begins_after_the_lag_and_the_old_one_stays() {
    let mut world = World::new();
    let rotate = world.key_rotate(ALICE, 1, 1);
    world.settle(rotate.as_body());
    let made = world.ledger.height().0;
    let entry = world.ledger.participant(ParticipantId(ALICE)).unwrap().keys[1].unwrap();
    assert_eq!(entry.valid_from, Height(made + KEY_LAG_MAX));
    world.empty_blocks(KEY_LAG_MAX - 2);
    let early = payment(&mut world, 1);
    let outcome = world.outcomes(&[early])[0];
    assert_eq!(world.ledger.height().0, made + KEY_LAG_MAX - 1);
    assert_eq!(outcome.code, KeyNotValid);
    assert!(is_transient(outcome));
    let (new, old) = (payment(&mut world, 1), payment(&mut world, 0));
    assert_eq!(world.run(&[new, old]), [Settled; 2]);
}

#[test]
fn a_batch_may_name_a_version_until_its_successor_is_the_lag_old() {
    let mut world = World::new();
    let rotate = world.key_rotate(ALICE, 1, 1);
    world.settle(rotate.as_body());
    let made = world.ledger.height().0;
    world.version = Some(0);
    world.empty_blocks(KEY_LAG_MAX - 2);
    let last = payment(&mut world, 0);
    assert_eq!(world.one(&last), Settled);
    assert_eq!(world.ledger.height().0, made + KEY_LAG_MAX - 1);
    let late = payment(&mut world, 0);
    assert_eq!(
        world.one(&late),
        KeyNotValid,
        "just when the new key begins"
    );
    world.version = None;
    assert_eq!(world.one(&late), Settled, "the same bytes in a fresh batch");
    world.version = Some(world.ledger.height().0 + 1);
    let future = payment(&mut world, 0);
    assert_eq!(
        world.one(&future),
        KeyNotValid,
        "no version comes from the future"
    );
}

#[test]
fn an_unchanged_directory_never_becomes_stale() {
    let mut world = World::new();
    world.empty_blocks(2 * KEY_LAG_MAX);
    let one = payment(&mut world, 0);
    assert_eq!(world.one(&one), Settled);
    assert_eq!(world.ledger.directory().height, Height(0));
}

#[test]
fn operators_end_a_key_and_its_slot_is_used_again_after_its_end() {
    let mut world = World::new();
    let mut end = world.participant_set(ALICE);
    end.key_slot = 0;
    world.settle(end.as_body());
    let made = world.ledger.height().0;
    let early = world.participant_key(ALICE, 0, 1);
    assert_eq!(world.one(early.as_body()), KeySlotInUse);
    world.empty_blocks(KEY_LAG_MAX - 3);
    let last = payment(&mut world, 0);
    let too_early = world.participant_key(ALICE, 0, 1);
    assert_eq!(
        world.run(&[last, *too_early.as_body()]),
        [Settled, KeySlotInUse]
    );
    assert_eq!(world.ledger.height().0, made + KEY_LAG_MAX - 1);
    let ended = payment(&mut world, 0);
    let new = world.participant_key(ALICE, 0, 2);
    assert_eq!(world.run(&[ended, *new.as_body()]), [KeyNotValid, Settled]);
    let entry = world.ledger.participant(ParticipantId(ALICE)).unwrap().keys[0].unwrap();
    assert_eq!(entry.valid_from, Height(made + 2 * KEY_LAG_MAX));
    assert_eq!(entry.public_key, key(ALICE, 2).public_key());
}

#[test]
fn a_first_key_is_valid_at_the_next_height_or_when_it_is_wished() {
    for (wish, valid_from) in [(0, 2), (1, 2), (2, 2), (7, 7)] {
        let mut world = World::new();
        let mut set = world.participant_key(50, 1, 1);
        set.key_valid_from = U64::new(wish);
        world.settle(set.as_body());
        let entry = world.ledger.participant(ParticipantId(50)).unwrap().keys[1].unwrap();
        assert_eq!(entry.valid_from, Height(valid_from), "wished {wish}");
    }
}

#[test]
fn a_key_belongs_to_one_participant_until_its_slot_holds_another() {
    let mut world = World::new();
    let shared = key(CAROL, 7);
    let [first, second] = [ALICE, BOB].map(|signer| rotate_to(&mut world, signer, 1, &shared));
    let own = rotate_to(&mut world, ALICE, 2, &shared);
    assert_eq!(
        world.run(&[first, second, own]),
        [Settled, KeyTaken, Settled],
        "two at once, and the owner's second slot"
    );
    // An ended key still names its owner; one that another has replaced does not.
    let slots = [1, 2];
    for slot in slots {
        let mut end = world.participant_set(ALICE);
        end.key_slot = slot;
        world.settle(end.as_body());
    }
    world.empty_blocks(KEY_LAG_MAX);
    let again = rotate_to(&mut world, BOB, 1, &shared);
    assert_eq!(world.one(&again), KeyTaken);
    for slot in slots {
        let new = world.participant_key(ALICE, slot, 20 + slot);
        world.settle(new.as_body());
    }
    let again = rotate_to(&mut world, BOB, 1, &shared);
    assert_eq!(world.one(&again), Settled);
}

#[test]
fn a_genesis_in_which_two_participants_have_one_key_is_refused() {
    let mut genesis = genesis();
    genesis.participants[2].public_key = genesis.participants[1].public_key;
    let error = clearway_execute::Ledger::from_genesis(&genesis)
        .err()
        .expect("a key taken twice");
    assert!(error.to_string().contains("participant 3"), "{error}");
    assert!(error.to_string().contains("key of its own"), "{error}");
}

#[test]
fn a_directory_is_published_when_a_key_changes_and_only_then() {
    let mut world = World::new();
    let before = world.ledger.directory();
    let payment = payment(&mut world, 0);
    world.settle(&payment);
    let mut rename = world.participant_set(BOB);
    rename.bic[..8].copy_from_slice(b"CWAYDEFF");
    world.settle(rename.as_body());
    assert!(Arc::ptr_eq(&before, &world.ledger.directory()));
    let rotate = world.key_rotate(BOB, 3, 3);
    world.settle(rotate.as_body());
    let after = world.ledger.directory();
    assert_eq!(after.height, world.ledger.height());
    let entry = after.key(ParticipantId(BOB), 3).unwrap();
    assert_eq!(entry.public_key, key(BOB, 3).public_key());
    assert!(after.key(ParticipantId(BOB), 2).is_none());
}

#[test]
fn a_genesis_with_a_key_that_anyone_can_use_is_refused() {
    let mut genesis = genesis();
    genesis.participants[2].public_key.0 = [0; 32];
    genesis.participants[2].public_key.0[0] = 1;
    let error = clearway_execute::Ledger::from_genesis(&genesis)
        .err()
        .expect("small order");
    assert!(error.to_string().contains("participant 3"), "{error}");
    genesis.participants.clear();
    let error = clearway_execute::Ledger::from_genesis(&genesis)
        .err()
        .expect("nobody");
    assert!(error.to_string().contains("0 participants"), "{error}");
}
