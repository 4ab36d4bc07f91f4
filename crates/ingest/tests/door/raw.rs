//! A member without manners: QUIC by hand, with any bytes and any limits.

use std::net::{Ipv4Addr, SocketAddr};

use clearway_client::{Identity, Server};
use clearway_quic::{Transport, client_tls};
use clearway_types::wire::{ALPN, CloseCode};
use quinn::{Connection, ConnectionError, ReadError, ReadToEndError};

/// A connection by hand.
pub(crate) struct Raw {
    pub(crate) connection: Connection,
    _endpoint: quinn::Endpoint,
}

/// Connects with the transport settings given.
pub(crate) async fn connect(
    identity: &Identity,
    server: Server,
    transport: &Transport,
) -> Result<Raw, ConnectionError> {
    connect_speaking(identity, server, transport, ALPN).await
}

/// Connects under another protocol name.
pub(crate) async fn connect_speaking(
    identity: &Identity,
    server: Server,
    transport: &Transport,
    protocol: &[u8],
) -> Result<Raw, ConnectionError> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let endpoint = quinn::Endpoint::client(any).unwrap();
    let tls = client_tls(&identity.key().seed(), server.public_key, protocol);
    let config = transport.client(tls.unwrap());
    let connecting = endpoint
        .connect_with(config, server.address, "clearway")
        .unwrap();
    Ok(Raw {
        connection: connecting.await?,
        _endpoint: endpoint,
    })
}

impl Raw {
    /// Sends bytes on a stream of their own, ends it, and gives what came back.
    pub(crate) async fn say(&self, bytes: &[u8]) -> Result<Vec<u8>, CloseCode> {
        let (mut send, mut recv) = self.connection.open_bi().await.map_err(closed)?;
        // The door may stop the stream before it has all of it; its answer tells why.
        let _ = send.write_all(bytes).await;
        let _ = send.finish();
        match recv.read_to_end(1 << 20).await {
            Ok(bytes) => Ok(bytes),
            Err(ReadToEndError::Read(error)) => Err(read_closed(error)),
            Err(ReadToEndError::TooLong) => panic!("an answer of more than 1 MiB"),
        }
    }
}

/// The code that the door closed a connection with.
pub(crate) fn closed(error: ConnectionError) -> CloseCode {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            CloseCode::from_u64(close.error_code.into_inner()).expect("a known code")
        }
        other => panic!("not closed by the door: {other}"),
    }
}

/// The code that the door ended a stream with.
pub(crate) fn read_closed(error: ReadError) -> CloseCode {
    match error {
        ReadError::Reset(code) => CloseCode::from_u64(code.into_inner()).expect("a known code"),
        ReadError::ConnectionLost(error) => closed(error),
        other => panic!("not ended by the door: {other}"),
    }
}
