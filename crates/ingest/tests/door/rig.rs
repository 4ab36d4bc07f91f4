//! A door on loopback with a pipeline of one thread behind it: no signatures, no order, no disk.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clearway_client::{Client, ClientConfig, Draft, IdMaker, Identity, Server, Signer};
use clearway_crypto::hash::envelope_digests_all;
use clearway_crypto::keys::SigningKey;
use clearway_flow::{Counter, InFlight, Joined, Latest, LinkReceiver, LinkSender, LinkStats, link};
use clearway_ingest::{
    AnswerRouter, Asker, FollowPage, FrameSink, Ingest, IngestConfig, IngestMetrics, QueryError,
    QueryService,
};
use clearway_types::account::{Account, KeyEntry, Participant, Role};
use clearway_types::amount::Amount;
use clearway_types::batch::{Batch, BatchHeader, LaneId};
use clearway_types::code::{Outcome, ResultCode};
use clearway_types::directory::KeyDirectory;
use clearway_types::envelope::{Envelope, envelopes};
use clearway_types::manifest::{EpochId, Manifest};
use clearway_types::messages::{
    ExecutedBlock, FrameBatch, OrderedBlock, Origin, OriginRun, Refusals,
};
use clearway_types::transfer::Transfer;
use clearway_types::units::{
    AccountId, Digest, Height, LedgerId, ParticipantId, TimeMs, ValidatorNumber,
};
use clearway_types::wire::proof::SettlementProof;
use clearway_types::wire::query::{
    AccountView, FollowCursor, FollowItem, FollowRequest, Found, Lookup, StatusView,
};
use clearway_types::wire::roster::RosterView;
use zerocopy::{FromZeros, IntoBytes};

/// Members with a key in the directory: 1 to this number.
pub(crate) const MEMBERS: u32 = 40;
/// Frames that the link behind the door holds.
pub(crate) const LINK_FRAMES: usize = 4;
/// An amount that the pipeline refuses before order.
pub(crate) const AMOUNT_REFUSED: u64 = 666;
/// An amount that the pipeline executes without success.
pub(crate) const AMOUNT_UNFUNDED: u64 = 777;
/// Nothing here takes so long unless it is stuck.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// What the pipeline does with frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Takes and answers them.
    Run,
    /// Takes one and holds it.
    Blocked,
    /// Takes them and answers nothing.
    Silent,
    /// Executes them and answers nothing.
    Lost,
    /// Refuses all before order.
    Refuse(ResultCode),
}

/// What the pipeline has done; shared by several nodes, it stands for their common ledger.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) blocks: Mutex<Vec<Vec<(Envelope, Outcome)>>>,
    /// Cluster time, milliseconds.
    pub(crate) time_ms: AtomicU64,
    /// Which cluster it says it is of.
    pub(crate) genesis: AtomicU8,
    /// Feeds cannot read the block at this height.
    pub(crate) broken_at: Mutex<Option<u64>>,
    /// This many questions for a proof come too early, the next one finds none; without a number
    /// all come too early.
    pub(crate) proofs_early: Mutex<Option<u32>>,
    /// Look-ups of this member (0 is nobody) take until this is cleared or the asker has gone.
    slow_member: Mutex<u32>,
    slow_news: Condvar,
    /// Look-ups being answered.
    pub(crate) at_work: AtomicUsize,
    /// Rosters that were answered.
    pub(crate) rosters: AtomicUsize,
}

impl Ledger {
    pub(crate) fn slow_down(&self, member: u32) {
        *self.slow_member.lock().unwrap() = member;
        self.slow_news.notify_all();
    }

    fn work_for(&self, asker: &Asker) -> Result<(), QueryError> {
        self.at_work.fetch_add(1, Ordering::SeqCst);
        let mut slow = self.slow_member.lock().unwrap();
        while *slow == asker.member.0 && !asker.is_gone() {
            let look_again = Duration::from_millis(5);
            slow = self.slow_news.wait_timeout(slow, look_again).unwrap().0;
        }
        self.at_work.fetch_sub(1, Ordering::SeqCst);
        match asker.is_gone() {
            true => Err(QueryError::Unwanted),
            false => Ok(()),
        }
    }
}

/// A door and what stands behind it.
pub(crate) struct Node {
    pub(crate) ingest: Ingest,
    pub(crate) server: Server,
    pub(crate) metrics: Arc<IngestMetrics>,
    pub(crate) link: Arc<LinkStats>,
    /// Offers of frames for which the link had no room.
    pub(crate) refused: Arc<Counter>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) frames: Arc<Mutex<Vec<FrameBatch>>>,
    pub(crate) mode: SharedMode,
}

/// The mode, and the bell that rings when it changes.
pub(crate) type SharedMode = Arc<(Mutex<Mode>, Condvar)>;

