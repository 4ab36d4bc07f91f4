//! The full scan: every promise of the ledger checked against every record.

use std::collections::BTreeMap;

use clearway_types::account::Account;
use clearway_types::units::{AccountId, LedgerId};

use crate::error::InvariantViolation;
use crate::state::State;
use crate::tables::accounts::money;
use crate::tables::currencies::Totals;
use crate::tables::holds::{Hold, HoldState};

/// Checks what each table promises by itself, then what tables promise together.
pub(crate) fn check(state: &State) -> Result<(), InvariantViolation> {
    state.check_tables()?;
    check_sums(state)?;
    check_holds(state)
}

/// Invariant 1: the running sums are those of the accounts, each of a ledger that is defined.
fn check_sums(state: &State) -> Result<(), InvariantViolation> {
    let mut sums: BTreeMap<LedgerId, Totals> = BTreeMap::new();
    for entry in state.currencies.iter() {
        sums.insert(entry.currency.id, Totals::default());
    }
    for account in state.accounts.slots.iter() {
        let violation = InvariantViolation::Ledger(account.id());
        let sum = sums.get_mut(&account.ledger()).ok_or(violation)?;
        *sum = sum_with(*sum, account).ok_or(InvariantViolation::Totals(account.ledger()))?;
    }
    for entry in state.currencies.iter() {
        let id = entry.currency.id;
        if sums[&id] != entry.totals {
            return Err(InvariantViolation::Totals(id));
        }
    }
    Ok(())
}

fn sum_with(sum: Totals, account: &Account) -> Option<Totals> {
    Some(Totals {
        debits_posted: sum.debits_posted.checked_add(account.debits_posted.get())?,
        credits_posted: sum
            .credits_posted
            .checked_add(account.credits_posted.get())?,
        debits_pending: sum
            .debits_pending
            .checked_add(account.debits_pending.get())?,
        credits_pending: sum
            .credits_pending
            .checked_add(account.credits_pending.get())?,
        in_being: sum.in_being.checked_add(money(account))?,
    })
}

/// Invariant 5: pending balances are the open holds, each of accounts of its ledger.
fn check_holds(state: &State) -> Result<(), InvariantViolation> {
    let mut pending: BTreeMap<AccountId, (u128, u128)> = BTreeMap::new();
    for hold in state.holds.iter() {
        let Some(hold_state) = hold.state() else {
            continue;
        };
        check_hold(state, hold)?;
        if hold_state == HoldState::Open {
            let (debit, credit) = hold.accounts();
            let amount = u128::from(hold.amount.get());
            let side = &mut pending.entry(debit).or_default().0;
            *side = side.saturating_add(amount);
            let side = &mut pending.entry(credit).or_default().1;
            *side = side.saturating_add(amount);
        }
    }
    for account in state.accounts.slots.iter() {
        let expected = pending.get(&account.id()).copied().unwrap_or_default();
        let found = (account.debits_pending.get(), account.credits_pending.get());
        if found != expected {
            return Err(InvariantViolation::Pending(account.id()));
        }
    }
    Ok(())
}

fn check_hold(state: &State, hold: &Hold) -> Result<(), InvariantViolation> {
    let (debit, credit) = hold.accounts();
    let on_ledger = |id| {
        let account = state.accounts.by_id(id);
        account.is_some_and(|account| account.ledger == hold.ledger)
    };
    match on_ledger(debit) && on_ledger(credit) {
        true => Ok(()),
        false => Err(InvariantViolation::Hold(hold.key().0, hold.id)),
    }
}

#[cfg(test)]
mod tests {
    use clearway_types::account::Role;
    use clearway_types::genesis::{
        Genesis, GenesisAccount, GenesisLedger, GenesisParticipant, GenesisValidator, HexBytes,
        Rules,
    };
    use clearway_types::units::{Height, ParticipantId, TimeMs, TransferId, ValidatorNumber};
    use zerocopy::FromZeros;
    use zerocopy::little_endian::{U32, U64, U128};

    use super::*;
    use crate::clock::Clock;
    use crate::ledger::Ledger;
    use crate::tables::Table;
    use crate::tables::codec::{Sink, Source};
    use crate::tables::holds::state_number;
    use crate::tables::ids::Entry;
    use crate::tables::slots::Slot;

    const LEDGER: LedgerId = LedgerId(978);
    const OWNER: ParticipantId = ParticipantId(1);

    fn genesis() -> Genesis {
        let key = clearway_crypto::keys::SigningKey::from_seed(&[1; 32]).public_key();
        let account = |number, balance| GenesisAccount {
            id: AccountId::new(OWNER, number),
            ledger: LEDGER,
            balance,
            credit_line: 0,
        };
        Genesis {
            name: "invariants".into(),
            time: TimeMs(1_000_000),
            rules: Rules::default(),
            validators: vec![GenesisValidator::new(
                ValidatorNumber(1),
                "one".into(),
                "127.0.0.1:1".into(),
                [1; 32],
                [2; 96],
                [3; 48],
            )],
            participants: vec![GenesisParticipant {
                id: OWNER,
                role: Role::Operator,
                sponsor: ParticipantId(0),
                lei: String::new(),
                bic: String::new(),
                public_key: HexBytes(key),
            }],
            ledgers: vec![GenesisLedger {
                id: LEDGER,
                code: "EUR".into(),
                exponent: 2,
                issuer: OWNER,
                issuer_account: AccountId::new(OWNER, 1),
            }],
            accounts: vec![account(2, 100), account(3, 50)],
        }
    }

