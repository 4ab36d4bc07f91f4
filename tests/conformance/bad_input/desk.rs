//! One running node, and everything that is compared around each bad input: counters and books.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use clearway_client::{Answer, Client, ClientConfig, Draft, Identity, Server, Signer};
use clearway_harness::{NodeProcess, folder, http};
use clearway_types::account::{AccountFlags, Role};
use clearway_types::amount::Amount;
use clearway_types::code::{OutcomeFlags, ResultCode};
use clearway_types::envelope::{Body, Envelope};
use clearway_types::genesis::Genesis;
use clearway_types::kind::Kind;
use clearway_types::units::{AccountId, LedgerId, ParticipantId, TimeMs, TransferId};
use clearway_types::wire::ALPN;
use tempfile::{TempDir, tempdir};
use tokio::runtime::Runtime;

use crate::bad_input::{Bad, Counter, Reply, Row, Told, raw};
use crate::program::{Run, program, run, run_briefly};

/// The currency of the genesis.
pub(crate) const EUR: LedgerId = LedgerId(978);
/// A currency that the desk adds.
pub(crate) const USD: LedgerId = LedgerId(840);
/// Streams of a connection, by default.
pub(crate) const STREAMS: usize = 32;
/// Signatures a second that a member may send here.
pub(crate) const RATE: u32 = 500;
/// Opening balance of each member, minor units.
pub(crate) const BALANCE: u64 = 100_000_000;

/// Members besides the operator, who is number 1.
const MEMBERS: u32 = 8;
/// Who sends what is wrong.
const SENDER: u32 = 2;
/// Who pays all the while, and to whom; no row touches them.
const HONEST: (u32, u32) = (4, 5);
/// Seconds in which a payment can be returned here.
const RETURN_WINDOW_S: u32 = 5;
/// MAX_TTL here, seconds: an identifier stays that long, and one row waits for it.
const TTL_S: u32 = 40;
/// Counters that move with ordinary work, or say again what a judged one says; any other one means
/// that something was wrong.
const ORDINARY: [&str; 65] = [
    "execute_blocks",
    "execute_directories",
    "execute_envelopes",
    "execute_holds_expired",
    "execute_scans",
    "execute_settled",
    "execute_snapshots",
    "execute_state_roots",
    "execute_transient",
    "ingest_answer_bytes",
    "ingest_answer_count",
    "ingest_answer_sum_seconds",
    "ingest_answers",
    "ingest_answers_undelivered",
    "ingest_connections",
    "ingest_envelope_bytes",
    "ingest_envelopes",
    "ingest_frames",
    "ingest_queries",
    "ingest_queries_busy",
    "ingest_rate_wait_seconds",
    "ingest_refusals_other",
    "ingest_sink_wait_count",
    "ingest_sink_wait_sum_seconds",
    "ingest_submit_streams",
    "checkpointer_checkpoints",
    "link_messages",
    "link_wait_count",
    "link_wait_sum_seconds",
    "order_batch_bytes",
    "order_batches_sealed",
    "order_blocks",
    "order_blocks_uncertified",
    "order_envelopes",
    "order_finality_count",
    "order_finality_sum_seconds",
    "order_nullifications",
    "order_proposals",
    "order_proposals_again",
    "order_proposals_empty",
    "stage_seconds",
    "store_indexes_built",
    "store_payload_bytes",
    "store_read_bytes",
    "store_reads",
    "store_records",
    "store_segments_rolled",
    "store_segments_unprepared",
    "store_sync_count",
    "store_sync_sum_seconds",
    "store_written_bytes",
    "verify_envelopes_in",
    "verify_frames",
    "verify_group_count",
    "verify_group_sum_seconds",
    "verify_groups",
    "verify_groups_cautious",
    "verify_passed",
    "verify_refused",
    "verify_signatures_batched",
    "verify_signatures_fallback",
    "verify_signatures_single",
    "verify_signatures_verified",
    "verify_slabs_untouched",
    "verify_verdicts",
];
/// Nothing here takes so long unless it is stuck.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Work that takes longer than this never ends: the door itself gives up after some seconds.
const HUNG: Duration = Duration::from_secs(90);