pub(crate) fn set(shared: &SharedMode, mode: Mode) {
    *shared.0.lock().unwrap() = mode;
    shared.1.notify_all();
}

pub(crate) fn member(id: u32) -> Identity {
    let mut seed = [9; 32];
    seed[..4].copy_from_slice(&id.to_le_bytes());
    Identity::from_seed(&seed, ParticipantId(id), 0)
}

pub(crate) fn signer(id: u32) -> Signer {
    let ids = Arc::new(IdMaker::with_bytes([u8::try_from(id).unwrap(); 7]));
    let signer = Signer::new(member(id), Digest([1; 32])).unwrap();
    signer.with_ids(ids)
}

pub(crate) fn account(owner: u32) -> AccountId {
    AccountId::new(ParticipantId(owner), 1)
}

pub(crate) fn draft(from: u32, amount: u64) -> Draft {
    Draft::transfer(
        account(from),
        account(from + 1),
        Amount::new(amount, LedgerId(1)),
    )
}

/// Unsigned payments with amounts 1, 2, 3...: the pipeline here looks at no signature.
pub(crate) fn payments(from: u32, count: usize) -> Vec<Envelope> {
    let ids = IdMaker::new().unwrap();
    (1..=count as u64)
        .map(|amount| {
            let mut body = *draft(from, amount).body();
            body.id = ids.make(TimeMs(amount));
            body.signer = from.into();
            Envelope {
                body,
                signature: [0; 64],
            }
        })
        .collect()
}

pub(crate) fn slab(envelopes: &[Envelope]) -> Bytes {
    Bytes::copy_from_slice(envelopes.as_bytes())
}

pub(crate) fn config() -> IngestConfig {
    IngestConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)))
}

impl Node {
    pub(crate) async fn start(config: IngestConfig) -> Self {
        Self::start_with(config, Arc::default()).await
    }

    pub(crate) async fn start_with(config: IngestConfig, ledger: Arc<Ledger>) -> Self {
        let key = SigningKey::generate().unwrap();
        let participants = (1..=MEMBERS).map(|id| {
            let entry = KeyEntry {
                public_key: member(id).public_key(),
                valid_from: Height(0),
                valid_to: Height(u64::MAX),
            };
            (ParticipantId(id), [Some(entry), None, None, None])
        });
        let directory = KeyDirectory {
            height: Height(0),
            participants: participants.collect::<BTreeMap<_, _>>(),
        };
        let (frames_in, frames_out) = link::<FrameBatch>("ingest_verify", LINK_FRAMES);
        let link_stats = Arc::clone(frames_in.stats());
        let refused = Arc::new(Counter::default());
        let sink = CountingSink {
            link: frames_in,
            refused: Arc::clone(&refused),
        };
        let in_flight = Arc::new(InFlight::default());
        let ingest = Ingest::start(
            config,
            &key,
            Arc::new(Latest::new(Arc::new(directory))),
            Box::new(sink),
            Arc::new(Service(Arc::clone(&ledger))),
            Arc::clone(&in_flight),
        );
        let ingest = ingest.await.unwrap();
        let mode = Arc::new((Mutex::new(Mode::Run), Condvar::new()));
        let frames = Arc::new(Mutex::new(Vec::new()));
        let pipeline = Pipeline {
            frames_out,
            router: ingest.router(),
            in_flight,
            ledger: Arc::clone(&ledger),
            mode: Arc::clone(&mode),
            seen: Arc::clone(&frames),
        };
        std::thread::spawn(move || pipeline.run());
        Self {
            server: Server {
                address: ingest.local_addr(),
                public_key: key.public_key(),
            },
            metrics: ingest.metrics(),
            ingest,
            link: link_stats,
            refused,
            ledger,
            frames,
            mode,
        }
    }

    pub(crate) fn set(&self, mode: Mode) {
        set(&self.mode, mode);
    }

    pub(crate) async fn client(&self, id: u32) -> Client {
        Client::connect(ClientConfig::new(member(id), vec![self.server]))
            .await
            .unwrap()
    }

    /// Envelopes that reached verification.
    pub(crate) fn seen_count(&self) -> usize {
        let frames = self.frames.lock().unwrap();
        frames
            .iter()
            .map(|frame| envelopes(&frame.slab).len())
            .sum()
    }
}

/// Waits until something is true; fails the test when that takes too long.
pub(crate) async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let from = Instant::now();
    while !is_true() {
        assert!(from.elapsed() < TIMEOUT, "timed out: {what}");
        tokio::task::yield_now().await;
    }
}

/// The link, with a count of the offers that it refused.
struct CountingSink {
    link: LinkSender<FrameBatch>,
    refused: Arc<Counter>,
}

impl FrameSink for CountingSink {
    fn offer(&self, frame: FrameBatch) -> Result<(), FrameBatch> {
        let offered = self.link.offer(frame);
        offered.inspect_err(|_| self.refused.add(1))
    }
}

