//! Events: what execution does by itself, with no envelope that asks for it.
//!
//! An event has a number, given once and never again, and the fields of that number in a fixed
//! layout. Its bytes, in final records, receipts and feeds, are the number in one byte and then
//! the fields. In a block's receipts events follow all envelopes, in the order in which they
//! happened.
//!
//! | numbers | what about |
//! |---|---|
//! | 1 to 15 | money |
//! | 16 to 31 | clearing |
//! | 32 to 47 | objects |
//! | 48 to 63 | contracts, links to other ledgers |

use crate::codec::{DecodeError, Reader, Writer};
use crate::units::{AccountId, LedgerId, ParticipantId, TransferId};

/// What the fields of each event can do; the one place that knows the event's layout and accounts.
trait Fields: Sized {
    /// Encoded bytes, without the number.
    const BYTES: usize;

    /// Appends the fields.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads what [`Fields::put`] wrote.
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The accounts in whose feeds the event stands.
    fn accounts(&self) -> impl Iterator<Item = AccountId>;
}

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal;)+) => {
        /// What execution did by itself.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Event {
            $($(#[doc = $doc])+ $name($name),)+
        }

        impl Event {
            /// Number and name of every event.
            pub const ALL: &'static [(u8, &'static str)] = &[$(($number, stringify!($name)),)+];

            /// Its number.
            #[must_use]
            pub fn number(&self) -> u8 {
                match self {
                    $(Self::$name(_) => $number,)+
                }
            }

            /// Its name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)+
                }
            }

            /// Whether it belongs into the feed of an account.
            #[must_use]
            pub fn touches(&self, account: AccountId) -> bool {
                match self {
                    $(Self::$name(fields) => fields.accounts().any(|touched| touched == account),)+
                }
            }

            /// Appends the canonical bytes, number first.
            pub fn encode(&self, out: &mut Vec<u8>) {
                out.u8(self.number());
                match self {
                    $(Self::$name(fields) => fields.put(out),)+
                }
            }

            /// Reads what [`Event::encode`] wrote.
            ///
            /// # Errors
            /// A number that this version does not know, or a cut event.
            pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match reader.u8()? {
                    $($number => Ok(Self::$name($name::read(reader)?)),)+
                    number => Err(DecodeError::UnknownEvent { number }),
                }
            }

            /// Bytes of the event with this number, its number included.
            ///
            /// # Errors
            /// A number that this version does not know.
            pub fn bytes(number: u8) -> Result<usize, DecodeError> {
                match number {
                    $($number => Ok(<$name as Fields>::BYTES.saturating_add(1)),)+
                    number => Err(DecodeError::UnknownEvent { number }),
                }
            }
        }

        /// Bytes of the longest event.
        pub const EVENT_BYTES_MAX: usize = {
            let mut longest = 0;
            $(if <$name as Fields>::BYTES > longest {
                longest = <$name as Fields>::BYTES;
            })+
            longest.saturating_add(1)
        };
    };
}

events! {
    /// A hold ended because its time was over: what it had set aside is free again.
    HoldExpired = 1;
}

/// Fields of [`Event::HoldExpired`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HoldExpired {
    /// Signer of the hold.
    pub signer: ParticipantId,
    /// Identifier of the hold.
    pub id: TransferId,
    /// Account that would have paid.
    pub debit: AccountId,
    /// Account that would have been paid.
    pub credit: AccountId,
    /// Currency or asset of both.
    pub ledger: LedgerId,
    /// Minor units freed.
    pub amount: u64,
}

impl Fields for HoldExpired {
    const BYTES: usize = 4 + 16 + 8 + 8 + 4 + 8;

    fn put(&self, out: &mut Vec<u8>) {
        out.u32(self.signer.0);
        out.bytes(&self.id.0);
        out.u64(self.debit.0);
        out.u64(self.credit.0);
        out.u32(self.ledger.0);
        out.u64(self.amount);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            signer: ParticipantId(reader.u32()?),
            id: TransferId(reader.array()?),
            debit: AccountId(reader.u64()?),
            credit: AccountId(reader.u64()?),
            ledger: LedgerId(reader.u32()?),
            amount: reader.u64()?,
        })
    }

    fn accounts(&self) -> impl Iterator<Item = AccountId> {
        [self.debit, self.credit].into_iter()
    }
}

/// One of each event, with another value in every field, for tests of their bytes.
#[cfg(test)]
pub(crate) fn samples() -> Vec<Event> {
    vec![Event::HoldExpired(HoldExpired {
        signer: ParticipantId(6),
        id: TransferId([7; 16]),
        debit: AccountId(9),
        credit: AccountId(10),
        ledger: LedgerId(11),
        amount: 8,
    })]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_sample() {
        let samples = samples();
        let both = samples.iter().map(|event| (event.number(), event.name()));
        let sampled: Vec<_> = both.collect();
        assert_eq!(sampled, Event::ALL, "a row of `samples` for each event");
    }

    #[test]
    fn events_decode_to_themselves_at_their_stated_length() {
        for event in samples() {
            let mut bytes = Vec::new();
            event.encode(&mut bytes);
            assert_eq!(Event::bytes(bytes[0]), Ok(bytes.len()), "{event:?}");
            assert!(bytes.len() <= EVENT_BYTES_MAX, "{event:?}");
            let mut reader = Reader::new(&bytes);
            assert_eq!(Event::decode(&mut reader), Ok(event));
            assert_eq!(reader.finish(), Ok(()));
            for len in 0..bytes.len() {
                let cut = Event::decode(&mut Reader::new(&bytes[..len]));
                assert!(cut.is_err(), "{event:?} cut at {len}");
            }
        }
    }

    #[test]
    fn a_number_without_an_event_is_refused_by_its_number() {
        for number in (0..=255).filter(|number| Event::ALL.iter().all(|(known, _)| known != number))
        {
            let unknown = DecodeError::UnknownEvent { number };
            let bytes = [number; 100];
            assert_eq!(Event::decode(&mut Reader::new(&bytes)), Err(unknown));
            assert_eq!(Event::bytes(number), Err(unknown));
            assert!(unknown.to_string().contains(&number.to_string()));
        }
    }

    #[test]
    fn numbers_rise_and_stay_within_the_ranges_that_are_given() {
        assert!(Event::ALL.is_sorted_by_key(|(number, _)| number));
        assert!(
            Event::ALL
                .iter()
                .all(|(number, _)| (1..=63).contains(number))
        );
    }

    #[test]
    fn each_event_touches_its_own_accounts_and_no_others() {
        for event in samples() {
            let touched: Vec<u64> = (0..100)
                .filter(|&at| event.touches(AccountId(at)))
                .collect();
            let expected: &[u64] = match event {
                Event::HoldExpired(_) => &[9, 10],
            };
            assert_eq!(touched, expected, "{event:?}");
        }
    }
}
