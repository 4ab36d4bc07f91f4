//! A member of the cluster under test: pays from its account to another one, and asks.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clearway_client::{Client, ClientConfig, ClientError, Draft, Identity, Signer};
use clearway_harness::folder;
use clearway_types::amount::Amount;
use clearway_types::envelope::Envelope;
use clearway_types::genesis::Genesis;
use clearway_types::units::{AccountId, LedgerId, ParticipantId};

/// After so long without a sign of life, the client sends again.
const SILENCE: Duration = Duration::from_millis(500);
/// A node that takes longer to answer is not running.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Member 2, which pays member 3.
pub(crate) struct Member {
    identity: Identity,
    genesis: Genesis,
    ledger: LedgerId,
    pub(crate) from: AccountId,
    pub(crate) to: AccountId,
}

impl Member {
    /// Reads its key and the genesis in the folder of a cluster.
    pub(crate) fn of(dir: &Path) -> Self {
        let genesis = folder::genesis(dir);
        Self {
            identity: folder::identity(dir, 2),
            ledger: genesis.ledgers[0].id,
            genesis,
            from: AccountId::new(ParticipantId(2), 1),
            to: AccountId::new(ParticipantId(3), 1),
        }
    }

    pub(crate) fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// What an account began with.
    pub(crate) fn opening(&self, account: AccountId) -> u128 {
        let rows = self.genesis.accounts.iter();
        let balances = rows.filter(|row| row.id == account).map(|row| row.balance);
        balances.map(u128::from).sum()
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> Result<Client, ClientError> {
        let server = folder::server(&self.genesis, &address.to_string());
        let mut config = ClientConfig::new(self.identity.clone(), vec![server]);
        config.silence = SILENCE;
        config.connect_timeout = TIMEOUT;
        config.give_up_after = TIMEOUT;
        Client::connect(config).await
    }

    /// Payments of one minor unit each, with names that were never used before.
    pub(crate) fn payments(&self, count: u64) -> Vec<Envelope> {
        let signer = Signer::new(self.identity.clone(), self.genesis.hash()).expect("randomness");
        let ttl_s = u64::from(self.genesis.rules.ttl_s_max) / 2;
        let signer = signer.with_ttl(Duration::from_secs(ttl_s));
        let draft = || Draft::transfer(self.from, self.to, Amount::new(1, self.ledger));
        (0..count).map(|_| signer.sign(draft())).collect()
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}
