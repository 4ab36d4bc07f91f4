//! The ledger: the whole state behind one type, from a genesis or a snapshot on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use clearway_crypto::keys::register_check;
use clearway_crypto::{hash, merkle};
use clearway_types::account::{self, Account, KeyEntry, Limit, Participant};
use clearway_types::code::Outcome;
use clearway_types::directory::KeyDirectory;
use clearway_types::event::Event;
use clearway_types::genesis::{Genesis, GenesisLedger, GenesisParticipant};
use clearway_types::limits::ROOT_INTERVAL;
use clearway_types::messages::{ExecutedBlock, OrderedBlock};
use clearway_types::units::{
    AccountId, Digest, Height, LedgerId, ParticipantId, TimeMs, TransferId, UnixSeconds,
};
use clearway_types::wire::roster::{APPROVERS_MAX, ApprovalView};

use crate::block::Results;
use crate::clock::Clock;
use crate::error::{ExecuteError, InvariantViolation};
use crate::kinds::ledger_define;
use crate::money::{self, Pair};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::tables::accounts::NewAccount;
use crate::tables::holds::Hold;
use crate::tables::participants::{NO_END, Participants, is_operator};
use crate::{invariants, state_root};

/// Whether a ledger's money is conserved, and how much there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conservation {
    /// Currency or asset.
    pub ledger: LedgerId,
    /// Debits equal credits, posted and pending, by the running sums; the issuer account was
    /// debited no less than credited, and no more than members hold.
    pub conserved: bool,
    /// Minor units in being: what members hold, which is the issuer account's net debit and what
    /// credit lines have paid.
    pub supply: u128,
}

/// The deterministic ledger.
pub struct Ledger {
    pub(crate) state: State,
}

/// Root of the receipts of a block.
fn receipts_root(block: &OrderedBlock, outcomes: &[Outcome], events: &[Event]) -> Digest {
    let count: usize = block.batches.iter().map(|batch| batch.digests.len()).sum();
    assert_eq!(count, outcomes.len(), "a result per envelope");
    let digests = block.batches.iter().flat_map(|batch| &batch.digests);
    let envelopes = digests.map(|digests| &digests.leaf);
    let envelopes: Vec<_> = envelopes.zip(outcomes.iter().copied()).collect();
    let height = block.manifest.height;
    merkle::root(&hash::receipt_leaves(height, &envelopes, events))
}

