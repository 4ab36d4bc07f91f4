//! The ledger from outside: every kind and code, and whole workloads against an independent oracle.

mod authority;
mod chains;
mod holds;
mod identity;
mod keys;
mod kinds;
mod kinds_control;
mod limits;
mod lockout;
mod oracle;
mod oracle_control;
mod oracle_kinds;
mod restore;
mod stage;
mod supply;
mod support;
mod table;
mod workload;
