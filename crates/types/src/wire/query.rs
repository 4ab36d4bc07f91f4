//! Questions that a member asks on the door, and their answers.

use zerocopy::{FromBytes, IntoBytes};

use crate::account::Account;
use crate::code::Outcome;
use crate::codec::{DecodeError, Reader, Writer};
use crate::envelope::{ENVELOPE_BYTES, Envelope};
use crate::event::{EVENT_BYTES_MAX, Event};
use crate::units::{AccountId, Digest, Height, ParticipantId, TimeMs, TransferId};
use crate::wire::AnswerStatus;

/// Bytes of a [`Lookup`].
pub const LOOKUP_BYTES: usize = 20;
/// Bytes of a [`Found`].
pub const FOUND_BYTES: usize = 16;
/// Bytes of the request for an account.
pub const ACCOUNT_REQUEST_BYTES: usize = 8;
/// Bytes of a [`FollowRequest`].
pub const FOLLOW_REQUEST_BYTES: usize = 20;
/// Bytes of a [`LimitView`].
pub const LIMIT_VIEW_BYTES: usize = 4 + 8 + 16;
/// Limits that an [`AccountView`] shows: 28 KiB of them.
pub const VIEW_LIMITS_MAX: usize = 1024;
/// Bytes of an [`AccountView`] without its limits.
pub const ACCOUNT_VIEW_BYTES: usize = 8 + size_of::<Account>() + 4;
/// Bytes of a [`StatusView`].
pub const STATUS_VIEW_BYTES: usize = 32 + 8 + 32 + 8 + 8 + 8 + 8;

/// Names an envelope: idempotency is per signer and identifier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Lookup {
    /// Who signed it.
    pub signer: ParticipantId,
    /// Its identifier.
    pub id: TransferId,
}

impl Lookup {
    /// The name of this envelope.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Self {
        Self {
            signer: envelope.body.signer(),
            id: envelope.body.id,
        }
    }

    /// Appends the canonical bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.u32(self.signer.0);
        out.bytes(&self.id.0);
    }

    /// Reads what [`Lookup::encode`] wrote.
    ///
    /// # Errors
    /// A cut record.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            signer: ParticipantId(reader.u32()?),
            id: TransferId(reader.array()?),
        })
    }
}

/// Where an envelope was executed, and with what outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// Height of its block.
    pub height: Height,
    /// Position in the block's results.
    pub index: u32,
    /// What became of it.
    pub outcome: Outcome,
}

impl Found {
    /// Appends the canonical bytes; `None` is 16 zero bytes, as no block has height 0.
    ///
    /// # Panics
    /// For a place at height 0.
    pub fn encode(found: Option<&Self>, out: &mut Vec<u8>) {
        let Some(found) = found else {
            return out.bytes(&[0; FOUND_BYTES]);
        };
        assert!(found.height.0 > 0, "genesis executes nothing");
        out.u64(found.height.0);
        out.u32(found.index);
        out.bytes(&found.outcome.to_bytes());
    }

    /// Reads what [`Found::encode`] wrote.
    ///
    /// # Errors
    /// A cut record, an unknown result code, or a second spelling of `None`.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        let (height, index) = (Height(reader.u64()?), reader.u32()?);
        let outcome: [u8; 4] = reader.array()?;
        if height.0 == 0 {
            return match (index, outcome) {
                (0, [0, 0, 0, 0]) => Ok(None),
                _ => Err(DecodeError::Invalid { field: "height" }),
            };
        }
        let outcome = Outcome::from_bytes(outcome).ok_or(DecodeError::Invalid { field: "code" })?;
        Ok(Some(Self {
            height,
            index,
            outcome,
        }))
    }
}

/// A net debit limit of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitView {
    /// The paid participant; 0 for everyone.
    pub towards: ParticipantId,
    /// Minor units a day.
    pub limit: u64,
    /// Paid minus received on the day of the view's height, minor units.
    pub net: i128,
}

impl LimitView {
    fn encode(&self, out: &mut Vec<u8>) {
        out.u32(self.towards.0);
        out.u64(self.limit);
        out.i128(self.net);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            towards: ParticipantId(reader.u32()?),
            limit: reader.u64()?,
            net: reader.i128()?,
        })
    }
}

/// An account as of a height that is durable.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountView {
    /// Last height executed into it.
    pub height: Height,
    /// The record.
    pub account: Account,
    /// Net debit limits that it has.
    pub limit_count: u32,
    /// The first of them by participant: all, or [`VIEW_LIMITS_MAX`].
    pub limits: Vec<LimitView>,
}

impl std::fmt::Debug for AccountView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (id, height) = (self.account.id(), self.height);
        write!(f, "AccountView {{ account {id} at height {height} }}")
    }
}

