//! Our own verification: several signatures side by side in the lanes of a vector unit.
//!
//! The engine is written once, over the traits [`field::Field`] and [`sha512::Words`]; a vector
//! unit brings an implementation of both and a token that proves its detection: `avx2` with four
//! lanes, `ifma8` with eight. `unit` puts one behind functions and [`UNITS`] lists them. `limbs` is
//! the radix 2^51 of floats and `plain` the twin of `avx2` in plain integers; `decompress`, `hint`,
//! `point`, `affine` and `scalar` are the curve; `pippenger` (with `digits`) and `straus` sum many
//! and few points, `terms` chooses between them, `comb` sums those whose multiples are in tables;
//! `signature` takes apart what is verified; `batch` is the one way to a verdict, with `halving`
//! where it fails, `single` and `known` the other; `keys` remembers decoded keys and combs;
//! `backend` puts it behind the gate;
//! `ranges` says whether kernels check the range of every limb.

mod affine;
pub(crate) mod backend;
mod batch;
mod comb;
mod decompress;
mod digits;
mod field;
mod halving;
mod hint;
mod keys;
mod known;
mod limbs;
mod pippenger;
mod point;
pub(crate) mod ranges;
mod scalar;
pub(crate) mod sha512;
mod signature;
mod single;
mod straus;
mod terms;
mod unit;

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod ifma8;

#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod field_tests;
#[cfg(all(test, target_arch = "x86_64"))]
mod ifma8_tests;
#[cfg(test)]
mod plain;

use self::unit::Unit;
use crate::backend::{Backend, Item};
use crate::hash::Hasher;

/// Every vector unit of this architecture that is supported, the wider ones last. A new one is a
/// folder beside this file and its line here.
const UNITS: &[Unit] = &[
    #[cfg(target_arch = "x86_64")]
    avx2::UNIT,
    #[cfg(target_arch = "x86_64")]
    ifma8::UNIT,
];

/// The name of every unit of this architecture, whether this machine has it or not.
#[cfg(test)]
pub(crate) fn unit_names() -> impl Iterator<Item = &'static str> {
    UNITS.iter().map(|unit| unit.name)
}

/// The vector backends of this machine, slower ones first.
#[must_use]
pub(crate) fn backends() -> Vec<Box<dyn Backend>> {
    UNITS.iter().filter_map(|unit| (unit.backend)()).collect()
}

/// A hint for each encoded R, by the widest unit of this machine; none where it has none.
#[must_use]
pub(crate) fn hints(encodings: &[[u8; 32]]) -> Option<Vec<[u8; 32]>> {
    let mut widest_first = UNITS.iter().rev();
    widest_first.find_map(|unit| (unit.hints)(encodings))
}

/// The challenge of each item by the widest unit of this machine, and the unit's name; none where
/// it has none.
#[must_use]
pub(crate) fn challenges(items: &[Item<'_>]) -> Option<(&'static str, Vec<[u64; 8]>)> {
    let mut widest_first = UNITS.iter().rev();
    widest_first.find_map(|unit| Some((unit.name, (unit.challenges)(items)?)))
}

/// The challenge of one item by this hasher.
#[must_use]
pub(crate) fn challenge_by(hasher: Hasher, item: &Item<'_>) -> [u64; 8] {
    sha512::hash_one_by(hasher, &signature::parts(item))
}