/// Verification, order, execution and store in one thread: each frame becomes a block.
struct Pipeline {
    frames_out: LinkReceiver<FrameBatch>,
    router: AnswerRouter,
    in_flight: Arc<InFlight>,
    ledger: Arc<Ledger>,
    mode: SharedMode,
    seen: Arc<Mutex<Vec<FrameBatch>>>,
}

impl Pipeline {
    fn run(&self) {
        while let Some(frame) = self.frames_out.receive() {
            let guard = self.mode.0.lock().unwrap();
            let blocked = |mode: &mut Mode| *mode == Mode::Blocked;
            let mode = *self.mode.1.wait_while(guard, blocked).unwrap();
            self.seen.lock().unwrap().push(frame.clone());
            match mode {
                Mode::Silent => {}
                Mode::Lost => drop(self.enter(envelopes(&frame.slab))),
                Mode::Refuse(code) => self.refuse(&frame, code),
                Mode::Run | Mode::Blocked => self.take(&frame),
            }
        }
    }

    fn refuse(&self, frame: &FrameBatch, code: ResultCode) {
        let count = u32::try_from(envelopes(&frame.slab).len()).unwrap();
        let places = frame.first_index..frame.first_index + count;
        self.router.on_refusals(&Refusals {
            stream: frame.stream,
            items: places.map(|index| (index, code)).collect(),
        });
    }

    /// Executes them in a block of their own.
    fn enter(&self, kept: &[Envelope]) -> (Height, Vec<Outcome>) {
        let results: Vec<Outcome> = kept
            .iter()
            .map(|envelope| match Transfer::of(&envelope.body).amount.get() {
                AMOUNT_UNFUNDED => Outcome::new(ResultCode::InsufficientFunds),
                _ => Outcome::new(ResultCode::Settled),
            })
            .collect();
        let mut blocks = self.ledger.blocks.lock().unwrap();
        blocks.push(kept.iter().copied().zip(results.iter().copied()).collect());
        (Height(blocks.len() as u64), results)
    }

    fn take(&self, frame: &FrameBatch) {
        let mut refusals = Refusals {
            stream: frame.stream,
            items: Vec::new(),
        };
        let (mut kept, mut origins, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        let all_digests = envelope_digests_all(&frame.slab);
        for (index, envelope) in (frame.first_index..).zip(envelopes(&frame.slab)) {
            let digest = all_digests[(index - frame.first_index) as usize];
            let stream = frame.stream;
            if Transfer::of(&envelope.body).amount.get() == AMOUNT_REFUSED {
                refusals.items.push((index, ResultCode::BadSignature));
            } else if self.in_flight.join(digest.leaf, Origin { stream, index }) == Joined::First {
                kept.push(*envelope);
                digests.push(digest);
                origins.push(OriginRun {
                    stream,
                    first_index: index,
                    count: 1,
                });
            }
        }
        if !refusals.items.is_empty() {
            self.router.on_refusals(&refusals);
        }
        if !kept.is_empty() {
            self.execute(&kept, origins, digests);
        }
    }

    fn execute(
        &self,
        kept: &[Envelope],
        origins: Vec<OriginRun>,
        digests: Vec<clearway_types::batch::EnvelopeDigests>,
    ) {
        let (height, results) = self.enter(kept);
        self.router
            .on_block(&Arc::new(block(height, kept, origins, digests, results)));
    }
}

fn block(
    height: Height,
    kept: &[Envelope],
    origins: Vec<OriginRun>,
    digests: Vec<clearway_types::batch::EnvelopeDigests>,
    results: Vec<Outcome>,
) -> ExecutedBlock {
    let header = BatchHeader {
        lane: LaneId::first(ValidatorNumber(1)),
        count: u32::try_from(kept.len()).unwrap(),
        index: height.0,
        previous: Digest::ZERO,
        directory_height: Height(0),
        time: TimeMs(0),
        envelopes_root: Digest::ZERO,
    };
    let batch = Batch {
        header,
        digest: Digest::ZERO,
        slabs: vec![slab(kept)],
        hints: Vec::new(),
        digests,
        origins,
    };
    let manifest = Manifest {
        epoch: EpochId::default(),
        height,
        parent: Digest::ZERO,
        time: TimeMs(0),
        leader: ValidatorNumber(1),
        state_height: Height(0),
        exec_head: Digest::ZERO,
        batches: Vec::new(),
    };
    ExecutedBlock {
        block: OrderedBlock {
            manifest: Arc::new(manifest),
            digest: Digest::ZERO,
            batches: vec![Arc::new(batch)],
            certificate: None,
        },
        results,
        duplicates: Vec::new(),
        events: Vec::new(),
        receipts_root: Digest::ZERO,
        state_root: None,
        exec_head: Digest::ZERO,
    }
}

/// Answers from the ledger; members see their own accounts alone.
struct Service(Arc<Ledger>);

impl QueryService for Service {
    fn lookup(&self, asker: &Asker, names: &[Lookup]) -> Result<Vec<Option<Found>>, QueryError> {
        self.0.work_for(asker)?;
        names.iter().map(|name| self.lookup_one(*name)).collect()
    }