impl Ledger {
    /// The state at height 0.
    ///
    /// Proofs of possession of validators are not looked at here.
    ///
    /// # Errors
    /// A genesis that contradicts itself, or a participant's key that may not be registered.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, ExecuteError> {
        genesis.check()?;
        let mut participants = BTreeMap::new();
        for given in &genesis.participants {
            let participant = given.id;
            register_check(&given.public_key.0).map_err(|reason| ExecuteError::Key {
                participant,
                reason,
            })?;
            participants.insert(participant, first_participant(given));
        }
        let clock = Clock {
            height: Height(0),
            time: genesis.time,
        };
        let mut state = State::new(genesis, clock);
        state.participants = Participants::new(participants, VecDeque::from([clock.height]));
        for ledger in &genesis.ledgers {
            ledger_define::define(&mut state, first_currency(ledger));
        }
        for account in &genesis.accounts {
            open_first(&mut state, account);
        }
        // The trees over all accounts are built now: the first block that needs a root would
        // otherwise wait for it, a quarter of a second for a million accounts.
        state.root();
        Ok(Self { state })
    }

    /// Executes the next block. Cannot fail: each envelope gets a result.
    ///
    /// # Panics
    /// When the block is not at the next height, or time falls: consensus rules that out.
    pub fn execute(&mut self, block: OrderedBlock) -> ExecutedBlock {
        let height = block.manifest.height;
        let time = block.manifest.time;
        let state = &mut self.state;
        let events = state.begin_block(Clock { height, time });
        let count = block.batches.iter().map(|batch| batch.digests.len()).sum();
        let mut results = Results {
            outcomes: Vec::with_capacity(count),
            ..Results::default()
        };
        for batch in &block.batches {
            state.execute_batch(batch, &mut results);
        }
        state.end_block(height);
        let receipts_root = receipts_root(&block, &results.outcomes, &events);
        let due = height.0.is_multiple_of(ROOT_INTERVAL);
        let state_root = due.then(|| state.root());
        let head = hash::exec_head(
            &state.exec_head,
            height,
            &receipts_root,
            state_root.as_ref(),
        );
        state.exec_head = head;
        ExecutedBlock {
            block,
            results: results.outcomes,
            duplicates: results.duplicates,
            events,
            receipts_root,
            state_root,
            exec_head: head,
        }
    }

    /// Height of the last block executed.
    #[must_use]
    pub fn height(&self) -> Height {
        self.state.clock.height
    }

    /// Cluster time of the last block executed.
    #[must_use]
    pub fn time(&self) -> TimeMs {
        self.state.clock.time
    }

    /// Execution head; the genesis hash at height 0.
    #[must_use]
    pub fn exec_head(&self) -> Digest {
        self.state.exec_head
    }

    /// Root of the state as it is now; costs what changed since the last one.
    pub fn state_root(&mut self) -> Digest {
        self.state.root()
    }

    /// SHA-256 over identifier and four balances of every account, in the order of their numbers.
    #[must_use]
    pub fn balances_root(&self) -> Digest {
        state_root::balances_root(&self.state.accounts)
    }

    /// The key directory; another `Arc` only when a key changed.
    #[must_use]
    pub fn directory(&self) -> Arc<KeyDirectory> {
        Arc::clone(self.state.participants.directory())
    }

    /// Conservation of each ledger by the running sums, in the order of definition.
    pub fn conserved(&self) -> impl Iterator<Item = Conservation> {
        self.state.currencies.iter().map(|entry| {
            let account = self.state.accounts.by_id(entry.currency.issuer_account);
            let account = account.expect("a ledger opens its issuer account");
            let issued = account
                .debits_posted
                .get()
                .checked_sub(account.credits_posted.get());
            let supply = entry.totals.in_being;
            Conservation {
                ledger: entry.currency.id,
                conserved: entry.totals.balanced() && issued.is_some_and(|sum| sum <= supply),
                supply,
            }
        })
    }

    /// Checks every promise against every account, hold and live identifier.
    ///
    /// # Errors
    /// The first promise that does not hold; only a bug or damaged memory can cause it.
    pub fn check_invariants(&self) -> Result<(), InvariantViolation> {
        invariants::check(&self.state)
    }

    /// The state as it is now, to be written on another thread while execution goes on.
    pub fn snapshot(&mut self) -> Snapshot {
        Snapshot::of(&mut self.state)
    }

    /// An account.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.state.accounts.by_id(id)
    }

    /// All accounts in the order of opening.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.state.accounts.slots.iter()
    }

    /// A hold that is open, or ended a short time ago.
    #[must_use]
    pub fn hold(&self, signer: ParticipantId, id: TransferId) -> Option<&Hold> {
        self.state.holds.get((signer, id))
    }

    /// All holds that are known, in no order that means something.
    pub fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.state
            .holds
            .iter()
            .filter(|hold| hold.state().is_some())
    }

    /// Holds that are open.
    #[must_use]
    pub fn hold_open_count(&self) -> usize {
        self.state.holds.open_count()
    }

    /// A participant.
    #[must_use]
    pub fn participant(&self, id: ParticipantId) -> Option<&Participant> {
        self.state.participants.get(id)
    }

    /// All participants in the order of their numbers.
    pub fn participants(&self) -> impl Iterator<Item = &Participant> {
        self.state.participants.iter()
    }

    /// All participants as they are now, to be read on another thread while execution goes on.
    #[must_use]
    pub fn participants_shared(&self) -> Arc<BTreeMap<ParticipantId, Participant>> {
        self.state.participants.shared()
    }

    /// Records that wait for further operators, by their content, with those who approved and are
    /// operators now: nobody else's approval counts.
    pub fn approvals(&self) -> impl Iterator<Item = ApprovalView> {
        let waiting = self.state.approvals.iter();
        let is_live = |id: &ParticipantId| self.participant(*id).is_some_and(is_operator);
        waiting.map(move |(content, approval)| {
            let operators = approval.operators.iter().copied().filter(is_live);
            let count = operators.clone().count();
            ApprovalView {
                content: *content,
                until: UnixSeconds(approval.until),
                operator_count: u32::try_from(count).expect("operators are bounded"),
                operators: operators.take(APPROVERS_MAX).collect(),
                body: approval.body,
            }
        })
    }

    /// Operators who must approve a record together.
    #[must_use]
    pub fn operator_threshold(&self) -> u32 {
        self.state.rules.operator_threshold
    }

    /// A currency or asset.
    #[must_use]
    pub fn currency(&self, id: LedgerId) -> Option<&account::Currency> {
        self.state.currencies.by_id(id).map(|entry| &entry.currency)
    }

    /// All currencies and assets in the order of definition.
    pub fn currencies(&self) -> impl Iterator<Item = &account::Currency> {
        self.state.currencies.iter().map(|entry| &entry.currency)
    }

    /// The net debit limit of an account towards a participant, 0 for everyone.
    #[must_use]
    pub fn limit(&self, from: AccountId, counterparty: ParticipantId) -> Option<&Limit> {
        self.state.debit_limits.get(from, counterparty)
    }

    /// The net debit limits of an account by participant, and what it paid net on the last block's
    /// day.
    pub fn limits_of(&self, from: AccountId) -> impl Iterator<Item = (&Limit, i128)> {
        self.state.debit_limits.of(from, self.state.clock)
    }

    /// How many limits an account has.
    #[must_use]
    pub fn limit_count_of(&self, from: AccountId) -> usize {
        self.state.debit_limits.count_of(from)
    }

    /// Net debit limits in force.
    #[must_use]
    pub fn limit_count(&self) -> usize {
        self.state.debit_limits.len()
    }

    /// Identifiers whose results are remembered.
    #[must_use]
    pub fn live_id_count(&self) -> usize {
        self.state.ids.len()
    }
}