/// A running node, its members and what stands in its books.
pub(crate) struct Desk {
    runtime: Runtime,
    dir: TempDir,
    node: NodeProcess,
    genesis: Genesis,
    pub(crate) server: Server,
    clients: BTreeMap<u32, Client>,
    /// Accounts that the books cover.
    accounts: RefCell<BTreeSet<AccountId>>,
    /// A payment from 6 to 7 made when the desk was opened, and until when it can be returned.
    early: Option<(Envelope, TimeMs)>,
}

/// Debits and credits, posted and pending, of every account.
type Books = BTreeMap<AccountId, [u128; 4]>;

/// Account `number` of `owner`.
pub(crate) fn account(owner: u32, number: u32) -> AccountId {
    AccountId::new(ParticipantId(owner), number)
}

/// A payment in euro between the first accounts of two members.
pub(crate) fn pay(from: u32, to: u32, minor: u64) -> Draft {
    Draft::transfer(account(from, 1), account(to, 1), Amount::new(minor, EUR))
}

impl Desk {
    /// Starts a node and brings its books into the state that the rows ask for.
    pub(crate) fn open() -> Self {
        let dir = tempdir().expect("a temporary folder");
        let members = MEMBERS.to_string();
        let init = [
            "node",
            "init",
            ".",
            "--insecure-plaintext",
            "--members",
            &members,
        ];
        run(dir.path(), &init).expect(0);
        folder::set_rules(dir.path(), |rules| {
            (rules.return_window_s, rules.ttl_s_max) = (RETURN_WINDOW_S, TTL_S);
        });
        edit(&dir.path().join("node.toml"), |text| {
            text.replace("frame_fill_ms = 10000", "frame_fill_ms = 1000")
                .replace("member_rate_max = 0", &format!("member_rate_max = {RATE}"))
        });
        let config = Path::new("node.toml");
        let node = NodeProcess::start(program(dir.path()), config, "127.0.0.1:0");
        let genesis = folder::genesis(dir.path());
        let server = folder::server(&genesis, node.door());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let owners = 1..=MEMBERS + 1;
        let mut desk = Self {
            runtime,
            dir,
            node,
            genesis,
            server,
            clients: BTreeMap::new(),
            accounts: RefCell::new(owners.map(|owner| account(owner, 1)).collect()),
            early: None,
        };
        for member in [1, SENDER, HONEST.0] {
            let config = ClientConfig::new(desk.identity(member), vec![server]);
            let client = desk.block_on(Client::connect(config));
            desk.clients.insert(member, client.expect("let in"));
        }
        desk.prepare();
        desk
    }

    /// Accounts and members in every state that a row needs.
    fn prepare(&mut self) {
        let brief = Duration::from_secs(u64::from(RETURN_WINDOW_S));
        let early = self.signer(6).with_ttl(brief).sign(pay(6, 7, 500));
        self.settle(&[early]);
        // Its identifier stays for MAX_TTL, and as long as that is known it can be returned.
        let until = TimeMs(self.time().0 + 1000 * u64::from(TTL_S));
        self.early = Some((early, until));
        let open = |owner, number| Draft::account_open(account(owner, number), EUR);
        let set = |owner, number| Draft::account_set(account(owner, number), EUR);
        let drafts = [
            Draft::ledger_define(USD, "USD", 2, account(1, 2)),
            Draft::account_open(account(2, 2), USD),
            open(6, 2),
            set(6, 2).account_flags(AccountFlags::CLOSED),
            open(6, 3).account_flags(AccountFlags::FROZEN_CREDIT),
            open(7, 2)
                .credit_line(1000)
                .account_flags(AccountFlags::FROZEN_DEBIT),
            open(3, 2).credit_line(500),
            Draft::limit_set(account(8, 1), EUR, None, 100),
        ];
        for draft in drafts {
            self.settle(&[self.sign(1, draft)]);
        }
        let from = account(3, 2);
        let used = Draft::transfer(from, account(3, 1), Amount::new(300, EUR));
        self.settle(&[self.sign(3, used)]);
        let suspended = Draft::participant_set(ParticipantId(9), Role::Member, true);
        self.settle(&[self.sign(1, suspended.sponsor(ParticipantId(1)))]);
        let owners = [(1, 2), (2, 2), (6, 2), (6, 3), (7, 2), (3, 2)];
        let opened = owners.map(|(owner, number)| account(owner, number));
        self.accounts.borrow_mut().extend(opened);
    }

