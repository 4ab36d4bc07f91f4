//! Clocks that are off: a node whose clock was ahead, one whose clock jumps, a member's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use clearway_crypto::gate::Gate;
use clearway_harness::{folder, http};
use clearway_node::keystore::{self, Unlock};
use clearway_node::{Clock, Node, Now, Parts, config, system_clock};
use clearway_types::units::TimeMs;

use crate::twice::{Payer, TIMEOUT};

const HOUR_S: i64 = 3600;

/// The true time.
fn wall_time() -> TimeMs {
    system_clock()().time
}

/// A node in this process, whose wall clock the test moves.
struct Clocked {
    node: Node,
    ahead_ms: Arc<AtomicI64>,
}

impl Clocked {
    /// Starts on the payer's cluster with a clock that is this many seconds ahead of the true one.
    fn start(payer: &Payer, ahead_s: i64) -> Self {
        let flags = [("listen", "127.0.0.1:0"), ("admin_listen", "127.0.0.1:0")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let config = config::load(Some(&payer.path().join("node.toml")), [], &flags);
        let config = config.expect("settings").config;
        let genesis = folder::genesis(payer.path());
        let unlock = Unlock::from_environment(true);
        let keys = keystore::load_validator(&config.keys, &unlock).expect("a key file");
        let ahead_ms = Arc::new(AtomicI64::new(ahead_s * 1000));
        let (read, started) = (Arc::clone(&ahead_ms), Instant::now());
        let clock: Clock = Arc::new(move || Now {
            time: TimeMs(
                wall_time()
                    .0
                    .saturating_add_signed(read.load(Ordering::Relaxed)),
            ),
            uptime: started.elapsed(),
        });
        let gate = Gate::new().expect("the portable backend");
        let parts = Parts {
            clock,
            ..Parts::real(gate)
        };
        let node = Node::start_with(&config, &genesis, &keys, parts).expect("it starts");
        Self { node, ahead_ms }
    }

    fn set_ahead(&self, seconds: i64) {
        self.ahead_ms.store(seconds * 1000, Ordering::Relaxed);
    }

    fn door(&self) -> String {
        self.node.addresses().door.to_string()
    }

    fn page(&self, path: &str) -> (u16, String) {
        http(
            &self.node.addresses().admin.to_string(),
            &format!("GET {path}"),
        )
    }

    fn figure(&self, name: &str) -> f64 {
        let page = self.page("/metrics").1;
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name}"))
            .parse()
            .expect("a number")
    }

