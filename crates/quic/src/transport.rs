//! Every limit and timer of the QUIC transport, set by ourselves on both sides.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig,
    TokioRuntime, TransportConfig, VarInt,
};

/// Largest datagram that fits Ethernet: 1,500 less IPv6 and UDP headers.
const PAYLOAD_BYTES_DEFAULT: u16 = 1452;
/// Smallest datagram that QUIC allows (RFC 9000, section 14).
const PAYLOAD_BYTES_MIN: u16 = 1200;
/// Round trip to reckon with before one was measured: a lost first packet is sent again after three
/// of them, and a connection that was closed before its handshake is forgotten after ten. RFC 9002
/// allows others than its 333 ms; where a round trip takes longer, a handshake packet goes twice.
const ROUND_TRIP: Duration = Duration::from_millis(100);
/// Longest idle time that can be set; QUIC counts milliseconds in 62 bits.
const IDLE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Limits and timers of a connection, as this side sets them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transport {
    /// Bidirectional streams that the other side may have open.
    pub streams_max: u32,
    /// Bytes that one stream may send ahead of its reader.
    pub stream_window_bytes: u32,
    /// Bytes that all streams of a connection may send ahead of their readers.
    pub connection_window_bytes: u32,
    /// Bytes that this side keeps until they are acknowledged.
    pub send_window_bytes: u32,
    /// A connection without a sign of life for so long is gone.
    pub idle_timeout: Duration,
    /// A sign of life is sent this often; `None` leaves it to the other side.
    pub keep_alive: Option<Duration>,
    /// Size of datagrams to start with and to accept. Above 1,452 only where every link between the
    /// two sides carries it, as loopback does: no path search would tell.
    pub payload_bytes: u16,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            streams_max: 32,
            stream_window_bytes: 256 << 10,
            connection_window_bytes: 1 << 20,
            send_window_bytes: 2 << 20,
            idle_timeout: Duration::from_secs(10),
            keep_alive: Some(Duration::from_secs(4)),
            payload_bytes: PAYLOAD_BYTES_DEFAULT,
        }
    }
}

impl Transport {
    /// Connections that this side opens.
    #[must_use]
    pub fn client(&self, tls: QuicClientConfig) -> ClientConfig {
        let mut client = ClientConfig::new(Arc::new(tls));
        client.transport_config(self.connection());
        client
    }

    /// Connections that this side takes in. They stay at the address they came from.
    #[must_use]
    pub fn server(&self, tls: QuicServerConfig) -> ServerConfig {
        let mut server = ServerConfig::with_crypto(Arc::new(tls));
        server.transport_config(self.connection()).migration(false);
        server
    }

    /// A socket at `address` that takes connections in where `server` is given. To be called within
    /// a runtime of tokio.
    ///
    /// # Errors
    /// When the operating system gives no such socket.
    pub fn open(
        &self,
        address: SocketAddr,
        server: Option<ServerConfig>,
    ) -> std::io::Result<Endpoint> {
        let socket = UdpSocket::bind(address)?;
        Endpoint::new(self.socket(), server, socket, Arc::new(TokioRuntime))
    }

    /// The settings of one connection.
    fn connection(&self) -> Arc<TransportConfig> {
        let idle = IdleTimeout::try_from(self.idle_timeout.min(IDLE_MAX));
        let mut config = TransportConfig::default();
        config
            .max_concurrent_bidi_streams(VarInt::from_u32(self.streams_max))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .stream_receive_window(VarInt::from_u32(self.stream_window_bytes))
            .receive_window(VarInt::from_u32(self.connection_window_bytes))
            .send_window(u64::from(self.send_window_bytes))
            .max_idle_timeout(Some(idle.expect("a day is within QUIC's range")))
            .keep_alive_interval(self.keep_alive)
            .datagram_receive_buffer_size(None)
            .initial_rtt(ROUND_TRIP)
            .initial_mtu(self.payload_bytes())
            .enable_segmentation_offload(true);
        if self.payload_bytes() > PAYLOAD_BYTES_DEFAULT {
            // Ten datagrams, as RFC 9002 has it for usual sizes: with less, the handshake stalls.
            let mut congestion = CubicConfig::default();
            congestion.initial_window(10 * u64::from(self.payload_bytes()));
            config.congestion_controller_factory(Arc::new(congestion));
            config.mtu_discovery_config(None::<MtuDiscoveryConfig>);
        }
        Arc::new(config)
    }

    /// The settings of the socket.
    fn socket(&self) -> EndpointConfig {
        let mut config = EndpointConfig::default();
        config
            .max_udp_payload_size(self.payload_bytes())
            .expect("bounded below by QUIC's smallest datagram");
        config
    }

    fn payload_bytes(&self) -> u16 {
        self.payload_bytes.clamp(PAYLOAD_BYTES_MIN, 65_527)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extreme_settings_are_brought_into_range_instead_of_panicking() {
        for payload_bytes in [0, 1200, 1452, 9000, u16::MAX] {
            let transport = Transport {
                payload_bytes,
                idle_timeout: Duration::MAX,
                ..Transport::default()
            };
            drop(transport.connection());
            let socket = transport.socket();
            assert!(socket.get_max_udp_payload_size() >= 1200, "{payload_bytes}");
        }
    }
}
