//! Approvals of operators: a record applies once enough live operators signed the same content.
//!
//! The content is the body without what differs between two signers: identifier, signer, expiry and
//! flags. An approval waits for a day of cluster time; when too many wait, the oldest gives way.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use clearway_crypto::hash::sha256;
use clearway_types::codec::Writer;
use clearway_types::domain::prefix;
use clearway_types::envelope::Body;
use clearway_types::limits::{APPROVAL_S, APPROVALS_MAX, PARTICIPANTS_MAX};
use clearway_types::units::{Digest, ParticipantId, TransferId};
#[cfg(test)]
use zerocopy::FromZeros;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use crate::clock::Clock;
use crate::error::ExecuteError;
use crate::tables::codec::{Sink, Source};
use crate::tables::participants::{Participants, is_operator};
use crate::tables::undo::Undo;
use crate::tables::{Table, part};

/// Operators who approved one content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Approval {
    /// The second from which it does not count any more.
    pub(crate) until: u32,
    pub(crate) operators: BTreeSet<ParticipantId>,
    /// The body that was approved last, to be shown; not part of the state. A state that was read
    /// from a snapshot has it only where the end of the log has it.
    pub(crate) body: Option<Body>,
}

impl Approval {
    /// Canonical bytes: in the state root and in snapshots.
    fn encode(&self, content: &Digest, out: &mut Vec<u8>) {
        out.digest(*content);
        out.u32(self.until);
        out.count(self.operators.len());
        for operator in &self.operators {
            out.u32(operator.0);
        }
    }

    /// Reads what [`Approval::encode`] wrote after the content.
    fn read(from: &mut Source<'_>) -> Result<Self, ExecuteError> {
        let until = from.u32()?;
        let mut operators = BTreeSet::new();
        let count = from.u32()? as usize;
        if count > PARTICIPANTS_MAX {
            return Err(ExecuteError::Snapshot { field: "operators" });
        }
        for _ in 0..count {
            operators.insert(ParticipantId(from.u32()?));
        }
        Ok(Self {
            until,
            operators,
            body: None,
        })
    }
}

/// All approvals that wait for further operators.
#[derive(Default)]
pub(crate) struct Approvals {
    waiting: BTreeMap<Digest, Approval>,
    /// What waited before each change of the linked chain under way.
    undo: Undo<(Digest, Option<Approval>)>,
}

impl Approvals {
    /// All approvals, by their content.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Digest, &Approval)> {
        self.waiting.iter()
    }

    /// Records the signer's approval; whether `threshold` live operators approve by now.
    ///
    /// An approval that reaches the threshold waits no longer.
    pub(crate) fn approve(
        &mut self,
        body: &Body,
        participants: &Participants,
        threshold: u32,
        second: u32,
    ) -> bool {
        let content = content(body);
        let mut operators = match self.put(content, None) {
            Some(approval) if approval.until > second => approval.operators,
            _ => BTreeSet::new(),
        };
        operators.insert(body.signer());
        let is_live = |id: &&ParticipantId| participants.get(**id).is_some_and(is_operator);
        if operators.iter().filter(is_live).count() >= threshold as usize {
            return true;
        }
        while self.waiting.len() >= APPROVALS_MAX {
            let oldest = self
                .waiting
                .iter()
                .min_by_key(|(key, one)| (one.until, **key));
            let oldest = *oldest.expect("there are APPROVALS_MAX").0;
            self.put(oldest, None);
        }
        let until = second.saturating_add(APPROVAL_S);
        let approval = Approval {
            until,
            operators,
            body: Some(*body),
        };
        self.put(content, Some(approval));
        false
    }

    /// Notes what is approved, which snapshots leave out.
    pub(crate) fn note_body(&mut self, body: &Body) {
        if let Some(approval) = self.waiting.get_mut(&content(body)) {
            approval.body = Some(*body);
        }
    }

    /// Puts or takes away what waits for one content; what waited before.
    fn put(&mut self, content: Digest, new: Option<Approval>) -> Option<Approval> {
        let old = match new {
            Some(approval) => self.waiting.insert(content, approval),
            None => self.waiting.remove(&content),
        };
        self.undo.note(|| (content, old.clone()));
        old
    }
}

impl Table for Approvals {
    const PART: u8 = part::APPROVALS;

    type Frozen = BTreeMap<Digest, Approval>;

    #[cfg(test)]
    const CHANGES: &'static [fn(&mut Self)] = &[
        |approvals| approvals.approve_sample(1, 2),
        |approvals| approvals.approve_sample(2, 2),
        |approvals| approvals.approve_sample(1, 0),
    ];

    fn empty(_: Clock) -> Self {
        Self::default()
    }

    fn begin(&mut self) {
        self.undo.begin();
    }

    fn commit(&mut self) {
        self.undo.commit();
    }

    fn roll_back(&mut self) {
        for (content, old) in self.undo.take() {
            self.put(content, old);
        }
    }

    /// Forgets approvals whose time is over.
    fn forget(&mut self, second: u32) {
        if !self.waiting.is_empty() {
            self.waiting.retain(|_, approval| approval.until > second);
        }
    }

    fn root(&mut self) -> Option<Digest> {
        let mut bytes = vec![prefix::STATE_PART, part::APPROVALS];
        for (content, approval) in &self.waiting {
            approval.encode(content, &mut bytes);
        }
        (!self.waiting.is_empty()).then(|| sha256(&[&bytes]))
    }

    fn freeze(&self) -> Option<Self::Frozen> {
        (!self.waiting.is_empty()).then(|| self.waiting.clone())
    }

    fn write(frozen: &Self::Frozen, to: &mut Sink<'_>) -> io::Result<()> {
        to.count(frozen.len())?;
        for (content, approval) in frozen {
            to.put_with(|out| approval.encode(content, out))?;
        }
        Ok(())
    }

    fn read(from: &mut Source<'_>) -> Result<Self, ExecuteError> {
        let mut approvals = Self::default();
        for _ in 0..from.count(APPROVALS_MAX, "approvals")? {
            let content = Digest(from.array()?);
            approvals.waiting.insert(content, Approval::read(from)?);
        }
        Ok(approvals)
    }

    #[cfg(test)]
    fn hidden(&self) -> String {
        let bodies = self.waiting.values().map(|approval| approval.body);
        format!("{:?}", bodies.collect::<Vec<_>>())
    }
}

#[cfg(test)]
impl Approvals {
    /// Participant `number` approves a content of that number.
    fn approve_sample(&mut self, number: u8, threshold: u32) {
        let mut body = Body::new_zeroed();
        (body.fields[0], body.signer) = (number, U32::new(number.into()));
        self.approve(&body, &Participants::empty(Clock::ZERO), threshold, 1);
    }
}

/// What operators approve: SHA-256 of the body without identifier, signer, expiry and flags.
fn content(body: &Body) -> Digest {
    let mut content = *body;
    content.id = TransferId::ZERO;
    content.signer = U32::ZERO;
    content.expires_at = U32::ZERO;
    content.flags = U16::ZERO;
    sha256(&[content.as_bytes()])
}