fn first_participant(given: &GenesisParticipant) -> Participant {
    let mut participant = Participant::new(given.id, given.role);
    participant.sponsor = given.sponsor;
    participant.lei[..given.lei.len()].copy_from_slice(given.lei.as_bytes());
    participant.bic[..given.bic.len()].copy_from_slice(given.bic.as_bytes());
    participant.keys[0] = Some(KeyEntry {
        public_key: given.public_key.0,
        valid_from: Height(0),
        valid_to: NO_END,
    });
    participant
}

fn first_currency(given: &GenesisLedger) -> account::Currency {
    let mut code = [0; 8];
    code[..given.code.len()].copy_from_slice(given.code.as_bytes());
    account::Currency {
        id: given.id,
        code,
        exponent: given.exponent,
        issuer: given.issuer,
        issuer_account: given.issuer_account,
    }
}

/// Opens an account of the genesis and issues its balance.
fn open_first(state: &mut State, given: &clearway_types::genesis::GenesisAccount) {
    let new = NewAccount {
        id: given.id,
        ledger: given.ledger.0,
        credit_line: given.credit_line,
        alias: [0; 16],
        code: 0,
        flags: 0,
    };
    let credit = state.accounts.open(&new, state.clock);
    let ledger = state
        .currencies
        .index(given.ledger)
        .expect("the genesis is checked");
    let issuer = state.currencies.get(ledger).issuer_account;
    let debit = state
        .accounts
        .slot(issuer)
        .expect("a ledger opens its issuer account");
    let pair = Pair {
        ledger,
        debit,
        credit,
    };
    money::settle(state, pair, given.balance);
}
