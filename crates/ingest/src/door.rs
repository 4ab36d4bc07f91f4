//! The endpoint: who comes in, how many, and how everybody leaves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clearway_crypto::keys::SigningKey;
use clearway_flow::{InFlight, Latest};
use clearway_quic::{KeyCheck, peer_key, server_tls};
use clearway_types::directory::KeyDirectory;
use clearway_types::messages::{FrameBatch, SourceId};
use clearway_types::wire::{ALPN, CloseCode};
use quinn::{Connection, Endpoint, Incoming, VarInt};
use tokio::sync::{Mutex, Semaphore, watch};

use crate::admission::TokenBucket;
use crate::config::IngestConfig;
use crate::error::IngestError;
use crate::fill_room::FillRoom;
use crate::lobby::{Admission, Lobby, Place};
use crate::members::{Member, Members};
use crate::metrics::IngestMetrics;
use crate::query::QueryService;
use crate::router::AnswerRouter;
use crate::seats::Seat;
use crate::stage::FrameSink;

/// Bytes of first packets kept while a handshake waits to be accepted.
const INCOMING_BYTES_MAX: u64 = 16 << 10;
/// What may be sent to an address that has sent one first packet of 1,200 bytes and proved nothing
/// (RFC 9000, section 8.1): larger datagrams would wait for it for ever.
const UNPROVEN_PAYLOAD_BYTES_MAX: u16 = 3 * 1200;
/// Refusals a second that are said; beyond that, who knocks hears nothing and tries again later.
const REFUSALS_PER_S: u32 = 1000;
/// Pause before a frame is offered again.
const OFFER_AGAIN: Duration = Duration::from_millis(1);
/// Time for the last packets to leave.
const GOODBYE: Duration = Duration::from_secs(1);

/// What all connections share.
pub(crate) struct Door {
    pub(crate) config: Arc<IngestConfig>,
    pub(crate) address: SocketAddr,
    pub(crate) router: AnswerRouter,
    pub(crate) metrics: Arc<IngestMetrics>,
    pub(crate) service: Arc<dyn QueryService>,
    pub(crate) queries: Arc<Semaphore>,
    pub(crate) fill_room: Arc<FillRoom>,
    members: Arc<Members>,
    endpoint: Endpoint,
    sink: Box<dyn FrameSink>,
    /// One frame at a time waits for room in the sink.
    sink_turn: Mutex<()>,
    stopping: watch::Sender<bool>,
    /// Streams being served.
    stream_count: watch::Sender<usize>,
    lobby: Arc<Lobby>,
    refusals: parking_lot::Mutex<TokenBucket>,
    /// Connections that are open, those that wait for a place included.
    connection_count: AtomicUsize,
    /// Connections that have a place.
    placed_count: AtomicUsize,
    next_source: AtomicU64,
}

/// One connection of a member.
pub(crate) struct Visit {
    pub(crate) door: Arc<Door>,
    pub(crate) connection: Connection,
    pub(crate) member: Arc<Member>,
    seat: Seat,
    pub(crate) source: SourceId,
    /// Frames that this connection may be filling.
    pub(crate) fills: Semaphore,
    /// Accounts that this connection may follow.
    pub(crate) follows: Semaphore,
    fault_count: AtomicU32,
}

impl Door {
    pub(crate) fn open(
        config: IngestConfig,
        key: &SigningKey,
        directory: Arc<Latest<KeyDirectory>>,
        sink: Box<dyn FrameSink>,
        service: Arc<dyn QueryService>,
        in_flight: Arc<InFlight>,
    ) -> Result<Arc<Self>, IngestError> {
        config.check()?;
        let config = Arc::new(config);
        let metrics = Arc::new(IngestMetrics::default());
        let members = Arc::new(Members::new(Arc::clone(&config), directory));
        let listening = listen(&config, key, &members)?;
        let address = config.listen;
        let (endpoint, address) =
            listening.map_err(|cause| IngestError::Listen { address, cause })?;
        let (shared, counted) = (Arc::clone(&members), Arc::clone(&metrics));
        let router = AnswerRouter::new(&config, in_flight, shared, counted);
        let fill_room = FillRoom::new(config.fill_bytes_max, config.member_fill_bytes_max);
        let refusals = TokenBucket::new(REFUSALS_PER_S, REFUSALS_PER_S, Instant::now());
        Ok(Arc::new(Self {
            address,
            router,
            metrics,
            service,
            queries: Arc::new(Semaphore::new(config.queries_max)),
            fill_room: Arc::new(fill_room),
            members,
            endpoint,
            sink,
            sink_turn: Mutex::new(()),
            stopping: watch::Sender::new(false),
            stream_count: watch::Sender::new(0),
            lobby: Arc::new(Lobby::new(config.handshakes)),
            refusals: parking_lot::Mutex::new(refusals),
            connection_count: AtomicUsize::new(0),
            placed_count: AtomicUsize::new(0),
            next_source: AtomicU64::new(1),
            config,
        }))
    }

