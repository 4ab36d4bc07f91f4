//! Who compresses blocks of SHA-256 and SHA-512: what this machine has, and which of it is used.

use std::sync::atomic::{AtomicU8, Ordering};

use sha2::Digest as _;
use sha2::digest::consts::U64;
use sha2::digest::generic_array::GenericArray;

#[cfg(target_arch = "x86_64")]
use super::sha_ni;

/// Something that hashes; digests are the same by each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Hasher {
    /// The assembly of `sha2-asm` on integer registers alone, by name only: the library calls it by
    /// itself wherever it knows no better instructions.
    Asm = 1,
    /// `sha2`, the general library, which uses what instructions it knows.
    Sha2,
    /// Two SHA-256 side by side by the processor's SHA instructions; SHA-512 by the library.
    ShaNi,
}

/// This machine or architecture has no such hasher.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("hasher {name} does not exist on this machine; it has {}", here())]
pub struct NoSuchHasher {
    /// What was asked for.
    pub name: String,
}

/// The hasher of this process.
static CHOSEN: Choice = Choice::none();

/// Hashes by this one from now on, in the whole process.
///
/// # Errors
/// When this machine has none of that name.
pub fn choose(name: &str) -> Result<Hasher, NoSuchHasher> {
    CHOSEN.choose(name)
}

/// What hashes here: the one that was chosen, or the fastest of this machine.
#[must_use]
#[inline]
pub fn chosen() -> Hasher {
    CHOSEN.hasher()
}

/// The number of a hasher; zero until it is asked for.
struct Choice(AtomicU8);

impl Choice {
    const fn none() -> Self {
        Self(AtomicU8::new(0))
    }

    fn choose(&self, name: &str) -> Result<Hasher, NoSuchHasher> {
        let found = Hasher::here().find(|hasher| hasher.name() == name);
        let hasher = found.ok_or_else(|| NoSuchHasher { name: name.into() })?;
        self.0.store(hasher as u8, Ordering::Relaxed);
        Ok(hasher)
    }

    #[inline]
    fn hasher(&self) -> Hasher {
        match self.0.load(Ordering::Relaxed) {
            1 => Hasher::Asm,
            2 => Hasher::Sha2,
            3 => Hasher::ShaNi,
            _ => self.choose_fastest(),
        }
    }

    #[cold]
    fn choose_fastest(&self) -> Hasher {
        let fastest = Hasher::here().last().expect("the library is everywhere");
        // One that is chosen by name meanwhile stays.
        let (fastest_number, order) = (fastest as u8, Ordering::Relaxed);
        let none = self.0.compare_exchange(0, fastest_number, order, order);
        none.map_or_else(|_| self.hasher(), |_| fastest)
    }
}

impl Hasher {
    /// Every hasher, slower ones first.
    pub const ALL: [Self; 3] = [Self::Asm, Self::Sha2, Self::ShaNi];