    /// Waits until the operators' page says so.
    fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let from = Instant::now();
        while !is_so(self) {
            assert!(
                from.elapsed() < TIMEOUT,
                "timed out: {what}: {:?}",
                self.page("/readyz")
            );
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_start_with_cluster_time_ahead_is_not_ready_says_by_how_much_and_settles_payments() {
    let payer = Payer::new();
    let fast = Clocked::start(&payer, HOUR_S);
    fast.wait("a block", |node| node.node.durable_height().0 > 0);
    fast.node.stop().expect("orderly");

    let right = Clocked::start(&payer, 0);
    let (status, said) = right.page("/readyz");
    assert_eq!(status, 503, "{said}");
    assert!(
        said.contains("s ahead of this machine's clock") && said.contains("set it right"),
        "{said}"
    );
    let ahead = right.figure("clearway_clock_ahead_seconds");
    assert!((3500.0..=3600.0).contains(&ahead), "{ahead}");
    let status = payer
        .run(&right.door(), &["node", "status", "--json"])
        .expect(0);
    assert!(
        status.said().contains("tell the node's operator"),
        "{}",
        status.said()
    );
    let ahead_ms = status.json("node-status")["clock_ahead_ms"]
        .as_u64()
        .expect("a number");
    assert!((3_500_000..=3_600_000).contains(&ahead_ms), "{ahead_ms}");

    let paid = payer
        .run(&right.door(), &["pay", "2.1", "3.1", "10.00"])
        .expect(0);
    assert!(paid.said().contains("cluster time is"), "{}", paid.said());
    assert_eq!(payer.paid(&right.door()), 10);
    // The clock reaches cluster time: all is well.
    right.set_ahead(HOUR_S + 60);
    right.wait("ready", |node| node.page("/readyz").0 == 200);
    assert_eq!(
        payer
            .run(&right.door(), &["pay", "2.1", "3.1", "5.00"])
            .expect(0)
            .code,
        0
    );
    right.node.stop().expect("orderly");
}

#[test]
fn a_clock_that_jumps_while_the_node_runs_is_noticed_either_way() {
    let payer = Payer::new();
    let node = Clocked::start(&payer, 0);
    assert_eq!(node.page("/readyz").0, 200);
    node.set_ahead(HOUR_S);
    node.wait("a jump forwards", |n| {
        n.figure("clearway_clock_jumps_total") == 1.0
    });
    let jump = node.figure("clearway_clock_jump_forward_seconds");
    assert!((3599.0..3601.0).contains(&jump), "{jump}");
    // Once cluster time has followed, the way back leaves it ahead.
    let status = ["node", "status", "--json"];
    let cluster_follows = |n: &Clocked| {
        let shown = payer.run(&n.door(), &status).expect(0).json("node-status");
        shown["time_ms"].as_u64() > Some(wall_time().0 + 3_000_000)
    };
    node.wait("cluster time follows", cluster_follows);
    node.set_ahead(0);
    node.wait("a jump backwards", |n| {
        n.figure("clearway_clock_jumps_total") == 2.0
    });
    assert!(node.figure("clearway_clock_jump_backward_seconds") > 3599.0);
    assert!(node.figure("clearway_clock_jump_forward_seconds") == 0.0);
    node.wait("not ready", |n| n.page("/readyz").0 == 503);
    node.node.stop().expect("orderly");
}

#[test]
fn a_member_whose_own_clock_is_off_is_told_so_and_its_payments_settle() {
    for (ahead_s, words) in [
        (2 * HOUR_S, "s behind the cluster's"),
        (-HOUR_S, "s ahead of the cluster's"),
    ] {
        let payer = Payer::new();
        // A cluster that began before either clock's now.
        folder::set_time(payer.path(), TimeMs(wall_time().0 - 10_000_000));
        let node = Clocked::start(&payer, ahead_s);
        // Until then cluster time is that of the genesis, and all three clocks differ.
        node.wait("a block", |node| node.node.durable_height().0 > 0);
        let paid = payer
            .run(&node.door(), &["pay", "2.1", "3.1", "10.00"])
            .expect(0);
        assert!(paid.said().contains(words), "{}", paid.said());
        assert!(
            paid.said().contains("this machine's clock is"),
            "{}",
            paid.said()
        );
        assert_eq!(payer.paid(&node.door()), 10);
        node.node.stop().expect("orderly");
    }
}

#[test]
fn an_envelope_ends_by_cluster_time_however_long_the_connection_lives() {
    let payer = Payer::new();
    let node = Clocked::start(&payer, 0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        use clearway_client::{Client, ClientConfig, Draft, Signer};
        use clearway_types::amount::Amount;
        use clearway_types::units::{AccountId, ParticipantId};
        let genesis = folder::genesis(payer.path());
        let identity = folder::identity(payer.path(), 2);
        let server = folder::server(&genesis, &node.door());
        let client = Client::connect(ClientConfig::new(identity.clone(), vec![server])).await;
        let client = client.expect("let in");
        let signer = Signer::new(identity, genesis.hash()).expect("randomness");
        let signer = signer
            .with_ttl(Duration::from_secs(10))
            .with_time(client.time());
        let account = |owner| AccountId::new(ParticipantId(owner), 1);
        let amount = Amount::new(1, genesis.ledgers[0].id);
        let pay = || signer.sign(Draft::transfer(account(2), account(3), amount));
        for ahead_s in [0, HOUR_S, 2 * HOUR_S] {
            node.set_ahead(ahead_s);
            // The first payment after a jump finds out; the next is signed by what it has learnt.
            let mut settled = false;
            for _ in 0..3 {
                let answers = client.submit(&[pay()]).await.expect("answered");
                settled = answers[0].settled();
                if settled {
                    break;
                }
            }
            assert!(settled, "{ahead_s}");
        }
        client.close().await;
    });
    node.node.stop().expect("orderly");
}
