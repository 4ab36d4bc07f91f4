//! Numbers of the parts of the state root. Each has its place there, in use or not, and a part with
//! nothing in it counts as zero: so a table that is added later changes no older root.
//!
//! Given are 1 to 7; 8 to 11 are for objects, 12 to 15 for contracts and links, 16 to 27 for
//! clearing, 28 to 31 for validators and protocol versions. A number is never given again.

/// Accounts.
pub(crate) const ACCOUNTS: u8 = 1;
/// Holds.
pub(crate) const HOLDS: u8 = 2;
/// Live identifiers.
pub(crate) const IDS: u8 = 3;
/// Participants and directory versions.
pub(crate) const DIRECTORY: u8 = 4;
/// Net debit limits.
pub(crate) const LIMITS: u8 = 5;
/// Currencies and assets.
pub(crate) const LEDGERS: u8 = 6;
/// Approvals.
pub(crate) const APPROVALS: u8 = 7;
/// The highest number.
pub(crate) const MAX: u8 = 31;