impl AccountView {
    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ACCOUNT_VIEW_BYTES);
        out.u64(self.height.0);
        out.bytes(self.account.as_bytes());
        out.u32(self.limit_count);
        for limit in &self.limits {
            limit.encode(&mut out);
        }
        out
    }

    /// Reads what [`AccountView::to_bytes`] wrote; a view is a whole record.
    ///
    /// # Errors
    /// A cut or overlong record.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let height = Height(reader.u64()?);
        let account = Account::read_from_bytes(reader.bytes(size_of::<Account>())?)
            .expect("the reader gives the length asked for");
        let limit_count = reader.u32()?;
        let shown = (limit_count as usize).min(VIEW_LIMITS_MAX);
        let limits = (0..shown).map(|_| LimitView::decode(&mut reader));
        let limits = limits.collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self {
            height,
            account,
            limit_count,
            limits,
        })
    }
}

/// How far a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatusView {
    /// Hash of its genesis: which cluster it belongs to.
    pub genesis: Digest,
    /// Last height that is executed and durable.
    pub height: Height,
    /// Execution head there.
    pub exec_head: Digest,
    /// Cluster time there.
    pub time: TimeMs,
    /// Last height that is executed: what lies above [`Self::height`] is promised to nobody yet.
    pub executed: Height,
    /// The node's own clock when it answered.
    pub clock: TimeMs,
    /// Height of the key directory in use.
    pub directory_height: Height,
}

impl StatusView {
    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(STATUS_VIEW_BYTES);
        out.digest(self.genesis);
        out.u64(self.height.0);
        out.digest(self.exec_head);
        out.u64(self.time.0);
        out.u64(self.executed.0);
        out.u64(self.clock.0);
        out.u64(self.directory_height.0);
        out
    }

    /// Reads what [`StatusView::to_bytes`] wrote; a view is a whole record.
    ///
    /// # Errors
    /// A cut or overlong record.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let view = Self {
            genesis: reader.digest()?,
            height: Height(reader.u64()?),
            exec_head: reader.digest()?,
            time: TimeMs(reader.u64()?),
            executed: Height(reader.u64()?),
            clock: TimeMs(reader.u64()?),
            directory_height: Height(reader.u64()?),
        };
        reader.finish()?;
        Ok(view)
    }
}

/// A place in the feed of an account: the first entry that has not been seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FollowCursor {
    /// Height of the block.
    pub height: Height,
    /// Leaf of the block's receipts: envelopes first, then events.
    pub index: u32,
}

impl FollowCursor {
    /// The first entry at or after `height`.
    #[must_use]
    pub fn at(height: Height) -> Self {
        Self { height, index: 0 }
    }
}

/// Asks for everything that touches an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowRequest {
    /// The account.
    pub account: AccountId,
    /// Where to start.
    pub from: FollowCursor,
}

impl FollowRequest {
    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOLLOW_REQUEST_BYTES);
        out.u64(self.account.0);
        out.u64(self.from.height.0);
        out.u32(self.from.index);
        out
    }

    /// Reads what [`FollowRequest::to_bytes`] wrote; a request is a whole record.
    ///
    /// # Errors
    /// A cut or overlong record.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let account = AccountId(reader.u64()?);
        let (height, index) = (Height(reader.u64()?), reader.u32()?);
        reader.finish()?;
        let from = FollowCursor { height, index };
        Ok(Self { account, from })
    }
}

/// One item of an account's feed, in (height, index) order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FollowItem {
    /// An envelope that named the account was executed.
    Entry {
        /// Height of its block.
        height: Height,
        /// Position in the block's results.
        index: u32,
        /// What became of it.
        outcome: Outcome,
        /// The envelope.
        envelope: Envelope,
    },
    /// Execution did something by itself that touches the account.
    Event {
        /// Height of the block.
        height: Height,
        /// Leaf of the block's receipts.
        index: u32,
        /// What it did.
        event: Event,
    },
    /// Everything up to and including this height has been given.
    Through {
        /// The height.
        height: Height,
    },
    /// The feed ends here, since this node cannot go on. The last item of its stream.
    Broken {
        /// The height that cannot be given.
        height: Height,
        /// Why.
        status: AnswerStatus,
    },
}

/// First byte of each item. 2 was a hold's end without a number; it is not given again.
mod tag {
    pub(super) const ENTRY: u8 = 1;
    pub(super) const THROUGH: u8 = 3;
    pub(super) const BROKEN: u8 = 4;
    pub(super) const EVENT: u8 = 5;
}
/// Tag, height, index, outcome, envelope.
const ENTRY_BYTES: usize = 1 + 8 + 4 + 4 + ENVELOPE_BYTES;
/// Where an event begins with its number: behind tag, height and index.
const EVENT_AT: usize = 1 + 8 + 4;
/// Bytes of the longest item.
pub const FOLLOW_ITEM_BYTES_MAX: usize = ENTRY_BYTES;
const _: () = assert!(EVENT_AT + EVENT_BYTES_MAX <= FOLLOW_ITEM_BYTES_MAX);

