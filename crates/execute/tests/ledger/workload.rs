//! Random workloads, valid and invalid forms mixed, executed by the ledger and by the oracle: equal
//! in every code, flag, balance and expiry. On a failure proptest prints the
//! smallest workload that fails.

use clearway_types::code::ResultCode;
use clearway_types::control::KEY_SLOT_NONE;
use clearway_types::envelope::Body;
use clearway_types::kind::Kind;
use clearway_types::transfer::Transfer;
use clearway_types::units::{AccountId, ParticipantId};
use proptest::prelude::*;
use zerocopy::little_endian::{U16, U32, U64};

use crate::oracle::{End, Oracle, Verdict};
use crate::oracle_kinds::in_being;
use crate::support::*;

/// One envelope to be made; what the numbers mean depends on what they are used for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    what: u8,
    debit: u8,
    credit: u8,
    amount: u16,
    pick: u8,
    twist: u8,
}

/// One block: time that passes before it, and its envelopes.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    wait: u8,
    version: u8,
    cut: u8,
    ops: Vec<Op>,
}

pub(crate) fn steps(blocks: usize) -> impl Strategy<Value = Vec<Step>> {
    let op = any::<(u8, u8, u8, u16, u8, u8)>();
    let op = op.prop_map(|(what, debit, credit, amount, pick, twist)| Op {
        what,
        debit,
        credit,
        amount,
        pick,
        twist,
    });
    let ops = prop::collection::vec(op, 0..14);
    let step = (any::<u8>(), any::<u8>(), any::<u8>(), ops);
    let step = step.prop_map(|(wait, version, cut, ops)| Step {
        wait,
        version,
        cut,
        ops,
    });
    prop::collection::vec(step, 1..blocks)
}

/// Accounts that workloads name, some of which come to be only on the way or never.
const POOL: [u64; 14] = [
    A,
    A_LINE,
    B,
    C,
    I,
    A,
    B,
    (ALICE as u64) << 32 | 2,
    (BOB as u64) << 32 | 2,
    (AUDITOR as u64) << 32 | 1,
    ISSUER_EUR,
    (CAROL as u64) << 32 | 5,
    (BOB as u64) << 32 | 6,
    (60 << 32) | 1,
];

/// Makes bodies, and remembers them so that later ones can refer to them.
#[derive(Default)]
pub(crate) struct Maker {
    past: Vec<Body>,
}

impl Maker {
    /// The envelopes of a step, in one or two batches.
    pub(crate) fn batches(&mut self, world: &mut World, step: &Step) -> Vec<(u64, Vec<Body>)> {
        let mut bodies = Vec::new();
        let mut ops = step.ops.iter();
        while let Some(op) = ops.next() {
            if op.what % 16 == 15 {
                let len = 1 + usize::from(op.pick % 4);
                let members: Vec<Op> = ops.by_ref().take(len).copied().collect();
                bodies.extend(self.chain(world, op, &members));
            } else {
                bodies.push(self.body(world, op));
            }
        }
        self.past.extend(&bodies);
        let current = world.ledger.directory().height.0;
        let version = match step.version {
            0..4 => current.saturating_sub(1),
            4..6 => world.ledger.height().0 + 1,
            6..9 => 0,
            _ => current,
        };
        let cut = usize::from(step.cut) % (bodies.len() + 1);
        let tail = bodies.split_off(cut);
        let batches = [(version, bodies), (current, tail)];
        batches
            .into_iter()
            .filter(|(_, bodies)| !bodies.is_empty())
            .collect()
    }

    /// A chain, sometimes with a member missing, doubled or moved.
    fn chain(&mut self, world: &mut World, op: &Op, ops: &[Op]) -> Vec<Body> {
        let members: Vec<Transfer> = ops
            .iter()
            .map(|member| {
                let what = member.what % 11;
                *Transfer::of(&self.plain(world, &Op { what, ..*member }))
            })
            .collect();
        if members.is_empty() {
            return Vec::new();
        }
        let signer = members[0].signer;
        let mut chain = link(&members);
        // Mostly one signer, so that most chains are whole.
        if !op.amount.is_multiple_of(8) {
            chain.iter_mut().for_each(|body| body.signer = signer);
        }
        let at = usize::from(op.debit) % chain.len();
        match op.twist {
            0..10 => {
                chain.remove(at);
            }
            10..20 => chain.insert(at, chain[at]),
            20..30 => chain.swap(0, at),
            _ => {}
        }
        chain
    }

