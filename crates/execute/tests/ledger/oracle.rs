//! An independent ledger, written from the rules and not from the code: plain maps, u128, whole
//! copies instead of undo logs. Where the ledger stops at the first failing check, this one
//! collects every code that applies and answers the smallest.

use std::collections::{BTreeMap, BTreeSet};

use clearway_types::account::{Account, Role};
use clearway_types::code::ResultCode::{self, *};
use clearway_types::envelope::Body;
use clearway_types::event::{Event, HoldExpired};
use clearway_types::genesis::Genesis;
use clearway_types::kind::Kind;
use clearway_types::limits::{EXPIRE_PER_BLOCK_MAX, KEY_LAG_MAX};
use clearway_types::units::{AccountId, LedgerId, ParticipantId, TransferId};
use zerocopy::IntoBytes;

use crate::oracle_kinds::judge;

pub(crate) type Id = [u8; 16];

#[derive(Clone, Default)]
pub(crate) struct Acc {
    pub(crate) ledger: u32,
    pub(crate) debits: u128,
    pub(crate) credits: u128,
    pub(crate) held_out: u128,
    pub(crate) held_in: u128,
    pub(crate) line: u64,
    pub(crate) issuer: bool,
    pub(crate) frozen_debit: bool,
    pub(crate) frozen_credit: bool,
    pub(crate) closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Open,
    Posted(u64),
    Voided,
    Expired,
}

#[derive(Clone)]
pub(crate) struct HoldRow {
    pub(crate) debit: u64,
    pub(crate) credit: u64,
    pub(crate) ledger: u32,
    pub(crate) amount: u64,
    pub(crate) deadline_ms: u64,
    pub(crate) post_by: u32,
    pub(crate) void_by: u32,
    pub(crate) end: End,
    pub(crate) returned: u64,
    pub(crate) known_until_s: u64,
}

#[derive(Clone)]
pub(crate) struct Answered {
    pub(crate) body: Vec<u8>,
    pub(crate) code: ResultCode,
    pub(crate) height: u64,
    pub(crate) until_s: u64,
    pub(crate) is_payment: bool,
    pub(crate) returned: u64,
}

#[derive(Clone)]
pub(crate) struct Party {
    pub(crate) role: Role,
    pub(crate) suspended: bool,
    pub(crate) sponsor: u32,
    /// First and last valid height (exclusive), and the key.
    pub(crate) keys: [Option<(u64, u64, [u8; 32])>; 4],
}

#[derive(Clone)]
pub(crate) struct LimitRow {
    pub(crate) limit: u64,
    pub(crate) day: u64,
    pub(crate) net: i128,
}

#[derive(Clone)]
pub(crate) struct Oracle {
    pub(crate) genesis: Genesis,
    pub(crate) height: u64,
    pub(crate) time_ms: u64,
    pub(crate) accounts: BTreeMap<u64, Acc>,
    /// Issuer, and issuer account.
    pub(crate) ledgers: BTreeMap<u32, (u32, u64)>,
    pub(crate) parties: BTreeMap<u32, Party>,
    pub(crate) key_changes: BTreeSet<u64>,
    pub(crate) keys_changed: bool,
    pub(crate) holds: BTreeMap<(u32, Id), HoldRow>,
    pub(crate) answered: BTreeMap<(u32, Id), Answered>,
    pub(crate) limits: BTreeMap<(u64, u32), LimitRow>,
    pub(crate) approvals: BTreeMap<Vec<u8>, (u64, BTreeSet<u32>)>,
}

/// What the oracle says of one envelope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Verdict {
    pub(crate) code: ResultCode,
    pub(crate) may_pass: bool,
    /// Height of the first answer, for a duplicate.
    pub(crate) first: Option<u64>,
}