impl FollowItem {
    /// Where to go on after this item.
    #[must_use]
    pub fn next_cursor(&self) -> FollowCursor {
        match *self {
            Self::Entry { height, index, .. } | Self::Event { height, index, .. } => FollowCursor {
                height,
                index: index.saturating_add(1),
            },
            Self::Through { height } => FollowCursor::at(height.next()),
            Self::Broken { height, .. } => FollowCursor::at(height),
        }
    }

    /// Bytes of the item that begins with `start`: all of them, or as many as tell more. Who has
    /// read that many and is told the same number again has the whole item.
    ///
    /// # Errors
    /// An unknown tag or event.
    pub fn bytes_wanted(start: &[u8]) -> Result<usize, DecodeError> {
        match start.first() {
            None => Ok(1),
            Some(&tag::ENTRY) => Ok(ENTRY_BYTES),
            Some(&tag::EVENT) => match start.get(EVENT_AT) {
                None => Ok(EVENT_AT.saturating_add(1)),
                Some(&number) => Ok(EVENT_AT.saturating_add(Event::bytes(number)?)),
            },
            Some(&tag::THROUGH) => Ok(1 + 8),
            Some(&tag::BROKEN) => Ok(1 + 8 + 2),
            Some(_) => Err(DecodeError::Invalid { field: "tag" }),
        }
    }

