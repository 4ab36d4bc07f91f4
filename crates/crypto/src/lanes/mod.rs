//! Our own verification: several signatures side by side in the lanes of a vector unit.
//!
//! The engine is written once, over the traits [`field::Field`] and [`sha512::Words`]; a vector
//! unit brings an implementation of both and a token that proves its detection. `limbs` is
//! the radix 2^51 that `avx2` works in and `plain` the twin of its kernels in plain integers;
//! `decompress`, `point` and `scalar` are the curve;
//! `pippenger` and `straus` sum many and few points; `batch` and `single` are the two ways to a
//! verdict; `keys` remembers decoded keys; `backend` puts it behind the gate.

pub(crate) mod backend;
mod batch;
mod decompress;
mod field;
mod keys;
mod limbs;
mod pippenger;
mod point;
mod scalar;
mod sha512;
mod single;
mod straus;

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;

#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod field_tests;
#[cfg(test)]
mod plain;

use crate::backend::Backend;

/// The lane backends of this machine, slower ones first.
#[must_use]
pub(crate) fn backends() -> Vec<Box<dyn Backend>> {
    let mut backends: Vec<Box<dyn Backend>> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    if let Some(token) = avx2::Token::new() {
        type Avx2 = backend::Lanes<avx2::field::Field4, avx2::words::Words4, 4>;
        backends.push(Box::new(Avx2::new("avx2", token)));
    }
    backends
}
