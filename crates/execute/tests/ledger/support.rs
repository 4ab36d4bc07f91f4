//! What the ledger's tests share: a small cluster, short ways to write envelopes and blocks.
use std::sync::Arc;

use clearway_crypto::hash;
use clearway_crypto::keys::SigningKey;
use clearway_execute::Ledger;
use clearway_types::account::Role;
use clearway_types::batch::{Batch, BatchHeader, LaneId};
use clearway_types::code::{Outcome, OutcomeFlags, ResultCode};
use clearway_types::control::{
    AccountOpen, FIELD_CREDIT_LINE, FIELD_FLAGS, KEY_SLOT_NONE, KeyRotate, LedgerDefine, LimitSet,
    ParticipantSet,
};
use clearway_types::domain::DomainTag;
use clearway_types::envelope::{Body, Envelope};
use clearway_types::final_record::FinalRecord;
use clearway_types::flags::Flags;
use clearway_types::genesis::{
    Genesis, GenesisAccount, GenesisLedger, GenesisParticipant, GenesisValidator, HexBytes, Rules,
};
use clearway_types::kind::Kind;
use clearway_types::manifest::{EpochId, Manifest};
use clearway_types::messages::{ExecutedBlock, OrderedBlock};
use clearway_types::transfer::Transfer;
use clearway_types::units::{
    AccountId, Digest, Height, LedgerId, ParticipantId, TimeMs, TransferId, ValidatorNumber,
};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

/// Time of the genesis block, seconds.
pub(crate) const START_S: u32 = 1_800_000_000;
/// Operators 1 and 2, members 3 to 5, auditor 6, issuer 7.
pub(crate) const OPERATOR: u32 = 1;
pub(crate) const OPERATOR_2: u32 = 2;
pub(crate) const ALICE: u32 = 3;
pub(crate) const BOB: u32 = 4;
pub(crate) const CAROL: u32 = 5;
pub(crate) const AUDITOR: u32 = 6;
pub(crate) const ISSUER: u32 = 7;
pub(crate) const EUR: u32 = 978;
pub(crate) const USD: u32 = 840;

/// Account `number` of a participant.
pub(crate) fn acct(owner: u32, number: u32) -> u64 {
    AccountId::new(ParticipantId(owner), number).0
}

/// The signing key of a participant's slot.
pub(crate) fn key(participant: u32, slot: u8) -> SigningKey {
    let mut seed = [slot; 32];
    seed[..4].copy_from_slice(&participant.to_le_bytes());
    SigningKey::from_seed(&seed)
}

pub(crate) fn genesis() -> Genesis {
    let participant = |id, role, sponsor| GenesisParticipant {
        id: ParticipantId(id),
        role,
        sponsor: ParticipantId(sponsor),
        lei: String::new(),
        bic: String::new(),
        public_key: HexBytes(key(id, 0).public_key()),
    };
    let ledger = |id, code: &str, number| GenesisLedger {
        id: LedgerId(id),
        code: code.into(),
        exponent: 2,
        issuer: ParticipantId(ISSUER),
        issuer_account: AccountId(acct(ISSUER, number)),
    };
    let account = |owner, number, ledger, balance, credit_line| GenesisAccount {
        id: AccountId(acct(owner, number)),
        ledger: LedgerId(ledger),
        balance,
        credit_line,
    };
    Genesis {
        name: "ledger tests".into(),
        time: TimeMs(u64::from(START_S) * 1000),
        rules: Rules::default(),
        validators: vec![GenesisValidator::new(
            ValidatorNumber(1),
            "one".into(),
            "127.0.0.1:1".into(),
            [1; 32],
            [2; 96],
            [3; 48],
        )],
        participants: vec![
            participant(OPERATOR, Role::Operator, 0),
            participant(OPERATOR_2, Role::Operator, 0),
            participant(ALICE, Role::Member, 0),
            participant(BOB, Role::Member, ALICE),
            participant(CAROL, Role::Member, 0),
            participant(AUDITOR, Role::Auditor, 0),
            participant(ISSUER, Role::Member, 0),
        ],
        ledgers: vec![ledger(EUR, "EUR", 978), ledger(USD, "USD", 840)],
        accounts: vec![
            account(ALICE, 1, EUR, 1000, 0),
            account(ALICE, 2, USD, 1000, 0),
            account(ALICE, 3, EUR, 0, 50),
            account(BOB, 1, EUR, 1000, 0),
            account(BOB, 2, USD, 0, 0),
            account(CAROL, 1, EUR, 0, 100),
            account(AUDITOR, 1, EUR, 500, 0),
            account(ISSUER, 1, EUR, 300, 0),
        ],
    }
}

