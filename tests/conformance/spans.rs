//! Every link of the topology has a trace span of its name.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use clearway_client::{Client, ClientConfig, Draft, Identity, Server, Signer};
use clearway_load::cluster::{LEDGER, Members, bank};
use clearway_load::workload::Generator;
use clearway_node::config::{self, NodeConfig};
use clearway_node::keystore::ValidatorKeys;
use clearway_node::topology::LINKS;
use clearway_node::{Node, wall_time};
use clearway_types::amount::Amount;
use clearway_types::genesis::Genesis;
use tempfile::tempdir;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Notes the name of every span.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<BTreeSet<&'static str>>>);

impl<S: tracing::Subscriber> Layer<S> for Names {
    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        _: &tracing::Id,
        _: Context<'_, S>,
    ) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(attributes.metadata().name());
    }
}

#[test]
fn a_payment_a_refusal_and_a_question_pass_through_a_span_of_every_link() {
    let names = Names::default();
    tracing_subscriber::registry().with(names.clone()).init();
    let dir = tempdir().expect("a temporary folder");
    let flags = [("preset".to_owned(), "bench".to_owned())];
    let mut config: NodeConfig = config::parse("", [], &flags).expect("settings").config;
    config.data_dir = dir.path().join("data");
    config.listen = "127.0.0.1:0".parse().expect("an address");
    config.admin_listen = config.listen;
    let workload = Generator {
        account_count: 64,
        payment_count: 1,
        ..Generator::default()
    };
    let workload = workload.generate();
    let validator = ValidatorKeys::generate().expect("randomness");
    let row = validator.genesis_row("validator-0", "127.0.0.1:7400");
    let members = Members::new(1);
    let now = wall_time();
    let genesis = members.genesis(&workload, vec![row], now);
    let node = Node::start(&config, &genesis, &validator).expect("it starts");
    let server = Server {
        address: node.addresses().door,
        public_key: validator.connection.public_key(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .expect("a runtime")
        .block_on(visit(&members, &genesis, server));
    node.stop().expect("it stops");

    let names = names.0.lock().unwrap_or_else(PoisonError::into_inner);
    for link in LINKS {
        assert!(
            names.contains(link.name),
            "no span {} in {names:?}",
            link.name
        );
    }
}

/// One good payment, one with a broken signature, one question.
async fn visit(members: &Members, genesis: &Genesis, server: Server) {
    let payer = bank(0);
    let identity = Identity::new(members.key(payer), payer, 0);
    let signer = Signer::new(identity.clone(), genesis.hash()).expect("randomness");
    let of = |owner| {
        genesis
            .accounts
            .iter()
            .find(|account| account.id.owner() == owner)
    };
    let (from, to) = (
        of(payer).expect("it has one").id,
        of(bank(1)).expect("it has one").id,
    );
    let pay = || signer.sign(Draft::transfer(from, to, Amount::new(1, LEDGER)));
    let mut broken = pay();
    broken.signature[0] ^= 1;
    let client = Client::connect(ClientConfig::new(identity, vec![server]))
        .await
        .expect("it is up");
    let receipts = client.submit(&[pay(), broken]).await.expect("answered");
    assert!(receipts[0].settled() && !receipts[1].is_final());
    client
        .account(from)
        .await
        .expect("answered")
        .expect("it exists");
    client.close().await;
}
