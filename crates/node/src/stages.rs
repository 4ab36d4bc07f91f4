//! The bodies of the stage threads: take from a link, call the stage, fill the next link.

pub(crate) mod execute;
pub(crate) mod order;
pub(crate) mod receipts;
pub(crate) mod store;
pub(crate) mod verify;
