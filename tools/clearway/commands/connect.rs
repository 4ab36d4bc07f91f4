//! What every command on a running node shares: whose key, which cluster, and the connection.

use std::borrow::Borrow;
use std::cell::OnceCell;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clearway_client::{Client, ClientConfig, ClientError, Identity, Server, Signer};
use clearway_crypto::keys::SigningKey;
use clearway_node::genesis_file;
use clearway_node::keystore;
use clearway_types::amount::{Amount, parse_minor};
use clearway_types::genesis::{Genesis, GenesisLedger};
use clearway_types::units::{Digest, ParticipantId};
use clearway_types::wire::AnswerStatus;
use clearway_types::wire::roster::RosterView;

use crate::commands::outbox::{Outbox, OutboxArg};
use crate::commands::passphrase;
use crate::commands::sending::Sending;
use crate::commands::signature::PublicIdentity;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::ui;

/// Shortest time without an answer after which a command sends or asks again.
const SILENCE_MIN: Duration = Duration::from_millis(500);
/// How long a command waits for its connection to be closed on the other side.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// The variable that names the genesis where no switch does.
const GENESIS_VARIABLE: &str = "CLEARWAY_GENESIS";
/// The same of the key file.
const KEY_VARIABLE: &str = "CLEARWAY_KEY";

/// Which cluster, and as whom.
#[derive(clap::Args, Debug)]
pub(crate) struct Connect {
    /// Genesis file of the cluster: names its validators, ledgers and rules
    #[arg(
        long,
        value_name = "FILE",
        default_value = "genesis.toml",
        env = GENESIS_VARIABLE
    )]
    genesis: PathBuf,
    /// Key file of the member
    #[arg(long, value_name = "FILE", env = KEY_VARIABLE)]
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
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) client: Client,
    pub(super) signer: Signer,
    pub(crate) genesis: Genesis,
    /// Its hash, which reads all of it.
    pub(crate) genesis_hash: Digest,
    pub(super) sending: Sending,
    pub(super) outbox: Outbox,
    /// Participants and keys as they were when they were first asked for.
    pub(super) known_roster: OnceCell<RosterView>,
}

impl Connect {
    /// Connects to ask.
    pub(crate) fn open(&self) -> Result<Session, Failure> {
        self.open_with(&Sending::default())
    }

    /// Connects to ask, beside an outbox.
    pub(crate) fn open_with(&self, sending: &Sending) -> Result<Session, Failure> {
        let genesis = self.genesis()?;
        let of_key = |failure: Failure| failure.of_variable(KEY_VARIABLE, &self.key);
        let of_both = |failure| self.of_genesis(of_key(failure));
        let key = self.member_key().map_err(of_key)?;
        let participant = match self.participant {
            Some(number) => ParticipantId(number),
            None => owner(&genesis, &key.public_key()).map_err(of_both)?,
        };
        let identity = Identity::new(key, participant, self.slot);
        let servers = self
            .servers(&genesis)
            .map_err(|failure| self.of_genesis(failure))?;
        let mut config = ClientConfig::new(identity.clone(), servers);
        config.give_up_after = Duration::from_secs(self.timeout_s);
        config.connect_timeout = Duration::from_secs(self.timeout_s.min(5));
        // Lost answers are asked for again well before the command gives up.
        config.silence = config
            .silence
            .min(config.give_up_after / 3)
            .max(SILENCE_MIN);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let connecting = async {
            match sending.dry_run {
                true => Client::new(config),
                false => Client::connect(config).await,
            }
        };
        let client = runtime.block_on(connecting).map_err(|error| match error {
            // The genesis names the server's key too.
            error @ (ClientError::KeyRefused | ClientError::Tls(_)) => {
                of_both(client_failure(error))
            }
            error => client_failure(error),
        })?;
        let genesis_hash = genesis.hash();
        self.check_genesis(&client, genesis_hash)?;
        if let Some(fault) = client.time().clock().and_then(|clock| clock.fault()) {
            ui::note(&format!("warning: {fault}"));
        }
        let signer = Signer::new(identity, genesis_hash).map_err(client_failure)?;
        let ttl_s = u64::from(genesis.rules.ttl_s_max) / 2;
        let ttl = Duration::from_secs(ttl_s.max(1));
        Ok(Session {
            signer: signer.with_ttl(ttl).with_time(client.time()),
            runtime,
            client,
            genesis,
            genesis_hash,
            sending: sending.clone(),
            outbox: self.outbox(&sending.outbox),
            known_roster: OnceCell::new(),
        })
    }

    /// Refuses a node of another genesis: what is signed for this one would be no envelope there.
    /// A node tells its own when it lets the client in, unless it is too busy to; a dry run has not
    /// asked one.
    fn check_genesis(&self, client: &Client, genesis: Digest) -> Result<(), Failure> {
        let heard = client.time().clock().map(|clock| clock.genesis());
        let Some(other) = heard.filter(|heard| *heard != genesis) else {
            return Ok(());
        };
        let message = format!(
            "the node runs genesis {other}, {} is {genesis}: use the cluster's own genesis file",
            self.genesis.display()
        );
        Err(self.of_genesis(Failure::new(Kind::Mismatch, message)))
    }

    /// A failure that the genesis file may be the reason for.
    fn of_genesis(&self, failure: Failure) -> Failure {
        failure.of_variable(GENESIS_VARIABLE, &self.genesis)
    }

