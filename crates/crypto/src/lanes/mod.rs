//! Our own verification: several signatures side by side in the lanes of a vector unit.
//!
//! The engine is written once, over the traits [`field::Field`] and [`sha512::Words`]; a vector
//! unit brings an implementation of both and a token that proves its detection: `avx2` with four
//! lanes, `ifma8` with eight. `limbs` is the radix 2^51 of floats and `plain` the twin of `avx2` in
//! plain integers; `decompress`, `hint`, `point`, `affine` and `scalar` are the curve;
//! `pippenger` (with `digits`) and `straus` sum many and few points, `terms` chooses between them,
//! `comb` sums those whose multiples are in tables; `signature` takes apart what is verified;
//! `batch` is the one way to a verdict, with `halving` where it fails, `single` and `known` the
//! other; `keys` remembers decoded keys and combs; `backend` puts it behind the gate.

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
mod scalar;
mod sha512;
mod signature;
mod single;
mod straus;
mod terms;

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

use crate::backend::{Backend, Item};

/// The lane backends of this machine, slower ones first.
#[must_use]
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(unused_mut, reason = "no vector unit of this machine is supported yet")
)]
pub(crate) fn backends() -> Vec<Box<dyn Backend>> {
    let mut backends: Vec<Box<dyn Backend>> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    if let Some(token) = avx2::Token::new() {
        type Avx2 = backend::Lanes<avx2::field::Field4, avx2::words::Words4, 4>;
        backends.push(Box::new(Avx2::new("avx2", token, 192)));
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(token) = ifma8::Token::new() {
        use ifma8::{field::Field8, unit::Register, words::Words8};
        type Ifma8 = backend::Lanes<Field8<Register>, Words8<Register>, 8>;
        backends.push(Box::new(Ifma8::new("ifma8", token, 352)));
    }
    backends
}

/// A hint for each encoded R, by the widest unit of this machine; none where it has none.
#[must_use]
pub(crate) fn hints(encodings: &[[u8; 32]]) -> Option<Vec<[u8; 32]>> {
    #[cfg(target_arch = "x86_64")]
    if let Some(token) = ifma8::Token::new() {
        type Field = ifma8::field::Field8<ifma8::unit::Register>;
        return Some(hint::make::<Field, 8>(token, encodings));
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(token) = avx2::Token::new() {
        return Some(hint::make::<avx2::field::Field4, 4>(token, encodings));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = encodings;
    None
}

/// The challenge of each item by the widest unit of this machine, and the unit's name; none where
/// it has none.
#[must_use]
pub(crate) fn challenges(items: &[Item<'_>]) -> Option<(&'static str, Vec<[u64; 8]>)> {
    #[cfg(target_arch = "x86_64")]
    let mut hashes = Vec::with_capacity(items.len());
    #[cfg(target_arch = "x86_64")]
    if let Some(token) = ifma8::Token::new() {
        type Words = ifma8::words::Words8<ifma8::unit::Register>;
        signature::challenges::<Words, 8>(token, items, &mut hashes);
        return Some(("ifma8", hashes));
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(token) = avx2::Token::new() {
        signature::challenges::<avx2::words::Words4, 4>(token, items, &mut hashes);
        return Some(("avx2", hashes));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = items;
    None
}

/// The challenge of one item by the general hasher.
#[must_use]
pub(crate) fn challenge(item: &Item<'_>) -> [u64; 8] {
    sha512::hash_one(&signature::parts(item))
}

/// An entry of a chunk for each lane; a short chunk repeats its last.
#[inline(always)]
fn spread<T, const LANES: usize>(chunk: &[T]) -> [&T; LANES] {
    std::array::from_fn(|lane| &chunk[lane.min(chunk.len() - 1)])
}
