//! Approvals of operators: a record applies once enough live operators signed the same content.
//!
//! The content is the body without what differs between two signers: identifier, signer, expiry and
//! flags. An approval waits for a day of cluster time; when too many wait, the oldest gives way.

use std::collections::{BTreeMap, BTreeSet};

use clearway_crypto::hash::sha256;
use clearway_types::domain::prefix;
use clearway_types::envelope::Body;
use clearway_types::limits::{APPROVAL_S, APPROVALS_MAX};
use clearway_types::units::{Digest, ParticipantId, TransferId};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use crate::tables::part;
use crate::tables::participants::{Participants, is_operator};

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

/// All approvals that wait for further operators.
#[derive(Clone, Default)]
pub(crate) struct Approvals {
    pub(crate) waiting: BTreeMap<Digest, Approval>,
}

impl Approvals {
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
        let mut operators = match self.waiting.remove(&content) {
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
            self.waiting.remove(&oldest);
        }
        let until = second.saturating_add(APPROVAL_S);
        let approval = Approval {
            until,
            operators,
            body: Some(*body),
        };
        self.waiting.insert(content, approval);
        false
    }

    /// Notes what is approved, which snapshots leave out.
    pub(crate) fn note_body(&mut self, body: &Body) {
        if let Some(approval) = self.waiting.get_mut(&content(body)) {
            approval.body = Some(*body);
        }
    }

    /// Forgets approvals whose time is over.
    pub(crate) fn forget(&mut self, second: u32) {
        if !self.waiting.is_empty() {
            self.waiting.retain(|_, approval| approval.until > second);
        }
    }

    /// Canonical bytes: in the state root and in snapshots.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for (content, approval) in &self.waiting {
            out.extend_from_slice(&content.0);
            out.extend_from_slice(&approval.until.to_le_bytes());
            let count = u32::try_from(approval.operators.len()).expect("operators are bounded");
            out.extend_from_slice(&count.to_le_bytes());
            for operator in &approval.operators {
                out.extend_from_slice(&operator.0.to_le_bytes());
            }
        }
    }

    /// Hash over all approvals.
    pub(crate) fn root(&self) -> Digest {
        let mut bytes = vec![prefix::STATE_PART, part::APPROVALS];
        self.encode(&mut bytes);
        sha256(&[&bytes])
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
