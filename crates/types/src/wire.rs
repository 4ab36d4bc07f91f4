//! The bytes of the members' door: stream headers, answers, close codes. One op a stream.
//!
//! A member opens a bidirectional QUIC stream, sends a [`StreamHeader`] and what the op asks for,
//! ends its side, and reads the answer:
//!
//! | op | after the header | answer |
//! |---|---|---|
//! | submit | `count` envelopes of 192 bytes | runs: [`RunHeader`], then `count` x [`Outcome`] |
//! | submit hinted | `count` x an envelope and its hint, 224 bytes | as submit |
//! | lookup | `count` x [`query::Lookup`] | [`AnswerHeader`], then `count` x [`query::Found`] |
//! | proof | one [`query::Lookup`] | [`AnswerHeader`], then a [`proof::SettlementProof`] |
//! | account | account number u64 | [`AnswerHeader`], then a [`query::AccountView`] |
//! | follow | a [`query::FollowRequest`] | [`AnswerHeader`], then [`query::FollowItem`]s, endless |
//! | status | nothing | [`AnswerHeader`], then a [`query::StatusView`] |
//!
//! The runs of a submit stream come in stream order, each position once; together they are the
//! `count` of the header. Height 0 means "refused before order". A hint is x of the signature's R,
//! 32 bytes: a right one spares the node work, a wrong one changes nothing. All numbers are
//! little-endian.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::code::Outcome;
use crate::envelope::ENVELOPE_BYTES;
use crate::limits::{ANSWER_BYTES_MAX, LOOKUPS_MAX, STREAM_ENVELOPES_MAX};
use crate::units::Height;

pub mod fuzz;
pub mod proof;
pub mod query;
pub mod roster;

/// Name of the protocol in the TLS handshake. Version 1 is not frozen yet: a member's client is of
/// the same release as its node, and says so where an answer cannot be read.
pub const ALPN: &[u8] = b"clearway/1";
/// First bytes of every stream.
pub const MAGIC: [u8; 4] = *b"CLWY";
/// The only version of the stream header.
pub const WIRE_VERSION: u16 = 1;
/// Bytes of a [`StreamHeader`].
pub const STREAM_HEADER_BYTES: usize = 16;
/// Bytes of a [`RunHeader`].
pub const RUN_HEADER_BYTES: usize = 16;
/// Bytes of an [`Outcome`] on the wire.
pub const OUTCOME_BYTES: usize = 4;
/// Bytes of a hint.
pub const HINT_BYTES: usize = 32;
/// Bytes of an envelope and its hint.
pub const HINTED_BYTES: usize = ENVELOPE_BYTES + HINT_BYTES;
/// Bytes of an [`AnswerHeader`].
pub const ANSWER_HEADER_BYTES: usize = 8;

/// What a stream asks for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
pub enum Op {
    /// Clear these envelopes.
    Submit = 1,
    /// What became of these envelopes?
    Lookup = 2,
    /// Prove what became of this envelope.
    Proof = 3,
    /// What does this account hold?
    Account = 4,
    /// Tell me everything that touches this account from a height on.
    Follow = 5,
    /// How far are you?
    Status = 6,
    /// Clear these envelopes; each has its hint beside it.
    SubmitHinted = 7,
    /// Who and what is registered, from this participant's number on?
    Roster = 8,
}

impl Op {
    /// Every op.
    pub const ALL: [Self; 8] = [
        Self::Submit,
        Self::Lookup,
        Self::Proof,
        Self::Account,
        Self::Follow,
        Self::Status,
        Self::SubmitHinted,
        Self::Roster,
    ];