    fn body(&mut self, world: &mut World, op: &Op) -> Body {
        let mut body = match op.what % 16 {
            14 => self.earlier(op).unwrap_or_else(|| self.plain(world, op)),
            _ => self.plain(world, op),
        };
        let twist = U16::new(u16::from(op.pick));
        match op.twist {
            0 => body.version = op.pick,
            1 => body.kind = op.pick,
            2..4 => body.flags = U16::new(1 << (op.pick % 16)),
            4 => body.expires_at = U32::new(world.second() + u32::from(op.pick)),
            5..7 => body.signer = U32::new(u32::from(op.pick % 9)),
            7 => body.id.0 = [0xff * (op.pick % 2); 16],
            8 => body.id.0[15] = op.pick,
            9 => body.ledger = [U32::new(USD), U32::new(7)][usize::from(op.pick % 2)],
            10..12 => body.fields[usize::from(op.pick % 96)] ^= 1 << (op.amount % 8),
            12 => {
                if let Some(earlier) = self.earlier(op) {
                    body.id = earlier.id;
                }
            }
            13 => body.flags = U16::new((twist.get() % 4) << 10),
            _ => {}
        }
        body
    }

    fn earlier(&self, op: &Op) -> Option<Body> {
        let index = usize::from(op.pick) % self.past.len().max(1);
        self.past
            .get(self.past.len().checked_sub(index + 1)?)
            .copied()
    }

    /// The latest body of one of these kinds, or the one a few before.
    fn earlier_of(&self, op: &Op, kinds: &[Kind]) -> Option<Transfer> {
        let of_kind = |body: &&Body| kinds.iter().any(|kind| *kind as u8 == body.kind);
        let found = self.past.iter().rev().filter(of_kind);
        found
            .map(|body| *Transfer::of(body))
            .nth(usize::from(op.pick % 5))
    }

    fn plain(&mut self, world: &mut World, op: &Op) -> Body {
        let account = |at: u8| POOL[usize::from(at) % POOL.len()];
        let (debit, credit) = (account(op.debit), account(op.credit));
        let amount = match op.amount % 16 {
            0 => u64::from(op.amount),
            1 => 0,
            2 => u64::MAX,
            // Two of these are more than there may be.
            3 => 1 << 63,
            _ => u64::from(op.amount % 200),
        };
        match op.what % 16 {
            0..=4 => *world.transfer(debit, credit, amount).as_body(),
            5 | 6 => {
                let mut hold = world.hold(debit, credit, amount);
                hold.timeout_s = U32::new(1 + u32::from(op.pick) * 2);
                if op.twist.is_multiple_of(4) {
                    hold.reference[0] = op.pick % 9;
                    hold.reference[4] = op.twist % 9;
                }
                *hold.as_body()
            }
            7 | 8 => match self.earlier_of(op, &[Kind::Hold]) {
                Some(hold) if op.what.is_multiple_of(2) => *world.void(&hold).as_body(),
                Some(hold) => *world.post(&hold, amount).as_body(),
                None => *world.transfer(debit, credit, amount).as_body(),
            },
            9 | 10 => match self.earlier_of(op, &[Kind::Transfer, Kind::Hold]) {
                Some(original) => *world.give_back(&original, amount).as_body(),
                None => *world.transfer(debit, credit, amount).as_body(),
            },
            11 => match op.pick % 2 {
                0 => *world.issue(credit, amount).as_body(),
                _ => *world.redeem(debit, amount).as_body(),
            },
            12 => control_of_accounts(world, op, debit, amount),
            _ => control_of_participants(world, op),
        }
    }
}

fn control_of_accounts(world: &mut World, op: &Op, account: u64, amount: u64) -> Body {
    match op.pick % 8 {
        0..2 => {
            let mut open = world.account_open(account);
            open.account_flags = U16::new(1 << (op.twist % 32).min(15));
            *open.as_body()
        }
        2 => *world.account_open(account).as_body(),
        3 => *world
            .account_flags(account, u16::from(op.twist % 9))
            .as_body(),
        4 => *world.credit_line(account, amount).as_body(),
        5 => *world
            .account_set(account, u16::from(op.twist % 20))
            .as_body(),
        _ => *world
            .limit_set(account, u32::from(op.twist % 8), amount)
            .as_body(),
    }
}

