//! What can be said about a frame's envelopes before any signature is checked.

use std::ops::Range;

use clearway_types::code::ResultCode;
use clearway_types::directory::KeyDirectory;
use clearway_types::envelope::{Body, Envelope};
use clearway_types::limits::CHAIN_LEN_MAX;
use clearway_types::units::{ParticipantId, TimeMs};

/// Where one envelope stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate<'d> {
    /// Its signature is to be checked under this key.
    Open(&'d [u8; 32]),
    /// It is answered with this code.
    Refused(ResultCode),
    /// The same bytes are in flight and will be answered for both.
    Joined,
}

/// A frame after triage: one fate per envelope.
#[derive(Debug)]
pub(crate) struct Triage<'d> {
    pub(crate) fates: Vec<Fate<'d>>,
    /// Linked chains that are whole, as ranges of indexes, ascending.
    pub(crate) chains: Vec<Range<usize>>,
}

impl<'d> Triage<'d> {
    /// Looks at each envelope on its own, then at the chains.
    pub(crate) fn new(envelopes: &[Envelope], directory: &'d KeyDirectory, now: TimeMs) -> Self {
        let mut keys = Keys {
            directory,
            last: None,
        };
        let fates = envelopes
            .iter()
            .map(|envelope| match check(&envelope.body, &mut keys, now) {
                Ok(key) => Fate::Open(key),
                Err(code) => Fate::Refused(code),
            });
        let mut triage = Self {
            fates: fates.collect(),
            chains: Vec::new(),
        };
        triage.link(envelopes);
        triage
    }

    /// Refuses the rest of each chain of which a member is refused.
    pub(crate) fn spread_refusals(&mut self) {
        for chain in &self.chains {
            let fates = &mut self.fates[chain.clone()];
            if fates.iter().any(|fate| matches!(fate, Fate::Refused(_))) {
                refuse_open(fates, ResultCode::LinkedFailed);
            }
        }
    }

    /// Finds the chains, refuses broken ones and the rest of those with a refused member.
    fn link(&mut self, envelopes: &[Envelope]) {
        let mut start = 0;
        while start < envelopes.len() {
            let chain = chain_from(envelopes, start);
            start = chain.end;
            let members = &envelopes[chain.clone()];
            if members.len() == 1 && lone(&members[0].body) {
                continue;
            }
            if whole(members) {
                self.chains.push(chain);
            } else {
                refuse_open(&mut self.fates[chain], ResultCode::ChainBroken);
            }
        }
        self.spread_refusals();
    }
}

/// Finds keys; envelopes of a frame mostly have the signer of the one before.
struct Keys<'d> {
    directory: &'d KeyDirectory,
    last: Option<(ParticipantId, usize, &'d [u8; 32])>,
}

impl<'d> Keys<'d> {
    fn find(&mut self, signer: ParticipantId, slot: usize) -> Result<&'d [u8; 32], ResultCode> {
        if let Some((last_signer, last_slot, key)) = self.last
            && (last_signer, last_slot) == (signer, slot)
        {
            return Ok(key);
        }
        let slots = self.directory.participants.get(&signer);
        let slots = slots.ok_or(ResultCode::SignerUnknown)?;
        let entry = slots[slot].as_ref().ok_or(ResultCode::KeySlotEmpty)?;
        self.last = Some((signer, slot, &entry.public_key));
        Ok(&entry.public_key)
    }
}

/// The cheap checks in the order of their codes; the rest of the codes needs the ledger.
fn check<'d>(body: &Body, keys: &mut Keys<'d>, now: TimeMs) -> Result<&'d [u8; 32], ResultCode> {
    body.check_header()?;
    let key = keys.find(body.signer(), body.flags().key_slot())?;
    match now.seconds() >= body.expires_at() {
        true => Err(ResultCode::Expired),
        false => Ok(key),
    }
}

/// From `start` up to and including the first envelope that is not linked to its next.
fn chain_from(envelopes: &[Envelope], start: usize) -> Range<usize> {
    let linked = |envelope: &Envelope| envelope.body.flags().linked();
    let open = envelopes[start..].iter().take_while(|e| linked(e)).count();
    start..(start + open + 1).min(envelopes.len())
}

/// Whether an envelope stands alone: linked to nothing, and not a later member of a chain.
pub(crate) fn lone(body: &Body) -> bool {
    !body.flags().linked() && body.id.chain_position() == 0
}

/// Whether these are one chain: one signer, consecutive ids from position 0, closed, not too long.
fn whole(members: &[Envelope]) -> bool {
    let closed = members.last().is_some_and(|e| !e.body.flags().linked());
    let from_head = members[0].body.id.chain_position() == 0;
    let consecutive = members.windows(2).all(|pair| {
        let [before, after] = [&pair[0].body, &pair[1].body];
        before.signer == after.signer && before.id.chain_next() == Some(after.id)
    });
    closed && from_head && consecutive && members.len() <= CHAIN_LEN_MAX
}

fn refuse_open(fates: &mut [Fate<'_>], code: ResultCode) {
    for fate in fates {
        if matches!(fate, Fate::Open(_)) {
            *fate = Fate::Refused(code);
        }
    }
}