/// A ledger with the blocks it executed.
pub(crate) struct World {
    pub(crate) genesis: Genesis,
    pub(crate) ledger: Ledger,
    pub(crate) time_ms: u64,
    pub(crate) blocks: Vec<ExecutedBlock>,
    /// Directory version that the next batches name; the current one when `None`.
    pub(crate) version: Option<u64>,
    next_id: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(genesis())
    }

    pub(crate) fn with(genesis: Genesis) -> Self {
        Self {
            ledger: Ledger::from_genesis(&genesis).expect("the sample genesis is right"),
            time_ms: genesis.time.0,
            genesis,
            blocks: Vec::new(),
            version: None,
            next_id: 0,
        }
    }

    pub(crate) fn second(&self) -> u32 {
        u32::try_from(self.time_ms / 1000).unwrap()
    }

    pub(crate) fn tag(&self) -> DomainTag {
        DomainTag::new(self.genesis.hash())
    }

    /// A body of `kind` by `signer` with a new identifier, good for 30 seconds.
    pub(crate) fn body(&mut self, kind: Kind, signer: u32) -> Body {
        self.next_id += 1;
        let mut body = Body::new_zeroed();
        body.id = TransferId::new(TimeMs(self.time_ms), self.next_id, 0);
        body.kind = kind as u8;
        body.version = 1;
        body.signer = U32::new(signer);
        body.expires_at = U32::new(self.second() + 30);
        body
    }

    /// A money body in EUR by the owner of the debit side.
    pub(crate) fn money(&mut self, kind: Kind, debit: u64, credit: u64, amount: u64) -> Transfer {
        let owner = AccountId(debit).owner().0;
        let mut transfer = *Transfer::of(&self.body(kind, owner));
        transfer.debit = U64::new(debit);
        transfer.credit = U64::new(credit);
        transfer.amount = U64::new(amount);
        transfer.ledger = U32::new(EUR);
        transfer
    }

    pub(crate) fn transfer(&mut self, debit: u64, credit: u64, amount: u64) -> Transfer {
        self.money(Kind::Transfer, debit, credit, amount)
    }

    /// A hold of 20 seconds.
    pub(crate) fn hold(&mut self, debit: u64, credit: u64, amount: u64) -> Transfer {
        let mut hold = self.money(Kind::Hold, debit, credit, amount);
        hold.timeout_s = U32::new(20);
        hold
    }

    /// A POST of a hold by the hold's signer.
    pub(crate) fn post(&mut self, hold: &Transfer, amount: u64) -> Transfer {
        let mut post = self.money(Kind::Post, hold.debit.get(), hold.credit.get(), amount);
        post.reference = hold.id.0;
        post.ledger = hold.ledger;
        post
    }

    pub(crate) fn void(&mut self, hold: &Transfer) -> Transfer {
        let mut void = self.post(hold, 0);
        void.kind = Kind::Void as u8;
        void
    }

    /// A RETURN of a payment by the owner of its credited account.
    pub(crate) fn give_back(&mut self, original: &Transfer, amount: u64) -> Transfer {
        let (debit, credit) = (original.credit.get(), original.debit.get());
        let mut back = self.money(Kind::Return, debit, credit, amount);
        back.reference = original.id.0;
        back.ledger = original.ledger;
        back
    }

    pub(crate) fn issue(&mut self, credit: u64, amount: u64) -> Transfer {
        self.money(Kind::Issue, acct(ISSUER, EUR), credit, amount)
    }

    pub(crate) fn redeem(&mut self, debit: u64, amount: u64) -> Transfer {
        self.money(Kind::Redeem, debit, acct(ISSUER, EUR), amount)
    }

    pub(crate) fn account_open(&mut self, account: u64) -> AccountOpen {
        let mut open = *AccountOpen::of(&self.body(Kind::AccountOpen, OPERATOR));
        open.account = U64::new(account);
        open.ledger = U32::new(EUR);
        open
    }

    pub(crate) fn account_set(&mut self, account: u64, mask: u16) -> AccountOpen {
        let mut set = self.account_open(account);
        set.kind = Kind::AccountSet as u8;
        set.field_mask = U16::new(mask);
        set
    }

    pub(crate) fn account_flags(&mut self, account: u64, flags: u16) -> AccountOpen {
        let mut set = self.account_set(account, FIELD_FLAGS);
        set.account_flags = U16::new(flags);
        set
    }

    pub(crate) fn credit_line(&mut self, account: u64, line: u64) -> AccountOpen {
        let mut set = self.account_set(account, FIELD_CREDIT_LINE);
        set.credit_line = U64::new(line);
        set
    }

    pub(crate) fn limit_set(&mut self, account: u64, counterparty: u32, limit: u64) -> LimitSet {
        let mut set = *LimitSet::of(&self.body(Kind::LimitSet, OPERATOR));
        set.account = U64::new(account);
        set.counterparty = U32::new(counterparty);
        set.limit = U64::new(limit);
        set.ledger = U32::new(EUR);
        set
    }

    /// A registration without a key.
    pub(crate) fn participant_set(&mut self, participant: u32) -> ParticipantSet {
        let mut set = *ParticipantSet::of(&self.body(Kind::ParticipantSet, OPERATOR));
        set.participant = U32::new(participant);
        set.key_slot = KEY_SLOT_NONE;
        set
    }

    /// A registration with the key of a slot.
    pub(crate) fn participant_key(
        &mut self,
        participant: u32,
        slot: u8,
        seed: u8,
    ) -> ParticipantSet {
        let mut set = self.participant_set(participant);
        set.key_slot = slot;
        set.public_key = key(participant, seed).public_key();
        set
    }

    pub(crate) fn key_rotate(&mut self, signer: u32, slot: u8, seed: u8) -> KeyRotate {
        let mut rotate = *KeyRotate::of(&self.body(Kind::KeyRotate, signer));
        let new = key(signer, seed);
        rotate.public_key = new.public_key();
        rotate.proof = new.prove_possession(self.tag(), ParticipantId(signer), slot);
        rotate.slot = slot;
        rotate
    }

    pub(crate) fn ledger_define(&mut self, ledger: u32, code: &[u8]) -> LedgerDefine {
        let mut define = *LedgerDefine::of(&self.body(Kind::LedgerDefine, OPERATOR));
        define.ledger = U32::new(ledger);
        define.code[..code.len()].copy_from_slice(code);
        define.exponent = 2;
        define.issuer = U32::new(ISSUER);
        define.issuer_account = U64::new(acct(ISSUER, ledger));
        define
    }

    /// Executes one block of batches.
    pub(crate) fn execute(&mut self, batches: &[&[Body]]) -> &ExecutedBlock {
        let block = self.next_block(batches);
        let executed = self.ledger.execute(block);
        self.blocks.push(executed);
        self.ledger
            .check_invariants()
            .expect("every promise is kept after every block");
        assert!(self.ledger.conserved().all(|one| one.conserved));
        self.blocks.last().expect("one was pushed")
    }

    /// The block that would come next.
    pub(crate) fn next_block(&self, batches: &[&[Body]]) -> OrderedBlock {
        let version = self.version.unwrap_or(self.ledger.directory().height.0);
        block(self.ledger.height().next(), self.time_ms, version, batches)
    }

    /// Executes one batch in a block of its own; the codes.
    pub(crate) fn run(&mut self, bodies: &[Body]) -> Vec<ResultCode> {
        self.outcomes(bodies)
            .iter()
            .map(|outcome| outcome.code)
            .collect()
    }

    pub(crate) fn outcomes(&mut self, bodies: &[Body]) -> Vec<Outcome> {
        self.execute(&[bodies]).results.clone()
    }

    /// Executes one envelope in a block of its own; its code.
    pub(crate) fn one(&mut self, body: &Body) -> ResultCode {
        self.run(&[*body])[0]
    }

    /// Executes what must settle.
    pub(crate) fn settle(&mut self, body: &Body) {
        assert_eq!(self.one(body), ResultCode::Settled, "{body:?}");
    }

    /// Moves the clock and executes an empty block.
    pub(crate) fn wait_s(&mut self, seconds: u32) {
        self.time_ms += u64::from(seconds) * 1000;
        self.execute(&[]);
    }

    /// Executes empty blocks.
    pub(crate) fn empty_blocks(&mut self, count: u64) {
        for _ in 0..count {
            self.execute(&[]);
        }
    }

    /// Credits minus debits.
    pub(crate) fn balance(&self, account: u64) -> i128 {
        let account = self
            .ledger
            .account(AccountId(account))
            .expect("the test opened it");
        account.credits_posted.get().cast_signed() - account.debits_posted.get().cast_signed()
    }

    /// Money set aside on the debit side.
    pub(crate) fn pending(&self, account: u64) -> u128 {
        let account = self
            .ledger
            .account(AccountId(account))
            .expect("the test opened it");
        account.debits_pending.get()
    }

    /// Manifest, batches and record of each block, as the store has them.
    pub(crate) fn log(&self) -> impl Iterator<Item = (&Manifest, &[Arc<Batch>], FinalRecord)> {
        self.blocks.iter().map(|block| {
            let ordered = &block.block;
            (
                &*ordered.manifest,
                &ordered.batches[..],
                FinalRecord::of(block),
            )
        })
    }
}

