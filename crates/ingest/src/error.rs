//! Why the door cannot open. What members do wrong is in close codes, drop reasons and counters.

use std::net::SocketAddr;

use clearway_quic::TlsError;

/// The door cannot open.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A setting that cannot work.
    #[error("ingest setting `{field}` cannot work: {help}")]
    Config {
        /// The setting.
        field: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address} ({cause}): is another node running, or the port reserved?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
