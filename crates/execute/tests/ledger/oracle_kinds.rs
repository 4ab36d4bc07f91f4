//! The oracle's kinds: every code that applies is collected, the smallest is answered.

use std::collections::BTreeSet;

use clearway_types::account::Role;
use clearway_types::code::ResultCode::{self, *};
use clearway_types::control::{AccountOpen, KeyRotate, LedgerDefine, LimitSet, ParticipantSet};
use clearway_types::envelope::Body;
use clearway_types::limits::{ACCOUNTS_MAX, HOLD_TIMEOUT_S_MAX, HOLDS_PER_MEMBER_MAX};
use clearway_types::transfer::Transfer;

use crate::oracle::{Acc, End, HoldRow, LimitRow, Oracle};
use crate::oracle_control::{key_rotate, ledger_define, participant_set};

/// The answer to an admitted envelope; its effect when it settles.
pub(crate) fn judge(oracle: &mut Oracle, body: &Body) -> ResultCode {
    match body.kind {
        0x01 => payment(oracle, Transfer::of(body)),
        0x02 => hold(oracle, Transfer::of(body)),
        0x03 | 0x04 => end_hold(oracle, Transfer::of(body)),
        0x05 => give_back(oracle, Transfer::of(body)),
        0x26 | 0x27 => supply(oracle, Transfer::of(body)),
        0x20 => account_open(oracle, AccountOpen::of(body)),
        0x21 => account_set(oracle, AccountOpen::of(body)),
        0x22 => limit_set(oracle, LimitSet::of(body)),
        0x23 => participant_set(oracle, ParticipantSet::of(body)),
        0x24 => key_rotate(oracle, KeyRotate::of(body)),
        0x25 => ledger_define(oracle, LedgerDefine::of(body)),
        kind => panic!("kind {kind:#x} is not admitted"),
    }
}

pub(crate) fn owner(account: u64) -> u32 {
    u32::try_from(account >> 32).unwrap()
}

/// Collects codes while conditions are looked at in any order.
#[derive(Default)]
pub(crate) struct Codes(pub(crate) BTreeSet<ResultCode>);

impl Codes {
    pub(crate) fn when(&mut self, applies: bool, code: ResultCode) {
        if applies {
            self.0.insert(code);
        }
    }

    pub(crate) fn first(&self) -> Option<ResultCode> {
        self.0.first().copied()
    }
}

/// Codes about accounts, amounts and owners that money kinds share.
fn money_codes(oracle: &Oracle, t: &Transfer) -> Codes {
    let mut codes = Codes::default();
    let (debit, credit) = (
        oracle.accounts.get(&t.debit.get()),
        oracle.accounts.get(&t.credit.get()),
    );
    codes.when(!oracle.ledgers.contains_key(&t.ledger.get()), LedgerUnknown);
    codes.when(debit.is_none(), DebitAccountUnknown);
    codes.when(credit.is_none(), CreditAccountUnknown);
    codes.when(t.debit == t.credit, SameAccount);
    for account in [debit, credit].into_iter().flatten() {
        codes.when(account.ledger != t.ledger.get(), WrongCurrency);
        codes.when(account.closed && t.kind != 0x04, AccountClosed);
        let only_supply_kinds = account.issuer && t.kind < 0x10;
        codes.when(only_supply_kinds, IssuerMismatch);
    }
    codes.when(t.amount.get() == 0 && t.kind != 0x04, AmountZero);
    if t.kind != 0x04 {
        codes.when(
            debit.is_some_and(|account| account.frozen_debit),
            DebitFrozen,
        );
        codes.when(
            credit.is_some_and(|account| account.frozen_credit),
            CreditFrozen,
        );
    }
    codes
}

fn is_auditor(oracle: &Oracle, signer: u32) -> bool {
    oracle.parties[&signer].role == Role::Auditor
}