fn control_of_participants(world: &mut World, op: &Op) -> Body {
    let participant =
        [ALICE, BOB, CAROL, AUDITOR, OPERATOR_2, ISSUER, 60][usize::from(op.debit % 7)];
    match op.pick % 8 {
        0 => *world
            .key_rotate(participant, op.credit % 4, op.twist % 4)
            .as_body(),
        1 => *world
            .ledger_define(u32::from(op.credit % 3) + 1, b"XAU")
            .as_body(),
        2..5 => {
            let mut set = world.participant_set(participant);
            (set.role, set.status) = (op.credit % 4, u8::from(op.twist.is_multiple_of(16)));
            set.sponsor = U32::new(u32::from(op.twist % 8));
            *set.as_body()
        }
        _ => {
            let slot = [0, 1, 2, 3, KEY_SLOT_NONE, 1][usize::from(op.credit % 6)];
            let mut set = world.participant_key(participant, slot, op.twist % 4);
            if op.amount % 8 == 1 {
                set.public_key = key(BOB, op.twist % 4).public_key();
            }
            if slot == KEY_SLOT_NONE || op.amount.is_multiple_of(8) {
                set.public_key = [0; 32];
            }
            set.key_valid_from = U64::new(u64::from(op.amount % 3));
            *set.as_body()
        }
    }
}

/// Moves the clock as the step says.
pub(crate) fn pass_time(world: &mut World, step: &Step) {
    world.time_ms += match step.wait {
        0..20 => 30_000,
        20..25 => 86_400_000,
        25..120 => u64::from(step.wait) * 40,
        _ => 0,
    };
}

/// Heights that pass without an envelope before the step: keys begin and end by heights.
fn empty_blocks(step: &Step) -> u64 {
    match step.wait {
        120..124 => 130,
        _ => 0,
    }
}

/// Executes a step on both sides and compares them.
fn run_step(world: &mut World, oracle: &mut Oracle, maker: &mut Maker, step: &Step) {
    for _ in 0..empty_blocks(step) {
        let empty = world.next_block(&[]);
        let executed = world.ledger.execute(empty);
        oracle.block(world.time_ms, &[]);
        world.blocks.push(executed);
    }
    pass_time(world, step);
    let batches = maker.batches(world, step);
    let (verdicts, events) = oracle.block(world.time_ms, &batches);
    let height = world.ledger.height().next();
    let mut block = block(height, world.time_ms, 0, &[]);
    let batched = batches
        .iter()
        .map(|(version, bodies)| batch(*version, bodies).into());
    block.batches = batched.collect();
    let executed = world.ledger.execute(block);

    let first = |index: usize| {
        let of_index = executed
            .duplicates
            .iter()
            .find(|one| one.index as usize == index);
        of_index.map(|one| one.height.0)
    };
    let found: Vec<Verdict> = executed
        .results
        .iter()
        .enumerate()
        .map(|(index, outcome)| Verdict {
            code: outcome.code,
            may_pass: is_transient(*outcome),
            first: first(index),
        })
        .collect();
    let bodies: Vec<&Body> = batches.iter().flat_map(|(_, bodies)| bodies).collect();
    for ((found, expected), body) in found.iter().zip(&verdicts).zip(&bodies) {
        assert_eq!(
            found, expected,
            "height {height}: {body:?} of kind {:#x}",
            body.kind
        );
    }
    assert_eq!(found.len(), verdicts.len());
    assert_eq!(executed.events, events, "height {height}");
    compare(world, oracle);
    world.blocks.push(executed);
}