    /// Stops the node in good order and replays what it stored.
    pub(crate) fn close(&mut self) {
        self.node.stop();
        let replayed = run(self.dir.path(), &["replay", "data", "--json"]).expect(0);
        assert_eq!(replayed.json("replay")["conserved"], true);
    }

    /// Runs something that talks to the node.
    ///
    /// # Panics
    /// When it waits for what never comes: a connection by hand keeps itself alive.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(async {
            let ended = tokio::time::timeout(HUNG, work).await;
            ended.expect("it ends")
        })
    }

    /// The folder of the cluster.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Address of the members' door.
    pub(crate) fn door(&self) -> &str {
        self.node.door()
    }

    /// Address of the operators' page.
    pub(crate) fn admin(&self) -> &str {
        self.node.admin()
    }

    /// The genesis that the node runs.
    pub(crate) fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The payment made when the desk was opened, once nobody can return it any more.
    pub(crate) fn too_old(&self) -> Envelope {
        let (early, until) = self.early.expect("made when the desk was opened");
        self.wait_until(until);
        early
    }

    /// Who holds the genesis key of a participant.
    pub(crate) fn identity(&self, participant: u32) -> Identity {
        folder::identity(self.dir.path(), participant)
    }

    /// As [`Desk::identity`], claiming another key slot.
    pub(crate) fn identity_in(&self, participant: u32, slot: u8) -> Identity {
        folder::identity_in(self.dir.path(), participant, slot)
    }

    /// Signs for a participant.
    pub(crate) fn signer(&self, participant: u32) -> Signer {
        let signer = Signer::new(self.identity(participant), self.genesis.hash());
        signer.expect("randomness")
    }

    /// Signs one record.
    pub(crate) fn sign(&self, by: u32, draft: Draft) -> Envelope {
        self.signer(by).sign(draft)
    }

    /// Signs a body that has been changed.
    pub(crate) fn sign_body(&self, by: u32, body: Body) -> Envelope {
        let signer = self.signer(by);
        signer.identity().key().sign_envelope(signer.tag(), body)
    }

    /// A good payment of the sender, changed before it is signed.
    pub(crate) fn edited(&self, edit: fn(&mut Body)) -> Envelope {
        let mut body = self.sign(SENDER, pay(SENDER, 3, 1)).body;
        edit(&mut body);
        self.sign_body(SENDER, body)
    }

    /// Sends envelopes on one stream of the sender.
    pub(crate) fn submit(&self, envelopes: &[Envelope]) -> Vec<Answer> {
        self.submit_as(SENDER, envelopes)
    }

    fn submit_as(&self, member: u32, envelopes: &[Envelope]) -> Vec<Answer> {
        let answers = self.block_on(self.clients[&member].submit(envelopes));
        answers.expect("answered").to_vec()
    }

    /// Sends envelopes that must settle, and gives them back.
    pub(crate) fn settle(&self, envelopes: &[Envelope]) -> Vec<Envelope> {
        for answer in self.submit(envelopes) {
            assert!(answer.settled(), "{answer:?}");
        }
        envelopes.to_vec()
    }

    /// Cluster time of the last block.
    pub(crate) fn time(&self) -> TimeMs {
        let status = self.block_on(self.clients[&1].status());
        status.expect("answered").time
    }

    /// Waits for cluster time: idle blocks carry it.
    pub(crate) fn wait_until(&self, time: TimeMs) {
        let left = Duration::from_millis(time.0.saturating_sub(self.time().0));
        let from = Instant::now();
        while self.time() < time {
            assert!(from.elapsed() < left + TIMEOUT, "cluster time stands still");
        }
    }

    /// Sends bytes on a stream that never ends.
    pub(crate) fn begin(&self, bytes: &[u8]) -> Reply {
        self.block_on(async {
            let raw = raw::connect(&self.identity(SENDER), self.server, ALPN).await;
            raw.expect("let in").begin(bytes).await
        })
    }

    /// Runs the program in the cluster's folder; it must fail without a result.
    pub(crate) fn program(&self, call: &str) -> Reply {
        let arguments: Vec<&str> = call.split_whitespace().collect();
        told_by(&run_briefly(self.dir.path(), &[], &arguments))
    }
}