    /// Appends the canonical bytes, tag first.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Entry {
                height,
                index,
                outcome,
                envelope,
            } => {
                out.u8(tag::ENTRY);
                out.u64(height.0);
                out.u32(*index);
                out.bytes(&outcome.to_bytes());
                out.bytes(envelope.as_bytes());
            }
            Self::Event {
                height,
                index,
                event,
            } => {
                out.u8(tag::EVENT);
                out.u64(height.0);
                out.u32(*index);
                event.encode(out);
            }
            Self::Through { height } => {
                out.u8(tag::THROUGH);
                out.u64(height.0);
            }
            Self::Broken { height, status } => {
                out.u8(tag::BROKEN);
                out.u64(height.0);
                out.u16(*status as u16);
            }
        }
    }

    /// Reads one item, tag first.
    ///
    /// # Errors
    /// An unknown tag, event, status or result code, a mark at the last height, or a cut record.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tag = reader.u8()?;
        let height = Height(reader.u64()?);
        if height.0 == u64::MAX {
            return Err(DecodeError::Invalid { field: "height" });
        }
        match tag {
            tag::THROUGH => Ok(Self::Through { height }),
            tag::BROKEN => {
                let status = AnswerStatus::ALL.get(usize::from(reader.u16()?)).copied();
                let broken = status.filter(|status| *status != AnswerStatus::Ok);
                let status = broken.ok_or(DecodeError::Invalid { field: "status" })?;
                Ok(Self::Broken { height, status })
            }
            tag::EVENT => Ok(Self::Event {
                height,
                index: reader.u32()?,
                event: Event::decode(reader)?,
            }),
            tag::ENTRY => {
                let index = reader.u32()?;
                let outcome = Outcome::from_bytes(reader.array()?);
                let envelope = Envelope::read_from_bytes(reader.bytes(ENVELOPE_BYTES)?)
                    .expect("the reader gives the length asked for");
                Ok(Self::Entry {
                    height,
                    index,
                    outcome: outcome.ok_or(DecodeError::Invalid { field: "code" })?,
                    envelope,
                })
            }
            _ => Err(DecodeError::Invalid { field: "tag" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;
    use crate::code::ResultCode;

    #[test]
    fn follow_items_decode_to_themselves_at_their_stated_length() {
        let (height, index) = (Height(4), 5);
        let of_event = |event| FollowItem::Event {
            height,
            index,
            event,
        };
        let others = [
            FollowItem::Entry {
                height,
                index,
                outcome: Outcome::new(ResultCode::InsufficientFunds),
                envelope: Envelope::new_zeroed(),
            },
            FollowItem::Through { height },
            FollowItem::Broken {
                height,
                status: AnswerStatus::Failed,
            },
        ];
        let events = crate::event::samples().into_iter().map(of_event);
        for item in events.chain(others) {
            let mut bytes = Vec::new();
            item.encode(&mut bytes);
            assert_eq!(read_as_wanted(&bytes), bytes.len(), "{item:?}");
            assert!(bytes.len() <= FOLLOW_ITEM_BYTES_MAX);
            let mut reader = Reader::new(&bytes);
            assert_eq!(FollowItem::decode(&mut reader), Ok(item));
            assert_eq!(reader.finish(), Ok(()));
            for len in 0..bytes.len() {
                let cut = FollowItem::decode(&mut Reader::new(&bytes[..len]));
                assert!(cut.is_err(), "cut at {len}");
            }
        }
        for tag in [0, 2, 6, 255] {
            assert!(FollowItem::bytes_wanted(&[tag]).is_err(), "tag {tag}");
        }
        let mut unknown = [tag::EVENT; EVENT_AT + 1];
        unknown[EVENT_AT] = 255;
        let number = 255;
        let refused = Err(DecodeError::UnknownEvent { number });
        assert_eq!(FollowItem::bytes_wanted(&unknown), refused);
    }

    /// How many bytes a reader takes that asks for no more than it is told to.
    fn read_as_wanted(bytes: &[u8]) -> usize {
        let mut have = 0;
        loop {
            match FollowItem::bytes_wanted(&bytes[..have]).expect("known") {
                wanted if wanted == have => return have,
                wanted => have = wanted,
            }
        }
    }

    #[test]
    fn cursors_move_behind_each_item() {
        let at = |height, index| FollowCursor {
            height: Height(height),
            index,
        };
        for event in crate::event::samples() {
            let item = FollowItem::Event {
                height: Height(3),
                index: 9,
                event,
            };
            assert_eq!(item.next_cursor(), at(3, 10));
        }
        let through = FollowItem::Through { height: Height(3) };
        assert_eq!(through.next_cursor(), at(4, 0));
    }

    #[test]
    fn lookups_and_places_decode_to_themselves() {
        let lookup = Lookup {
            signer: ParticipantId(3),
            id: TransferId([4; 16]),
        };
        let mut bytes = Vec::new();
        lookup.encode(&mut bytes);
        assert_eq!(bytes.len(), LOOKUP_BYTES);
        assert_eq!(Lookup::decode(&mut Reader::new(&bytes)), Ok(lookup));
        let found = Found {
            height: Height(1),
            index: 2,
            outcome: Outcome::new(ResultCode::Settled),
        };
        for found in [None, Some(found)] {
            let mut bytes = Vec::new();
            Found::encode(found.as_ref(), &mut bytes);
            assert_eq!(bytes.len(), FOUND_BYTES);
            assert_eq!(Found::decode(&mut Reader::new(&bytes)), Ok(found));
        }
        let mut second_spelling = [0; FOUND_BYTES];
        second_spelling[8] = 1;
        assert!(Found::decode(&mut Reader::new(&second_spelling)).is_err());
    }

    #[test]
    fn views_and_requests_decode_to_themselves_and_refuse_cuts_and_tails() {
        let view = |limit_count: usize| AccountView {
            height: Height(2),
            account: Account::new_zeroed(),
            limit_count: u32::try_from(limit_count).unwrap(),
            limits: vec![limit(); limit_count.min(VIEW_LIMITS_MAX)],
        };
        let status = StatusView {
            genesis: Digest([1; 32]),
            height: Height(2),
            exec_head: Digest([3; 32]),
            time: TimeMs(4),
            executed: Height(9),
            clock: TimeMs(8),
            directory_height: Height(5),
        };
        let follow = FollowRequest {
            account: AccountId(6),
            from: FollowCursor::at(Height(7)),
        };
        for count in [0, 1, VIEW_LIMITS_MAX, VIEW_LIMITS_MAX + 1] {
            check(
                &view(count).to_bytes(),
                ACCOUNT_VIEW_BYTES + count.min(VIEW_LIMITS_MAX) * LIMIT_VIEW_BYTES,
                AccountView::decode,
                view(count),
            );
        }
        check(
            &status.to_bytes(),
            STATUS_VIEW_BYTES,
            StatusView::decode,
            status,
        );
        check(
            &follow.to_bytes(),
            FOLLOW_REQUEST_BYTES,
            FollowRequest::decode,
            follow,
        );
    }

    fn limit() -> LimitView {
        LimitView {
            towards: ParticipantId(3),
            limit: 5,
            net: -1,
        }
    }

    fn check<T: PartialEq + std::fmt::Debug>(
        bytes: &[u8],
        len: usize,
        decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
        value: T,
    ) {
        assert_eq!(bytes.len(), len);
        assert_eq!(decode(bytes), Ok(value));
        let (_, cut) = bytes.split_last().expect("no view is empty");
        assert!(decode(cut).is_err());
        assert!(decode(&[bytes, &[0]].concat()).is_err());
    }
}