    /// The genesis of the cluster.
    pub(crate) fn genesis(&self) -> Result<Genesis, Failure> {
        let genesis = genesis_file::load(&self.genesis);
        genesis.map_err(|error| self.of_genesis(error.into()))
    }

    fn member_key(&self) -> Result<SigningKey, Failure> {
        let unlock = passphrase::unlock(&self.key, self.insecure_plaintext)?;
        Ok(keystore::load_member(&self.key, &unlock)?)
    }

    /// Whose key signs here, as far as no passphrase is needed.
    pub(super) fn public_identity(&self, genesis: &Genesis) -> Option<PublicIdentity> {
        let public_key = keystore::load_public_member(&self.key).ok()?;
        let participant = match self.participant {
            Some(number) => ParticipantId(number),
            None => owner(genesis, &public_key).ok()?,
        };
        Some((participant, self.slot, public_key))
    }

    /// The outbox of the member.
    pub(crate) fn outbox(&self, named: &OutboxArg) -> Outbox {
        Outbox::beside(&self.key, named.folder.as_deref(), self.again(named))
    }

    /// Whether key files in plain text are accepted.
    pub(crate) fn insecure_plaintext(&self) -> bool {
        self.insecure_plaintext
    }

    /// The arguments that make the same connection, for commands to be typed.
    fn again(&self, outbox: &OutboxArg) -> String {
        let mut words = vec!["--genesis".to_owned(), quoted(&self.genesis)];
        words.extend(["--key".to_owned(), quoted(&self.key)]);
        if let Some(number) = self.participant {
            words.push(format!("--as {number}"));
        }
        if self.slot != 0 {
            words.push(format!("--slot {}", self.slot));
        }
        if let Some(server) = self.server {
            words.push(format!("--server {server}"));
        }
        if self.insecure_plaintext {
            words.push("--insecure-plaintext".to_owned());
        }
        if let Some(folder) = &outbox.folder {
            words.extend(["--outbox".to_owned(), quoted(folder)]);
        }
        words.join(" ")
    }

    fn servers(&self, genesis: &Genesis) -> Result<Vec<Server>, Failure> {
        let mut servers = Vec::with_capacity(genesis.validators.len());
        for validator in &genesis.validators {
            let address = match self.server {
                Some(address) if servers.is_empty() => address,
                _ => resolve(&validator.members_address)?,
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
        let message = format!(
            "`{address}` of the genesis does not resolve: correct `members_address` there (its \
             hash stays), or give --server ADDRESS"
        );
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
    use AnswerStatus::{Busy, Failed, NotReady};
    let kind = match &error {
        ClientError::ConnectTimeout { .. }
        | ClientError::Lost(_)
        | ClientError::Closed { .. }
        | ClientError::Cut { .. }
        | ClientError::NoAnswer
        | ClientError::Unanswered { .. }
        | ClientError::OutcomeUnknown { .. }
        | ClientError::FeedBroken { .. }
        | ClientError::HistoryLost { .. }
        | ClientError::Status(Busy | Failed | NotReady) => Kind::Unavailable,
        ClientError::Proof(_) | ClientError::OtherGenesis { .. } => Kind::Mismatch,
        _ => Kind::Failed,
    };
    Failure::new(kind, error)
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

    /// The arguments that lead here again, as a shell takes them.
    pub(super) fn again(&self) -> &str {
        self.outbox.again()
    }

    /// Whether one of several failed since nobody answers any more: the next one would wait for
    /// that as long as it did.
    pub(super) fn is_left_alone(&self, failure: &Failure) -> bool {
        let asked = || self.ask(async |client| client.status().await);
        let is_unknown = |failure: &Failure| failure.kind() == Kind::Unavailable;
        is_unknown(failure) && asked().is_err_and(|none| is_unknown(&none))
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
}

impl Drop for Session {
    /// Closes the connection: one that is left open takes up a place of the member's until the node
    /// has missed it for ten seconds.
    fn drop(&mut self) {
        let closing = async { tokio::time::timeout(CLOSE_TIMEOUT, self.client.close()).await };
        // The word has been sent; whether it is acknowledged does not matter.
        let _ = self.runtime.block_on(closing);
    }
}

/// A path as one word of a shell's command line.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use clearway_client::ProofError;
    use clearway_types::units::Height;

    use super::*;

    #[test]
    fn an_answer_that_is_not_there_yet_is_no_failure_and_a_false_proof_is_a_mismatch() {
        let (height, status) = (Height(7), AnswerStatus::Failed);
        let rows = [
            (ClientError::NoAnswer, Kind::Unavailable),
            (
                ClientError::Status(AnswerStatus::NotReady),
                Kind::Unavailable,
            ),
            (
                ClientError::FeedBroken { height, status },
                Kind::Unavailable,
            ),
            (ClientError::Status(AnswerStatus::NotAllowed), Kind::Failed),
            (ClientError::Proof(ProofError::Path), Kind::Mismatch),
        ];
        for (error, kind) in rows {
            assert_eq!(client_failure(error).kind(), kind);
        }
    }

    #[test]
    fn paths_are_one_word_of_a_shell() {
        for (path, word) in [
            ("keys/member-2.age", "keys/member-2.age"),
            ("my keys/a", "'my keys/a'"),
            ("it's", "'it'\\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}