    /// The op with number `value`, if there is one.
    #[must_use]
    pub fn from_u16(value: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|op| *op as u16 == value)
    }

    /// Fewest and most items that one stream of this op may announce.
    #[must_use]
    pub fn count_range(self) -> (usize, usize) {
        match self {
            Self::Submit | Self::SubmitHinted => (1, STREAM_ENVELOPES_MAX),
            Self::Lookup => (1, LOOKUPS_MAX),
            Self::Proof | Self::Account | Self::Follow | Self::Roster => (1, 1),
            Self::Status => (0, 0),
        }
    }

    /// Bytes of one item of the request, after the header.
    #[must_use]
    pub fn item_bytes(self) -> usize {
        match self {
            Self::Submit => ENVELOPE_BYTES,
            Self::SubmitHinted => HINTED_BYTES,
            Self::Lookup | Self::Proof => query::LOOKUP_BYTES,
            Self::Account => query::ACCOUNT_REQUEST_BYTES,
            Self::Follow => query::FOLLOW_REQUEST_BYTES,
            Self::Status => 0,
            Self::Roster => roster::ROSTER_REQUEST_BYTES,
        }
    }
}

/// A stream's header or an answer's frame is not what the protocol allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream does not start with [`MAGIC`].
    #[error("stream does not start with `CLWY`: speak clearway/1 on this port")]
    Magic,
    /// Another version.
    #[error("stream header version {found}, this side speaks {WIRE_VERSION}: update one of them")]
    Version {
        /// Version in the header.
        found: u16,
    },
    /// An op without a meaning.
    #[error("stream op {found} is unknown: clearway/1 has 1 to {}", Op::ALL.len())]
    Op {
        /// Op in the header.
        found: u16,
    },
    /// Too few or too many items.
    #[error("stream announces {count} items, op {op:?} takes {min} to {max}: split or drop it")]
    Count {
        /// Op in the header.
        op: Op,
        /// Items announced.
        count: u32,
        /// Fewest allowed.
        min: usize,
        /// Most allowed.
        max: usize,
    },
    /// Reserved bytes in use.
    #[error("reserved bytes of a header are not zero: build it with a current client")]
    Reserved,
    /// A run that is empty, out of place or longer than the stream.
    #[error("answer run of {count} at position {first_index} does not continue the stream")]
    Run {
        /// Its first position.
        first_index: u32,
        /// Its length.
        count: u32,
    },
    /// A result code without a meaning.
    #[error("answer holds a result code that this version does not know: update the client")]
    Outcome,
    /// An answer status without a meaning.
    #[error("answer status {found} is unknown: update the client")]
    Status {
        /// Status in the header.
        found: u16,
    },
    /// An answer longer than [`ANSWER_BYTES_MAX`].
    #[error("answer of {bytes} bytes is longer than {ANSWER_BYTES_MAX}: do not trust this node")]
    AnswerLen {
        /// Bytes announced.
        bytes: u32,
    },
}

impl FrameError {
    /// How the door closes a stream with this fault.
    #[must_use]
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::Count { count, max, .. } if count as usize > max => CloseCode::Oversize,
            _ => CloseCode::Malformed,
        }
    }
}

/// First 16 bytes of every stream.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct StreamHeader {
    /// [`MAGIC`].
    pub magic: [u8; 4],
    /// [`WIRE_VERSION`].
    pub version: U16,
    /// See [`Op`].
    pub op: U16,
    /// Items that follow.
    pub count: U32,
    /// Must be zero.
    pub reserved: U32,
}

const _: () = assert!(size_of::<StreamHeader>() == STREAM_HEADER_BYTES);

impl StreamHeader {
    /// The header of a stream with `count` items.
    ///
    /// # Panics
    /// When the op does not take that many: callers split what they send.
    #[must_use]
    pub fn new(op: Op, count: usize) -> Self {
        let (min, max) = op.count_range();
        assert!((min..=max).contains(&count), "{op:?} takes {min} to {max}");
        Self {
            magic: MAGIC,
            version: U16::new(WIRE_VERSION),
            op: U16::new(op as u16),
            count: U32::new(u32::try_from(count).expect("bounded by the op's range")),
            reserved: U32::ZERO,
        }
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; STREAM_HEADER_BYTES] {
        zerocopy::transmute!(self)
    }

