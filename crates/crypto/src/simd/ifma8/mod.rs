//! The vector engine on AVX-512 with IFMA: eight lanes.
//!
//! `unit` is what the engine needs of the registers, and the only file with instructions; `field`
//! and `words` are written over it without any. `emulated` is the same unit in plain Rust, which
//! checks every operand, so that everything above the instructions is tested on every machine.

pub(crate) mod field;
mod token;
pub(crate) mod unit;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod emulated;

use self::field::Field8;
pub(crate) use self::token::Token;
use self::unit::Register;
use self::words::Words8;
use super::backend::BatchLenMin;
use super::unit::{Unit, VectorUnit};

/// Its line in the list of units.
pub(super) const UNIT: Unit = Unit::of::<Ifma8, 8>();

struct Ifma8;

impl VectorUnit<8> for Ifma8 {
    const NAME: &'static str = "ifma8";
    const BATCH_LEN_MIN: BatchLenMin = BatchLenMin {
        plain: 352,
        hinted: 144,
    };
    type Field = Field8<Register>;
    type Words = Words8<Register>;

    fn token() -> Option<Token> {
        Token::new()
    }
}
