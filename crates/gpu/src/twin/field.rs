//! Twin of `shaders/lib/field.wgsl`: the same limbs, with sums and bounds checked in debug builds.

/// An element of the field: ten limbs of 26 and 25 bits by turns; the shader states the bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fe(pub [u32; LIMBS]);

/// Limbs of an element.
pub const LIMBS: usize = 10;

/// 0.
pub const FE_ZERO: Fe = Fe([0; LIMBS]);
/// 1.
pub const FE_ONE: Fe = Fe([1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
/// The curve's d = -121665/121666.
pub const FE_D: Fe = Fe([
    56195235, 13857412, 51736253, 6949390, 114729, 24766616, 60832955, 30306712, 48412415, 21499315,
]);
/// 2 d.
pub const FE_2D: Fe = Fe([
    45281625, 27714825, 36363642, 13898781, 229458, 15978800, 54557047, 27058993, 29715967, 9444199,
]);
/// A square root of -1.
pub const FE_SQRT_M1: Fe = Fe([
    34513072, 25610706, 9377949, 3500415, 12389472, 33281959, 41962654, 31548777, 326685, 11406482,
]);

/// Largest limb that a product gives.
#[must_use]
pub const fn tight_max(k: usize) -> u32 {
    (1 << bits(k)) + (1 << 17)
}

/// Largest limb that a product takes.
#[must_use]
pub const fn loose_max(k: usize) -> u32 {
    3 * tight_max(k)
}

/// Bits of limb `k`.
const fn bits(k: usize) -> u32 {
    if k.is_multiple_of(2) { 26 } else { 25 }
}

/// Place of limb `k`'s lowest bit.
const fn place(k: usize) -> usize {
    (51 * k).div_ceil(2)
}

const fn mask(k: usize) -> u32 {
    (1 << bits(k)) - 1
}

impl Fe {
    /// Whether each limb is one that a product may give.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        (0..LIMBS).all(|k| self.0[k] <= tight_max(k))
    }

    /// Whether each limb is one that a product may take.
    #[must_use]
    pub fn is_loose(&self) -> bool {
        (0..LIMBS).all(|k| self.0[k] <= loose_max(k))
    }

    fn by_limb(limb: impl FnMut(usize) -> u32) -> Self {
        Self(std::array::from_fn(limb))
    }
}

/// The product. In: loose. Out: tight.
#[must_use]
pub fn fe_mul(a: Fe, b: Fe) -> Fe {
    debug_assert!(a.is_loose() && b.is_loose(), "{a:?} {b:?}");
    let mut h = [0u64; LIMBS];
    for i in 0..LIMBS {
        for j in 0..LIMBS {
            // Two odd limbs lie half a bit below their column each; past the tenth, 2^255 is 19.
            let doubled = a.0[i] * if i % 2 == 1 && j % 2 == 1 { 2 } else { 1 };
            let folded = b.0[j] * if i + j >= LIMBS { 19 } else { 1 };
            h[(i + j) % LIMBS] += u64::from(doubled) * u64::from(folded);
        }
    }
    fe_carry_columns(h)
}

/// The square. In: loose. Out: tight.
#[must_use]
pub fn fe_square(a: Fe) -> Fe {
    fe_mul(a, a)
}

/// Ten columns of a product as limbs. In: below 2^63. Out: tight.
#[must_use]
pub fn fe_carry_columns(mut h: [u64; LIMBS]) -> Fe {
    debug_assert!(h.iter().all(|column| column >> 63 == 0), "{h:?}");
    for k in 0..9 {
        h[k + 1] += h[k] >> bits(k);
        h[k] &= u64::from(mask(k));
    }
    h[0] += (h[9] >> 25) * 19;
    h[9] &= u64::from(mask(9));
    h[1] += h[0] >> 26;
    h[0] &= u64::from(mask(0));
    let out = Fe::by_limb(|k| u32::try_from(h[k]).expect("a limb"));
    debug_assert!(out.is_tight(), "{out:?}");
    out
}

/// The sum, not carried. In: any whose sums fit 32 bits. Out: loose where both are tight.
#[must_use]
pub fn fe_add(a: Fe, b: Fe) -> Fe {
    Fe::by_limb(|k| a.0[k] + b.0[k])
}

/// The difference plus 2 p, not carried. In: a up to 2^31, b tight. Out: loose where a is tight.
#[must_use]
pub fn fe_sub(a: Fe, b: Fe) -> Fe {
    debug_assert!(b.is_tight(), "{b:?}");
    let twice_p = |k| 2 * (mask(k) - if k == 0 { 18 } else { 0 });
    Fe::by_limb(|k| a.0[k] + twice_p(k) - b.0[k])
}

/// The same value in tight limbs. In: any limbs.
#[must_use]
pub fn fe_carry(a: Fe) -> Fe {
    Fe::by_limb(|k| {
        let from_below = match k {
            0 => (a.0[9] >> 25) * 19,
            _ => a.0[k - 1] >> bits(k - 1),
        };
        (a.0[k] & mask(k)) + from_below
    })
}

/// `a` where the condition holds, else `b`, as in WGSL's `select`.
#[must_use]
pub fn fe_select(b: Fe, a: Fe, condition: bool) -> Fe {
    if condition { a } else { b }
}

/// The one value below p. In: any limbs.
#[must_use]
pub fn fe_freeze(a: Fe) -> Fe {
    let t = fe_carry(a);
    let mut q = (t.0[0] + 19) >> 26;
    for k in 1..LIMBS {
        q = (t.0[k] + q) >> bits(k);
    }
    let mut carry = q * 19;
    Fe::by_limb(|k| {
        let x = t.0[k] + carry;
        carry = x >> bits(k);
        x & mask(k)
    })
}

/// Whether the value is 0 mod p. In: any limbs.
#[must_use]
pub fn fe_is_zero(a: Fe) -> bool {
    fe_freeze(a) == FE_ZERO
}

/// Eight little-endian words, the last without its top bit. Out: tight, maybe not below p.
#[must_use]
pub fn fe_from_words(w: [u32; 8]) -> Fe {
    Fe::by_limb(|k| {
        let (word, shift) = (place(k) / 32, place(k) % 32);
        let upper = w.get(word + 1).copied().unwrap_or(0);
        let both = u64::from(w[word]) | (u64::from(upper) << 32);
        low_u32(both >> shift) & mask(k)
    })
}

/// The value below p as eight little-endian words. In: frozen.
#[must_use]
pub fn fe_to_words(f: Fe) -> [u32; 8] {
    let mut words = [0; 8];
    for k in 0..LIMBS {
        let (word, shift) = (place(k) / 32, place(k) % 32);
        let shifted = u64::from(f.0[k]) << shift;
        words[word] |= low_u32(shifted);
        if let Some(next) = words.get_mut(word + 1) {
            *next |= low_u32(shifted >> 32);
        }
    }
    words
}

/// The low half of a 64-bit word, as WGSL's `u32()` takes it.
#[must_use]
pub(crate) fn low_u32(x: u64) -> u32 {
    u32::try_from(x & u64::from(u32::MAX)).expect("32 bits")
}

/// a^(2^n). In: tight. Out: tight.
#[must_use]
pub fn fe_square_times(a: Fe, n: u32) -> Fe {
    (0..n).fold(a, |x, _| fe_square(x))
}

/// z^11 and z^(2^250 - 1), from which both powers below go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeChain {
    /// z^11.
    pub z11: Fe,
    /// z^(2^250 - 1).
    pub z_250: Fe,
}