impl Oracle {
    pub(crate) fn new(genesis: &Genesis) -> Self {
        let mut oracle = Self {
            genesis: genesis.clone(),
            height: 0,
            time_ms: genesis.time.0,
            accounts: BTreeMap::new(),
            ledgers: BTreeMap::new(),
            parties: BTreeMap::new(),
            key_changes: BTreeSet::from([0]),
            keys_changed: false,
            holds: BTreeMap::new(),
            answered: BTreeMap::new(),
            limits: BTreeMap::new(),
            approvals: BTreeMap::new(),
        };
        for p in &genesis.participants {
            let mut keys = [None; 4];
            keys[0] = Some((0, u64::MAX, p.public_key.0));
            let party = Party {
                role: p.role,
                suspended: false,
                sponsor: p.sponsor.0,
                keys,
            };
            oracle.parties.insert(p.id.0, party);
        }
        for l in &genesis.ledgers {
            oracle
                .ledgers
                .insert(l.id.0, (l.issuer.0, l.issuer_account.0));
            let account = Acc {
                ledger: l.id.0,
                issuer: true,
                ..Acc::default()
            };
            oracle.accounts.insert(l.issuer_account.0, account);
        }
        for a in &genesis.accounts {
            let account = Acc {
                ledger: a.ledger.0,
                credits: u128::from(a.balance),
                line: a.credit_line,
                ..Acc::default()
            };
            oracle.accounts.insert(a.id.0, account);
            let issuer = oracle.ledgers[&a.ledger.0].1;
            oracle.accounts.get_mut(&issuer).unwrap().debits += u128::from(a.balance);
        }
        oracle
    }

    pub(crate) fn now_s(&self) -> u64 {
        self.time_ms / 1000
    }

    /// Executes a block; verdicts in order, and what it did by itself.
    pub(crate) fn block(
        &mut self,
        time_ms: u64,
        batches: &[(u64, Vec<Body>)],
    ) -> (Vec<Verdict>, Vec<Event>) {
        self.height += 1;
        self.time_ms = time_ms;
        let now = self.now_s();
        self.answered.retain(|_, row| row.until_s > now);
        self.holds
            .retain(|_, hold| hold.end == End::Open || hold.known_until_s > now);
        let events = self.expire();
        let mut verdicts = Vec::new();
        for (version, bodies) in batches {
            let mut rest = &bodies[..];
            while let Some(first) = rest.first() {
                let mut len = 1;
                while len < rest.len() && follows(&rest[len - 1], &rest[len]) {
                    len += 1;
                }
                let broken = first.id.0[15] != 0 || is_linked(&rest[len - 1]) || len > 64;
                verdicts.extend(self.group(&rest[..len], *version, broken));
                rest = &rest[len..];
            }
        }
        if self.keys_changed {
            self.keys_changed = false;
            self.key_changes.insert(self.height);
        }
        (verdicts, events)
    }

    fn expire(&mut self) -> Vec<Event> {
        let open = self.holds.iter().filter(|(_, hold)| hold.end == End::Open);
        let due = open.filter(|(_, hold)| hold.deadline_ms <= self.time_ms);
        let mut due: Vec<_> = due.map(|(key, hold)| (hold.deadline_ms, *key)).collect();
        due.sort_unstable();
        due.truncate(EXPIRE_PER_BLOCK_MAX);
        let mut events = Vec::new();
        for (_, key) in due {
            let known_until_s = self.now_s() + u64::from(self.genesis.rules.ttl_s_max);
            let hold = self.holds.get_mut(&key).unwrap();
            hold.end = End::Expired;
            hold.known_until_s = known_until_s;
            let (debit, credit, amount) = (hold.debit, hold.credit, u128::from(hold.amount));
            self.accounts.get_mut(&debit).unwrap().held_out -= amount;
            self.accounts.get_mut(&credit).unwrap().held_in -= amount;
            events.push(Event::HoldExpired(HoldExpired {
                signer: ParticipantId(key.0),
                id: TransferId(key.1),
                debit: AccountId(debit),
                credit: AccountId(credit),
                ledger: LedgerId(hold.ledger),
                amount: hold.amount,
            }));
        }
        events
    }