fn funds_codes(oracle: &Oracle, t: &Transfer, amount: u64, codes: &mut Codes) {
    if let Some(debit) = oracle.accounts.get(&t.debit.get()) {
        let spent = debit.debits + debit.held_out + u128::from(amount);
        codes.when(
            spent > debit.credits + u128::from(debit.line),
            InsufficientFunds,
        );
    }
}

/// Money that members hold in a ledger: every account above zero, whatever the others owe.
pub(crate) fn in_being(oracle: &Oracle, ledger: u32) -> u128 {
    let members = oracle.accounts.values();
    let members = members.filter(|account| account.ledger == ledger && !account.issuer);
    members
        .map(|account| account.credits.saturating_sub(account.debits))
        .sum()
}

/// Whether members would hold 2^64 or more once the payment is made.
fn being_codes(oracle: &Oracle, t: &Transfer, amount: u64, codes: &mut Codes) {
    let (debit, credit) = (t.debit.get(), t.credit.get());
    let known = |id| oracle.accounts.contains_key(id);
    if debit != credit && known(&debit) && known(&credit) {
        let mut then = oracle.clone();
        pay(&mut then, debit, credit, amount);
        let sum = in_being(&then, t.ledger.get());
        codes.when(sum >= 1 << 64, BalanceOverflow);
    }
}

fn limit_codes(oracle: &Oracle, t: &Transfer, amount: u64, codes: &mut Codes) {
    for counterparty in [owner(t.credit.get()), 0] {
        if let Some(row) = oracle.limits.get(&(t.debit.get(), counterparty)) {
            let net = if row.day == oracle.now_s() / 86_400 {
                row.net
            } else {
                0
            };
            codes.when(
                net + i128::from(amount) > i128::from(row.limit),
                LimitExceeded,
            );
        }
    }
}

fn pay(oracle: &mut Oracle, debit: u64, credit: u64, amount: u64) {
    oracle.accounts.get_mut(&debit).unwrap().debits += u128::from(amount);
    oracle.accounts.get_mut(&credit).unwrap().credits += u128::from(amount);
}

fn count_payment(oracle: &mut Oracle, debit: u64, credit: u64, amount: u64) {
    let day = oracle.now_s() / 86_400;
    let amount = i128::from(amount);
    let moves = [
        ((debit, owner(credit)), amount),
        ((debit, 0), amount),
        ((credit, owner(debit)), -amount),
        ((credit, 0), -amount),
    ];
    for (key, by) in moves {
        if let Some(row) = oracle.limits.get_mut(&key) {
            if row.day != day {
                (row.day, row.net) = (day, 0);
            }
            row.net += by;
        }
    }
}

fn payment(oracle: &mut Oracle, t: &Transfer) -> ResultCode {
    let mut codes = money_codes(oracle, t);
    let (signer, amount) = (t.signer.get(), t.amount.get());
    codes.when(
        signer != owner(t.debit.get()) || is_auditor(oracle, signer),
        NotAuthorised,
    );
    funds_codes(oracle, t, amount, &mut codes);
    limit_codes(oracle, t, amount, &mut codes);
    being_codes(oracle, t, amount, &mut codes);
    if let Some(code) = codes.first() {
        return code;
    }
    pay(oracle, t.debit.get(), t.credit.get(), amount);
    count_payment(oracle, t.debit.get(), t.credit.get(), amount);
    Settled
}

