//! What a verification backend is: one implementation of the rule, for batches and for singles.

use std::any::Any;
use std::ops::AddAssign;

use clearway_types::domain::DomainTag;
use clearway_types::envelope::Envelope;
use clearway_types::wire::HINT_BYTES;
use zerocopy::IntoBytes;

use crate::search::{self, Anew};

/// One signature to check; everything lies where it was received.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Encoded key, 32 bytes.
    pub public_key: &'a [u8; 32],
    /// First part of the signed message: the domain tag, or nothing.
    pub prefix: &'a [u8],
    /// Second part of the signed message.
    pub message: &'a [u8],
    /// R, then S.
    pub signature: &'a [u8; 64],
    /// What [`crate::hint`] makes, from a party that knew it: a right one spares a square root, a
    /// wrong one is as good as none.
    pub hint: Option<&'a [u8; HINT_BYTES]>,
}

impl<'a> Item<'a> {
    /// The signature of an envelope in the cluster with this tag, under its signer's key.
    #[must_use]
    pub fn envelope(tag: &'a DomainTag, public_key: &'a [u8; 32], envelope: &'a Envelope) -> Self {
        Self {
            public_key,
            prefix: &tag.0,
            message: envelope.body.as_bytes(),
            signature: &envelope.signature,
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hinted(self, hint: &'a [u8; HINT_BYTES]) -> Self {
        Self {
            hint: Some(hint),
            ..self
        }
    }

    /// Bytes of the signed message.
    #[must_use]
    pub fn message_len(&self) -> usize {
        self.prefix.len() + self.message.len()
    }
}

/// What one batch equation says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchVerdict {
    /// Every signature is valid (or a 128-bit random number was guessed).
    AllValid,
    /// At least one is not; the equation does not say which.
    SomeInvalid,
}

/// What verdicts cost, in signatures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Work {
    /// Signatures that went through batch equations, each time counted.
    pub batched: usize,
    /// Those of them whose hint was right, and used.
    pub hints_right: usize,
    /// Those of them whose hint was wrong.
    pub hints_wrong: usize,
    /// Signatures that were verified on their own.
    pub single: usize,
    /// Those of them whose verdict [`Backend::fallback`] gave.
    pub fallback: usize,
}

impl AddAssign for Work {
    fn add_assign(&mut self, more: Self) {
        self.batched += more.batched;
        self.hints_right += more.hints_right;
        self.hints_wrong += more.hints_wrong;
        self.single += more.single;
        self.fallback += more.fallback;
    }
}

/// One implementation of [`crate::rule`].
///
/// All methods give the rule's verdict on every input: stricter or laxer would split a cluster.
/// The suite in [`crate::suite`] says what an implementation must pass.
pub trait Backend: Send + Sync {
    /// Its name in configurations, metrics and reports.
    fn name(&self) -> &'static str;

    /// Signatures that it works on side by side; the suite tests lengths around it.
    fn lanes(&self) -> usize;

    /// Whether one equation over these items is cheaper than one verdict each.
    fn batch_pays(&self, items: &[Item<'_>]) -> bool;

    /// What a search may spend on equations after the first, in passes over the whole batch, each
    /// of which halves every part once: as much as single verdicts on everything cost. A search
    /// that needs more has lost.
    fn search_passes_max(&self) -> usize;

    /// A search of a batch with one invalid signature in this many, or fewer, costs less than
    /// smaller batches and single verdicts do: a source that sends no more of them needs no
    /// caution.
    fn search_pays_from(&self) -> usize {
        usize::MAX
    }

    /// One equation over all items; no items are all valid.
    ///
    /// Coefficients are 128 bits from a CSPRNG that a submitter cannot predict, so that invalid
    /// signatures made to cancel each other do not. What it does with hints goes into `work`.
    fn verify_batch(&self, items: &[Item<'_>], work: &mut Work) -> BatchVerdict;

    /// One verdict an item by equations, where [`Backend::batch_pays`]: one over all, and where it
    /// fails, more of them over parts. Nothing when all are valid.
    fn verify_together(&self, items: &[Item<'_>], work: &mut Work) -> Option<Vec<bool>> {
        work.batched += items.len();
        if self.verify_batch(items, work) == BatchVerdict::AllValid {
            return None;
        }
        let mut valid = vec![true; items.len()];
        let backend = self;
        search::find(
            backend,
            items,
            &mut Anew { backend, items },
            &mut valid,
            work,
        );
        Some(valid)
    }

    /// One verdict an item, written to the same place in `valid`. Verdicts that the fallback gave
    /// are counted in `work`.
    ///
    /// # Panics
    /// When the two slices differ in length.
    fn verify_each(&self, items: &[Item<'_>], valid: &mut [bool], work: &mut Work);

    /// The backend that answers where this one cannot, or is not believed.
    fn fallback(&self) -> Option<&'static str> {
        None
    }

    /// Itself as its own type, where that counts more than [`Work`] does, for who shows it.
    fn own_type(&self) -> Option<&dyn Any> {
        None
    }
}