    /// Lets members in until the door closes.
    pub(crate) async fn accept_all(self: Arc<Self>) {
        let mut stop = self.stopping.subscribe();
        loop {
            let incoming = tokio::select! {
                incoming = self.endpoint.accept() => incoming,
                _ = stop.wait_for(|stop| *stop) => None,
            };
            let Some(incoming) = incoming else {
                return;
            };
            self.admit(incoming);
        }
    }

    /// Refuses, sends back or starts one handshake.
    fn admit(self: &Arc<Self>, incoming: Incoming) {
        let (remote, now) = (incoming.remote_address(), Instant::now());
        let proven = incoming.remote_address_validated();
        // Datagrams that large wait for the proof in any case.
        let is_due = self.config.transport.payload_bytes > UNPROVEN_PAYLOAD_BYTES_MAX && !proven;
        let admission = match is_due {
            true => Admission::Prove,
            false => {
                let leaving_count = self.leaving_count();
                self.lobby.knock(remote, proven, leaving_count, now)
            }
        };
        match admission {
            Admission::Enter { place, displaced } => {
                self.metrics.handshakes_displaced.add(displaced.into());
                self.note_handshakes();
                tokio::spawn(Arc::clone(self).shake(incoming, place));
            }
            Admission::Prove => {
                self.metrics.handshakes_retried.add(1);
                if incoming.retry().is_err() {
                    tracing::debug!("an address cannot be asked to prove itself twice");
                }
            }
            Admission::Refuse => {
                self.metrics.handshakes_refused.add(1);
                let mut said = self.refusals.lock();
                match said.take(now, 1, Duration::ZERO) {
                    Ok(_) => incoming.refuse(),
                    Err(_) => incoming.ignore(),
                }
            }
        }
    }

    /// Closed connections that QUIC still keeps, at least: all beyond those that may be open.
    fn leaving_count(&self) -> usize {
        let may_stay = self.config.connections_max + self.config.handshakes.max;
        self.endpoint.open_connections().saturating_sub(may_stay)
    }

    /// Brings a handshake to its end, unless another one needs its place.
    async fn shake(self: Arc<Self>, incoming: Incoming, mut place: Place) {
        let connecting = async { incoming.accept()?.await };
        let timeout = self.config.handshakes.timeout;
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(timeout, connecting) => shaken.ok(),
            () = place.lost() => None,
        };
        drop(place);
        self.note_handshakes();
        match shaken {
            Some(Ok(connection)) => self.welcome(connection).await,
            Some(Err(error)) => {
                self.metrics.handshake_failures.add(1);
                tracing::debug!(%error, "handshake failed");
            }
            None => self.metrics.handshake_failures.add(1),
        }
    }

    fn note_connections(&self) {
        let open = self.connection_count.load(Ordering::Relaxed);
        self.metrics.connections_open.set(open as u64);
    }

    fn note_handshakes(&self) {
        self.metrics.handshakes_open.set(self.lobby.len() as u64);
    }

    /// Serves a connection to its end, if its member may have one more.
    async fn welcome(self: Arc<Self>, connection: Connection) {
        let _open = Opened::one_more(&self);
        let member = peer_key(&connection).and_then(|key| self.members.by_key(&key));
        let Some(member) = member.map(|id| self.members.member(id)) else {
            return self.turn_away(&connection, CloseCode::UnknownKey);
        };
        self.lobby
            .note_member(connection.remote_address(), Instant::now());
        let max = self.config.member_connections_max;
        let wait = self.config.seat_wait_max;
        let entering = || {
            let now = Instant::now();
            let free = Placed::in_free_place(&self);
            free.or_else(|| {
                let displaced = self.members.displace_for(&member, now);
                displaced.then(|| Placed::after_displacing(&self))
            })
        };
        let Some(_placed) = member.seats.wait_for(max, wait, entering).await else {
            return self.turn_away(&connection, CloseCode::NodeConnections);
        };
        let Some(seat) = member.seats.take(max, wait).await else {
            return self.turn_away(&connection, CloseCode::MemberConnections);
        };
        self.metrics.connections.add(1);
        let visit = Arc::new(Visit {
            connection,
            member,
            seat,
            source: SourceId(self.next_source.fetch_add(1, Ordering::Relaxed)),
            fills: Semaphore::new(self.config.connection_fills_max),
            follows: Semaphore::new(self.config.connection_follows_max),
            fault_count: AtomicU32::new(0),
            door: self,
        });
        Arc::clone(&visit).serve().await;
        // Its streams may still wait for the pipeline; a new connection may come all the same.
        visit.seat.leave();
    }

    pub(crate) fn turn_away(&self, connection: &Connection, code: CloseCode) {
        self.metrics.count_close(code);
        connection.close(close_code(code), code.name().as_bytes());
    }

    /// Gives a frame to verification when it is the member's turn and there is room.
    pub(crate) async fn offer(&self, member: &Member, frame: FrameBatch) {
        let _member_turn = member.turn.lock().await;
        let _turn = self.sink_turn.lock().await;
        let (count, bytes) = (frame.slab.len() / 192, frame.slab.len());
        let Err(mut frame) = self.sink.offer(frame) else {
            return self.count_frame(count, bytes);
        };
        let waited_from = Instant::now();
        loop {
            tokio::time::sleep(OFFER_AGAIN).await;
            match self.sink.offer(frame) {
                Ok(()) => break,
                Err(refused) => frame = refused,
            }
        }
        self.metrics.sink_wait.record(waited_from.elapsed());
        self.count_frame(count, bytes);
    }

    fn count_frame(&self, envelope_count: usize, bytes: usize) {
        self.metrics.frames.add(1);
        self.metrics.envelopes.add_count(envelope_count);
        self.metrics.envelope_bytes.add_count(bytes);
    }

    /// Resolves when the door closes.
    pub(crate) async fn stopped(&self) {
        let mut stop = self.stopping.subscribe();
        // The sender lives in `self`: waiting cannot fail.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// Takes nothing new, waits for the streams being served, then closes all connections.
    pub(crate) async fn close(&self) {
        self.endpoint.set_server_config(None);
        self.stopping.send_replace(true);
        let mut streams = self.stream_count.subscribe();
        let idle = streams.wait_for(|count| *count == 0);
        if tokio::time::timeout(self.config.stop_grace, idle)
            .await
            .is_err()
        {
            tracing::warn!("the door closes with answers on their way; members look them up");
        }
        let code = CloseCode::Stopping;
        self.endpoint
            .close(close_code(code), code.name().as_bytes());
        if tokio::time::timeout(GOODBYE, self.endpoint.wait_idle())
            .await
            .is_err()
        {
            tracing::debug!("not every member took leave in time");
        }
    }
}

