//! The tables of the state: each a file, and nothing in it knows of what stands above.

pub(crate) mod accounts;
pub(crate) mod approvals;
pub(crate) mod currencies;
pub(crate) mod debit_limits;
pub(crate) mod holds;
pub(crate) mod ids;
pub(crate) mod part;
pub(crate) mod participants;
pub(crate) mod slots;