    /// Op and item count of a header, which cannot be wrong afterwards.
    ///
    /// # Errors
    /// The first field that is not allowed.
    pub fn parse(bytes: [u8; STREAM_HEADER_BYTES]) -> Result<(Op, usize), FrameError> {
        let header: Self = zerocopy::transmute!(bytes);
        if header.magic != MAGIC {
            return Err(FrameError::Magic);
        }
        let found = header.version.get();
        if found != WIRE_VERSION {
            return Err(FrameError::Version { found });
        }
        let found = header.op.get();
        let op = Op::from_u16(found).ok_or(FrameError::Op { found })?;
        if header.reserved != U32::ZERO {
            return Err(FrameError::Reserved);
        }
        let count = header.count.get();
        let (min, max) = op.count_range();
        if !(min..=max).contains(&(count as usize)) {
            return Err(FrameError::Count {
                op,
                count,
                min,
                max,
            });
        }
        Ok((op, count as usize))
    }
}

/// Head of one run of answers on a submit stream; `count` outcomes of 4 bytes follow.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct RunHeader {
    /// Height of the block that answers; 0 for "refused before order".
    pub height: U64,
    /// Stream position of the first outcome.
    pub first_index: U32,
    /// How many outcomes follow.
    pub count: U32,
}

const _: () = assert!(size_of::<RunHeader>() == RUN_HEADER_BYTES);

impl RunHeader {
    /// The head of a run.
    #[must_use]
    pub fn new(height: Height, first_index: u32, count: u32) -> Self {
        Self {
            height: U64::new(height.0),
            first_index: U32::new(first_index),
            count: U32::new(count),
        }
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; RUN_HEADER_BYTES] {
        zerocopy::transmute!(self)
    }

    /// Reads the run that must start at `next_index` of a stream of `stream_count` envelopes.
    ///
    /// # Errors
    /// [`FrameError::Run`] when it is empty, leaves a gap, repeats or runs over the end.
    pub fn parse(
        bytes: [u8; RUN_HEADER_BYTES],
        next_index: usize,
        stream_count: usize,
    ) -> Result<Self, FrameError> {
        let header: Self = zerocopy::transmute!(bytes);
        let (first_index, count) = (header.first_index.get(), header.count.get());
        let left = stream_count.saturating_sub(next_index);
        if first_index as usize != next_index || count == 0 || count as usize > left {
            return Err(FrameError::Run { first_index, count });
        }
        Ok(header)
    }
}

/// Reads `bytes` as outcomes of 4 bytes.
///
/// # Errors
/// [`FrameError::Outcome`] for a code that does not exist or a cut outcome.
pub fn parse_outcomes(bytes: &[u8]) -> Result<Vec<Outcome>, FrameError> {
    let (whole, rest) = bytes.as_chunks::<OUTCOME_BYTES>();
    if !rest.is_empty() {
        return Err(FrameError::Outcome);
    }
    whole
        .iter()
        .map(|bytes| Outcome::from_bytes(*bytes).ok_or(FrameError::Outcome))
        .collect()
}