/// What a program that failed has told.
pub(crate) fn told_by(run: &Run) -> Reply {
    assert!(run.stdout.is_empty(), "{}: {}", run.call, run.stdout);
    Reply::new(Told::Exit(run.code), run.said())
}

fn edit(path: &Path, edit: impl FnOnce(&str) -> String) {
    let before = std::fs::read_to_string(path).expect("read");
    let after = edit(&before);
    assert_ne!(before, after, "{} is changed", path.display());
    std::fs::write(path, after).expect("written");
}

impl Desk {
    /// Does what a row says, then looks at the answer, the counters, an honest payment, the books.
    pub(crate) fn check(&self, row: &Row) -> Result<(), String> {
        let given = match row.bad {
            Bad::After { given, .. } | Bad::Envelopes { given, .. } => given(self),
            _ => Vec::new(),
        };
        let (page, books) = (self.page(), self.books());
        let (answer, kind) = self.send(row, &given);
        row.judge(&answer)?;
        let paid = self.sign(HONEST.0, pay(HONEST.0, HONEST.1, 1));
        let answers = self.submit_as(HONEST.0, &[paid]);
        if !answers.iter().all(Answer::settled) {
            return Err(format!("an honest payment got {answers:?}"));
        }
        self.judge_counters(&row.moves(kind), &page)?;
        self.judge_books(books)
    }

    /// What comes back, and the kind of the last envelope sent.
    fn send(&self, row: &Row, given: &[Envelope]) -> (Reply, u8) {
        let first = given.first().map_or(TransferId::ZERO, |one| one.body.id);
        let envelopes = match row.bad {
            Bad::Edited(edit) => vec![self.edited(edit)],
            Bad::Signed(by, draft) => vec![self.sign(by, draft())],
            Bad::After { by, draft, .. } => vec![self.sign(by, draft(first))],
            Bad::Envelopes { bad, .. } => bad(self, given),
            Bad::Bytes(bytes) => {
                let saying = async {
                    let raw = raw::connect(&self.identity(SENDER), self.server, ALPN).await;
                    raw.expect("let in").say(&bytes()).await
                };
                return (self.block_on(saying), 0);
            }
            Bad::Request(line) => return (self.request(line), 0),
            Bad::Knock(knock) => return (knock(self), 0),
            Bad::Alone(_) | Bad::Command { .. } => unreachable!("no node runs for these"),
        };
        let answers = self.submit(&envelopes);
        let executed = matches!(row.counter, Counter::Executed);
        assert_eq!(
            answers[0].is_final(),
            executed || row.is_duplicate(),
            "{}",
            row.name
        );
        let mut answer = Reply::codes(&answers.iter().map(|r| r.outcome.code).collect::<Vec<_>>());
        if answers[0].outcome.flags.0 & OutcomeFlags::DUPLICATE != 0 {
            answer.told = vec![Told::Again(answers[0].outcome.code)];
        }
        (answer, envelopes.last().map_or(0, |last| last.body.kind))
    }

    /// The counters that moved since `before` must be these, by this much: no more, no fewer.
    fn judge_counters(&self, wanted: &BTreeMap<String, u64>, before: &Page) -> Result<(), String> {
        let from = Instant::now();
        loop {
            let now = self.page();
            if now.get("clearway_execute_conserved") != Some(&1.0) {
                return Err("the ledger does not balance".to_owned());
            }
            let moved = moved(before, &now);
            if moved == *wanted {
                return Ok(());
            }
            if from.elapsed() > TIMEOUT {
                return Err(format!("moved {moved:?} and not {wanted:?}"));
            }
        }
    }

