//! Golden bytes of a genesis and of the ledger that grows from it: results, roots, snapshot.

use std::sync::Arc;

use clearway_crypto::hash;
use clearway_crypto::keys::SigningKey;
use clearway_crypto::validators::genesis_epoch;
use clearway_execute::Ledger;
use clearway_types::account::{AccountFlags, Role};
use clearway_types::batch::{Batch, BatchHeader, LaneId};
use clearway_types::code::ResultCode::{self, *};
use clearway_types::control::{
    AccountOpen, FIELD_FLAGS, KeyRotate, LedgerDefine, LimitSet, ParticipantSet,
};
use clearway_types::domain::DomainTag;
use clearway_types::envelope::{Body, Envelope, VERSION};
use clearway_types::final_record::FinalRecord;
use clearway_types::flags::Flags;
use clearway_types::genesis::{
    Genesis, GenesisAccount, GenesisLedger, GenesisParticipant, GenesisValidator, HexBytes, Rules,
};
use clearway_types::kind::Kind;
use clearway_types::manifest::{EpochId, Manifest};
use clearway_types::messages::OrderedBlock;
use clearway_types::transfer::Transfer;
use clearway_types::units::{
    AccountId, Digest, Height, LedgerId, ParticipantId, TimeMs, TransferId, ValidatorNumber,
};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::{Table, digest, fill};

const START_S: u32 = 1_700_000_000;
const EUR: u32 = 978;
const JPY: u32 = 392;
const OPERATOR: u32 = 1;
const OTHER_OPERATOR: u32 = 2;
const PAYER: u32 = 3;
const PAYEE: u32 = 4;
const ISSUER: u32 = 5;
const AUDITOR: u32 = 6;
const NEW: u32 = 7;

fn account(owner: u32, number: u32) -> u64 {
    AccountId::new(ParticipantId(owner), number).0
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&fill(seed))
}

fn genesis() -> Genesis {
    let participant = |id: u32, role, sponsor| GenesisParticipant {
        id: ParticipantId(id),
        role,
        sponsor: ParticipantId(sponsor),
        lei: format!("5493001KJTIIGC8Y1R{id:02}"),
        bic: format!("CWAYDEF{id}"),
        public_key: HexBytes(key(u8::try_from(id).expect("few")).public_key()),
    };
    let ledger = |id, code: &str, exponent, issuer| GenesisLedger {
        id: LedgerId(id),
        code: code.into(),
        exponent,
        issuer: ParticipantId(issuer),
        issuer_account: AccountId(account(issuer, id)),
    };
    let account = |owner, number, ledger, balance, credit_line| GenesisAccount {
        id: AccountId(account(owner, number)),
        ledger: LedgerId(ledger),
        balance,
        credit_line,
    };
    let validator = |seed: u8| GenesisValidator {
        peer_address: format!("192.0.2.{seed}:7500"),
        ..GenesisValidator::new(
            ValidatorNumber(u32::from(seed)),
            format!("validator-{seed}"),
            format!("192.0.2.{seed}:7400"),
            fill(seed),
            fill(seed + 1),
            fill(seed + 2),
        )
    };
    Genesis {
        name: "golden".into(),
        time: TimeMs(u64::from(START_S) * 1000),
        rules: Rules {
            ttl_s_max: 61,
            return_window_s: 62,
            operator_threshold: 2,
        },
        validators: vec![validator(10), validator(20)],
        participants: vec![
            participant(OPERATOR, Role::Operator, 0),
            participant(OTHER_OPERATOR, Role::Operator, 0),
            participant(PAYER, Role::Member, OPERATOR),
            participant(PAYEE, Role::Member, PAYER),
            participant(ISSUER, Role::Member, 0),
            participant(AUDITOR, Role::Auditor, 0),
        ],
        ledgers: vec![ledger(EUR, "EUR", 2, ISSUER), ledger(JPY, "JPY", 0, PAYEE)],
        accounts: vec![
            account(PAYER, 1, EUR, 1001, 0),
            account(PAYER, 2, JPY, 902, 3),
            account(PAYEE, 1, EUR, 503, 70),
            account(ISSUER, 1, EUR, 104, 0),
        ],
    }
}

/// A ledger and what it needs to make further blocks.
struct World {
    genesis: Genesis,
    ledger: Ledger,
    time_s: u32,
    next_id: u64,
}

/// An envelope's body and what becomes of it.
type Expected = (Body, ResultCode);

impl World {
    fn body(&mut self, kind: Kind, signer: u32) -> Body {
        self.next_id += 1;
        let mut body = Body::new_zeroed();
        body.id = TransferId::new(TimeMs(u64::from(self.time_s) * 1000), self.next_id, 0);
        body.kind = kind as u8;
        body.version = VERSION;
        body.signer = U32::new(signer);
        body.ledger = U32::new(EUR);
        body.expires_at = U32::new(self.time_s + 30);
        body
    }