/// A list of numbers on the wire; what each says to people is its documentation.
macro_rules! numbered {
    (
        $(#[doc = $what:literal])+
        enum $type:ident: $repr:ident;
        $($(#[doc = $doc:literal])+ $name:ident = $value:literal;)+
    ) => {
        $(#[doc = $what])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr($repr)]
        pub enum $type {
            $($(#[doc = $doc])+ $name = $value,)+
        }

        impl $type {
            /// All of them, by their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name in metrics and reasons.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// What it means and what to do about it.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

numbered! {
    /// How a question was answered.
    enum AnswerStatus: u16;
    /// The answer follows.
    Ok = 0;
    /// There is no such thing: check its number; nothing follows.
    NotFound = 1;
    /// It exists and cannot be answered yet: ask again in a moment.
    NotReady = 2;
    /// The asker may not see it: ask as its owner, or as an operator.
    NotAllowed = 3;
    /// Too many questions at once: ask again later, or another validator.
    Busy = 4;
    /// The node could not read its own data: ask another validator.
    Failed = 5;
}

/// Head of the answer to anything but a submit.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct AnswerHeader {
    /// See [`AnswerStatus`].
    pub status: U16,
    /// Must be zero.
    pub reserved: U16,
    /// Bytes that follow; 0 also for the endless answer of follow.
    pub bytes: U32,
}

const _: () = assert!(size_of::<AnswerHeader>() == ANSWER_HEADER_BYTES);

impl AnswerHeader {
    /// The head of an answer of `bytes` bytes.
    ///
    /// # Panics
    /// Beyond [`ANSWER_BYTES_MAX`]: answers are bounded where they are made.
    #[must_use]
    pub fn new(status: AnswerStatus, bytes: usize) -> Self {
        assert!(bytes <= ANSWER_BYTES_MAX, "answers are bounded");
        Self {
            status: U16::new(status as u16),
            reserved: U16::ZERO,
            bytes: U32::new(u32::try_from(bytes).expect("bounded just above")),
        }
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; ANSWER_HEADER_BYTES] {
        zerocopy::transmute!(self)
    }

    /// Status and length of an answer.
    ///
    /// # Errors
    /// An unknown status, reserved bytes in use, or more bytes than an answer may have.
    pub fn parse(bytes: [u8; ANSWER_HEADER_BYTES]) -> Result<(AnswerStatus, usize), FrameError> {
        let header: Self = zerocopy::transmute!(bytes);
        let found = header.status.get();
        let status = AnswerStatus::ALL.get(usize::from(found)).copied();
        let status = status.ok_or(FrameError::Status { found })?;
        if header.reserved != U16::ZERO {
            return Err(FrameError::Reserved);
        }
        match header.bytes.get() {
            bytes if bytes as usize > ANSWER_BYTES_MAX => Err(FrameError::AnswerLen { bytes }),
            bytes => Ok((status, bytes as usize)),
        }
    }
}

numbered! {
    /// Why a connection was closed or a stream reset: QUIC application error codes.
    enum CloseCode: u32;
    /// The work is done; nothing is wrong.
    Done = 0;
    /// The node is stopping: send the same bytes again, here later or to another validator.
    Stopping = 1;
    /// The key is not that of a registered participant: register it, or wait until it is valid.
    UnknownKey = 2;
    /// The member has as many connections as it may: reuse one, or wait until one ends.
    MemberConnections = 3;
    /// The node has as many connections as it takes: use another validator.
    NodeConnections = 4;
    /// A stream or answer does not have the documented shape: use a current client.
    Malformed = 5;
    /// A stream announces more than one stream may carry: split it.
    Oversize = 6;
    /// The stream's bytes came too slowly: send what you announce without pauses.
    TooSlow = 7;
    /// The answers were not read in time: read them while sending.
    AnswersUnread = 8;
    /// Too many faulty streams on one connection: use a current client.
    Misbehaved = 9;
    /// The asker went away or lost interest.
    Cancelled = 10;
    /// A newer connection of the member took the place of this idle one: connect when needed.
    Displaced = 11;
}

impl CloseCode {
    /// The code with number `value`, if there is one.
    #[must_use]
    pub fn from_u64(value: u64) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| u64::from(*code as u32) == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::ResultCode;

    fn header(edit: impl Fn(&mut StreamHeader)) -> [u8; STREAM_HEADER_BYTES] {
        let mut header = StreamHeader::new(Op::Submit, 7);
        edit(&mut header);
        header.to_bytes()
    }

    #[test]
    fn stream_headers_parse_or_name_their_fault() {
        type Edit = fn(&mut StreamHeader);
        let count = |op, count, min, max| {
            Err(FrameError::Count {
                op,
                count,
                min,
                max,
            })
        };
        type Parsed = Result<(Op, usize), FrameError>;
        let rows: [(Edit, Parsed); 10] = [
            (|_| {}, Ok((Op::Submit, 7))),
            (|h| h.count = U32::new(8192), Ok((Op::Submit, 8192))),
            (
                |h| h.count = U32::new(8193),
                count(Op::Submit, 8193, 1, 8192),
            ),
            (|h| h.count = U32::ZERO, count(Op::Submit, 0, 1, 8192)),
            (|h| h.magic[3] ^= 1, Err(FrameError::Magic)),
            (
                |h| h.version = U16::new(2),
                Err(FrameError::Version { found: 2 }),
            ),
            (|h| h.op = U16::ZERO, Err(FrameError::Op { found: 0 })),
            (|h| h.op = U16::new(9), Err(FrameError::Op { found: 9 })),
            (|h| h.reserved = U32::new(1), Err(FrameError::Reserved)),
            (
                |h| (h.op, h.count) = (U16::new(6), U32::new(1)),
                count(Op::Status, 1, 0, 0),
            ),
        ];
        for (row, (edit, expected)) in rows.into_iter().enumerate() {
            assert_eq!(StreamHeader::parse(header(edit)), expected, "row {row}");
        }
    }

    #[test]
    fn oversize_and_malformed_streams_close_differently() {
        let too_many = StreamHeader::parse(header(|h| h.count = U32::new(9000)));
        let none = StreamHeader::parse(header(|h| h.count = U32::ZERO));
        assert_eq!(
            too_many.expect_err("too many").close_code(),
            CloseCode::Oversize
        );
        assert_eq!(none.expect_err("none").close_code(), CloseCode::Malformed);
    }

    #[test]
    fn a_run_must_continue_its_stream() {
        let rows = [
            ((0, 5), 0, 5, true),
            ((3, 2), 3, 5, true),
            ((3, 3), 3, 5, false),
            ((2, 2), 3, 5, false),
            ((4, 1), 3, 5, false),
            ((3, 0), 3, 5, false),
            ((5, 1), 5, 5, false),
            ((3, u32::MAX), 3, 5, false),
        ];
        for ((first, count), next, total, ok) in rows {
            let bytes = RunHeader::new(Height(1), first, count).to_bytes();
            let parsed = RunHeader::parse(bytes, next, total);
            assert_eq!(parsed.is_ok(), ok, "{first}+{count} at {next} of {total}");
        }
    }

    #[test]
    fn outcomes_parse_whole_and_known() {
        let good = Outcome::new(ResultCode::Settled).to_bytes();
        assert_eq!(parse_outcomes(&good).map(|o| o.len()), Ok(1));
        assert_eq!(parse_outcomes(&good[..3]), Err(FrameError::Outcome));
        assert_eq!(
            parse_outcomes(&[0xff, 0xff, 0, 0]),
            Err(FrameError::Outcome)
        );
    }

    #[test]
    fn answer_headers_parse_or_name_their_fault() {
        for (number, &status) in AnswerStatus::ALL.iter().enumerate() {
            assert_eq!(status as usize, number, "{}", status.name());
            let help = status.help();
            assert!(status == AnswerStatus::Ok || help.contains(": "), "{help}");
            let bytes = AnswerHeader::new(status, 9).to_bytes();
            assert_eq!(AnswerHeader::parse(bytes), Ok((status, 9)));
        }
        let rows = [
            ([6, 0, 0, 0, 0, 0, 0, 0], FrameError::Status { found: 6 }),
            ([0, 0, 1, 0, 0, 0, 0, 0], FrameError::Reserved),
            (
                [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
                FrameError::AnswerLen { bytes: u32::MAX },
            ),
        ];
        for (bytes, fault) in rows {
            assert_eq!(AnswerHeader::parse(bytes), Err(fault));
        }
    }

    #[test]
    fn close_codes_have_numbers_of_their_own_and_say_what_to_do() {
        for &code in CloseCode::ALL {
            assert_eq!(CloseCode::from_u64(u64::from(code as u32)), Some(code));
            assert!(code.help().ends_with('.'), "{}", code.name());
        }
        assert_eq!(CloseCode::from_u64(u64::MAX), None);
    }
}
