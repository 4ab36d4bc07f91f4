// Points of edwards25519 (a = -1), by the complete formulas of Hisil and others (2008).
//
// Every coordinate is tight unless a line says otherwise; a sum or a difference of two tight values
// is loose and may be multiplied as it is.

struct Projective { x: Fe, y: Fe, z: Fe }
struct Extended { x: Fe, y: Fe, z: Fe, t: Fe }
// A result before its last products: x = e f, y = g h, z = f g, t = e h. Loose.
struct Completed { e: Fe, f: Fe, g: Fe, h: Fe }
// What an addition needs of its second point. Loose but for t2d.
struct Cached { y_plus_x: Fe, y_minus_x: Fe, z2: Fe, t2d: Fe }
// The same of a point with z = 1.
struct Affine { y_plus_x: Fe, y_minus_x: Fe, t2d: Fe }

fn point_projective(c: Completed) -> Projective {
    return Projective(fe_mul(c.e, c.f), fe_mul(c.g, c.h), fe_mul(c.f, c.g));
}

fn point_extended(c: Completed) -> Extended {
    return Extended(
        fe_mul(c.e, c.f), fe_mul(c.g, c.h), fe_mul(c.f, c.g), fe_mul(c.e, c.h),
    );
}

fn point_cached(p: Extended) -> Cached {
    return Cached(
        fe_add(p.y, p.x), fe_sub(p.y, p.x), fe_add(p.z, p.z), fe_mul(p.t, FE_2D),
    );
}

// 2 p, with all four of e, f, g and h of the other sign, which changes nothing.
fn point_double(p: Projective) -> Completed {
    let xx = fe_square(p.x);
    let yy = fe_square(p.y);
    let zz = fe_square(p.z);
    let sum = fe_square(fe_add(p.x, p.y));
    let h = fe_add(xx, yy);
    let g = fe_sub(xx, yy);
    return Completed(fe_carry(fe_sub(h, sum)), fe_carry(fe_add(fe_add(zz, zz), g)), g, h);
}

// p + q.
fn point_add(p: Extended, q: Cached) -> Completed {
    let a = fe_mul(fe_sub(p.y, p.x), q.y_minus_x);
    let b = fe_mul(fe_add(p.y, p.x), q.y_plus_x);
    let c = fe_mul(p.t, q.t2d);
    let d = fe_mul(p.z, q.z2);
    return Completed(fe_sub(b, a), fe_sub(d, c), fe_add(d, c), fe_add(b, a));
}

// p + q. f and g are sums of three tight values and of two, less one: f is carried.
fn point_add_affine(p: Extended, q: Affine) -> Completed {
    let a = fe_mul(fe_sub(p.y, p.x), q.y_minus_x);
    let b = fe_mul(fe_add(p.y, p.x), q.y_plus_x);
    let c = fe_mul(p.t, q.t2d);
    let d = fe_add(p.z, p.z);
    return Completed(fe_sub(b, a), fe_carry(fe_sub(d, c)), fe_add(d, c), fe_add(b, a));
}

// -q where the condition holds, else q. t2d comes out loose.
fn cached_negate_if(q: Cached, condition: bool) -> Cached {
    return Cached(
        fe_select(q.y_plus_x, q.y_minus_x, condition),
        fe_select(q.y_minus_x, q.y_plus_x, condition),
        q.z2,
        fe_select(q.t2d, fe_sub(FE_ZERO, q.t2d), condition),
    );
}

// -q where the condition holds, else q. t2d comes out loose.
fn affine_negate_if(q: Affine, condition: bool) -> Affine {
    return Affine(
        fe_select(q.y_plus_x, q.y_minus_x, condition),
        fe_select(q.y_minus_x, q.y_plus_x, condition),
        fe_select(q.t2d, fe_sub(FE_ZERO, q.t2d), condition),
    );
}

struct Decoded { point: Extended, valid: bool }

// The negative of the point that eight words encode, by the rule of ZIP-215: y may be p or more,
// and x = 0 may carry a sign. Not a point: valid is false, and the coordinates are no point.
fn point_decode_negated(words: array<u32, 8>) -> Decoded {
    let y = fe_from_words(words);
    let yy = fe_square(y);
    let u = fe_carry(fe_sub(yy, FE_ONE));
    let v = fe_add(fe_mul(yy, FE_D), FE_ONE);
    // x = u v^3 (u v^7)^((p - 5) / 8), a root of u/v or of -u/v where either has one.
    let v3 = fe_mul(fe_square(v), v);
    let v7 = fe_mul(fe_square(v3), v);
    let root = fe_mul(fe_mul(u, v3), fe_pow_p58(fe_mul(u, v7)));
    let vxx = fe_mul(v, fe_square(root));
    let straight = fe_is_zero(fe_sub(vxx, u));
    let turned = fe_is_zero(fe_add(vxx, u));
    let x = fe_freeze(fe_select(fe_mul(root, FE_SQRT_M1), root, straight));
    let negate = (x.l[0] & 1u) == (words[7] >> 31u);
    let negative = fe_carry(fe_select(x, fe_sub(FE_ZERO, x), negate));
    return Decoded(Extended(negative, y, FE_ONE, fe_mul(negative, y)), straight || turned);
}

// The encoding of the point with these affine coordinates.
fn point_encode(x: Fe, y: Fe) -> array<u32, 8> {
    let sign = (fe_freeze(x).l[0] & 1u) << 31u;
    var words = fe_to_words(fe_freeze(y));
    words[7] |= sign;
    return words;
}