/// A block of one batch a list; signatures are zero, since execution checks none.
pub(crate) fn block(
    height: Height,
    time_ms: u64,
    version: u64,
    batches: &[&[Body]],
) -> OrderedBlock {
    let batches = batches.iter().filter(|bodies| !bodies.is_empty());
    OrderedBlock {
        manifest: Arc::new(Manifest {
            epoch: EpochId::default(),
            height,
            parent: Digest::ZERO,
            time: TimeMs(time_ms),
            leader: ValidatorNumber(1),
            state_height: Height(0),
            exec_head: Digest::ZERO,
            batches: Vec::new(),
        }),
        digest: Digest::ZERO,
        batches: batches
            .map(|bodies| Arc::new(batch(version, bodies)))
            .collect(),
        certificate: None,
    }
}

pub(crate) fn batch(version: u64, bodies: &[Body]) -> Batch {
    let envelopes: Vec<Envelope> = bodies
        .iter()
        .map(|body| Envelope {
            body: *body,
            signature: [0; 64],
        })
        .collect();
    Batch {
        header: BatchHeader {
            lane: LaneId::first(ValidatorNumber(1)),
            count: u32::try_from(bodies.len()).unwrap(),
            index: 1,
            previous: Digest::ZERO,
            directory_height: Height(version),
            time: TimeMs(0),
            envelopes_root: Digest::ZERO,
        },
        digest: Digest::ZERO,
        digests: envelopes.iter().map(hash::envelope_digests).collect(),
        slabs: vec![envelopes.as_bytes().to_vec().into()],
        hints: Vec::new(),
        origins: Vec::new(),
    }
}

