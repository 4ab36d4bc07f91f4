//! Who and what is registered: participants with their keys, ledgers, approvals that wait, as
//! records on the wire.

use zerocopy::{FromBytes, IntoBytes};

use crate::account::{Currency, KeyEntry, Participant, Role};
use crate::codec::{DecodeError, Reader, Writer};
use crate::envelope::{BODY_BYTES, Body};
use crate::limits::{APPROVALS_MAX, LEDGERS_MAX};
use crate::units::{AccountId, Digest, Height, LedgerId, ParticipantId, TimeMs, UnixSeconds};

/// Bytes of the request: the first participant's number.
pub const ROSTER_REQUEST_BYTES: usize = 4;
/// Participants of one answer: 8,192 x 237 B = 1.9 MB.
pub const ROSTER_PARTICIPANTS_MAX: usize = 8192;
/// Operators named for one approval; the others are counted.
pub const APPROVERS_MAX: usize = 64;
/// Bytes of a participant.
pub const PARTICIPANT_BYTES: usize = 4 + 1 + 1 + 4 + 20 + 11 + 4 * (1 + 32 + 8 + 8);

/// A currency or asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerView {
    /// The record.
    pub currency: Currency,
    /// Minor units that members hold; `None` for who is neither its issuer nor an overseer.
    pub supply: Option<u128>,
}

/// A record that waits for further operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApprovalView {
    /// What is approved: SHA-256 of the body without identifier, signer, expiry and flags.
    pub content: Digest,
    /// From when on it does not count any more.
    pub until: UnixSeconds,
    /// How many have approved who are operators now.
    pub operator_count: u32,
    /// The first of them, by number, at most [`APPROVERS_MAX`].
    pub operators: Vec<ParticipantId>,
    /// The body that was approved last; a node that started from a checkpoint since may have only
    /// its digest.
    pub body: Option<Body>,
}

/// Participants, ledgers and approvals as of a durable height; large ones come in several answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RosterView {
    /// Last height executed into it.
    pub height: Height,
    /// Cluster time at `height`.
    pub time: TimeMs,
    /// Operators who must approve a record together.
    pub operator_threshold: u32,
    /// First participant of the next answer; 0 when this was the last.
    pub next: ParticipantId,
    /// Participants by their numbers.
    pub participants: Vec<Participant>,
    /// Ledgers in the order of definition; in the first answer only.
    pub ledgers: Vec<LedgerView>,
    /// Approvals by content; in the first answer only, and `None` for who oversees nothing.
    pub approvals: Option<Vec<ApprovalView>>,
}

impl Participant {
    /// Appends the canonical bytes, [`PARTICIPANT_BYTES`] of them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.u32(self.id.0);
        out.u8(self.role as u8);
        out.flag(self.suspended);
        out.u32(self.sponsor.0);
        out.bytes(&self.lei);
        out.bytes(&self.bic);
        for key in &self.keys {
            let entry = key.as_ref().unwrap_or(&NO_KEY);
            out.flag(key.is_some());
            out.bytes(&entry.public_key);
            out.u64(entry.valid_from.0);
            out.u64(entry.valid_to.0);
        }
    }

    /// Reads what [`Participant::encode`] wrote.
    ///
    /// # Errors
    /// A cut record, an unknown role, a flag that is neither 0 nor 1, an empty slot with a key.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id = ParticipantId(reader.u32()?);
        let role = Role::from_u8(reader.u8()?).ok_or(DecodeError::Invalid { field: "role" })?;
        let mut participant = Self {
            id,
            role,
            suspended: reader.flag("suspended")?,
            sponsor: ParticipantId(reader.u32()?),
            lei: reader.array()?,
            bic: reader.array()?,
            keys: [None; 4],
        };
        for key in &mut participant.keys {
            let present = reader.flag("key")?;
            let entry = KeyEntry {
                public_key: reader.array()?,
                valid_from: Height(reader.u64()?),
                valid_to: Height(reader.u64()?),
            };
            if !present && entry != NO_KEY {
                return Err(DecodeError::Invalid { field: "key" });
            }
            *key = present.then_some(entry);
        }
        Ok(participant)
    }
}

/// What stands in an empty slot.
const NO_KEY: KeyEntry = KeyEntry {
    public_key: [0; 32],
    valid_from: Height(0),
    valid_to: Height(0),
};

fn count(reader: &mut Reader<'_>, max: usize, field: &'static str) -> Result<usize, DecodeError> {
    match reader.u32()? as usize {
        count if count <= max => Ok(count),
        _ => Err(DecodeError::Invalid { field }),
    }
}

impl LedgerView {
    fn encode(&self, out: &mut Vec<u8>) {
        let currency = &self.currency;
        out.u32(currency.id.0);
        out.bytes(&currency.code);
        out.u8(currency.exponent);
        out.u32(currency.issuer.0);
        out.u64(currency.issuer_account.0);
        out.flag(self.supply.is_some());
        out.u128(self.supply.unwrap_or(0));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let currency = Currency {
            id: LedgerId(reader.u32()?),
            code: reader.array()?,
            exponent: reader.u8()?,
            issuer: ParticipantId(reader.u32()?),
            issuer_account: AccountId(reader.u64()?),
        };
        let told = reader.flag("supply")?;
        let supply = reader.u128()?;
        if !told && supply != 0 {
            return Err(DecodeError::Invalid { field: "supply" });
        }
        let supply = told.then_some(supply);
        Ok(Self { currency, supply })
    }
}

