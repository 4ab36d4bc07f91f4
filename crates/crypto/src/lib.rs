//! The proofs: the validity rule, the gate and its backends, Merkle trees, certificates, keys.

pub mod certificate;
pub mod hash;
pub mod keys;
pub mod merkle;
