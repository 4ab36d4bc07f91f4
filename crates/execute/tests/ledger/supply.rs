//! Money in being is what members hold, a credit line is not money, and no way through the kinds
//! lets members hold 2^64 minor units or more.

use clearway_types::account::AccountFlags;
use clearway_types::code::ResultCode::{self, *};
use clearway_types::envelope::Body;
use clearway_types::transfer::AMOUNT_REMAINING;

use crate::support::*;

/// Everything that members hold in EUR, by the accounts themselves.
fn held(world: &World) -> u128 {
    let accounts = world.ledger.accounts();
    let members = accounts.filter(|account| {
        account.ledger.get() == EUR && !account.flags().has(AccountFlags::ISSUER)
    });
    let balances = members.map(|account| {
        let (credits, debits) = (account.credits_posted.get(), account.debits_posted.get());
        credits.saturating_sub(debits)
    });
    balances.sum()
}

fn supply(world: &World) -> u128 {
    let mut all = world.ledger.conserved();
    all.find(|one| one.ledger.0 == EUR).expect("defined").supply
}

/// What may still come into being.
fn room(world: &World) -> u64 {
    u64::MAX - u64::try_from(held(world)).expect("bounded")
}

fn answer(world: &mut World, body: &Body) -> ResultCode {
    let code = world.one(body);
    assert_eq!(
        supply(world),
        held(world),
        "the supply is what members hold"
    );
    assert!(held(world) <= u128::from(u64::MAX), "members hold 2^64");
    code
}

fn line(world: &mut World, account: u64) {
    let line = world.credit_line(account, u64::MAX);
    world.settle(line.as_body());
}

#[test]
fn supply_is_what_members_hold() {
    let mut world = World::new();
    let before = supply(&world);
    let issue = world.issue(B, 40);
    world.settle(issue.as_body());
    assert_eq!(supply(&world), before + 40);
    let redeem = world.redeem(I, 300);
    world.settle(redeem.as_body());
    assert_eq!(supply(&world), before - 260);
    assert_eq!(world.balance(I), 0);
    let overdraft = world.transfer(C, B, 100);
    world.settle(overdraft.as_body());
    assert_eq!(supply(&world), before - 160, "Bob holds it, Carol owes it");
    let paid_off = world.transfer(B, C, 70);
    world.settle(paid_off.as_body());
    assert_eq!(supply(&world), before - 230);
    assert_eq!(supply(&world), held(&world));
}

#[test]
fn a_credit_line_is_never_redeemed() {
    let mut world = World::new();
    line(&mut world, I);
    let beyond = world.redeem(I, 301);
    assert_eq!(answer(&mut world, beyond.as_body()), InsufficientFunds);
    let hold = world.hold(I, B, 100);
    world.settle(hold.as_body());
    let set_aside = world.redeem(I, 201);
    assert_eq!(answer(&mut world, set_aside.as_body()), InsufficientFunds);
    let free = world.redeem(I, 200);
    assert_eq!(answer(&mut world, free.as_body()), Settled);
    let nothing = world.redeem(I, 1);
    assert_eq!(answer(&mut world, nothing.as_body()), InsufficientFunds);
}

#[test]
fn no_more_is_redeemed_than_was_issued() {
    let mut world = World::new();
    let issued = u64::try_from(supply(&world)).expect("small");
    line(&mut world, C);
    // Carol's line pays the issuer more than was ever issued.
    let overdraft = world.transfer(C, I, issued + 1 - 300);
    assert_eq!(answer(&mut world, overdraft.as_body()), Settled);
    let beyond = world.redeem(I, issued + 1);
    assert_eq!(answer(&mut world, beyond.as_body()), BalanceOverflow);
    let all = world.redeem(I, issued);
    assert_eq!(answer(&mut world, all.as_body()), Settled);
    let issue = world.issue(B, 1);
    assert_eq!(answer(&mut world, issue.as_body()), Settled);
}

/// Every kind that credits a member is tried at the bound: what fits settles, one more does not.
#[test]
fn no_kind_lets_members_hold_2_to_the_64() {
    type Credit = fn(&mut World, u64) -> ResultCode;
    let rows: [(&str, Credit); 5] = [
        ("issue", |world, amount| {
            let body = world.issue(B, amount);
            answer(world, body.as_body())
        }),
        ("transfer out of a line", |world, amount| {
            let body = world.transfer(C, B, amount);
            answer(world, body.as_body())
        }),
        ("hold out of a line", |world, amount| {
            let body = world.hold(C, B, amount);
            answer(world, body.as_body())
        }),
        ("post of a hold out of a line", |world, amount| {
            // The hold was small enough when it was made; ISSUE took the room since.
            let hold = world.hold(C, B, amount);
            world.settle(hold.as_body());
            let issue = world.issue(A, room(world) - 10);
            world.settle(issue.as_body());
            let post = world.post(&hold, AMOUNT_REMAINING);
            answer(world, post.as_body())
        }),
        ("return out of a line", |world, amount| {
            let payment = world.transfer(B, C, amount);
            world.settle(payment.as_body());
            let spend = world.transfer(C, A, amount);
            world.settle(spend.as_body());
            let body = world.give_back(&payment, amount);
            answer(world, body.as_body())
        }),
    ];
    for (name, credit) in rows {
        for (beyond, expected) in [(0, Settled), (1, BalanceOverflow)] {
            let mut world = World::new();
            line(&mut world, C);
            let fill = world.issue(A, room(&world) - 10);
            if name != "post of a hold out of a line" {
                world.settle(fill.as_body());
            }
            let code = credit(&mut world, 10 + beyond);
            assert_eq!(code, expected, "{name}, {beyond} beyond");
        }
    }
}

#[test]
fn redeeming_and_issuing_again_adds_nothing() {
    let mut world = World::new();
    for account in [I, C, A_LINE] {
        line(&mut world, account);
    }
    let fill = world.issue(A, room(&world));
    assert_eq!(answer(&mut world, fill.as_body()), Settled);
    // Each way of giving money back out of a line, then ISSUE again.
    for _ in 0..3 {
        let direct = world.redeem(I, u64::MAX);
        assert_eq!(answer(&mut world, direct.as_body()), InsufficientFunds);
        let through = world.transfer(C, I, 1 << 63);
        assert_eq!(answer(&mut world, through.as_body()), BalanceOverflow);
        let own = world.transfer(I, A_LINE, 301);
        assert_eq!(answer(&mut world, own.as_body()), BalanceOverflow);
        let again = world.issue(B, 1);
        assert_eq!(answer(&mut world, again.as_body()), BalanceOverflow);
    }
    // Money that is there may go and come again.
    let redeem = world.redeem(I, 300);
    assert_eq!(answer(&mut world, redeem.as_body()), Settled);
    let beyond = world.issue(B, 301);
    assert_eq!(answer(&mut world, beyond.as_body()), BalanceOverflow);
    let again = world.issue(B, 300);
    assert_eq!(answer(&mut world, again.as_body()), Settled);
}

#[test]
fn a_chain_that_fails_leaves_the_supply_as_it_was() {
    let mut world = World::new();
    let before = supply(&world);
    let members = [world.transfer(C, B, 100), world.transfer(C, A, 5000)];
    let chain = link(&members);
    assert_eq!(world.run(&chain), [LinkedFailed, InsufficientFunds]);
    assert_eq!((supply(&world), held(&world)), (before, before));
}
