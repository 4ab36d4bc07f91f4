//! Operators cannot lock themselves out: at every later height enough of them have a live key.

use clearway_types::account::Role;
use clearway_types::code::ResultCode::{self, *};
use clearway_types::control::ParticipantSet;
use clearway_types::limits::KEY_LAG_MAX;
use clearway_types::units::Height;
use proptest::prelude::*;
use zerocopy::little_endian::{U32, U64};

use crate::support::*;

/// A world in which `threshold` operators approve together.
fn world(threshold: u32) -> World {
    let mut genesis = genesis();
    genesis.rules.operator_threshold = threshold;
    World::with(genesis)
}

/// Operators who can sign at the worst later height.
fn fewest_signers(world: &World) -> usize {
    let ledger = &world.ledger;
    let operators: Vec<_> = ledger
        .participants()
        .filter(|one| one.role == Role::Operator && !one.suspended)
        .collect();
    let keys = operators.iter().flat_map(|one| one.keys.iter().flatten());
    let edges = keys.flat_map(|key| [key.valid_from, key.valid_to]);
    let next = ledger.height().next();
    // The height of "no end" is never reached.
    let later = edges.filter(|height| *height > next && height.0 < u64::MAX);
    let heights = later.chain([next]);
    let live = |height: Height| {
        let can = operators.iter().filter(|one| {
            let mut keys = one.keys.iter().flatten();
            keys.any(|key| key.valid_at(height))
        });
        can.count()
    };
    heights.map(live).min().expect("one height at least")
}

/// Signed by all operators who are needed, one after the other; the last answer.
fn approved(world: &mut World, set: &ParticipantSet) -> ResultCode {
    let threshold = world.genesis.rules.operator_threshold;
    let mut code = AwaitingApproval;
    for operator in [OPERATOR, OPERATOR_2].into_iter().take(threshold as usize) {
        let mut body = *set.as_body();
        body.id = world.participant_set(1).id;
        body.signer = U32::new(operator);
        body.expires_at = U32::new(world.second() + 40);
        code = world.one(&body);
    }
    code
}

/// Ends the key in a slot.
fn end_key(world: &mut World, participant: u32, slot: u8) -> ParticipantSet {
    let mut set = world.participant_set(participant);
    (set.role, set.key_slot) = (1, slot);
    set
}

fn suspend(world: &mut World, participant: u32) -> ParticipantSet {
    let mut set = world.participant_set(participant);
    (set.role, set.status) = (1, 1);
    set
}

#[test]
fn the_last_operators_cannot_be_taken_away() {
    type Record = fn(&mut World, u32) -> ParticipantSet;
    let rows: [(&str, Record); 5] = [
        ("demoted", |w, operator| w.participant_set(operator)),
        ("made an auditor", |w, operator| {
            let mut set = w.participant_set(operator);
            set.role = 2;
            set
        }),
        ("suspended", suspend),
        ("its only key ended", |w, operator| end_key(w, operator, 0)),
        ("demoted with a new key", |w, operator| {
            let mut set = w.participant_key(operator, 1, 7);
            set.role = 0;
            set
        }),
    ];
    for (name, record) in rows {
        for threshold in [1, 2] {
            let mut world = world(threshold);
            if threshold == 1 {
                let other = suspend(&mut world, OPERATOR_2);
                assert_eq!(approved(&mut world, &other), Settled, "one is enough");
            }
            let set = record(&mut world, OPERATOR);
            let code = approved(&mut world, &set);
            assert_eq!(code, ParticipantInvalid, "{name} at {threshold}");
        }
    }
}

#[test]
fn a_key_may_end_only_while_others_live_on() {
    let mut world = world(1);
    let first = end_key(&mut world, OPERATOR, 0);
    assert_eq!(approved(&mut world, &first), Settled, "operator 2 can sign");
    // The first one's key still lives, but not at the height at which this one would end.
    let last = end_key(&mut world, OPERATOR_2, 0);
    assert_eq!(approved(&mut world, &last), ParticipantInvalid);
    let gone = suspend(&mut world, OPERATOR_2);
    assert_eq!(approved(&mut world, &gone), ParticipantInvalid);
    // A key that begins after the other's end leaves a gap.
    let mut late = world.participant_key(OPERATOR_2, 1, 5);
    (late.role, late.key_valid_from) = (1, U64::new(10 * KEY_LAG_MAX));
    assert_eq!(approved(&mut world, &late), Settled);
    let gap = end_key(&mut world, OPERATOR_2, 0);
    assert_eq!(approved(&mut world, &gap), ParticipantInvalid);
    // One that begins in time does not.
    let mut soon = world.participant_key(OPERATOR_2, 2, 6);
    soon.role = 1;
    assert_eq!(approved(&mut world, &soon), Settled);
    let fine = end_key(&mut world, OPERATOR_2, 0);
    assert_eq!(approved(&mut world, &fine), Settled);
    assert_eq!(fewest_signers(&world), 1);
}

#[test]
fn a_key_that_cannot_be_put_in_is_named_before_it_counts() {
    let mut world = world(1);
    let other = suspend(&mut world, OPERATOR_2);
    assert_eq!(approved(&mut world, &other), Settled);
    let mut taken = world.participant_key(OPERATOR, 0, 4);
    taken.role = 1;
    assert_eq!(approved(&mut world, &taken), KeySlotInUse);
    taken.role = 0;
    assert_eq!(
        approved(&mut world, &taken),
        ParticipantInvalid,
        "code 74 first"
    );
}

/// One control envelope: what it does, to whom, with which slot, and when a key begins.
type Op = (u8, u8, u8, u8, u8);

fn step(world: &mut World, (what, who, slot, seed, wait): Op) {
    // Somebody who can sign signs, as the cluster would demand.
    let participant = [OPERATOR, OPERATOR_2, ALICE][usize::from(who % 3)];
    let slot = slot % 4;
    let mut set = match what % 6 {
        0 => suspend(world, participant),
        1 => end_key(world, participant, slot),
        2 => world.participant_set(participant),
        3 => {
            let mut set = world.participant_key(participant, slot, seed);
            set.key_valid_from = U64::new(u64::from(seed) * 40);
            set
        }
        _ => {
            let body = *world.key_rotate(participant, slot, seed).as_body();
            world.one(&body);
            return world.empty_blocks(u64::from(wait % 4) * 70);
        }
    };
    if what >= 128 {
        set.role = 1;
    }
    approved(world, &set);
    world.empty_blocks(u64::from(wait % 4) * 70);
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_sequence_of_records_leaves_too_few_operators(
        ops in prop::collection::vec(any::<Op>(), 1..24),
        threshold in 1u32..3,
    ) {
        let mut world = world(threshold);
        for op in ops {
            step(&mut world, op);
            let fewest = fewest_signers(&world);
            prop_assert!(fewest >= threshold as usize, "{fewest} of {threshold} after {op:?}");
        }
    }
}
