//! A vector unit behind functions: from its types follow a backend, hints and challenges.

use super::backend::{BatchLenMin, Lanes};
use super::field::Field;
use super::hint;
use super::sha512::Words;
use super::signature;
use crate::backend::{Backend, Item};

/// What a vector unit is made of.
pub(super) trait VectorUnit<const LANES: usize> {
    /// Its backend's name.
    const NAME: &'static str;
    /// From which length on equations pay.
    const BATCH_LEN_MIN: BatchLenMin;
    /// Field elements in its lanes.
    type Field: Field<LANES> + 'static;
    /// Words of SHA-512 in its lanes.
    type Words: Words<LANES, Token = TokenOf<Self, LANES>> + 'static;

    /// The proof that this machine has it.
    fn token() -> Option<TokenOf<Self, LANES>>;
}

type TokenOf<U, const LANES: usize> = <<U as VectorUnit<LANES>>::Field as Field<LANES>>::Token;

/// The hints of encoded R, where a unit makes them.
pub(super) type Hints = Option<Vec<[u8; 32]>>;

/// A vector unit, with its types behind functions; each gives nothing where the machine lacks it.
pub(super) struct Unit {
    pub(super) name: &'static str,
    pub(super) backend: fn() -> Option<Box<dyn Backend>>,
    /// A hint for each encoded R.
    pub(super) hints: fn(&[[u8; 32]]) -> Hints,
    /// The challenge of each item.
    pub(super) challenges: fn(&[Item<'_>]) -> Option<Vec<[u64; 8]>>,
}

impl Unit {
    pub(super) const fn of<U: VectorUnit<LANES>, const LANES: usize>() -> Self
    where
        Lanes<U::Field, U::Words, LANES>: Backend,
    {
        Self {
            name: U::NAME,
            backend: backend::<U, LANES>,
            hints: hints::<U, LANES>,
            challenges: challenges::<U, LANES>,
        }
    }
}

fn backend<U: VectorUnit<LANES>, const LANES: usize>() -> Option<Box<dyn Backend>>
where
    Lanes<U::Field, U::Words, LANES>: Backend,
{
    let lanes = Lanes::<U::Field, U::Words, LANES>::new(U::NAME, U::token()?, U::BATCH_LEN_MIN);
    Some(Box::new(lanes))
}

fn hints<U: VectorUnit<LANES>, const LANES: usize>(encodings: &[[u8; 32]]) -> Hints {
    Some(hint::make::<U::Field, LANES>(U::token()?, encodings))
}

fn challenges<U: VectorUnit<LANES>, const LANES: usize>(
    items: &[Item<'_>],
) -> Option<Vec<[u64; 8]>> {
    let token = U::token()?;
    let mut hashes = Vec::with_capacity(items.len());
    signature::challenges::<U::Words, LANES>(token, items, &mut hashes);
    Some(hashes)
}
