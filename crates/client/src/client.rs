//! The client: one socket, one connection a server, made when needed and made again when it broke.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clearway_quic::client_tls;
use clearway_types::envelope::Envelope;
use clearway_types::limits::STREAM_ENVELOPES_MAX;
use clearway_types::units::{Digest, Height};
use clearway_types::wire::query::StatusView;
use clearway_types::wire::{ALPN, CloseCode};
use quinn::VarInt;
use zerocopy::IntoBytes;

use crate::answer::{Answers, Copies};
use crate::config::{ClientConfig, Server};
use crate::error::ClientError;
use crate::metrics::ClientMetrics;
use crate::slab::Slab;
use crate::submit::Submission;
use crate::time::ClusterTime;

/// First pause before a server is tried again.
const BACK_OFF: Duration = Duration::from_millis(50);
/// Doublings of the pause: 1.6 seconds at most.
const BACK_OFF_DOUBLINGS_MAX: u32 = 5;

/// A member's connection to the cluster; cheap to clone, all clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: ClientConfig,
    endpoint: quinn::Endpoint,
    doors: Vec<Door>,
    /// Index of the server that answered last, or should be tried next.
    preferred: AtomicUsize,
    time: ClusterTime,
    /// Hash of the genesis that the first answer told.
    genesis: OnceLock<Digest>,
    metrics: ClientMetrics,
}

/// One server and the connection to it, if there is one.
#[derive(Debug)]
struct Door {
    server: Server,
    config: quinn::ClientConfig,
    connection: tokio::sync::Mutex<Option<quinn::Connection>>,
    /// Highest durable height that it told.
    height: AtomicU64,
}

impl Client {
    /// Connects to the first server that lets this member in, and learns cluster time from it
    /// ([`Client::time`]).
    ///
    /// # Errors
    /// Without servers, without a socket, or when no server lets it in: the last one's reason.
    pub async fn connect(config: ClientConfig) -> Result<Self, ClientError> {
        let client = Self::new(config)?;
        let mut last = ClientError::NoServers;
        for index in 0..client.shared.doors.len() {
            match client.is_let_in(index).await {
                Ok(()) => {
                    client.shared.preferred.store(index, Ordering::Relaxed);
                    return Ok(client);
                }
                Err(error) => last = error,
            }
        }
        // A connection whose node gave no answer would take up one of this member's places.
        client.close().await;
        Err(last)
    }

