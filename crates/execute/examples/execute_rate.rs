//! Transfers a second on one core: `execute_rate [accounts] [blocks]`.
//!
//! Hashes of envelopes are made before the clock starts, as `verify` makes them; receipts, roots
//! and the id table are in. Prints the execution head as the checksum of its work.

use std::sync::Arc;
use std::time::Instant;

use clearway_crypto::hash;
use clearway_crypto::keys::SigningKey;
use clearway_execute::Ledger;
use clearway_types::account::Role;
use clearway_types::batch::{Batch, BatchHeader, LaneId};
use clearway_types::envelope::{Body, Envelope};
use clearway_types::genesis::{
    Genesis, GenesisAccount, GenesisLedger, GenesisParticipant, GenesisValidator, HexBytes, Rules,
};
use clearway_types::kind::Kind;
use clearway_types::manifest::{EpochId, Manifest};
use clearway_types::messages::OrderedBlock;
use clearway_types::seeded::SplitMix;
use clearway_types::transfer::Transfer;
use clearway_types::units::{
    AccountId, Digest, Height, LedgerId, ParticipantId, TimeMs, TransferId, ValidatorNumber,
};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromZeros, IntoBytes};

const MEMBERS: u32 = 32;
const EUR: u32 = 978;
const BATCH: u32 = 8192;
const START_MS: u64 = 1_800_000_000_000;

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse().expect("a number"));
    let accounts: u32 = numbers.next().unwrap_or(1 << 20);
    let blocks: u32 = numbers.next().unwrap_or(40);
    let (genesis, start) = (genesis(accounts), Instant::now());
    let mut ledger = Ledger::from_genesis(&genesis).expect("the genesis is right");
    // Its root has hashed all accounts, on every core; what comes is the steady state.
    let genesis_ms = start.elapsed().as_millis();
    let work: Vec<OrderedBlock> = (0..blocks).map(|index| block(index, accounts)).collect();
    let count = u64::from(blocks) * u64::from(BATCH);
    let (start, cpu_start_ns) = (Instant::now(), cpu_ns());
    for block in work {
        ledger.execute(block);
    }
    let (elapsed, cpu_ns) = (start.elapsed(), cpu_ns() - cpu_start_ns);
    let settled: u128 = ledger
        .accounts()
        .map(|account| account.debits_posted.get())
        .sum();
    let ns_each = elapsed.as_nanos() / u128::from(count);
    println!(
        "execute::transfers/accounts={accounts} n={count}: {ns_each} ns each, {} k/s, cpu {} ns \
         each, genesis {genesis_ms} ms, debits {settled}, live ids {}, head {}",
        1_000_000 / ns_each.max(1),
        cpu_ns / count,
        ledger.live_id_count(),
        ledger.exec_head()
    );
}

/// Nanoseconds that this thread ran; 0 where the kernel does not say.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .unwrap_or(0)
}

fn account(number: u64, accounts: u32) -> AccountId {
    let number = u32::try_from(number % u64::from(accounts)).expect("a u32 divides it");
    AccountId::new(ParticipantId(number % MEMBERS + 1), number + 1)
}

fn block(index: u32, accounts: u32) -> OrderedBlock {
    let envelopes: Vec<Envelope> = (0..BATCH)
        .map(|at| envelope(index * BATCH + at, accounts))
        .collect();
    let batch = Batch {
        header: BatchHeader {
            lane: LaneId::first(ValidatorNumber(1)),
            count: BATCH,
            index: u64::from(index) + 1,
            previous: Digest::ZERO,
            directory_height: Height(0),
            time: TimeMs(0),
            envelopes_root: Digest::ZERO,
        },
        digest: Digest::ZERO,
        digests: envelopes.iter().map(hash::envelope_digests).collect(),
        slabs: vec![envelopes.as_bytes().to_vec().into()],
        hints: Vec::new(),
        origins: Vec::new(),
    };
    OrderedBlock {
        manifest: Arc::new(Manifest {
            epoch: EpochId::default(),
            height: Height(u64::from(index) + 1),
            parent: Digest::ZERO,
            time: TimeMs(START_MS + u64::from(index) * 25),
            leader: ValidatorNumber(1),
            state_height: Height(0),
            exec_head: Digest::ZERO,
            batches: Vec::new(),
        }),
        digest: Digest::ZERO,
        batches: vec![Arc::new(batch)],
        certificate: None,
    }
}

fn envelope(number: u32, accounts: u32) -> Envelope {
    // The same work each time.
    let random = SplitMix(number.into()).next_u64();
    let debit = account(random >> 32, accounts);
    let mut credit = account(random & 0xffff_ffff, accounts);
    if credit == debit {
        credit = account((random & 0xffff_ffff) + 1, accounts);
    }
    let mut transfer = *Transfer::of(&Body::new_zeroed());
    transfer.id = TransferId::new(TimeMs(START_MS), u64::from(number), 0);
    (transfer.debit, transfer.credit) = (U64::new(debit.0), U64::new(credit.0));
    transfer.amount = U64::new(random % 100 + 1);
    transfer.signer = U32::new(debit.owner().0);
    let start_s = u32::try_from(START_MS / 1000).expect("before 2106");
    transfer.expires_at = U32::new(start_s + 30 + number % 30);
    transfer.ledger = U32::new(EUR);
    (transfer.kind, transfer.version) = (Kind::Transfer as u8, 1);
    Envelope {
        body: *transfer.as_body(),
        signature: [0; 64],
    }
}

fn genesis(accounts: u32) -> Genesis {
    let participant = |id: u32| GenesisParticipant {
        id: ParticipantId(id),
        role: if id == MEMBERS + 1 {
            Role::Operator
        } else {
            Role::Member
        },
        sponsor: ParticipantId(0),
        lei: String::new(),
        bic: String::new(),
        public_key: HexBytes(SigningKey::from_seed(&[id.to_le_bytes()[0]; 32]).public_key()),
    };
    let issuer = ParticipantId(MEMBERS + 1);
    Genesis {
        name: "execute_rate".into(),
        time: TimeMs(START_MS),
        rules: Rules::default(),
        validators: vec![GenesisValidator::new(
            ValidatorNumber(1),
            "one".into(),
            "127.0.0.1:1".into(),
            [1; 32],
            [2; 96],
            [3; 48],
        )],
        participants: (1..=MEMBERS + 1).map(participant).collect(),
        ledgers: vec![GenesisLedger {
            id: LedgerId(EUR),
            code: "EUR".into(),
            exponent: 2,
            issuer,
            issuer_account: AccountId::new(issuer, u32::MAX),
        }],
        accounts: (0..u64::from(accounts))
            .map(|number| GenesisAccount {
                id: account(number, accounts),
                ledger: LedgerId(EUR),
                balance: 1_000_000,
                credit_line: 0,
            })
            .collect(),
    }
}
