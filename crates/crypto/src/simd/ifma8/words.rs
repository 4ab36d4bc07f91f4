//! The functions of SHA-512 over the eight-lane unit.

use super::unit::Unit;
use crate::simd::field::Work;
use crate::simd::sha512::{BLOCK_BYTES, Words};

/// Eight words, one a lane.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Words8<U>(U);

impl<U: Unit> Words<8> for Words8<U> {
    type Token = U::Token;

    #[inline(always)]
    fn enter<D: Work>(token: U::Token, work: D) -> D::Output {
        U::enter(token, work)
    }

    #[inline(always)]
    fn splat(token: U::Token, word: u64) -> Self {
        Self(U::load(token, &[word; 8]))
    }

    #[inline(always)]
    fn load_block(token: U::Token, blocks: [&[u8; BLOCK_BYTES]; 8]) -> [Self; 16] {
        let half = |half: usize| {
            let rows = blocks.map(|block| &block.as_chunks::<64>().0[half]);
            U::load_big_endian(token, rows).map(Self)
        };
        let (first, second) = (half(0), half(1));
        std::array::from_fn(|word| match word {
            0..8 => first[word],
            _ => second[word - 8],
        })
    }

    #[inline(always)]
    fn store(self) -> [u64; 8] {
        self.0.store()
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.0.plus(other.0))
    }

    #[inline(always)]
    fn big_sigma_0(self) -> Self {
        let x = self.0;
        Self(x.rotate::<28>().xor(x.rotate::<34>(), x.rotate::<39>()))
    }

    #[inline(always)]
    fn big_sigma_1(self) -> Self {
        let x = self.0;
        Self(x.rotate::<14>().xor(x.rotate::<18>(), x.rotate::<41>()))
    }

    #[inline(always)]
    fn small_sigma_0(self) -> Self {
        let x = self.0;
        Self(x.rotate::<1>().xor(x.rotate::<8>(), x.shift::<7>()))
    }

    #[inline(always)]
    fn small_sigma_1(self) -> Self {
        let x = self.0;
        Self(x.rotate::<19>().xor(x.rotate::<61>(), x.shift::<6>()))
    }

    #[inline(always)]
    fn choose(self, set: Self, clear: Self) -> Self {
        Self(self.0.choose(set.0, clear.0))
    }

    #[inline(always)]
    fn majority(self, second: Self, third: Self) -> Self {
        Self(self.0.majority(second.0, third.0))
    }
}