impl ApprovalView {
    fn encode(&self, out: &mut Vec<u8>) {
        out.digest(self.content);
        out.u32(self.until.0);
        out.u32(self.operator_count);
        out.count(self.operators.len());
        for operator in &self.operators {
            out.u32(operator.0);
        }
        out.flag(self.body.is_some());
        if let Some(body) = &self.body {
            out.bytes(body.as_bytes());
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let content = reader.digest()?;
        let until = UnixSeconds(reader.u32()?);
        let operator_count = reader.u32()?;
        let operators = (0..count(reader, APPROVERS_MAX, "operators")?)
            .map(|_| reader.u32().map(ParticipantId))
            .collect::<Result<_, _>>()?;
        let body = match reader.flag("body")? {
            false => None,
            true => Some(
                Body::read_from_bytes(reader.bytes(BODY_BYTES)?)
                    .expect("the reader gives the length asked for"),
            ),
        };
        Ok(Self {
            content,
            until,
            operator_count,
            operators,
            body,
        })
    }
}

impl RosterView {
    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.u64(self.height.0);
        out.u64(self.time.0);
        out.u32(self.operator_threshold);
        out.u32(self.next.0);
        out.count(self.participants.len());
        for participant in &self.participants {
            participant.encode(&mut out);
        }
        out.count(self.ledgers.len());
        for ledger in &self.ledgers {
            ledger.encode(&mut out);
        }
        out.flag(self.approvals.is_some());
        if let Some(approvals) = &self.approvals {
            out.count(approvals.len());
            for approval in approvals {
                approval.encode(&mut out);
            }
        }
        out
    }

    /// Reads what [`RosterView::to_bytes`] wrote; a view is a whole record.
    ///
    /// # Errors
    /// A cut or overlong record, a list that is too long, or a second spelling.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut view = Self {
            height: Height(reader.u64()?),
            time: TimeMs(reader.u64()?),
            operator_threshold: reader.u32()?,
            next: ParticipantId(reader.u32()?),
            participants: Vec::new(),
            ledgers: Vec::new(),
            approvals: None,
        };
        for _ in 0..count(&mut reader, ROSTER_PARTICIPANTS_MAX, "participants")? {
            view.participants.push(Participant::decode(&mut reader)?);
        }
        for _ in 0..count(&mut reader, LEDGERS_MAX, "ledgers")? {
            view.ledgers.push(LedgerView::decode(&mut reader)?);
        }
        if reader.flag("approvals")? {
            let approvals = (0..count(&mut reader, APPROVALS_MAX, "approvals")?)
                .map(|_| ApprovalView::decode(&mut reader));
            view.approvals = Some(approvals.collect::<Result<_, _>>()?);
        }
        reader.finish()?;
        Ok(view)
    }

    /// A participant.
    #[must_use]
    pub fn participant(&self, id: ParticipantId) -> Option<&Participant> {
        self.participants.iter().find(|one| one.id == id)
    }

    /// A ledger.
    #[must_use]
    pub fn ledger(&self, id: LedgerId) -> Option<&LedgerView> {
        self.ledgers.iter().find(|one| one.currency.id == id)
    }
}

const _: () = assert!(PARTICIPANT_BYTES == 237);
const _: () = assert!(
    ROSTER_PARTICIPANTS_MAX * PARTICIPANT_BYTES
        + LEDGERS_MAX * (25 + 17)
        + APPROVALS_MAX * (32 + 4 + 4 + 4 + 4 * APPROVERS_MAX + 1 + BODY_BYTES)
        + 64
        <= crate::limits::ANSWER_BYTES_MAX,
    "an answer has room for the largest view"
);

/// A view with one of everything, for tests of decoders.
#[cfg(test)]
pub(crate) fn sample() -> RosterView {
    use zerocopy::FromZeros;

    let key = KeyEntry {
        public_key: [5; 32],
        valid_from: Height(6),
        valid_to: Height(u64::MAX),
    };
    RosterView {
        height: Height(9),
        time: TimeMs(7),
        operator_threshold: 2,
        next: ParticipantId(4),
        participants: vec![Participant {
            id: ParticipantId(3),
            role: Role::Auditor,
            suspended: true,
            sponsor: ParticipantId(1),
            lei: *b"529900T8BM49AURSDO55",
            bic: *b"CWAYDEFF\0\0\0",
            keys: [Some(key), None, None, Some(key)],
        }],
        ledgers: [None, Some(1 << 70)]
            .map(|supply| LedgerView {
                currency: Currency {
                    id: LedgerId(978),
                    code: *b"EUR\0\0\0\0\0",
                    exponent: 2,
                    issuer: ParticipantId(1),
                    issuer_account: AccountId::new(ParticipantId(1), 1),
                },
                supply,
            })
            .to_vec(),
        approvals: Some(
            [None, Some(Body::new_zeroed())]
                .map(|body| ApprovalView {
                    content: Digest([8; 32]),
                    until: UnixSeconds(10),
                    operator_count: 70,
                    operators: vec![ParticipantId(1), ParticipantId(2)],
                    body,
                })
                .to_vec(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_decodes_to_itself_and_refuses_cuts_and_tails() {
        let mut without = sample();
        (without.approvals, without.next) = (None, ParticipantId(0));
        for view in [sample(), without] {
            let bytes = view.to_bytes();
            assert_eq!(RosterView::decode(&bytes), Ok(view));
            for len in 0..bytes.len() {
                assert!(RosterView::decode(&bytes[..len]).is_err(), "cut at {len}");
            }
            assert!(RosterView::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn things_are_found_by_their_numbers() {
        let view = sample();
        assert!(view.participant(ParticipantId(3)).is_some());
        assert!(view.participant(ParticipantId(4)).is_none());
        assert_eq!(view.ledger(LedgerId(978)).map(|one| one.supply), Some(None));
        assert!(view.ledger(LedgerId(1)).is_none());
    }
}