    /// The first member's account.
    const MEMBER: Slot = Slot(1);

    fn hold(amount: u64, posted: u64, returned: u64, state: HoldState) -> Hold {
        Hold {
            id: TransferId([7; 16]),
            signer: U32::new(OWNER.0),
            ledger: U32::new(LEDGER.0),
            debit: U64::new(AccountId::new(OWNER, 2).0),
            credit: U64::new(AccountId::new(OWNER, 3).0),
            amount: U64::new(amount),
            posted: U64::new(posted),
            returned: U64::new(returned),
            state: state_number(state),
            ..Hold::new_zeroed()
        }
    }

    fn returned_too_much(state: &mut State) {
        let entry = Entry {
            id: TransferId([9; 16]),
            digest: [0; 16],
            height: Height(1),
            debit: AccountId(1),
            credit: AccountId(2),
            amount: 5,
            returned: 6,
            signer: OWNER,
            code: 0,
        };
        state.ids.forget(1000);
        state.ids.insert(1030, entry, Height(1));
    }

    /// Sums and accounts agree on more than there may be.
    fn members_hold_too_much(state: &mut State) {
        let more = 1 << 64;
        state.accounts.slots.write(Slot(0)).debits_posted = U128::new(150 + more);
        state.accounts.slots.write(MEMBER).credits_posted = U128::new(100 + more);
        let index = state.currencies.index(LEDGER).expect("defined");
        let totals = state.currencies.totals(index);
        totals.debits_posted = 150 + more;
        totals.credits_posted = 150 + more;
        totals.in_being = 150 + more;
    }

    #[test]
    fn each_broken_promise_is_found_by_its_name() {
        use InvariantViolation as V;
        type Break = fn(&mut State);
        let member = AccountId::new(OWNER, 2);
        let rows: [(Break, V); 10] = [
            (
                |s| s.accounts.slots.write(MEMBER).credits_posted = U128::new(101),
                V::Totals(LEDGER),
            ),
            (
                |s| s.accounts.slots.write(MEMBER).ledger = U32::new(7),
                V::Ledger(member),
            ),
            (
                |s| s.accounts.slots.write(MEMBER).debits_posted = U128::new(101),
                V::Cover(member),
            ),
            (
                |s| {
                    let index = s.currencies.index(LEDGER).expect("defined");
                    let totals = s.currencies.totals(index);
                    (totals.credits_posted, totals.in_being) = (151, 151);
                    s.accounts.slots.write(MEMBER).credits_posted = U128::new(101);
                },
                V::Unbalanced(LEDGER),
            ),
            (members_hold_too_much, V::InBeing(LEDGER)),
            (
                |s| s.holds.open(hold(10, 0, 0, HoldState::Open)),
                V::Pending(member),
            ),
            (
                |s| s.holds.open(hold(10, 11, 0, HoldState::Posted)),
                V::Hold(OWNER, TransferId([7; 16])),
            ),
            (
                |s| s.holds.open(hold(10, 5, 6, HoldState::Posted)),
                V::Hold(OWNER, TransferId([7; 16])),
            ),
            (
                |s| {
                    let mut nowhere = hold(10, 0, 0, HoldState::Open);
                    nowhere.credit = U64::new(12345);
                    s.holds.open(nowhere);
                },
                V::Hold(OWNER, TransferId([7; 16])),
            ),
            (returned_too_much, V::Returned(OWNER, TransferId([9; 16]))),
        ];
        for (row, (break_it, expected)) in rows.into_iter().enumerate() {
            let mut ledger = Ledger::from_genesis(&genesis()).expect("the sample is right");
            assert_eq!(ledger.check_invariants(), Ok(()));
            break_it(&mut ledger.state);
            assert_eq!(ledger.check_invariants(), Err(expected), "row {row}");
        }
    }

    #[test]
    fn tables_with_nothing_in_them_are_zero_in_the_root_and_not_in_a_snapshot() {
        let ledger = Ledger::from_genesis(&genesis()).expect("the sample is right");
        let mut state = ledger.state;
        for empty in [
            state.holds.root(),
            state.debit_limits.root(),
            state.approvals.root(),
            state.ids.root(),
        ] {
            assert_eq!(empty, None);
        }
        let frozen = state.freeze();
        let mut bytes = Vec::new();
        let mut sink = Sink::new(&mut bytes);
        frozen.write(&mut sink).expect("memory takes it");
        sink.finish().expect("memory takes it");
        let mut again = State::new(&genesis(), Clock::ZERO);
        again
            .read(&mut Source::new(&mut &bytes[..]))
            .expect("just written");
        again.clock = state.clock;
        assert_eq!(again.root(), state.root());
        // A table that this program does not know of.
        let end = bytes.len().saturating_sub(1);
        bytes.splice(end..end, [31]);
        let unknown = again.read(&mut Source::new(&mut &bytes[..]));
        let error = unknown.expect_err("no table has part 31").to_string();
        assert!(error.contains("`part`"), "{error}");
    }

    #[test]
    fn unbalanced_sums_show_without_a_scan() {
        let mut ledger = Ledger::from_genesis(&genesis()).expect("the sample is right");
        assert!(
            ledger
                .conserved()
                .all(|one| one.conserved && one.supply == 150)
        );
        let index = ledger.state.currencies.index(LEDGER).expect("defined");
        ledger.state.currencies.totals(index).debits_posted = 1;
        assert!(!ledger.conserved().all(|one| one.conserved));
    }
}
