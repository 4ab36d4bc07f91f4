//! Why a client's call failed; each message says what to do.

use std::net::SocketAddr;

use clearway_crypto::certificate::CertificateError;
use clearway_crypto::validators::ValidatorSetError;
use clearway_quic::TlsError;
use clearway_types::code::ResultCode;
use clearway_types::codec::DecodeError;
use clearway_types::limits::CHAIN_LEN_MAX;
use clearway_types::manifest::EpochId;
use clearway_types::units::{Digest, Height};
use clearway_types::wire::{AnswerStatus, CloseCode, FrameError};

/// A call did not get its answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No servers were given.
    #[error("no servers: give at least one address with its public key")]
    NoServers,
    /// The local socket could not be opened.
    #[error("no local UDP socket ({0}): check open file limits and network namespaces")]
    Socket(#[source] std::io::Error),
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be connected to.
    #[error("{address} cannot be connected to ({cause}): check address and port")]
    Address {
        /// The server.
        address: SocketAddr,
        /// Why.
        cause: quinn::ConnectError,
    },
    /// The server did not answer in time.
    #[error("{address} does not answer: check that a node listens there and UDP gets through")]
    ConnectTimeout {
        /// The server.
        address: SocketAddr,
    },
    /// The node closed the connection or stream and said why.
    #[error("the node closed with {}. {}", code.name(), code.help())]
    Closed {
        /// Its reason.
        code: CloseCode,
    },
    /// The node does not know this member's key.
    #[error(
        "the node refuses this key: check that this is a node of your cluster (its \
         address, your genesis); if it is, have the key registered, or wait until it is valid"
    )]
    KeyRefused,
    /// The connection broke.
    #[error("the connection broke ({0}): look the envelopes up, or send the same bytes again")]
    Lost(#[source] quinn::ConnectionError),
    /// The node broke off a stream with a code that this version does not know.
    #[error("the node broke a stream off with code {code}: update the client")]
    Reset {
        /// The code.
        code: u64,
    },
    /// The answers of a stream ended early.
    #[error("the answer ends after {bytes} bytes: ask again, or another validator")]
    Cut {
        /// Bytes of the answer that came.
        bytes: usize,
    },
    /// The answer does not have the shape of the protocol.
    #[error(
        "the answer is not one of clearway/1 ({0}): use a client of the node's \
         release, or do not trust this node"
    )]
    Frame(#[from] FrameError),
    /// A record in the answer does not decode.
    #[error(
        "the answer does not decode ({0}): use a client of the node's \
         release, or do not trust this node"
    )]
    Decode(#[from] DecodeError),
    /// The question was answered with a refusal.
    #[error("the node answers {}. {}", .0.name(), .0.help())]
    Status(AnswerStatus),
    /// A feed ends at a height that the node cannot give.
    #[error(
        "the feed ends at height {height}: the node answers {}. {}",
        status.name(), status.help()
    )]
    FeedBroken {
        /// The height.
        height: Height,
        /// Why.
        status: AnswerStatus,
    },
    /// No server answered in time; the envelopes may be cleared all the same.
    #[error(
        "{answered} of {total} envelopes answered in time: look the others up, or send the same \
         bytes again (they settle once all the same)"
    )]
    Unanswered {
        /// Answered so far.
        answered: usize,
        /// Sent.
        total: usize,
    },
    /// Something was sent, then sending again became vain, or the node refused the copy for as long
    /// as the client waits; the envelopes may be cleared all the same.
    #[error(
        "{answered} of {total} envelopes answered ({cause}): look the others up, or send the same \
         bytes again (they settle once all the same)"
    )]
    OutcomeUnknown {
        /// Answered so far.
        answered: usize,
        /// Sent.
        total: usize,
        /// Why the rest is not sent again.
        cause: Box<Self>,
    },
    /// No byte of a submission left this machine.
    #[error("nothing was sent: {cause}")]
    NotSent {
        /// Why.
        cause: Box<Self>,
    },
    /// The node refuses a copy for now; another copy may have been executed.
    #[error(
        "the node answers {code} to a further copy. {help} See {page}",
        help = .code.help(), page = .code.help_page()
    )]
    RefusedForNow {
        /// Its answer.
        code: ResultCode,
    },
    /// A server is of another cluster than the first answer was.
    #[error(
        "{address} is of another cluster now (genesis {found}, and not {expected} as before), so \
         what it lacks says nothing: ask its operator"
    )]
    OtherGenesis {
        /// The server.
        address: SocketAddr,
        /// Hash of the genesis that was told first.
        expected: Digest,
        /// Hash of the genesis that it tells.
        found: Digest,
    },
    /// A server has less history than it had.
    #[error(
        "{address} is at height {height} and was at {before}: it has lost a part of its log, so \
         what it lacks may have been executed: ask its operator, and sign nothing anew"
    )]
    HistoryLost {
        /// The server.
        address: SocketAddr,
        /// Height that it told before.
        before: Height,
        /// Height that it tells.
        height: Height,
    },
    /// No server answered a question in time.
    #[error(
        "no server answers: check that a quorum of the cluster is up, or try again where it is busy"
    )]
    NoAnswer,
    /// Nothing or more than a stream takes was to be sent.
    #[error("{count} envelopes, a stream takes 1 to {max}: split what you send at chain ends")]
    StreamLen {
        /// How many there were.
        count: usize,
        /// Most that fit.
        max: usize,
    },
    /// The slab is no whole number of envelopes.
    #[error("{bytes} bytes are no whole number of envelopes: send 192 bytes each")]
    SlabLen {
        /// Bytes given.
        bytes: usize,
    },
    /// A chain that cannot settle.
    #[error("a chain of {len} members: it takes 1 to {CHAIN_LEN_MAX}, all of money kinds")]
    Chain {
        /// Members given.
        len: usize,
    },
    /// The proof of an outcome does not hold.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl ClientError {
    /// Whether it is certain that no envelope of the submission was sent: a new one may be signed.
    /// After any other error of a submission those not answered may be cleared all the same.
    #[must_use]
    pub fn nothing_sent(&self) -> bool {
        matches!(
            self,
            Self::NotSent { .. }
                | Self::StreamLen { .. }
                | Self::SlabLen { .. }
                | Self::Chain { .. }
        )
    }

    /// The same error of a longer submission, of which this stream's share comes after `before`
    /// envelopes that are answered.
    pub(crate) fn of_all(self, before: usize, total: usize) -> Self {
        match self {
            Self::Unanswered { .. } => Self::Unanswered {
                answered: before,
                total,
            },
            Self::OutcomeUnknown { cause, .. } => Self::OutcomeUnknown {
                answered: before,
                total,
                cause,
            },
            Self::NotSent { cause } if before > 0 => Self::OutcomeUnknown {
                answered: before,
                total,
                cause,
            },
            other => other,
        }
    }

    /// Whether another server, or the same one later, may do better.
    pub(crate) fn worth_another_try(&self) -> bool {
        match self {
            Self::Address { .. }
            | Self::ConnectTimeout { .. }
            | Self::Lost(_)
            | Self::Reset { .. }
            | Self::Cut { .. }
            | Self::Frame(_)
            | Self::Decode(_)
            | Self::NoAnswer
            | Self::RefusedForNow { .. }
            | Self::OtherGenesis { .. }
            | Self::HistoryLost { .. }
            | Self::KeyRefused => true,
            Self::Closed { code } => *code != CloseCode::Oversize,
            Self::Status(status) | Self::FeedBroken { status, .. } => {
                matches!(status, AnswerStatus::Busy | AnswerStatus::Failed)
            }
            _ => false,
        }
    }

    /// Whether waiting may help: a false key, a foreign protocol or a block that cannot be read
    /// stays what it is.
    pub(crate) fn may_heal(&self) -> bool {
        !matches!(
            self,
            Self::KeyRefused
                | Self::Frame(_)
                | Self::Decode(_)
                | Self::FeedBroken { .. }
                | Self::OtherGenesis { .. }
                | Self::HistoryLost { .. }
        )
    }
}

