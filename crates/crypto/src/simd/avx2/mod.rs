//! The vector engine on AVX2 with fused multiply-add: four lanes.

pub(crate) mod field;
mod token;
pub(crate) mod words;

use self::field::Field4;
pub(crate) use self::token::Token;
use self::words::Words4;
use super::backend::BatchLenMin;
use super::unit::{Unit, VectorUnit};

/// Its line in the list of units.
pub(super) const UNIT: Unit = Unit::of::<Avx2, 4>();

struct Avx2;

impl VectorUnit<4> for Avx2 {
    const NAME: &'static str = "avx2";
    const BATCH_LEN_MIN: BatchLenMin = BatchLenMin {
        plain: 192,
        hinted: 96,
    };
    type Field = Field4;
    type Words = Words4;

    fn token() -> Option<Token> {
        Token::new()
    }
}
