//! What every command on a running node shares: whose key, which cluster, one signed envelope there
//! and its answer back.

use std::borrow::Borrow;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use clearway_client::{
    Client, ClientConfig, ClientError, ClusterKeys, Draft, Identity, Receipt, Server, Signer,
};
use clearway_node::genesis_file;
use clearway_node::keystore;
use clearway_types::amount::{Amount, parse_minor};
use clearway_types::envelope::Envelope;
use clearway_types::genesis::{Genesis, GenesisLedger};
use clearway_types::units::{ParticipantId, TransferId};
use serde::Serialize;

use crate::commands::keys;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::ui::{self, Output};

/// Which cluster, and as whom.
#[derive(clap::Args, Debug)]
pub(crate) struct Connect {
    /// Genesis file of the cluster: names its validators, ledgers and rules
    #[arg(
        long,
        value_name = "FILE",
        default_value = "genesis.toml",
        env = "CLEARWAY_GENESIS"
    )]
    genesis: PathBuf,
    /// Key file of the member
    #[arg(long, value_name = "FILE", env = "CLEARWAY_KEY")]
    key: PathBuf,
    /// Participant number; without it the one whose genesis key this is
    #[arg(long = "as", value_name = "PARTICIPANT")]
    participant: Option<u32>,
    /// Key slot of the participant
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=3))]
    slot: u8,
    /// Address of the first validator's door, where it is not the one in the genesis
    #[arg(long, value_name = "ADDRESS")]
    server: Option<SocketAddr>,
    /// Accept a key file that is not encrypted
    #[arg(long)]
    insecure_plaintext: bool,
    /// Seconds after which an answer is not waited for any more
    #[arg(long, default_value_t = 10)]
    timeout_s: u64,
}

/// A connected member.
pub(crate) struct Session {
    runtime: tokio::runtime::Runtime,
    client: Client,
    signer: Signer,
    pub(crate) genesis: Genesis,
}

impl Connect {
    pub(crate) fn open(&self) -> Result<Session, Failure> {
        let genesis = genesis_file::load(&self.genesis)?;
        let unlock = keys::unlock(&self.key, self.insecure_plaintext)?;
        let key = keystore::load_member(&self.key, &unlock)?;
        let participant = match self.participant {
            Some(number) => ParticipantId(number),
            None => owner(&genesis, &key.public_key())?,
        };
        let identity = Identity::new(key, participant, self.slot);
        let mut config = ClientConfig::new(identity.clone(), self.servers(&genesis)?);
        config.give_up_after = Duration::from_secs(self.timeout_s);
        config.connect_timeout = Duration::from_secs(self.timeout_s.min(5));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let client = runtime
            .block_on(Client::connect(config))
            .map_err(client_failure)?;
        let signer = Signer::new(identity, genesis.hash()).map_err(client_failure)?;
        let ttl_s = u64::from(genesis.rules.ttl_s_max) / 2;
        Ok(Session {
            runtime,
            client,
            signer: signer.with_ttl(Duration::from_secs(ttl_s.max(1))),
            genesis,
        })
    }

    /// Whether key files in plain text are accepted.
    pub(crate) fn insecure_plaintext(&self) -> bool {
        self.insecure_plaintext
    }

    fn servers(&self, genesis: &Genesis) -> Result<Vec<Server>, Failure> {
        let mut servers = Vec::with_capacity(genesis.validators.len());
        for validator in &genesis.validators {
            let address = match self.server {
                Some(address) if servers.is_empty() => address,
                _ => resolve(&validator.address)?,
            };
            servers.push(Server {
                address,
                public_key: validator.public_key.0,
            });
        }
        Ok(servers)
    }
}

fn resolve(address: &str) -> Result<SocketAddr, Failure> {
    let found = address
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next());
    found.ok_or_else(|| {
        let message = format!("`{address}` of the genesis does not resolve: give --server ADDRESS");
        Failure::new(Kind::Unavailable, message)
    })
}

fn owner(genesis: &Genesis, public_key: &[u8; 32]) -> Result<ParticipantId, Failure> {
    let found = genesis
        .participants
        .iter()
        .find(|p| p.public_key.0 == *public_key);
    found.map(|participant| participant.id).ok_or_else(|| {
        Failure::usage("this key is nobody's in the genesis: say whose it is with --as PARTICIPANT")
    })
}

/// A client's error by what scripts do about it.
pub(crate) fn client_failure(error: ClientError) -> Failure {
    let kind = match &error {
        ClientError::ConnectTimeout { .. }
        | ClientError::Lost(_)
        | ClientError::Closed { .. }
        | ClientError::Unanswered { .. } => Kind::Unavailable,
        _ => Kind::Failed,
    };
    Failure::new(kind, error)
}