fn hold(oracle: &mut Oracle, t: &Transfer) -> ResultCode {
    let mut codes = money_codes(oracle, t);
    let (signer, amount) = (t.signer.get(), t.amount.get());
    let word = |at: usize| u32::from_le_bytes(t.reference[at..at + 4].try_into().unwrap());
    let named = [word(0), word(4)].map(|named| if named == 0 { signer } else { named });
    for party in named {
        codes.when(!oracle.parties.contains_key(&party), ParticipantUnknown);
    }
    codes.when(
        signer != owner(t.debit.get()) || is_auditor(oracle, signer),
        NotAuthorised,
    );
    let timeout_s = t.timeout_s.get();
    codes.when(
        timeout_s == 0 || timeout_s > HOLD_TIMEOUT_S_MAX,
        HoldTimeoutInvalid,
    );
    let open = |(key, hold): (&(u32, _), &HoldRow)| key.0 == signer && hold.end == End::Open;
    let open_count = oracle.holds.iter().filter(|row| open(*row)).count();
    codes.when(open_count >= HOLDS_PER_MEMBER_MAX, HoldTableFull);
    funds_codes(oracle, t, amount, &mut codes);
    limit_codes(oracle, t, amount, &mut codes);
    being_codes(oracle, t, amount, &mut codes);
    if let Some(code) = codes.first() {
        return code;
    }
    oracle.accounts.get_mut(&t.debit.get()).unwrap().held_out += u128::from(amount);
    oracle.accounts.get_mut(&t.credit.get()).unwrap().held_in += u128::from(amount);
    let row = HoldRow {
        debit: t.debit.get(),
        credit: t.credit.get(),
        ledger: t.ledger.get(),
        amount,
        deadline_ms: oracle.time_ms + u64::from(timeout_s) * 1000,
        post_by: named[0],
        void_by: named[1],
        end: End::Open,
        returned: 0,
        known_until_s: u64::MAX,
    };
    oracle.holds.insert((signer, t.id.0), row);
    Settled
}

/// POST and VOID.
fn end_hold(oracle: &mut Oracle, t: &Transfer) -> ResultCode {
    let mut codes = money_codes(oracle, t);
    let (signer, is_post) = (t.signer.get(), t.kind == 0x03);
    let key = (owner(t.debit.get()), t.reference);
    let found = oracle.holds.get(&key).cloned();
    codes.when(found.is_none(), HoldUnknown);
    let mut amount = t.amount.get();
    if let Some(row) = &found {
        let named = if is_post { row.post_by } else { row.void_by };
        codes.when(signer != named || is_auditor(oracle, signer), NotAuthorised);
        let same = (row.debit, row.credit) == (t.debit.get(), t.credit.get());
        codes.when(!same || row.ledger != t.ledger.get(), HoldMismatch);
        codes.when(matches!(row.end, End::Posted(_)), HoldPosted);
        codes.when(row.end == End::Voided, HoldVoided);
        let over = row.end == End::Open && oracle.time_ms >= row.deadline_ms;
        codes.when(row.end == End::Expired || over, HoldExpired);
        if amount == u64::MAX {
            amount = row.amount;
        }
        codes.when(is_post && amount > row.amount, HoldExceeded);
        if is_post {
            limit_codes(oracle, t, amount, &mut codes);
            being_codes(oracle, t, amount, &mut codes);
        }
    }
    if let Some(code) = codes.first() {
        return code;
    }
    let mut row = found.unwrap();
    oracle.accounts.get_mut(&row.debit).unwrap().held_out -= u128::from(row.amount);
    oracle.accounts.get_mut(&row.credit).unwrap().held_in -= u128::from(row.amount);
    row.known_until_s = oracle.now_s() + u64::from(oracle.genesis.rules.ttl_s_max);
    row.end = End::Voided;
    if is_post {
        pay(oracle, row.debit, row.credit, amount);
        count_payment(oracle, row.debit, row.credit, amount);
        let window = oracle.now_s() + u64::from(oracle.genesis.rules.return_window_s);
        row.known_until_s = row.known_until_s.max(window);
        row.end = End::Posted(amount);
    }
    oracle.holds.insert(key, row);
    Settled
}