impl Visit {
    /// Serves streams until the connection or the door closes, or another connection of the member
    /// needs the place of this one.
    async fn serve(self: Arc<Self>) {
        loop {
            let accepted = tokio::select! {
                accepted = self.connection.accept_bi() => accepted,
                () = self.seat.displaced() => {
                    self.door.turn_away(&self.connection, CloseCode::Displaced);
                    break;
                }
                () = self.door.stopped() => break,
            };
            let Ok((send, recv)) = accepted else {
                break;
            };
            let visit = Arc::clone(&self);
            self.door.stream_count.send_modify(|count| *count += 1);
            let busy = self.seat.busy();
            tokio::spawn(async move {
                let _served = (Served(&visit.door), busy);
                visit.serve_stream(send, recv).await;
            });
        }
        // The member keeps its seat until the connection is really gone.
        self.connection.closed().await;
    }

    /// Notes a faulty stream; a member who makes many loses the connection.
    pub(crate) fn fault(&self, code: CloseCode) {
        self.door.metrics.count_close(code);
        let before = self.fault_count.fetch_add(1, Ordering::Relaxed);
        if before >= self.door.config.connection_faults_max {
            self.door.turn_away(&self.connection, CloseCode::Misbehaved);
        }
    }
}

/// One stream being served; dropped with it, also when serving it panics.
struct Served<'a>(&'a Door);

impl Drop for Served<'_> {
    fn drop(&mut self) {
        self.0.stream_count.send_modify(|count| *count -= 1);
    }
}

/// An open connection, until it is dropped.
struct Opened(Arc<Door>);

impl Opened {
    fn one_more(door: &Arc<Door>) -> Self {
        door.connection_count.fetch_add(1, Ordering::Relaxed);
        door.note_connections();
        Self(Arc::clone(door))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.connection_count.fetch_sub(1, Ordering::Relaxed);
        self.0.note_connections();
    }
}

/// The place of a connection among all of the node, until it is dropped.
struct Placed(Arc<Door>);

impl Placed {
    fn in_free_place(door: &Arc<Door>) -> Option<Self> {
        let max = door.config.connections_max;
        let one_more = |count| (count < max).then_some(count + 1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let entered = door.placed_count.fetch_update(set, fetch, one_more);
        entered.ok().map(|_| Self(Arc::clone(door)))
    }

    /// The displaced connection gives its own place back in a moment.
    fn after_displacing(door: &Arc<Door>) -> Self {
        door.placed_count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(door))
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        self.0.placed_count.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn close_code(code: CloseCode) -> VarInt {
    VarInt::from_u32(code as u32)
}

/// The endpoint with every limit set, and its address.
fn listen(
    config: &IngestConfig,
    key: &SigningKey,
    members: &Arc<Members>,
) -> Result<std::io::Result<(Endpoint, SocketAddr)>, IngestError> {
    let admitting: Arc<dyn KeyCheck> = Arc::clone(members) as _;
    let tls = server_tls(&key.seed(), admitting, ALPN)?;
    let mut server = config.transport.server(tls);
    server
        .max_incoming(config.handshakes.max)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_MAX * config.handshakes.max as u64);
    let opening = || {
        let endpoint = config.transport.open(config.listen, Some(server))?;
        let address = endpoint.local_addr()?;
        Ok((endpoint, address))
    };
    Ok(opening())
}
