//! The proofs: the validity rule, the gate and its backends, Merkle trees, certificates, keys.
//!
//! # In
//! Bytes, keys and digests that others hold; nothing is fetched.
//! # Out
//! Verdicts ([`gate::Verdicts`]), digests ([`hash`]), roots and paths ([`merkle`]), signatures
//! ([`keys`], [`certificate`], [`validators`]).
//! # Never
//! Accepts or refuses a signature otherwise than [`rule`] says; draws coefficients or keys from
//! anything but the operating system's randomness; shares a verdict with another machine.
//! # Limits
//! A batch is what its caller brings (`verify` bounds it); a search for invalid signatures costs at
//! most [`backend::Backend::search_passes_max`] passes and two verdicts each.
//! # Cost
//! An envelope: five SHA-256 blocks (about 0.17 us) and its part of a batch equation (9 us with
//! the portable backend, 2.5 us with `avx2`, 1.5 us with a [`hint`]; 32 keys, batches of 8,192), or
//! 3.2 us where one of the 8,192 is invalid. A verdict of its own: 48 us, and 6 us under a known
//! key. A Merkle leaf: one node, 0.06 us. `clearway bench verify` and `clearway bench hash` measure
//! them.

pub mod backend;
pub mod certificate;
pub mod challenge;
pub mod fuzz;
pub mod gate;
pub mod hash;
pub mod hint;
pub mod keys;
pub mod merkle;
pub mod near_miss;
mod portable;
pub mod rule;
mod search;
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "no vector unit of this machine is supported yet")
)]
mod simd;
pub mod suite;
pub mod validators;
pub mod wide;

pub use simd::ranges::check_ranges;