    /// The member's half of a handshake ends before the node has looked at the member's key, so
    /// only an answer shows that the node lets it in.
    async fn is_let_in(&self, index: usize) -> Result<(), ClientError> {
        match self.status_of(index).await {
            Ok(_) | Err(ClientError::Status(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A client that connects when it is first used.
    ///
    /// # Errors
    /// Without servers or without a socket.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let all_v4 = config.servers.iter().all(|s| s.address.is_ipv4());
        let any: IpAddr = match all_v4 {
            true => Ipv4Addr::UNSPECIFIED.into(),
            false => Ipv6Addr::UNSPECIFIED.into(),
        };
        if config.servers.is_empty() {
            return Err(ClientError::NoServers);
        }
        let endpoint = config.transport.open(SocketAddr::new(any, 0), None);
        let endpoint = endpoint.map_err(ClientError::Socket)?;
        let mut doors = Vec::with_capacity(config.servers.len());
        for server in &config.servers {
            let seed = config.identity.key().seed();
            let tls = client_tls(&seed, server.public_key, ALPN)?;
            doors.push(Door {
                server: *server,
                config: config.transport.client(tls),
                connection: tokio::sync::Mutex::default(),
                height: AtomicU64::new(0),
            });
        }
        Ok(Self {
            shared: Arc::new(Shared {
                config,
                endpoint,
                doors,
                preferred: AtomicUsize::new(0),
                time: ClusterTime::default(),
                genesis: OnceLock::new(),
                metrics: ClientMetrics::default(),
            }),
        })
    }

    /// Sends envelopes, with hints where this machine makes them ([`Slab::hinted`]), and waits for
    /// all answers, in order.
    ///
    /// More than one stream's worth goes stream after stream, cut at chain ends; for throughput
    /// keep several [`Client::submission`]s going. Envelopes that were sent before go by
    /// [`Client::resubmit`].
    ///
    /// # Errors
    /// When an envelope stays unanswered; those answered are answered all the same. Whether it may
    /// be cleared all the same says [`ClientError::nothing_sent`].
    pub async fn submit(&self, envelopes: &[Envelope]) -> Result<Answers, ClientError> {
        self.submit_all(hinted(envelopes).await, Copies::First)
            .await
    }

    /// As [`Client::submit`] for envelopes that were sent before, by whomever: a refusal that may
    /// speak of this copy alone is not believed until the log and cluster time confirm it.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub async fn resubmit(&self, envelopes: &[Envelope]) -> Result<Answers, ClientError> {
        self.submit_all(hinted(envelopes).await, Copies::Further)
            .await
    }

    /// As [`Client::submit`], without copying; as bytes or as a [`Slab`] with hints.
    ///
    /// # Errors
    /// As [`Client::submit`], and for a slab that holds no whole number of envelopes.
    pub async fn submit_slab(&self, slab: impl Into<Slab>) -> Result<Answers, ClientError> {
        self.submit_all(slab.into(), Copies::First).await
    }

    async fn submit_all(&self, slab: Slab, copies: Copies) -> Result<Answers, ClientError> {
        slab.check()?;
        let total = slab.len();
        let mut answers = Answers::with_capacity(total);
        for run in slab.split_at_chains(STREAM_ENVELOPES_MAX) {
            let mut submission = Submission::new(self.clone(), run, copies)?;
            loop {
                match submission.next().await {
                    Ok(Some(run)) => answers.push(&run),
                    Ok(None) => break,
                    Err(error) => return Err(error.of_all(answers.len(), total)),
                }
            }
        }
        Ok(answers)
    }

    /// Starts one stream of at most [`STREAM_ENVELOPES_MAX`] envelopes; its answers come from
    /// [`Submission::next`] as the node gives them. Nothing is sent before the first call.
    ///
    /// # Errors
    /// For a slab that is empty, too long or no whole number of envelopes.
    pub fn submission(&self, slab: impl Into<Slab>) -> Result<Submission, ClientError> {
        Submission::new(self.clone(), slab.into(), Copies::First)
    }

    /// As [`Client::submission`] for envelopes that were sent before: see [`Client::resubmit`].
    ///
    /// # Errors
    /// As [`Client::submission`].
    pub fn resubmission(&self, slab: impl Into<Slab>) -> Result<Submission, ClientError> {
        Submission::new(self.clone(), slab.into(), Copies::Further)
    }

    /// Cluster time as last heard; give it to a [`crate::Signer`], so that envelopes end by it.
    #[must_use]
    pub fn time(&self) -> ClusterTime {
        self.shared.time.clone()
    }

    pub(crate) fn time_ref(&self) -> &ClusterTime {
        &self.shared.time
    }

    /// The highest durable height that a server has told.
    pub(crate) fn height_told(&self, server: usize) -> Height {
        Height(self.shared.doors[server].height.load(Ordering::Relaxed))
    }

    /// Whether a server that says where it is has the history that it had when it was asked.
    pub(crate) fn check_history(
        &self,
        server: usize,
        before: Height,
        status: &StatusView,
    ) -> Result<(), ClientError> {
        let door = &self.shared.doors[server];
        let address = door.server.address;
        let expected = *self.shared.genesis.get_or_init(|| status.genesis);
        if status.genesis != expected {
            return Err(ClientError::OtherGenesis {
                address,
                expected,
                found: status.genesis,
            });
        }
        if status.height < before {
            return Err(ClientError::HistoryLost {
                address,
                before,
                height: status.height,
            });
        }
        door.height.fetch_max(status.height.0, Ordering::Relaxed);
        Ok(())
    }

    /// What this client has done.
    #[must_use]
    pub fn metrics(&self) -> &ClientMetrics {
        &self.shared.metrics
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.shared.config
    }

    /// Closes all connections; streams that wait for answers end with an error.
    pub async fn close(&self) {
        let code = VarInt::from_u32(CloseCode::Done as u32);
        self.shared
            .endpoint
            .close(code, CloseCode::Done.name().as_bytes());
        self.shared.endpoint.wait_idle().await;
    }

    /// The server to use now.
    pub(crate) fn preferred(&self) -> usize {
        self.shared.preferred.load(Ordering::Relaxed)
    }

    /// Moves on from a server that failed, unless somebody else did already.
    pub(crate) fn move_on_from(&self, server: usize) {
        let next = (server + 1) % self.shared.doors.len();
        // When another task moved on first, its choice stands: both results are fine.
        let order = Ordering::Relaxed;
        let _ = self
            .shared
            .preferred
            .compare_exchange(server, next, order, order);
    }

    /// Number of servers.
    pub(crate) fn server_count(&self) -> usize {
        self.shared.doors.len()
    }

    /// How long to wait after this many failures in a row: nothing until each server failed once.
    pub(crate) fn back_off(&self, failure_count: usize) -> Duration {
        let rounds = failure_count / self.server_count();
        let doublings = u32::try_from(rounds)
            .unwrap_or(u32::MAX)
            .min(BACK_OFF_DOUBLINGS_MAX);
        match rounds {
            0 => Duration::ZERO,
            _ => BACK_OFF * (1 << doublings),
        }
    }

    /// A live connection to a server.
    pub(crate) async fn connection(&self, index: usize) -> Result<quinn::Connection, ClientError> {
        let door = &self.shared.doors[index];
        let mut slot = door.connection.lock().await;
        if let Some(live) = slot.as_ref().filter(|c| c.close_reason().is_none()) {
            return Ok(live.clone());
        }
        *slot = None;
        let connected = self.connect_to(door).await;
        let metrics = &self.shared.metrics;
        match connected {
            Ok(connection) => {
                metrics.connections.add(1);
                tracing::debug!(address = %door.server.address, "connected");
                Ok(slot.insert(connection).clone())
            }
            Err(error) => {
                metrics.connect_failures.add(1);
                tracing::debug!(address = %door.server.address, %error, "not connected");
                Err(error)
            }
        }
    }

    async fn connect_to(&self, door: &Door) -> Result<quinn::Connection, ClientError> {
        let address = door.server.address;
        // The name is not sent: the key is what counts.
        let endpoint = &self.shared.endpoint;
        let connecting = endpoint
            .connect_with(door.config.clone(), address, "clearway")
            .map_err(|cause| ClientError::Address { address, cause })?;
        match tokio::time::timeout(self.shared.config.connect_timeout, connecting).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(ClientError::ConnectTimeout { address }),
        }
    }
}

/// About 0.1 ms of the runtime's thread.
const HINTS_AT_ONCE_MAX: usize = 64;

/// A copy of envelopes with their hints. A few are made at once: a thread for them costs more, and
/// there may be none to be had.
async fn hinted(envelopes: &[Envelope]) -> Slab {
    if envelopes.len() <= HINTS_AT_ONCE_MAX {
        return Slab::hinted(envelopes.as_bytes());
    }
    let copy = envelopes.to_vec();
    let slab = tokio::task::spawn_blocking(move || Slab::hinted(copy.as_bytes()));
    slab.await.expect("making hints does not panic")
}