    fn money(&mut self, kind: Kind, [debit, credit]: [u64; 2], amount: u64) -> Transfer {
        let mut transfer = *Transfer::of(&self.body(kind, AccountId(debit).owner().0));
        transfer.debit = U64::new(debit);
        transfer.credit = U64::new(credit);
        transfer.amount = U64::new(amount);
        transfer.uetr = fill(0x40);
        transfer.payload = fill(0x80);
        transfer
    }

    fn hold(&mut self, between: [u64; 2], amount: u64, timeout_s: u32) -> Transfer {
        let mut hold = self.money(Kind::Hold, between, amount);
        hold.timeout_s = U32::new(timeout_s);
        hold
    }

    /// What ends or gives back `first`.
    fn after(&mut self, kind: Kind, first: &Transfer, amount: u64) -> Body {
        let mut between = [first.debit.get(), first.credit.get()];
        if kind == Kind::Return {
            between.reverse();
        }
        let mut after = self.money(kind, between, amount);
        after.reference = first.id.0;
        *after.as_body()
    }

    fn account_open(&mut self, kind: Kind, flags: u16) -> Body {
        let mut open = *AccountOpen::of(&self.body(kind, OPERATOR));
        open.account = U64::new(account(PAYER, 7));
        open.account_flags = U16::new(flags);
        match kind {
            Kind::AccountSet => open.field_mask = U16::new(FIELD_FLAGS),
            _ => {
                open.credit_line = U64::new(8);
                open.code = U16::new(9);
                open.alias = fill(0x20);
            }
        }
        *open.as_body()
    }

    fn limit_set(&mut self) -> Body {
        let mut set = *LimitSet::of(&self.body(Kind::LimitSet, OPERATOR));
        set.account = U64::new(account(PAYER, 1));
        set.counterparty = U32::new(PAYEE);
        set.limit = U64::new(400);
        *set.as_body()
    }

    fn participant_set(&mut self, operator: u32) -> Body {
        let mut body = self.body(Kind::ParticipantSet, operator);
        body.ledger = U32::ZERO;
        let mut set = *ParticipantSet::of(&body);
        set.participant = U32::new(NEW);
        set.sponsor = U32::new(PAYEE);
        set.lei = *b"5493001KJTIIGC8Y1R17";
        set.bic = *b"CWAYDEFF123";
        set.public_key = key(0x60).public_key();
        *set.as_body()
    }

    fn key_rotate(&mut self) -> Body {
        let (slot, new) = (1, key(0x50));
        let tag = DomainTag::new(self.genesis.hash());
        let mut rotate = *KeyRotate::of(&self.body(Kind::KeyRotate, PAYEE));
        rotate.public_key = new.public_key();
        rotate.proof = new.prove_possession(tag, ParticipantId(PAYEE), slot);
        rotate.slot = slot;
        rotate.reserved = [0; 3];
        *rotate.as_body()
    }

    fn ledger_define(&mut self) -> Body {
        let mut define = *LedgerDefine::of(&self.body(Kind::LedgerDefine, OPERATOR));
        define.ledger = U32::new(826);
        define.code = *b"GBP\0\0\0\0\0";
        define.exponent = 2;
        define.issuer = U32::new(ISSUER);
        define.issuer_account = U64::new(account(ISSUER, 826));
        *define.as_body()
    }

    /// Two payments that settle together.
    fn chain(&mut self) -> [Body; 2] {
        let between = [account(PAYER, 1), account(PAYEE, 1)];
        let mut bodies =
            [3, 4].map(|amount| *self.money(Kind::Transfer, between, amount).as_body());
        let head = bodies[0].id;
        for (position, body) in (0u8..).zip(&mut bodies) {
            body.id = head;
            body.id.0[15] = position;
            body.flags = U16::new(Flags::new(0, position == 0).0);
        }
        bodies
    }

    /// Executes a block of one batch some seconds later and adds what it gave.
    fn execute(&mut self, later_s: u32, envelopes: &[Expected], table: &mut Table) {
        self.time_s += later_s;
        let height = self.ledger.height().next();
        let bodies = envelopes.iter().map(|(body, _)| *body);
        let block = block(height, self.time_s, self.ledger.directory().height, bodies);
        let executed = self.ledger.execute(block);
        let found: Vec<_> = executed
            .results
            .iter()
            .map(|outcome| outcome.code)
            .collect();
        let expected: Vec<_> = envelopes.iter().map(|(_, code)| *code).collect();
        assert_eq!(found, expected, "block {height}");
        table.add(
            format!("ledger final record of block {height}"),
            FinalRecord::of(&executed).encode(),
        );
        let root = self.ledger.state_root();
        table.add(format!("ledger state root after block {height}"), root.0);
    }
}

