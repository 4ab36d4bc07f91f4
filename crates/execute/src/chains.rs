//! Linked chains: where one begins and ends, and settling all of its members or none.
//!
//! Only flags and identifiers are signed, so execution trusts nobody's batching: a chain counts
//! only as a run of one signer's consecutive identifiers that starts at position 0, in which all
//! but the last are linked, within one batch. Anything else is broken as a whole and uses up no
//! identifier.

use clearway_types::code::{Outcome, OutcomeFlags, ResultCode};
use clearway_types::envelope::Envelope;
use clearway_types::limits::CHAIN_LEN_MAX;

/// Consecutive envelopes that stand or fall together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Group {
    /// Members; 1 for an envelope on its own.
    pub(crate) len: usize,
    /// Whether the rule of chains is broken.
    pub(crate) broken: bool,
}

/// The group that starts at the first of `envelopes`, the rest of a batch.
///
/// # Panics
/// When there are no envelopes.
pub(crate) fn group(envelopes: &[&Envelope]) -> Group {
    let len = envelopes
        .windows(2)
        .take_while(|pair| continues(pair[0], pair[1]))
        .count()
        .saturating_add(1);
    let (head, last) = (envelopes[0], envelopes[len.saturating_sub(1)]);
    let broken =
        head.body.id.chain_position() != 0 || last.body.flags().linked() || len > CHAIN_LEN_MAX;
    Group { len, broken }
}

/// Whether `next` is the member after `member`.
fn continues(member: &Envelope, next: &Envelope) -> bool {
    member.body.flags().linked()
        && member.body.signer == next.body.signer
        && member.body.id.chain_next() == Some(next.body.id)
}

/// The answers of a chain that failed, from what was found at each member (`None`: nothing).
///
/// Members without a failing of their own are answered `LinkedFailed`, with TRANSIENT when the
/// cause may pass, so that a chain is remembered as a whole or not at all.
pub(crate) fn failed(found: &[Option<Outcome>]) -> Vec<Outcome> {
    let may_pass = found
        .iter()
        .flatten()
        .any(|outcome| outcome.flags.0 & OutcomeFlags::TRANSIENT != 0);
    let mut linked = Outcome::new(ResultCode::LinkedFailed);
    if may_pass {
        linked.flags.0 |= OutcomeFlags::TRANSIENT;
    }
    found.iter().map(|own| own.unwrap_or(linked)).collect()
}