fn give_back(oracle: &mut Oracle, t: &Transfer) -> ResultCode {
    let mut codes = money_codes(oracle, t);
    let (signer, amount) = (t.signer.get(), t.amount.get());
    codes.when(
        signer != owner(t.debit.get()) || is_auditor(oracle, signer),
        NotAuthorised,
    );
    let key = (owner(t.credit.get()), t.reference);
    let paid = oracle.answered.get(&key).filter(|row| row.is_payment);
    let posted = oracle.holds.get(&key);
    let original = match (paid, posted) {
        (Some(row), _) => {
            let bytes = &row.body;
            let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
            Some((word(16), word(24), word(32), row.returned))
        }
        (None, Some(row)) => match row.end {
            End::Posted(amount) => Some((row.debit, row.credit, amount, row.returned)),
            _ => None,
        },
        (None, None) => None,
    };
    codes.when(original.is_none(), OriginalNotLive);
    if let Some((debit, credit, whole, returned)) = original {
        codes.when(
            (debit, credit) != (t.credit.get(), t.debit.get()),
            ReturnMismatch,
        );
        let sum = u128::from(returned) + u128::from(amount);
        codes.when(sum > u128::from(whole), ReturnExceeded);
    }
    funds_codes(oracle, t, amount, &mut codes);
    limit_codes(oracle, t, amount, &mut codes);
    being_codes(oracle, t, amount, &mut codes);
    if let Some(code) = codes.first() {
        return code;
    }
    pay(oracle, t.debit.get(), t.credit.get(), amount);
    count_payment(oracle, t.debit.get(), t.credit.get(), amount);
    match oracle.answered.get_mut(&key).filter(|row| row.is_payment) {
        Some(row) => row.returned += amount,
        None => oracle.holds.get_mut(&key).unwrap().returned += amount,
    }
    Settled
}

/// ISSUE and REDEEM.
fn supply(oracle: &mut Oracle, t: &Transfer) -> ResultCode {
    let mut codes = money_codes(oracle, t);
    let (is_issue, amount) = (t.kind == 0x26, t.amount.get());
    let signer = t.signer.get();
    let issuer = oracle.ledgers.get(&t.ledger.get()).map(|ledger| ledger.0);
    let mut may = Some(signer) == issuer && !is_auditor(oracle, signer);
    may &= is_issue || signer == owner(t.debit.get());
    codes.when(!may, NotAuthorised);
    let is_issuer = |id: u64| {
        oracle
            .accounts
            .get(&id)
            .is_some_and(|account| account.issuer)
    };
    let sides = (is_issuer(t.debit.get()), is_issuer(t.credit.get()));
    codes.when(sides != (is_issue, !is_issue), IssuerMismatch);
    if is_issue {
        being_codes(oracle, t, amount, &mut codes);
    } else {
        if let Some(account) = oracle.accounts.get(&t.debit.get()) {
            let used = account.debits + account.held_out + u128::from(amount);
            codes.when(used > account.credits, InsufficientFunds);
        }
        if let Some(account) = oracle
            .accounts
            .get(&t.credit.get())
            .filter(|one| one.issuer)
        {
            let issued = account.debits - account.credits;
            codes.when(u128::from(amount) > issued, BalanceOverflow);
        }
    }
    if let Some(code) = codes.first() {
        return code;
    }
    pay(oracle, t.debit.get(), t.credit.get(), amount);
    Settled
}

/// Who may sign account kinds: the sponsor of the owner, or a live operator; never an auditor.
fn sponsor_or_operator(oracle: &Oracle, signer: u32, account: u64) -> bool {
    let sponsor = oracle
        .parties
        .get(&owner(account))
        .map_or(0, |party| party.sponsor);
    let role = oracle.parties[&signer].role;
    role == Role::Operator || (sponsor == signer && role != Role::Auditor)
}

fn setting_codes(flags: u16, codes: &mut Codes) {
    codes.when(flags & 0xff01 != 0, AccountInvalid);
    codes.when(flags & 1 << 4 != 0, DualControlNotActive);
    codes.when(flags & 1 << 5 != 0, HistoryNotActive);
    codes.when(flags & 1 << 6 != 0, MemberSettlementNotActive);
    codes.when(flags & 1 << 7 != 0, DeviceNotActive);
}