    /// One envelope, or a chain that settles as a whole or not at all.
    fn group(&mut self, bodies: &[Body], version: u64, broken: bool) -> Vec<Verdict> {
        let mut verdicts: Vec<Option<Verdict>> = bodies
            .iter()
            .map(|body| self.before_kind(body, version, broken, bodies.len()))
            .collect();
        let admitted: Vec<bool> = verdicts.iter().map(Option::is_none).collect();
        if admitted.iter().all(|admitted| *admitted) {
            let copy = self.clone();
            for (index, body) in bodies.iter().enumerate() {
                match judge(self, body) {
                    Settled => verdicts[index] = Some(plain(Settled)),
                    // A lone envelope that awaits approval leaves its approval behind.
                    code if bodies.len() == 1 => verdicts[index] = Some(plain(code)),
                    code => {
                        *self = copy;
                        verdicts = vec![None; bodies.len()];
                        verdicts[index] = Some(plain(code));
                        break;
                    }
                }
            }
        }
        let may_pass = verdicts.iter().flatten().any(|verdict| verdict.may_pass);
        let linked = Verdict {
            may_pass,
            ..plain(LinkedFailed)
        };
        let verdicts: Vec<_> = verdicts.iter().map(|own| own.unwrap_or(linked)).collect();
        for ((body, verdict), admitted) in bodies.iter().zip(&verdicts).zip(admitted) {
            if admitted && !verdict.may_pass {
                self.remember(body, verdict.code);
            }
        }
        verdicts
    }

    fn remember(&mut self, body: &Body, code: ResultCode) {
        let is_payment = code == Settled && body.kind == Kind::Transfer as u8;
        let window = self.now_s() + u64::from(self.genesis.rules.return_window_s);
        // Whatever was signed by now ends by then.
        let mut until_s = self.now_s() + u64::from(self.genesis.rules.ttl_s_max);
        if is_payment {
            until_s = until_s.max(window);
        }
        let row = Answered {
            body: body.as_bytes().to_vec(),
            code,
            height: self.height,
            until_s,
            is_payment,
            returned: 0,
        };
        self.answered.insert((body.signer.get(), body.id.0), row);
    }

    /// The smallest code of those that apply before the kind is looked at.
    fn before_kind(
        &self,
        body: &Body,
        version: u64,
        broken: bool,
        _chain_len: usize,
    ) -> Option<Verdict> {
        let mut codes = header_codes(body);
        codes.extend(field_codes(body));
        let signer = self.parties.get(&body.signer.get());
        let key = signer.map(|p| p.keys[usize::from(body.flags.get() >> 10 & 3)]);
        let next_change = self.key_changes.range(version + 1..).next();
        let stale = next_change.is_some_and(|change| self.height >= change + KEY_LAG_MAX);
        match key {
            None => codes.push(SignerUnknown),
            Some(None) => codes.push(KeySlotEmpty),
            Some(Some((from, to, _))) => {
                let live = from <= self.height && self.height < to;
                if !live || stale || version >= self.height {
                    codes.push(KeyNotValid);
                }
            }
        }
        if signer.is_some_and(|signer| signer.suspended) {
            codes.push(SignerSuspended);
        }
        let expires_ms = u64::from(body.expires_at.get()) * 1000;
        if self.time_ms >= expires_ms {
            codes.push(Expired);
        }
        if expires_ms > self.time_ms + u64::from(self.genesis.rules.ttl_s_max) * 1000 {
            codes.push(TtlTooLong);
        }
        if broken {
            codes.push(ChainBroken);
        }
        if let Some(code) = codes.into_iter().min() {
            let passing = [
                SignerUnknown,
                KeySlotEmpty,
                KeyNotValid,
                SignerSuspended,
                TtlTooLong,
                ChainBroken,
            ];
            return Some(Verdict {
                may_pass: passing.contains(&code),
                ..plain(code)
            });
        }
        self.seen(body)
    }

    fn seen(&self, body: &Body) -> Option<Verdict> {
        let key = (body.signer.get(), body.id.0);
        let conflict = |may_pass| Verdict {
            may_pass,
            ..plain(IdConflict)
        };
        match self.answered.get(&key) {
            Some(row) if row.body == body.as_bytes() => Some(Verdict {
                first: Some(row.height),
                ..plain(row.code)
            }),
            Some(row) => Some(conflict(u64::from(body.expires_at.get()) > row.until_s)),
            None => self.holds.contains_key(&key).then(|| conflict(true)),
        }
    }

