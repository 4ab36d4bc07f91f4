//! What a node in the test's own process needs: keys, a genesis, settings, a member who pays.

use clearway_client::{Client, ClientConfig, Draft, Identity, Server, Signer};
use clearway_load::cluster::{LEDGER, Members, bank};
use clearway_load::workload::Generator;
use clearway_node::config::{self, NodeConfig};
use clearway_node::keystore::ValidatorKeys;
use clearway_node::{Node, system_clock};
use clearway_types::amount::Amount;
use clearway_types::envelope::Envelope;
use clearway_types::genesis::Genesis;
use clearway_types::units::AccountId;
use tempfile::TempDir;

/// A cluster of one validator that is not started yet.
pub(crate) struct Stand {
    pub(crate) config: NodeConfig,
    pub(crate) genesis: Genesis,
    pub(crate) validator: ValidatorKeys,
    members: Members,
    _dir: TempDir,
}

/// A member connected to a node.
pub(crate) struct Payer {
    pub(crate) client: Client,
    pub(crate) account: AccountId,
    signer: Signer,
    to: AccountId,
}

impl Stand {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
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
        let validator = ValidatorKeys::generate().expect("randomness");
        let row = validator.genesis_row("validator-1", "127.0.0.1:7400");
        let members = Members::new(1);
        let genesis = members.genesis(&workload.generate(), vec![row], system_clock()().time);
        Self {
            config,
            genesis,
            validator,
            members,
            _dir: dir,
        }
    }

    /// Does something as the first bank, connected to this node.
    pub(crate) fn visit(&self, node: &Node, visit: impl AsyncFnOnce(&Payer)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let payer = self.payer(node).await;
            visit(&payer).await;
            payer.client.close().await;
        });
    }

    async fn payer(&self, node: &Node) -> Payer {
        let server = Server {
            address: node.addresses().door,
            public_key: self.validator.connection.public_key(),
        };
        let identity = Identity::new(self.members.key(bank(0)), bank(0), 0);
        let signer = Signer::new(identity.clone(), self.genesis.hash()).expect("randomness");
        let account = |owner| {
            let mut accounts = self.genesis.accounts.iter();
            let found = accounts.find(|account| account.id.owner() == owner);
            found.expect("it has one").id
        };
        let client = Client::connect(ClientConfig::new(identity, vec![server])).await;
        Payer {
            client: client.expect("it is up"),
            account: account(bank(0)),
            signer,
            to: account(bank(1)),
        }
    }
}

impl Payer {
    /// A payment of the smallest unit to the second bank.
    pub(crate) fn payment(&self) -> Envelope {
        let amount = Amount::new(1, LEDGER);
        let draft = Draft::transfer(self.account, self.to, amount);
        self.signer.sign(draft)
    }
}