/// Compares everything that both sides keep.
fn compare(world: &World, oracle: &Oracle) {
    world
        .ledger
        .check_invariants()
        .expect("every promise is kept");
    assert_eq!(world.ledger.accounts().count(), oracle.accounts.len());
    for account in world.ledger.accounts() {
        oracle.check_account(account);
    }
    for one in world.ledger.conserved() {
        assert!(one.conserved, "ledger {}", one.ledger);
        let of_ledger = oracle
            .accounts
            .values()
            .filter(|account| account.ledger == one.ledger.0);
        let (debits, credits) = of_ledger.fold((0, 0), |(debits, credits), account| {
            (debits + account.debits, credits + account.credits)
        });
        assert_eq!(debits, credits);
        assert_eq!(one.supply, in_being(oracle, one.ledger.0));
    }
    assert_eq!(world.ledger.live_id_count(), oracle.answered.len());
    assert_eq!(world.ledger.holds().count(), oracle.holds.len());
    let open = oracle
        .holds
        .values()
        .filter(|hold| hold.end == End::Open)
        .count();
    assert_eq!(world.ledger.hold_open_count(), open);
    assert_eq!(world.ledger.limit_count(), oracle.limits.len());
    for ((from, counterparty), row) in &oracle.limits {
        let limit = world
            .ledger
            .limit(AccountId(*from), ParticipantId(*counterparty))
            .unwrap();
        assert_eq!(limit.limit.get(), row.limit);
        if u64::from(limit.day.get()) == row.day {
            assert_eq!(limit.net.get().cast_signed(), row.net);
        }
        let of_account = oracle.limits.range((*from, 0)..=(*from, u32::MAX));
        let of_account: Vec<u32> = of_account.map(|((_, to), _)| *to).collect();
        let listed = world.ledger.limits_of(AccountId(*from));
        let listed: Vec<u32> = listed.map(|(limit, _)| limit.counterparty.get()).collect();
        assert_eq!(listed, of_account);
    }
    let version = oracle.key_changes.last().copied();
    assert_eq!(Some(world.ledger.directory().height.0), version);
}

/// Executes a whole workload on the ledger alone.
pub(crate) fn play(genesis: clearway_types::genesis::Genesis, steps: &[Step]) -> World {
    let mut world = World::with(genesis);
    let mut maker = Maker::default();
    for step in steps {
        for _ in 0..empty_blocks(step) {
            let empty = world.next_block(&[]);
            let executed = world.ledger.execute(empty);
            world.blocks.push(executed);
        }
        pass_time(&mut world, step);
        let batches = maker.batches(&mut world, step);
        let height = world.ledger.height().next();
        let mut block = block(height, world.time_ms, 0, &[]);
        let batched = batches
            .iter()
            .map(|(version, bodies)| batch(*version, bodies).into());
        block.batches = batched.collect();
        let executed = world.ledger.execute(block);
        world.blocks.push(executed);
    }
    world
}

/// The smallest failing case is printed whole, which says more than its seed; nothing is written
/// into the tree.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 192,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn ledger_and_oracle_agree_on_every_result(steps in steps(24), threshold in 1u32..3) {
        let mut genesis = genesis();
        genesis.rules.operator_threshold = threshold;
        let mut world = World::with(genesis.clone());
        let mut oracle = Oracle::new(&genesis);
        let mut maker = Maker::default();
        for step in &steps {
            run_step(&mut world, &mut oracle, &mut maker, step);
        }
    }

    #[test]
    fn two_executions_with_other_hash_seeds_give_the_same_bytes(steps in steps(40)) {
        let one = play(genesis(), &steps);
        let mut two = Two::new();
        for block in &one.blocks {
            two.execute(block);
        }
        prop_assert_eq!(one.ledger.exec_head(), two.0.ledger.exec_head());
        prop_assert_eq!(one.ledger.balances_root(), two.0.ledger.balances_root());
        let (mut one, mut two) = (one.ledger, two.0.ledger);
        prop_assert_eq!(one.state_root(), two.state_root());
    }
}

/// A second ledger that is given the blocks of a first one.
struct Two(World);

impl Two {
    fn new() -> Self {
        Self(World::new())
    }

    fn execute(&mut self, block: &clearway_types::messages::ExecutedBlock) {
        let again = self.0.ledger.execute(block.block.clone());
        assert_eq!(again.results, block.results);
        assert_eq!(again.receipts_root, block.receipts_root);
        assert_eq!(again.state_root, block.state_root);
    }
}

#[test]
fn random_workloads_reach_most_codes() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, TestRunner};

    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let mut seen = std::collections::BTreeSet::new();
    let mut settled = 0;
    for _ in 0..60 {
        let steps = steps(30).new_tree(&mut runner).unwrap().current();
        let world = play(genesis(), &steps);
        let results = world.blocks.iter().flat_map(|block| &block.results);
        for outcome in results {
            seen.insert(outcome.code);
            settled += usize::from(outcome.code == ResultCode::Settled);
        }
    }
    assert!(seen.len() >= 53, "only {} codes: {seen:?}", seen.len());
    assert!(settled > 500, "only {settled} settled");
}
