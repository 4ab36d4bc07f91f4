//! Twin of `shaders/lib/point.wgsl`: the same formulas over the same limbs.

use super::field::{
    FE_2D, FE_D, FE_ONE, FE_SQRT_M1, FE_ZERO, Fe, fe_add, fe_carry, fe_freeze, fe_from_words,
    fe_is_zero, fe_mul, fe_pow_p58, fe_select, fe_square, fe_sub, fe_to_words,
};

/// A point as (x/z, y/z).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "coordinates")]
pub struct Projective {
    pub x: Fe,
    pub y: Fe,
    pub z: Fe,
}

/// A point as (x/z, y/z) with t = x y / z.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "coordinates")]
pub struct Extended {
    pub x: Fe,
    pub y: Fe,
    pub z: Fe,
    pub t: Fe,
}

/// A result before its last products: x = e f, y = g h, z = f g, t = e h. Loose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "factors, named as in the paper")]
pub struct Completed {
    pub e: Fe,
    pub f: Fe,
    pub g: Fe,
    pub h: Fe,
}

/// What an addition needs of its second point. Loose but for t2d.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "sums of coordinates, named by what they are")]
pub struct Cached {
    pub y_plus_x: Fe,
    pub y_minus_x: Fe,
    pub z2: Fe,
    pub t2d: Fe,
}

/// The same of a point with z = 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "sums of coordinates, named by what they are")]
pub struct Affine {
    pub y_plus_x: Fe,
    pub y_minus_x: Fe,
    pub t2d: Fe,
}

/// A decoded point, negated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// The point; no point where `valid` is false.
    pub point: Extended,
    /// Whether the bytes encode one.
    pub valid: bool,
}

/// The neutral point.
pub const NEUTRAL: Extended = Extended {
    x: FE_ZERO,
    y: FE_ONE,
    z: FE_ONE,
    t: FE_ZERO,
};

/// The last products, without t.
#[must_use]
pub fn point_projective(c: Completed) -> Projective {
    Projective {
        x: fe_mul(c.e, c.f),
        y: fe_mul(c.g, c.h),
        z: fe_mul(c.f, c.g),
    }
}

/// The last products, all four.
#[must_use]
pub fn point_extended(c: Completed) -> Extended {
    Extended {
        x: fe_mul(c.e, c.f),
        y: fe_mul(c.g, c.h),
        z: fe_mul(c.f, c.g),
        t: fe_mul(c.e, c.h),
    }
}

/// What additions need of p.
#[must_use]
pub fn point_cached(p: Extended) -> Cached {
    Cached {
        y_plus_x: fe_add(p.y, p.x),
        y_minus_x: fe_sub(p.y, p.x),
        z2: fe_add(p.z, p.z),
        t2d: fe_mul(p.t, FE_2D),
    }
}

/// 2 p, with all four of e, f, g and h of the other sign, which changes nothing.
#[must_use]
pub fn point_double(p: Projective) -> Completed {
    let xx = fe_square(p.x);
    let yy = fe_square(p.y);
    let zz = fe_square(p.z);
    let sum = fe_square(fe_add(p.x, p.y));
    let h = fe_add(xx, yy);
    let g = fe_sub(xx, yy);
    Completed {
        e: fe_carry(fe_sub(h, sum)),
        f: fe_carry(fe_add(fe_add(zz, zz), g)),
        g,
        h,
    }
}

/// p + q.
#[must_use]
pub fn point_add(p: Extended, q: Cached) -> Completed {
    let a = fe_mul(fe_sub(p.y, p.x), q.y_minus_x);
    let b = fe_mul(fe_add(p.y, p.x), q.y_plus_x);
    let c = fe_mul(p.t, q.t2d);
    let d = fe_mul(p.z, q.z2);
    Completed {
        e: fe_sub(b, a),
        f: fe_sub(d, c),
        g: fe_add(d, c),
        h: fe_add(b, a),
    }
}

/// p + q. f and g are sums of three tight values and of two, less one: f is carried.
#[must_use]
pub fn point_add_affine(p: Extended, q: Affine) -> Completed {
    let a = fe_mul(fe_sub(p.y, p.x), q.y_minus_x);
    let b = fe_mul(fe_add(p.y, p.x), q.y_plus_x);
    let c = fe_mul(p.t, q.t2d);
    let d = fe_add(p.z, p.z);
    Completed {
        e: fe_sub(b, a),
        f: fe_carry(fe_sub(d, c)),
        g: fe_add(d, c),
        h: fe_add(b, a),
    }
}

/// -q where the condition holds, else q. t2d comes out loose.
#[must_use]
pub fn cached_negate_if(q: Cached, condition: bool) -> Cached {
    Cached {
        y_plus_x: fe_select(q.y_plus_x, q.y_minus_x, condition),
        y_minus_x: fe_select(q.y_minus_x, q.y_plus_x, condition),
        z2: q.z2,
        t2d: fe_select(q.t2d, fe_sub(FE_ZERO, q.t2d), condition),
    }
}

/// -q where the condition holds, else q. t2d comes out loose.
#[must_use]
pub fn affine_negate_if(q: Affine, condition: bool) -> Affine {
    Affine {
        y_plus_x: fe_select(q.y_plus_x, q.y_minus_x, condition),
        y_minus_x: fe_select(q.y_minus_x, q.y_plus_x, condition),
        t2d: fe_select(q.t2d, fe_sub(FE_ZERO, q.t2d), condition),
    }
}

/// The negative of the point that eight words encode, by the rule of ZIP-215.
#[must_use]
pub fn point_decode_negated(words: [u32; 8]) -> Decoded {
    let y = fe_from_words(words);
    let yy = fe_square(y);
    let u = fe_carry(fe_sub(yy, FE_ONE));
    let v = fe_add(fe_mul(yy, FE_D), FE_ONE);
    let v3 = fe_mul(fe_square(v), v);
    let v7 = fe_mul(fe_square(v3), v);
    let root = fe_mul(fe_mul(u, v3), fe_pow_p58(fe_mul(u, v7)));
    let vxx = fe_mul(v, fe_square(root));
    let straight = fe_is_zero(fe_sub(vxx, u));
    let turned = fe_is_zero(fe_add(vxx, u));
    let x = fe_freeze(fe_select(fe_mul(root, FE_SQRT_M1), root, straight));
    let negate = (x.0[0] & 1) == (words[7] >> 31);
    let negative = fe_carry(fe_select(x, fe_sub(FE_ZERO, x), negate));
    let point = Extended {
        x: negative,
        y,
        z: FE_ONE,
        t: fe_mul(negative, y),
    };
    Decoded {
        point,
        valid: straight || turned,
    }
}

/// The encoding of the point with these affine coordinates.
#[must_use]
pub fn point_encode(x: Fe, y: Fe) -> [u32; 8] {
    let sign = (fe_freeze(x).0[0] & 1) << 31;
    let mut words = fe_to_words(fe_freeze(y));
    words[7] |= sign;
    words
}
