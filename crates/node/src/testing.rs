//! What this crate's own tests share: a node with its log in memory, and the lines of its log.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clearway_client::{Client, ClientConfig, Draft, Identity, Server, Signer};
use clearway_crypto::gate::Gate;
use clearway_crypto::keys::SigningKey;
use clearway_order::system_clock;
use clearway_store::testing::MemoryIo;
use clearway_types::account::Role;
use clearway_types::amount::Amount;
use clearway_types::envelope::Envelope;
use clearway_types::genesis::{
    Genesis, GenesisAccount, GenesisLedger, GenesisParticipant, HexBytes, Rules,
};
use clearway_types::units::{AccountId, LedgerId, ParticipantId, TimeMs};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::config::{self, NodeConfig};
use crate::keystore::ValidatorKeys;
use crate::machine::Parts;
use crate::node::Node;

/// Nothing that a test waits for takes so long unless it never comes.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
const LEDGER: LedgerId = LedgerId(978);

/// A cluster of one node with its log in memory: participant 1 is the operator, 2 to 4 are members
/// with an account each.
pub(crate) struct Stand {
    pub(crate) io: MemoryIo,
    pub(crate) config: NodeConfig,
    genesis: Genesis,
    keys: ValidatorKeys,
    _dir: TempDir,
}

impl Stand {
    pub(crate) fn new(segment_bytes: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut config: NodeConfig = config::parse("", [], &[]).expect("settings").config;
        config.data_dir = dir.path().join("data");
        config.listen = "127.0.0.1:0".parse().expect("an address");
        config.admin_listen = config.listen;
        config.door.streams_per_connection_max = 100;
        config.verify_workers = 1;
        config.store.segment_bytes = segment_bytes;
        let keys = ValidatorKeys::generate().expect("randomness");
        Self {
            io: MemoryIo::new(),
            genesis: genesis(&keys),
            config,
            keys,
            _dir: dir,
        }
    }

    pub(crate) fn start(&self) -> Node {
        // The engine's journal is a real one.
        std::fs::create_dir_all(&self.config.data_dir).expect("made");
        let parts = Parts {
            io: Arc::new(self.io.clone()),
            ..Parts::real(Gate::new().expect("a backend"))
        };
        let node = Node::start_with(&self.config, &self.genesis, &self.keys, parts);
        node.expect("it starts")
    }

    /// A participant connected to the node.
    pub(crate) fn member(&self, node: &Node, participant: u8) -> Member {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let server = Server {
            address: node.addresses().door,
            public_key: self.keys.connection.public_key(),
        };
        let identity = Identity::new(key(participant), ParticipantId(participant.into()), 0);
        let signer = Signer::new(identity.clone(), self.genesis.hash()).expect("randomness");
        let config = ClientConfig::new(identity, vec![server]);
        let client = runtime.block_on(Client::connect(config)).expect("let in");
        Member {
            runtime,
            client,
            signer,
        }
    }
}

/// A participant connected to a node.
pub(crate) struct Member {
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
    signer: Signer,
}

impl Member {
    /// This many signed payments of the smallest unit between two accounts.
    pub(crate) fn payments(&self, from: u32, to: u32, count: usize) -> Vec<Envelope> {
        let pay = Draft::transfer(account(from), account(to), Amount::new(1, LEDGER));
        (0..count).map(|_| self.signer.sign(pay)).collect()
    }
}

pub(crate) fn account(owner: u32) -> AccountId {
    AccountId::new(ParticipantId(owner), 1)
}

pub(crate) fn key(participant: u8) -> SigningKey {
    SigningKey::from_seed(&[participant; 32])
}

/// Its genesis.
pub(crate) fn genesis(keys: &ValidatorKeys) -> Genesis {
    genesis_at(keys, system_clock()().time)
}

/// The same with cluster time from here on.
pub(crate) fn genesis_at(keys: &ValidatorKeys, time: TimeMs) -> Genesis {
    let participant = |number: u8, role| GenesisParticipant {
        id: ParticipantId(number.into()),
        role,
        sponsor: ParticipantId(0),
        lei: String::new(),
        bic: String::new(),
        public_key: HexBytes(key(number).public_key()),
    };
    let members = (2..=4).map(|number| participant(number, Role::Member));
    let operator = participant(1, Role::Operator);
    let opened = |owner| GenesisAccount {
        id: account(owner),
        ledger: LEDGER,
        balance: 1_000_000,
        credit_line: 0,
    };
    Genesis {
        name: "node tests".into(),
        time,
        rules: Rules::default(),
        validators: vec![keys.genesis_row("v", "127.0.0.1:1")],
        participants: std::iter::once(operator).chain(members).collect(),
        ledgers: vec![GenesisLedger {
            id: LEDGER,
            code: "EUR".into(),
            exponent: 2,
            issuer: ParticipantId(1),
            issuer_account: account(1),
        }],
        accounts: (2..=4).map(opened).collect(),
    }
}

/// Waits for a state.
pub(crate) fn wait(what: &str, reached: impl Fn() -> bool) {
    let from = Instant::now();
    while !reached() {
        assert!(from.elapsed() < TIMEOUT, "never: {what}");
        std::thread::yield_now();
    }
}

/// The lines that `work` writes to the log on this thread, and what it gives.
pub(crate) fn lines_of<R>(work: impl FnOnce() -> R) -> (Vec<String>, R) {
    let lines = Lines::default();
    let given = tracing::subscriber::with_default(lines.clone(), work);
    let lines = std::mem::take(&mut *lines.0.lock().expect("no panic"));
    (lines, given)
}

/// A log in memory: level, message and fields of each line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().expect("no panic").push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("text grows");
    }
}
