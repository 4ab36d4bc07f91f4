//! Crowds without manners: handshakes that are held open, and streams that hardly move.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clearway_client::{Identity, Server};
use clearway_ingest::IngestMetrics;
use clearway_quic::{Transport, client_tls};
use clearway_types::units::ParticipantId;
use clearway_types::wire::{ALPN, Op, StreamHeader};
use quinn::{RecvStream, SendStream};
use tokio::net::UdpSocket;

use crate::raw::{Raw, connect};
use crate::rig::{Node, member, until};

/// First byte of a Retry packet, and the bits of it that count (RFC 9000, section 17.2.5).
const RETRY: (u8, u8) = (0xf0, 0xf0);
/// Bytes of the largest datagram.
const DATAGRAM_BYTES: usize = 2048;

/// Handshakes by an outsider that hears nothing but Retry: the node has to keep each of them.
pub(crate) struct HalfOpen {
    config: quinn::ClientConfig,
    /// Where datagrams to the node are handed in.
    proxy: SocketAddr,
    from: SocketAddr,
    metrics: Arc<IngestMetrics>,
    endpoints: Vec<quinn::Endpoint>,
    connecting: Vec<quinn::Connecting>,
}

impl HalfOpen {
    /// An outsider at the address `from`.
    pub(crate) async fn new(node: &Node, from: [u8; 4]) -> Self {
        let stranger = Identity::from_seed(&[201; 32], ParticipantId(1), 0);
        let tls = client_tls(&stranger.key().seed(), node.server.public_key, ALPN);
        // It holds on for as long as the node lets it.
        let patient = Transport {
            idle_timeout: Duration::from_secs(3600),
            ..Transport::default()
        };
        let config = patient.client(tls.unwrap());
        let from = SocketAddr::from((from, 0));
        Self {
            config,
            proxy: deaf_proxy(node.server.address, from).await,
            from,
            metrics: Arc::clone(&node.metrics),
            endpoints: Vec::new(),
            connecting: Vec::new(),
        }
    }

    /// Starts `count` handshakes, each when the node has seen the one before.
    pub(crate) async fn start(&mut self, count: usize, each_from_its_own_socket: bool) {
        for _ in 0..count {
            if each_from_its_own_socket || self.endpoints.is_empty() {
                self.endpoints
                    .push(quinn::Endpoint::client(self.from).unwrap());
            }
            let endpoint = self.endpoints.last().unwrap();
            let before = self.seen();
            let connecting = endpoint.connect_with(self.config.clone(), self.proxy, "clearway");
            self.connecting.push(connecting.unwrap());
            until("the node sees it", || self.seen() > before).await;
        }
    }

    /// What the node has done about handshakes.
    fn seen(&self) -> u64 {
        let metrics = &self.metrics;
        metrics.handshakes_open.value()
            + metrics.handshake_failures.value()
            + metrics.handshakes_retried.value()
            + metrics.handshakes_refused.value()
            + metrics.handshakes_displaced.value()
    }
}

/// Hands on what clients send, each from a socket of its own at `from`, and of what comes back
/// nothing but Retry.
async fn deaf_proxy(server: SocketAddr, from: SocketAddr) -> SocketAddr {
    let inner = Arc::new(UdpSocket::bind(from).await.unwrap());
    let address = inner.local_addr().unwrap();
    tokio::spawn(async move {
        let mut outer = HashMap::<SocketAddr, Arc<UdpSocket>>::new();
        let mut datagram = [0; DATAGRAM_BYTES];
        while let Ok((len, client)) = inner.recv_from(&mut datagram).await {
            let socket = match outer.get(&client) {
                Some(socket) => Arc::clone(socket),
                None => {
                    let socket = Arc::new(UdpSocket::bind(from).await.unwrap());
                    socket.connect(server).await.unwrap();
                    tokio::spawn(retries(Arc::clone(&socket), Arc::clone(&inner), client));
                    outer.insert(client, Arc::clone(&socket));
                    socket
                }
            };
            // A full socket loses it, as networks do.
            let _ = socket.try_send(&datagram[..len]);
        }
    });
    address
}

async fn retries(outer: Arc<UdpSocket>, inner: Arc<UdpSocket>, client: SocketAddr) {
    let mut datagram = [0; DATAGRAM_BYTES];
    while let Ok(len) = outer.recv(&mut datagram).await {
        if datagram[0] & RETRY.1 == RETRY.0 {
            let _ = inner.try_send_to(&datagram[..len], client);
        }
    }
}

/// A member with as many connections and streams as it may have, each of which has sent a little
/// of what it announced.
pub(crate) struct Slow {
    connections: Vec<Raw>,
    streams: Vec<(SendStream, RecvStream)>,
}

impl Slow {
    pub(crate) async fn hold(id: u32, server: Server, bytes: usize) -> Self {
        let mut slow = Self {
            connections: Vec::new(),
            streams: Vec::new(),
        };
        for _ in 0..8 {
            let raw = connect(&member(id), server, &Transport::default())
                .await
                .unwrap();
            for _ in 0..32 {
                let (mut send, recv) = raw.connection.open_bi().await.unwrap();
                let header = StreamHeader::new(Op::Submit, 8192).to_bytes();
                send.write_all(&header).await.unwrap();
                // More than the windows take is written by the trickle, or never.
                let body = vec![1; bytes];
                let writing = send.write_all(&body);
                let _ = tokio::time::timeout(Duration::from_millis(1), writing).await;
                slow.streams.push((send, recv));
            }
            slow.connections.push(raw);
        }
        slow
    }

    pub(crate) fn connections(&self) -> &[Raw] {
        &self.connections
    }

    /// Sends more on each stream, as far as the windows take it.
    pub(crate) async fn send_more(&mut self, bytes: usize) {
        let body = vec![1; bytes];
        for (send, _) in &mut self.streams {
            let writing = send.write_all(&body);
            let _ = tokio::time::timeout(Duration::from_millis(1), writing).await;
        }
    }

    /// Sends a byte on each stream every few milliseconds until it is dropped.
    pub(crate) fn trickle(mut self) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            let mut beat = tokio::time::interval(Duration::from_millis(50));
            loop {
                beat.tick().await;
                for (send, _) in &mut self.streams {
                    let writing = send.write(&[1]);
                    let _ = tokio::time::timeout(Duration::ZERO, writing).await;
                }
            }
        })
    }
}