impl From<quinn::ConnectionError> for ClientError {
    fn from(error: quinn::ConnectionError) -> Self {
        /// TLS alerts are QUIC errors 0x100 + alert; 0x130 unknown_ca, 0x12a bad_certificate.
        const REFUSED: [u64; 3] = [0x130, 0x12a, 0x12e];
        match &error {
            quinn::ConnectionError::ApplicationClosed(close) => {
                match CloseCode::from_u64(close.error_code.into_inner()) {
                    Some(code) => Self::Closed { code },
                    None => Self::Lost(error),
                }
            }
            quinn::ConnectionError::ConnectionClosed(close)
                if REFUSED.contains(&u64::from(close.error_code)) =>
            {
                Self::KeyRefused
            }
            quinn::ConnectionError::TransportError(close)
                if REFUSED.contains(&u64::from(close.code)) =>
            {
                Self::KeyRefused
            }
            _ => Self::Lost(error),
        }
    }
}

impl From<quinn::ReadError> for ClientError {
    fn from(error: quinn::ReadError) -> Self {
        match error {
            quinn::ReadError::Reset(code) => reset(code),
            quinn::ReadError::ConnectionLost(lost) => lost.into(),
            other => unreachable!("streams are read in order, without 0-RTT, once: {other}"),
        }
    }
}