    /// Compares an account of the ledger with the oracle's.
    pub(crate) fn check_account(&self, account: &Account) {
        let own = &self.accounts[&account.id.get()];
        let theirs = (
            account.debits_posted.get(),
            account.credits_posted.get(),
            account.debits_pending.get(),
            account.credits_pending.get(),
            account.credit_line.get(),
            account.ledger.get(),
            account.flags.get() & 0b1111,
        );
        let flags = u16::from(own.issuer)
            | u16::from(own.frozen_debit) << 1
            | u16::from(own.frozen_credit) << 2
            | u16::from(own.closed) << 3;
        let ours = (
            own.debits,
            own.credits,
            own.held_out,
            own.held_in,
            own.line,
            own.ledger,
            flags,
        );
        assert_eq!(theirs, ours, "account {:#x}", account.id.get());
    }
}

pub(crate) fn plain(code: ResultCode) -> Verdict {
    Verdict {
        code,
        may_pass: matches!(code, HoldTableFull | IdTableFull),
        first: None,
    }
}

fn is_linked(body: &Body) -> bool {
    body.flags.get() & 1 == 1
}

fn follows(member: &Body, next: &Body) -> bool {
    let position = member.id.0[15];
    is_linked(member)
        && member.signer == next.signer
        && member.id.0[..15] == next.id.0[..15]
        && u16::from(next.id.0[15]) == u16::from(position) + 1
}

fn header_codes(body: &Body) -> Vec<ResultCode> {
    let mut codes = Vec::new();
    if body.version != 1 {
        codes.push(VersionUnknown);
    }
    let bits = [
        (0xf000, ReservedFlagSet),
        (1 << 1, BalancingDebitNotActive),
        (1 << 2, BalancingCreditNotActive),
        (1 << 3, QueueIfShortNotActive),
        (1 << 4, ClosingNotActive),
        (1 << 5, ImportedNotActive),
        (1 << 6, ConfidentialNotActive),
        (1 << 7, NoOffsetNotActive),
        (3 << 8, PriorityNotActive),
    ];
    let set = bits
        .into_iter()
        .filter(|(mask, _)| body.flags.get() & mask != 0);
    codes.extend(set.map(|(_, code)| code));
    if !matches!(body.kind, 0x01..=0x05 | 0x20..=0x27) {
        codes.push(KindUnknown);
    }
    if is_linked(body) && body.kind >= 0x10 {
        codes.push(LinkNotAllowed);
    }
    if body.id.0 == [0; 16] || body.id.0 == [0xff; 16] {
        codes.push(IdReserved);
    }
    codes
}

/// Codes 40 to 42, by byte offsets of the record tables.
fn field_codes(body: &Body) -> Vec<ResultCode> {
    let bytes = body.as_bytes();
    let zero = |from: usize, to: usize| bytes[from..to].iter().all(|byte| *byte == 0);
    let mut codes = Vec::new();
    let money = matches!(body.kind, 0x01..=0x05 | 0x26 | 0x27);
    if money && body.kind != 0x02 && !zero(40, 44) {
        codes.push(TimeoutNotAllowed);
    }
    if matches!(body.kind, 0x26 | 0x27) && !zero(48, 64) {
        codes.push(RefNotAllowed);
    }
    let mask = u16::from_le_bytes([bytes[36], bytes[37]]);
    let unnamed = |bit: u16, from, to| mask & bit == 0 && !zero(from, to);
    let reserved = match body.kind {
        0x02 => !zero(56, 64),
        0x04 => !zero(32, 40),
        0x20 => !zero(36, 96),
        0x21 => {
            let fields = [(1, 24, 32), (2, 32, 34), (4, 34, 36), (8, 96, 112)];
            !zero(38, 96)
                || fields
                    .iter()
                    .any(|(bit, from, to)| unnamed(*bit, *from, *to))
        }
        0x22 => !zero(28, 32) || !zero(40, 112),
        0x23 => {
            let keyless = zero(64, 72) && zero(80, 112);
            let fixed = zero(23, 24) && zero(59, 64) && zero(72, 80) && zero(120, 124);
            !fixed || (bytes[22] == 255 && !keyless)
        }
        0x24 => bytes[120] > 3 || !zero(121, 124),
        0x25 => !zero(25, 32) || !zero(36, 40) || !zero(48, 112),
        _ => false,
    };
    if reserved {
        codes.push(ReservedFieldSet);
    }
    codes
}