/// Makes a chain of bodies: consecutive identifiers after the first one's, all but the last linked.
pub(crate) fn link(bodies: &[Transfer]) -> Vec<Body> {
    let head = bodies[0].id.0;
    let last = bodies.len() - 1;
    let members = bodies.iter().enumerate().map(|(position, transfer)| {
        let mut body = *transfer.as_body();
        body.id = TransferId(head);
        body.id.0[15] = u8::try_from(position).unwrap();
        body.flags = U16::new(Flags::new(0, position < last).0);
        body
    });
    members.collect()
}

pub(crate) fn is_duplicate(outcome: Outcome) -> bool {
    outcome.flags.0 & OutcomeFlags::DUPLICATE != 0
}

pub(crate) fn is_transient(outcome: Outcome) -> bool {
    outcome.flags.0 & OutcomeFlags::TRANSIENT != 0
}

/// Alice's account in EUR with 1000.
pub(crate) const A: u64 = (ALICE as u64) << 32 | 1;
/// Alice's account in EUR with nothing but a credit line of 50.
pub(crate) const A_LINE: u64 = (ALICE as u64) << 32 | 3;
/// Bob's account in EUR with 1000.
pub(crate) const B: u64 = (BOB as u64) << 32 | 1;
/// Carol's account in EUR with nothing but a credit line of 100.
pub(crate) const C: u64 = (CAROL as u64) << 32 | 1;
/// The issuer's own account in EUR with 300.
pub(crate) const I: u64 = (ISSUER as u64) << 32 | 1;
/// The account that ISSUE debits in EUR.
pub(crate) const ISSUER_EUR: u64 = (ISSUER as u64) << 32 | EUR as u64;