impl From<quinn::WriteError> for ClientError {
    fn from(error: quinn::WriteError) -> Self {
        match error {
            quinn::WriteError::Stopped(code) => reset(code),
            quinn::WriteError::ConnectionLost(lost) => lost.into(),
            other => unreachable!("streams are written until they are finished: {other}"),
        }
    }
}

fn reset(code: quinn::VarInt) -> ClientError {
    let code = code.into_inner();
    match CloseCode::from_u64(code) {
        Some(code) => ClientError::Closed { code },
        None => ClientError::Reset { code },
    }
}

/// Why a proof of settlement proves nothing; the node that gave it should not be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// It is about other bytes than the asker's.
    #[error("the proof is about another envelope: ask another validator")]
    OtherEnvelope,
    /// The Merkle path does not lead to the receipts root.
    #[error("the receipt's path does not lead to the receipts root: ask another validator")]
    Path,
    /// The chain of results has no links or more than a proof may have.
    #[error("the proof links {count} heights: ask another validator")]
    Links {
        /// How many there are.
        count: usize,
    },
    /// No manifest, or one that does not decode.
    #[error("manifest {position} of the proof does not decode: ask another validator")]
    Manifest {
        /// Which one, from 0.
        position: usize,
    },
    /// A manifest of another version of the protocol.
    #[error(
        "the proof is of protocol version {found}, this program checks version {supported}: use \
         the node's release"
    )]
    Protocol {
        /// The proof's version.
        found: u32,
        /// This program's.
        supported: u32,
    },
    /// A manifest of another epoch, or of other validators.
    #[error(
        "the manifest at height {height} is of {found}, not of {expected}: ask another validator"
    )]
    Epoch {
        /// Height of the manifest.
        height: Height,
        /// Its epoch.
        found: EpochId,
        /// The epoch of the validators that are known.
        expected: EpochId,
    },
    /// The first manifest names another result than the links lead to.
    #[error("the manifest at height {height} names another result: ask another validator")]
    ExecHead {
        /// Height of the manifest.
        height: Height,
    },
    /// A manifest is not the child of the one before it.
    #[error("manifest {position} of the proof is no child of the one before: ask another")]
    Parent {
        /// Which one, from 0.
        position: usize,
    },
    /// The certificate is about another manifest.
    #[error("the certificate is about another manifest: ask another validator")]
    OtherManifest,
    /// The certificate proves nothing.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The validators' keys cannot be used.
    #[error(transparent)]
    Validators(#[from] ValidatorSetError),
}
