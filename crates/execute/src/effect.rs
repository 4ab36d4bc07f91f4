//! What an applied envelope leaves with identifiers beyond its result, so that it can be returned.

use clearway_types::units::{AccountId, ParticipantId, TransferId};

/// A function of body and result alone: execution and the log give the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// Nothing.
    Nothing,
    /// A payment that a RETURN may name by its identifier.
    Paid(Paid),
    /// A sum given back of a payment, if that is kept with its identifier.
    GivesBack(GivesBack),
}

/// A payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Paid {
    pub(crate) debit: AccountId,
    pub(crate) credit: AccountId,
    pub(crate) amount: u64,
}

/// A sum given back, and what names the payment that it is given back of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GivesBack {
    pub(crate) payer: ParticipantId,
    pub(crate) id: TransferId,
    pub(crate) amount: u64,
}