/// The chain of one value. In: loose. Out: tight.
#[must_use]
pub fn fe_chain(z: Fe) -> FeChain {
    let z2 = fe_square(z);
    let z9 = fe_mul(z, fe_square_times(z2, 2));
    let z11 = fe_mul(z2, z9);
    let z_5 = fe_mul(z9, fe_square(z11));
    let z_10 = fe_mul(fe_square_times(z_5, 5), z_5);
    let z_20 = fe_mul(fe_square_times(z_10, 10), z_10);
    let z_40 = fe_mul(fe_square_times(z_20, 20), z_20);
    let z_50 = fe_mul(fe_square_times(z_40, 10), z_10);
    let z_100 = fe_mul(fe_square_times(z_50, 50), z_50);
    let z_200 = fe_mul(fe_square_times(z_100, 100), z_100);
    FeChain {
        z11,
        z_250: fe_mul(fe_square_times(z_200, 50), z_50),
    }
}

/// z^((p - 5) / 8) = z^(2^252 - 3), for square roots. In: loose. Out: tight.
#[must_use]
pub fn fe_pow_p58(z: Fe) -> Fe {
    fe_mul(fe_square_times(fe_chain(z).z_250, 2), z)
}

/// 1/z = z^(2^255 - 21); 0 for 0. In: loose. Out: tight.
#[must_use]
pub fn fe_invert(z: Fe) -> Fe {
    let chain = fe_chain(z);
    fe_mul(fe_square_times(chain.z_250, 5), chain.z11)
}
