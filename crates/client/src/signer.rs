//! Turns drafts into signed envelopes and chains.

use std::sync::Arc;
use std::time::Duration;

use clearway_types::domain::DomainTag;
use clearway_types::envelope::Envelope;
use clearway_types::flags::Flags;
use clearway_types::kind::Kind;
use clearway_types::limits::{CHAIN_LEN_MAX, TTL_S_DEFAULT};
use clearway_types::units::{Digest, TimeMs, TransferId, UnixSeconds};
use zerocopy::little_endian::{U16, U32};

use crate::draft::Draft;
use crate::error::ClientError;
use crate::identity::Identity;
use crate::ids::IdMaker;
use crate::time::ClusterTime;

/// Signs for one participant on one cluster; cheap to clone, usable from many threads.
#[derive(Clone, Debug)]
pub struct Signer {
    identity: Identity,
    tag: DomainTag,
    ttl: Duration,
    ids: Arc<IdMaker>,
    time: ClusterTime,
}

impl Signer {
    /// A signer for the cluster with this genesis hash.
    ///
    /// Envelopes live half of the default MAX_TTL: the clocks of member and cluster may differ.
    /// They end by this machine's clock unless [`Signer::with_time`] says otherwise.
    ///
    /// # Errors
    /// When the operating system gives no randomness for identifiers.
    pub fn new(identity: Identity, genesis: Digest) -> Result<Self, ClientError> {
        Ok(Self {
            identity,
            tag: DomainTag::new(genesis),
            ttl: Duration::from_secs(u64::from(TTL_S_DEFAULT) / 2),
            ids: Arc::new(IdMaker::new()?),
            time: ClusterTime::default(),
        })
    }

    /// The same signer, whose envelopes end by the cluster time that a client has learnt
    /// ([`crate::Client::time`]) instead of by this machine's clock.
    #[must_use]
    pub fn with_time(mut self, time: ClusterTime) -> Self {
        self.time = time;
        self
    }

    /// The same signer with another life span of its envelopes; stay below the cluster's MAX_TTL.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The same signer with identifiers from another maker.
    #[must_use]
    pub fn with_ids(mut self, ids: Arc<IdMaker>) -> Self {
        self.ids = ids;
        self
    }

    /// Who signs.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The cluster's tag.
    #[must_use]
    pub fn tag(&self) -> DomainTag {
        self.tag
    }

    /// Signs with a fresh identifier.
    #[must_use]
    pub fn sign(&self, draft: Draft) -> Envelope {
        let now = self.time.now();
        self.sign_as(draft, self.ids.make(now), self.expiry(now))
    }

    /// Signs with this identifier, which must be one that this signer has used for nothing else,
    /// with chain position 0.
    #[must_use]
    pub fn sign_with_id(&self, draft: Draft, id: TransferId) -> Envelope {
        self.sign_as(draft, id, self.expiry(self.time.now()))
    }

    /// Signs with this identifier and expiry: the same draft gives the same 192 bytes.
    #[must_use]
    pub fn sign_as(&self, draft: Draft, id: TransferId, expires_at: UnixSeconds) -> Envelope {
        self.seal(draft, id, expires_at, false)
    }

    /// Signs a chain: all of it settles, or none. Order is kept.
    ///
    /// # Errors
    /// [`ClientError::Chain`] for no members, too many, or one that moves no money.
    pub fn sign_chain(&self, drafts: &[Draft]) -> Result<Vec<Envelope>, ClientError> {
        let may = |draft: &Draft| Kind::from_u8(draft.body().kind).is_some_and(Kind::may_link);
        if drafts.is_empty() || drafts.len() > CHAIN_LEN_MAX || !drafts.iter().all(may) {
            let len = drafts.len();
            return Err(ClientError::Chain { len });
        }
        let now = self.time.now();
        let expires_at = self.expiry(now);
        let mut id = self.ids.make(now);
        let mut chain = Vec::with_capacity(drafts.len());
        for (position, draft) in drafts.iter().enumerate() {
            if position > 0 {
                id = id.chain_next().expect("a chain is far shorter than 256");
            }
            let linked = position + 1 < drafts.len();
            chain.push(self.seal(*draft, id, expires_at, linked));
        }
        Ok(chain)
    }

    fn expiry(&self, now: TimeMs) -> UnixSeconds {
        let ttl_ms = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        TimeMs(now.0.saturating_add(ttl_ms)).seconds()
    }

    fn seal(&self, draft: Draft, id: TransferId, expires: UnixSeconds, linked: bool) -> Envelope {
        let mut body = *draft.body();
        body.id = id;
        body.signer = U32::new(self.identity.participant().0);
        body.expires_at = U32::new(expires.0);
        body.flags = U16::new(Flags::new(self.identity.slot(), linked).0);
        self.identity.key().sign_envelope(self.tag, body)
    }
}

#[cfg(test)]
mod tests {
    use clearway_types::account::Role;
    use clearway_types::amount::Amount;
    use clearway_types::units::{AccountId, LedgerId, ParticipantId};

    use super::*;

    fn signer(slot: u8) -> Signer {
        let bank = Identity::from_seed(&[5; 32], ParticipantId(7), slot);
        Signer::new(bank, Digest([1; 32])).unwrap()
    }

    fn draft() -> Draft {
        let account = |owner| AccountId::new(ParticipantId(owner), 1);
        Draft::transfer(account(7), account(8), Amount::new(5, LedgerId(1)))
    }

    #[test]
    fn the_signature_covers_tag_and_body_and_names_the_slot() {
        let signer = signer(2);
        let envelope = signer.sign(draft());
        let signed = DomainTag::new(Digest([1; 32])).signed_bytes(&envelope.body);
        let key = signer.identity().key().verifying_key();
        assert!(key.verify(&signed, &envelope.signature));
        assert_eq!(envelope.body.flags().key_slot(), 2);
        assert_eq!(envelope.body.signer(), ParticipantId(7));
        let other = DomainTag::new(Digest([2; 32])).signed_bytes(&envelope.body);
        assert!(!key.verify(&other, &envelope.signature));
    }

    #[test]
    fn chains_have_consecutive_ids_and_end_closed() {
        let chain = signer(0).sign_chain(&[draft(); 3]).unwrap();
        let head = chain[0].body.id;
        for (position, envelope) in chain.iter().enumerate() {
            let id = envelope.body.id;
            assert_eq!(usize::from(id.chain_position()), position);
            assert_eq!(id.0[..15], head.0[..15]);
            assert_eq!(envelope.body.flags().linked(), position < 2);
        }
    }

    #[test]
    fn chains_that_cannot_settle_are_refused_before_they_are_signed() {
        let control = Draft::participant_set(ParticipantId(1), Role::Member, false);
        let rows = [
            vec![],
            vec![draft(); CHAIN_LEN_MAX + 1],
            vec![draft(), control],
        ];
        for drafts in rows {
            let len = drafts.len();
            let refused = signer(0).sign_chain(&drafts).expect_err("refused");
            assert!(matches!(refused, ClientError::Chain { len: found } if found == len));
        }
    }

    #[test]
    fn the_same_draft_id_and_expiry_give_the_same_bytes() {
        let sign = || signer(0).sign_as(draft(), TransferId([3; 16]), UnixSeconds(9));
        assert!(sign() == sign());
    }
}