    /// Those of this machine, slower ones first.
    pub fn here() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|hasher| hasher.is_here())
    }

    /// Those of this machine that take an input at a time, the library first.
    pub fn one_by_one() -> impl Iterator<Item = Self> {
        let others = Self::here().filter(|other| match other {
            Self::Asm => true,
            Self::Sha2 | Self::ShaNi => false,
        });
        std::iter::once(Self::Sha2).chain(others)
    }

    /// Its name in settings and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Asm => "asm",
            Self::Sha2 => "sha2",
            Self::ShaNi => "sha_ni_x2",
        }
    }

    fn is_here(self) -> bool {
        match self {
            Self::Asm => cfg!(target_arch = "x86_64"),
            Self::Sha2 => true,
            #[cfg(target_arch = "x86_64")]
            Self::ShaNi => sha_ni::Token::new().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::ShaNi => false,
        }
    }

    /// Compresses whole blocks of SHA-256 into the state.
    #[inline]
    pub(super) fn compress256(self, state: &mut [u32; 8], blocks: &[[u8; 64]]) {
        #[cfg(target_arch = "x86_64")]
        if self == Self::Asm {
            return sha2_asm::compress256(state, blocks);
        }
        for block in blocks {
            let block: &GenericArray<u8, U64> = block.into();
            sha2::compress256(state, std::slice::from_ref(block));
        }
    }

    /// SHA-256 of the concatenation of `parts`.
    #[must_use]
    pub fn sha256(self, parts: &[&[u8]]) -> [u8; 32] {
        if self == Self::Asm {
            let mut state = super::INITIAL_STATE;
            feed(parts, |block| self.compress256(&mut state, &[*block]));
            return super::digest_of_words(state).0;
        }
        let mut hasher = sha2::Sha256::new();
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finalize().into()
    }

    /// SHA-512 of the concatenation of `parts`.
    #[must_use]
    pub fn sha512(self, parts: &[&[u8]]) -> [u8; 64] {
        #[cfg(target_arch = "x86_64")]
        if self == Self::Asm {
            let mut state = crate::simd::sha512::INITIAL;
            feed(parts, |block| sha2_asm::compress512(&mut state, &[*block]));
            let mut out = [0; 64];
            for (bytes, word) in out.as_chunks_mut().0.iter_mut().zip(state) {
                *bytes = word.to_be_bytes();
            }
            return out;
        }
        let mut hasher = sha2::Sha512::new();
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finalize().into()
    }
}

/// Gives the blocks of the padded concatenation of `parts` (FIPS 180-4, section 5.1): one bit, and
/// the length in bits as a number of an eighth of a block.
fn feed<const BLOCK: usize>(parts: &[&[u8]], mut compress: impl FnMut(&[u8; BLOCK])) {
    let mut block = [0; BLOCK];
    let (mut filled, mut len) = (0, 0_u64);
    for part in parts {
        len += part.len() as u64;
        let mut rest = *part;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK - filled));
            block[filled..][..now.len()].copy_from_slice(now);
            filled += now.len();
            if filled == BLOCK {
                compress(&block);
                filled = 0;
            }
            rest = later;
        }
    }
    block[filled] = 0x80;
    block[filled + 1..].fill(0);
    if filled + 1 + BLOCK / 8 > BLOCK {
        compress(&block);
        block.fill(0);
    }
    block[BLOCK - 8..].copy_from_slice(&(8 * len).to_be_bytes());
    compress(&block);
}

fn here() -> String {
    Hasher::here()
        .map(Hasher::name)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hasher_gives_the_librarys_hash_at_every_length_and_cut() {
        let bytes: Vec<u8> = (0..251).cycle().take(700).collect();
        for hasher in Hasher::here() {
            for len in 0..bytes.len() {
                let (a, b) = bytes[..len].split_at(len / 3);
                let (b, c) = b.split_at(b.len() / 2);
                let parts = [a, &[], b, c];
                let said = format!("{len} bytes by {}", hasher.name());
                let expected: [u8; 32] = sha2::Sha256::digest(&bytes[..len]).into();
                assert_eq!(hasher.sha256(&parts), expected, "{said}");
                let expected: [u8; 64] = sha2::Sha512::digest(&bytes[..len]).into();
                assert_eq!(hasher.sha512(&parts), expected, "{said}");
            }
        }
    }

    #[test]
    fn every_hasher_of_this_machine_can_be_chosen_and_no_other() {
        let choice = Choice::none();
        for hasher in Hasher::ALL {
            let found = Hasher::here().any(|here| here == hasher);
            assert_eq!(choice.choose(hasher.name()).is_ok(), found, "{hasher:?}");
            if found {
                assert_eq!(choice.hasher(), hasher);
            }
        }
        let refused = choice.choose("abacus").expect_err("no machine has it");
        let refused = refused.to_string();
        assert!(
            refused.contains("abacus") && refused.contains("sha2"),
            "{refused}"
        );
    }

    #[test]
    fn the_fastest_is_chosen_by_itself_and_assembly_never() {
        let by_itself = Choice::none().hasher();
        assert_eq!(Some(by_itself), Hasher::here().last());
        assert_ne!(by_itself, Hasher::Asm);
    }
}