    /// Nothing but the honest payment may have changed an account, and each ledger balances.
    fn judge_books(&self, mut wanted: Books) -> Result<(), String> {
        for (owner, side) in [(HONEST.0, 0), (HONEST.1, 1)] {
            let balances = wanted.get_mut(&account(owner, 1)).expect("it is covered");
            balances[side] += 1;
        }
        let found = self.books();
        if found != wanted {
            return Err(format!("the books say {found:?} and not {wanted:?}"));
        }
        let sum = |side: usize| found.values().map(|one| one[side]).sum::<u128>();
        match sum(0) == sum(1) && sum(2) == sum(3) {
            true => Ok(()),
            false => Err(format!("debits and credits differ: {found:?}")),
        }
    }

    fn books(&self) -> Books {
        let client = &self.clients[&1];
        let accounts: Vec<AccountId> = self.accounts.borrow().iter().copied().collect();
        self.block_on(async {
            let mut books = Books::new();
            for id in accounts {
                let view = client.account(id).await.expect("answered");
                let account = view.expect("it exists").account;
                let posted = [account.debits_posted.get(), account.credits_posted.get()];
                let pending = [account.debits_pending.get(), account.credits_pending.get()];
                books.insert(id, [posted[0], posted[1], pending[0], pending[1]]);
            }
            books
        })
    }

    /// Every line of the metrics page with its value.
    fn page(&self) -> Page {
        page(self.admin())
    }

    fn request(&self, line: &str) -> Reply {
        let (status, text) = http(self.admin(), line);
        Reply::new(Told::Page(status), text)
    }
}

/// Lines of the metrics page and their values.
type Page = BTreeMap<String, f64>;

/// The metrics page at this address.
pub(crate) fn page(admin: &str) -> Page {
    let (status, text) = http(admin, "GET /metrics");
    assert_eq!(status, 200, "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| line.rsplit_once(' '));
    values
        .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
        .collect()
}

impl Row {
    fn is_duplicate(&self) -> bool {
        matches!(self.told, Told::Again(_))
    }

    /// The counters that must move; `kind` is that of the last envelope sent.
    fn moves(&self, kind: u8) -> BTreeMap<String, u64> {
        let lines = |lines: &[(&str, u64)]| {
            lines
                .iter()
                .map(|(line, by)| ((*line).to_owned(), *by))
                .collect()
        };
        match (&self.counter, self.told) {
            (Counter::Line(line, by), _) => lines(&[(line, *by)]),
            (Counter::Lines(all), _) => lines(all),
            (Counter::Nothing | Counter::Played | Counter::NoNode, _) => BTreeMap::new(),
            (Counter::Executed, Told::Code(code)) => lines(&[(&executed(kind, code), 1)]),
            (Counter::Executed, Told::Codes(codes)) => codes
                .iter()
                .map(|&code| (executed(kind, code), 1))
                .collect(),
            (Counter::Executed, told) => panic!("{told:?} is no result of execution"),
        }
    }
}

/// The line that counts this result.
fn executed(kind: u8, code: ResultCode) -> String {
    let kind = Kind::from_u8(kind).expect("executed kinds have a number");
    format!("clearway_execute_outcomes_total{{kind=\"{kind:?}\",result=\"{code}\"}}")
}

/// Counters that are not of ordinary work and grew, and by how much.
fn moved(before: &Page, now: &Page) -> BTreeMap<String, u64> {
    let mut moved = BTreeMap::new();
    for (line, value) in now {
        let name = line.split('{').next().unwrap_or_default();
        let name = name.strip_prefix("clearway_").unwrap_or(name);
        let Some(name) = name.strip_suffix("_total") else {
            continue;
        };
        if ORDINARY.contains(&name) || line.ends_with("result=\"Settled\"}") {
            continue;
        }
        let grown = value - before.get(line).copied().unwrap_or_default();
        if grown != 0.0 {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "counters are whole numbers that grow"
            )]
            moved.insert(line.clone(), grown as u64);
        }
    }
    moved
}
