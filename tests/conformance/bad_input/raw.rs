//! A member without manners: QUIC by hand, with any bytes under any protocol name.

use std::net::{Ipv4Addr, SocketAddr};

use clearway_client::{Identity, Server};
use clearway_quic::{Transport, client_tls};
use clearway_types::code::ResultCode;
use clearway_types::wire::{
    AnswerHeader, CloseCode, OUTCOME_BYTES, Op, RUN_HEADER_BYTES, RunHeader, parse_outcomes,
};
use quinn::{Connection, ConnectionError, ReadError, ReadToEndError, RecvStream};

use crate::bad_input::Reply;

/// Bytes of an answer that are read at most.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A connection by hand.
pub(crate) struct Raw {
    pub(crate) connection: Connection,
    _endpoint: quinn::Endpoint,
}

/// Connects under a protocol name.
pub(crate) async fn connect(
    identity: &Identity,
    server: Server,
    protocol: &[u8],
) -> Result<Raw, ConnectionError> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let endpoint = quinn::Endpoint::client(any).expect("loopback has a free port");
    let tls = client_tls(&identity.key().seed(), server.public_key, protocol);
    let config = Transport::default().client(tls.expect("a sound key"));
    let connecting = endpoint
        .connect_with(config, server.address, "clearway")
        .expect("an address that can be connected to");
    Ok(Raw {
        connection: connecting.await?,
        _endpoint: endpoint,
    })
}

impl Raw {
    /// Sends bytes on a stream of their own, ends it, and gives what came back.
    pub(crate) async fn say(&self, bytes: &[u8]) -> Reply {
        let (mut send, recv) = match self.connection.open_bi().await {
            Ok(stream) => stream,
            Err(error) => return Reply::close(closed(error)),
        };
        // The door may stop the stream before it has all of it; its answer tells why.
        let _ = send.write_all(bytes).await;
        let _ = send.finish();
        let submits = [Op::Submit, Op::SubmitHinted].map(|op| (op as u16).to_le_bytes());
        let submitted = submits.iter().any(|op| bytes.get(6..8) == Some(op));
        heard(recv, submitted).await
    }

    /// Sends bytes on a stream that never ends, and gives what came back.
    pub(crate) async fn begin(&self, bytes: &[u8]) -> Reply {
        let (mut send, recv) = self.connection.open_bi().await.expect("the first stream");
        send.write_all(bytes).await.expect("a window's worth");
        let answer = heard(recv, true).await;
        drop(send);
        answer
    }
}

/// The whole answer of a stream.
async fn heard(mut recv: RecvStream, submitted: bool) -> Reply {
    match recv.read_to_end(ANSWER_BYTES_MAX).await {
        Ok(bytes) if submitted => Reply::codes(&codes(&bytes)),
        Ok(bytes) => {
            let head = bytes.first_chunk().expect("an answer has a head");
            Reply::status(AnswerHeader::parse(*head).expect("a sound head").0)
        }
        Err(ReadToEndError::Read(ReadError::Reset(code))) => Reply::close(known(code)),
        Err(ReadToEndError::Read(ReadError::ConnectionLost(error))) => Reply::close(closed(error)),
        Err(error) => panic!("not ended by the door: {error}"),
    }
}

/// The results in the answer of a submit stream.
fn codes(mut bytes: &[u8]) -> Vec<ResultCode> {
    let mut codes = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<RUN_HEADER_BYTES>() {
        let head = RunHeader::parse(*head, codes.len(), usize::MAX).expect("runs in order");
        let (run, rest) = rest.split_at(head.count.get() as usize * OUTCOME_BYTES);
        let outcomes = parse_outcomes(run).expect("known codes");
        codes.extend(outcomes.iter().map(|outcome| outcome.code));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "an answer is whole runs");
    codes
}

/// The code that the door closed a connection with.
pub(crate) fn closed(error: ConnectionError) -> CloseCode {
    match error {
        ConnectionError::ApplicationClosed(close) => known(close.error_code),
        other => panic!("not closed by the door: {other}"),
    }
}

fn known(code: quinn::VarInt) -> CloseCode {
    CloseCode::from_u64(code.into_inner()).expect("a known code")
}