    fn proof(&self, asker: &Asker, name: Lookup) -> Result<SettlementProof, QueryError> {
        self.0.work_for(asker)?;
        if self.lookup_one(name)?.is_none() {
            return Err(QueryError::NotFound);
        }
        match self.0.proofs_early.lock().unwrap().as_mut() {
            Some(0) => return Err(QueryError::NotFound),
            Some(early) => *early -= 1,
            None => {}
        }
        Err(QueryError::NotReady)
    }

    fn account(&self, asker: &Asker, id: AccountId) -> Result<AccountView, QueryError> {
        if id.owner() != asker.member {
            return Err(QueryError::NotAllowed);
        }
        if id != account(asker.member.0) {
            return Err(QueryError::NotFound);
        }
        let mut record = Account::new_zeroed();
        record.id = id.0.into();
        let height = Height(self.0.blocks.lock().unwrap().len() as u64);
        Ok(AccountView {
            height,
            account: record,
            limit_count: 0,
            limits: Vec::new(),
        })
    }

    fn follow(
        &self,
        asker: &Asker,
        request: FollowRequest,
        items_max: usize,
    ) -> Result<FollowPage, QueryError> {
        self.0.work_for(asker)?;
        let broken_at = *self.0.broken_at.lock().unwrap();
        let blocks = self.0.blocks.lock().unwrap();
        let mut items = Vec::new();
        for (height, block) in (1..).zip(blocks.iter()) {
            if broken_at == Some(height) && request.from.height <= Height(height) {
                return Ok(FollowPage {
                    items,
                    next: FollowCursor::at(Height(height)),
                    broken: Some(QueryError::Failed),
                });
            }
            for (index, (envelope, outcome)) in (0..).zip(block) {
                let transfer = Transfer::of(&envelope.body);
                let place = FollowCursor {
                    height: Height(height),
                    index,
                };
                let named = [transfer.debit(), transfer.credit()].contains(&request.account);
                if place < request.from || !named {
                    continue;
                }
                if items.len() == items_max {
                    return Ok(FollowPage {
                        items,
                        next: place,
                        broken: None,
                    });
                }
                items.push(FollowItem::Entry {
                    height: Height(height),
                    index,
                    outcome: *outcome,
                    envelope: *envelope,
                });
            }
        }
        let next = FollowCursor::at(Height(blocks.len() as u64 + 1));
        Ok(FollowPage {
            items,
            next,
            broken: None,
        })
    }

    /// Three participants, two an answer, and what an overseer would see for member 1 alone.
    fn roster(&self, asker: &Asker, first: ParticipantId) -> Result<RosterView, QueryError> {
        self.0.rosters.fetch_add(1, Ordering::SeqCst);
        let all = (1..=3).map(|number| Participant::new(ParticipantId(number), Role::Member));
        let mut rest = all.filter(|one| one.id >= first);
        let participants = rest.by_ref().take(2).collect();
        let oversees = asker.member == ParticipantId(1);
        Ok(RosterView {
            height: Height(self.0.blocks.lock().unwrap().len() as u64),
            time: TimeMs(3),
            operator_threshold: 1,
            next: rest.next().map(|one| one.id).unwrap_or_default(),
            participants,
            ledgers: Vec::new(),
            approvals: oversees.then(Vec::new),
        })
    }

    fn status(&self) -> Result<StatusView, QueryError> {
        Ok(StatusView {
            genesis: Digest([self.0.genesis.load(Ordering::Relaxed); 32]),
            height: Height(self.0.blocks.lock().unwrap().len() as u64),
            exec_head: Digest([2; 32]),
            time: TimeMs(self.0.time_ms.load(Ordering::Relaxed)),
            clock: TimeMs(3),
            executed: Height(0),
            directory_height: Height(0),
        })
    }
}

impl Service {
    fn lookup_one(&self, name: Lookup) -> Result<Option<Found>, QueryError> {
        let blocks = self.0.blocks.lock().unwrap();
        let places = (1..).zip(blocks.iter()).flat_map(|(height, block)| {
            (0..).zip(block).map(move |(index, (envelope, outcome))| {
                let found = Found {
                    height: Height(height),
                    index,
                    outcome: *outcome,
                };
                (Lookup::of(envelope), found)
            })
        });
        Ok(places
            .into_iter()
            .find(|(other, _)| *other == name)
            .map(|(_, found)| found))
    }
}
