//! One file a command.

pub(crate) mod account;
pub(crate) mod approvals;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod confirm;
pub(crate) mod connect;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod earlier;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod load_worker;
pub(crate) mod log;
pub(crate) mod lookup;
pub(crate) mod member;
pub(crate) mod node;
pub(crate) mod outbox;
pub(crate) mod pay;
pub(crate) mod replay;
pub(crate) mod resend;
pub(crate) mod roster;
pub(crate) mod send;
pub(crate) mod trial;
pub(crate) mod verify;