/// What a signed instruction came to.
#[derive(Serialize)]
struct Answer {
    id: String,
    signer: u32,
    height: u64,
    code: String,
    code_number: u16,
    r#final: bool,
    duplicate: bool,
    help: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    proven: Option<bool>,
}

impl Session {
    /// Runs one question to the node.
    pub(crate) fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&Client) -> Result<T, ClientError>,
    ) -> Result<T, Failure> {
        self.runtime
            .block_on(question(&self.client))
            .map_err(client_failure)
    }

    /// Runs something that ends by itself or is interrupted.
    pub(crate) fn drive<T>(&self, work: impl AsyncFnOnce(&Client) -> T) -> T {
        self.runtime.block_on(work(&self.client))
    }

    /// Who signs.
    pub(crate) fn participant(&self) -> ParticipantId {
        self.signer.identity().participant()
    }

    /// Decimal text as an amount of a ledger.
    pub(crate) fn amount(
        &self,
        text: &str,
        ledger: impl Borrow<GenesisLedger>,
    ) -> Result<Amount, Failure> {
        let ledger = ledger.borrow();
        let minor = parse_minor(text, ledger.exponent).or_fail(Kind::Usage)?;
        Ok(Amount::new(minor, ledger.id))
    }

    /// Signs, sends, waits for FINAL, tells; anything but success fails with the code's help.
    pub(crate) fn submit(&self, draft: Draft, prove: bool, output: Output) -> Result<(), Failure> {
        let envelope = self.signer.sign(draft);
        let receipts = self.ask(async |client| client.submit(&[envelope]).await)?;
        let receipt = *receipts.first().ok_or_else(|| {
            Failure::new(
                Kind::Unavailable,
                "the node gave no answer: look the payment up",
            )
        })?;
        let proven = match prove && receipt.is_final() {
            true => Some(self.prove(&envelope, receipt)?),
            false => None,
        };
        let answer = answer(&envelope, receipt, proven);
        output.result("answer", &answer, || shown(&answer))?;
        let code = receipt.outcome.code;
        let accepted = code.applied() || code == clearway_types::code::ResultCode::AwaitingApproval;
        if accepted && receipt.is_final() {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Failed,
            format!("{code}: {}", code.help()),
        ))
    }

    /// Checks certificate, chain and Merkle path of an answer.
    fn prove(&self, envelope: &Envelope, receipt: Receipt) -> Result<bool, Failure> {
        let keys = ClusterKeys::from_genesis(&self.genesis).or_fail(Kind::Failed)?;
        let proven = self.ask(async |client| client.prove(&keys, envelope).await)?;
        let Some(proven) = proven else {
            return Ok(false);
        };
        let same = proven.height == receipt.height && proven.outcome.code == receipt.outcome.code;
        if same {
            return Ok(true);
        }
        let message = format!(
            "the node answered {} at height {}, the proof says {} at height {}: do not trust it",
            receipt.outcome.code, receipt.height, proven.outcome.code, proven.height
        );
        Err(Failure::new(Kind::Mismatch, message))
    }
}

fn answer(envelope: &Envelope, receipt: Receipt, proven: Option<bool>) -> Answer {
    let code = receipt.outcome.code;
    Answer {
        id: envelope.body.id.to_string(),
        signer: envelope.body.signer().0,
        height: receipt.height.0,
        code: code.to_string(),
        code_number: code.as_u16(),
        r#final: receipt.is_final(),
        duplicate: receipt.outcome.flags.0 & clearway_types::code::OutcomeFlags::DUPLICATE != 0,
        help: code.help(),
        proven,
    }
}

fn shown(answer: &Answer) -> String {
    let mut rows = vec![
        ("id", answer.id.clone()),
        ("result", answer.code.clone()),
        (
            "final",
            if answer.r#final { "yes" } else { "NO" }.to_owned(),
        ),
        ("height", answer.height.to_string()),
    ];
    if let Some(proven) = answer.proven {
        rows.push(("proven", if proven { "yes" } else { "not yet" }.to_owned()));
    }
    ui::rows(rows)
}

/// 32 hexadecimal digits as an identifier.
pub(crate) fn parse_id(text: &str) -> Result<TransferId, String> {
    clearway_types::hex::decode_array(text)
        .map(TransferId)
        .ok_or_else(|| format!("`{text}` is no identifier; write 32 hexadecimal digits"))
}