/// A block of one batch, as execution takes it.
fn block(
    height: Height,
    time_s: u32,
    directory_height: Height,
    bodies: impl Iterator<Item = Body>,
) -> OrderedBlock {
    let time = TimeMs(u64::from(time_s) * 1000);
    let envelopes: Vec<Envelope> = bodies
        .map(|body| Envelope {
            body,
            signature: fill(body.id.0[13]),
        })
        .collect();
    let header = BatchHeader {
        lane: LaneId::first(ValidatorNumber(1)),
        count: u32::try_from(envelopes.len()).expect("few"),
        index: height.0,
        previous: Digest::ZERO,
        directory_height,
        time,
        envelopes_root: Digest::ZERO,
    };
    let batch = Batch {
        header,
        digest: hash::batch_digest(&header),
        digests: envelopes.iter().map(hash::envelope_digests).collect(),
        slabs: vec![envelopes.as_bytes().to_vec().into()],
        hints: Vec::new(),
        origins: Vec::new(),
    };
    let manifest = Manifest {
        epoch: EpochId::default(),
        height,
        parent: Digest::ZERO,
        time,
        leader: ValidatorNumber(1),
        state_height: Height(0),
        exec_head: Digest::ZERO,
        batches: Vec::new(),
    };
    OrderedBlock {
        manifest: Arc::new(manifest),
        digest: digest(0x11),
        batches: vec![Arc::new(batch)],
        certificate: None,
    }
}

pub(super) fn add(table: &mut Table) {
    let genesis = genesis();
    table.add("genesis hash", genesis.hash().0);
    let epoch = genesis_epoch(&genesis);
    table.add("digest of a validator set", epoch.validators.0);
    let ledger = Ledger::from_genesis(&genesis).expect("the sample is right");
    let mut world = World {
        genesis,
        ledger,
        time_s: START_S,
        next_id: 0,
    };
    let root = world.ledger.state_root();
    table.add("ledger state root of the genesis", root.0);
    let seen = run(&mut world, table);
    for &kind in Kind::ALL {
        assert!(seen.contains(&(kind as u8)), "no envelope of kind {kind:?}");
    }
    table.add("ledger execution head", world.ledger.exec_head().0);
    let mut snapshot = Vec::new();
    let written = world.ledger.snapshot().write(&mut snapshot);
    written.expect("memory does not fail");
    table.add("ledger snapshot", snapshot);
    world
        .ledger
        .check_invariants()
        .expect("every promise is kept");
}

/// Three blocks with every kind, every table and every event; the kinds that were in them.
fn run(world: &mut World, table: &mut Table) -> Vec<u8> {
    let pay = [account(PAYER, 1), account(PAYEE, 1)];
    let back = [account(PAYEE, 1), account(PAYER, 1)];
    let issue = [account(ISSUER, EUR), account(PAYER, 1)];
    let redeem = [account(ISSUER, 1), account(ISSUER, EUR)];
    let payment = world.money(Kind::Transfer, pay, 10);
    let (short, long) = (world.hold(pay, 20, 5), world.hold(back, 30, 600));
    let first = [
        (*payment.as_body(), Settled),
        (*short.as_body(), Settled),
        (*long.as_body(), Settled),
        (world.account_open(Kind::AccountOpen, 0), Settled),
        (world.limit_set(), Settled),
        (world.participant_set(OPERATOR), AwaitingApproval),
        (*world.money(Kind::Issue, issue, 25).as_body(), Settled),
        (
            *world.money(Kind::Transfer, pay, 5000).as_body(),
            InsufficientFunds,
        ),
    ];
    world.execute(1, &first, table);
    let (voided, open) = (world.hold(pay, 6, 600), world.hold(pay, 7, 601));
    let frozen = AccountFlags::FROZEN_DEBIT;
    let second = [
        (world.after(Kind::Post, &long, 12), Settled),
        (world.after(Kind::Return, &payment, 4), Settled),
        (*payment.as_body(), Settled),
        (*world.money(Kind::Redeem, redeem, 40).as_body(), Settled),
        (world.key_rotate(), Settled),
        (world.participant_set(OTHER_OPERATOR), Settled),
        (world.ledger_define(), AwaitingApproval),
        (world.account_open(Kind::AccountSet, frozen), Settled),
        (*voided.as_body(), Settled),
        (*open.as_body(), Settled),
    ];
    world.execute(6, &second, table);
    let [head, tail] = world.chain();
    let third = [
        (world.after(Kind::Void, &voided, 0), Settled),
        (head, Settled),
        (tail, Settled),
    ];
    world.execute(2, &third, table);
    let blocks = [&first[..], &second, &third];
    let bodies = blocks.iter().flat_map(|block| block.iter());
    bodies.map(|(body, _)| body.kind).collect()
}
