//! Numbers of the parts of the state root, second byte hashed of each.

pub(crate) const HOLDS: u8 = 2;
pub(crate) const IDS: u8 = 3;
pub(crate) const DIRECTORY: u8 = 4;
pub(crate) const LIMITS: u8 = 5;
pub(crate) const LEDGERS: u8 = 6;
pub(crate) const APPROVALS: u8 = 7;