fn account_open(oracle: &mut Oracle, o: &AccountOpen) -> ResultCode {
    let mut codes = Codes::default();
    let (id, flags) = (o.account.get(), o.account_flags.get());
    codes.when(!oracle.ledgers.contains_key(&o.ledger.get()), LedgerUnknown);
    codes.when(!oracle.parties.contains_key(&owner(id)), ParticipantUnknown);
    codes.when(oracle.accounts.contains_key(&id), AccountExists);
    codes.when(
        oracle.accounts.len() >= ACCOUNTS_MAX || flags & 1 << 3 != 0,
        AccountInvalid,
    );
    setting_codes(flags, &mut codes);
    codes.when(
        !sponsor_or_operator(oracle, o.signer.get(), id),
        NotAuthorised,
    );
    if let Some(code) = codes.first() {
        return code;
    }
    let account = Acc {
        ledger: o.ledger.get(),
        line: o.credit_line.get(),
        frozen_debit: flags & 2 != 0,
        frozen_credit: flags & 4 != 0,
        ..Acc::default()
    };
    oracle.accounts.insert(id, account);
    Settled
}

fn account_set(oracle: &mut Oracle, o: &AccountOpen) -> ResultCode {
    let mut codes = Codes::default();
    let (id, flags, mask) = (o.account.get(), o.account_flags.get(), o.field_mask.get());
    codes.when(!oracle.ledgers.contains_key(&o.ledger.get()), LedgerUnknown);
    codes.when(!oracle.accounts.contains_key(&id), AccountUnknown);
    setting_codes(flags, &mut codes);
    codes.when(mask == 0 || mask > 15, FieldMaskInvalid);
    codes.when(
        !sponsor_or_operator(oracle, o.signer.get(), id),
        NotAuthorised,
    );
    if let Some(account) = oracle.accounts.get(&id) {
        codes.when(account.issuer && mask & 1 != 0, AccountInvalid);
        codes.when(account.ledger != o.ledger.get(), WrongCurrency);
        codes.when(account.closed, AccountClosed);
        let empty =
            account.debits == account.credits && (account.held_out, account.held_in) == (0, 0);
        codes.when(flags & 1 << 3 != 0 && !empty, AccountNotEmpty);
        let used = account.debits + account.held_out;
        let cover = account.credits + u128::from(o.credit_line.get());
        codes.when(mask & 1 != 0 && used > cover, CreditLineInUse);
    }
    if let Some(code) = codes.first() {
        return code;
    }
    let account = oracle.accounts.get_mut(&id).unwrap();
    if mask & 1 != 0 {
        account.line = o.credit_line.get();
    }
    if mask & 4 != 0 {
        account.frozen_debit = flags & 2 != 0;
        account.frozen_credit = flags & 4 != 0;
        account.closed = flags & 8 != 0;
    }
    Settled
}

fn limit_set(oracle: &mut Oracle, l: &LimitSet) -> ResultCode {
    let mut codes = Codes::default();
    let (id, counterparty) = (l.account.get(), l.counterparty.get());
    codes.when(!oracle.ledgers.contains_key(&l.ledger.get()), LedgerUnknown);
    let stranger = counterparty != 0 && !oracle.parties.contains_key(&counterparty);
    codes.when(stranger, ParticipantUnknown);
    codes.when(!oracle.accounts.contains_key(&id), AccountUnknown);
    codes.when(
        !sponsor_or_operator(oracle, l.signer.get(), id),
        NotAuthorised,
    );
    if let Some(account) = oracle.accounts.get(&id) {
        codes.when(account.issuer, AccountInvalid);
        codes.when(account.ledger != l.ledger.get(), WrongCurrency);
        codes.when(account.closed, AccountClosed);
    }
    if let Some(code) = codes.first() {
        return code;
    }
    let day = oracle.now_s() / 86_400;
    if l.limit.get() == u64::MAX {
        oracle.limits.remove(&(id, counterparty));
    } else {
        let fresh = LimitRow {
            limit: 0,
            day,
            net: 0,
        };
        let row = oracle.limits.entry((id, counterparty)).or_insert(fresh);
        row.limit = l.limit.get();
    }
    Settled
}
