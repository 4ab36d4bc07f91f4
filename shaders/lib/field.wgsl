// The field of 2^255 - 19: ten limbs of 26 and 25 bits by turns, without sign.
//
// Limb k weighs 2^ceil(25.5 k). Two bounds, which the twin (crates/gpu/src/twin/field.rs) asserts:
//   tight: even limbs up to 2^26 + 2^17, odd ones up to 2^25 + 2^17 (what products give);
//   loose: three times 2^26 + 2^17 and three times 2^25 + 2^17 (a tight sum or difference).
// 19 times a loose limb fits 32 bits, and ten products of loose limbs fit 64. Everything is written
// out: with loops, compilers turn the limbs into memory with computed addresses.

struct Fe { l: array<u32, 10> }

const FE_ZERO = Fe(array<u32, 10>(
    0u, 0u, 0u, 0u, 0u,
    0u, 0u, 0u, 0u, 0u,
));
const FE_ONE = Fe(array<u32, 10>(
    1u, 0u, 0u, 0u, 0u,
    0u, 0u, 0u, 0u, 0u,
));
// The curve's d = -121665/121666.
const FE_D = Fe(array<u32, 10>(
    56195235u, 13857412u, 51736253u, 6949390u, 114729u,
    24766616u, 60832955u, 30306712u, 48412415u, 21499315u,
));
// 2 d.
const FE_2D = Fe(array<u32, 10>(
    45281625u, 27714825u, 36363642u, 13898781u, 229458u,
    15978800u, 54557047u, 27058993u, 29715967u, 9444199u,
));
// A square root of -1.
const FE_SQRT_M1 = Fe(array<u32, 10>(
    34513072u, 25610706u, 9377949u, 3500415u, 12389472u,
    33281959u, 41962654u, 31548777u, 326685u, 11406482u,
));

// Ten columns of a product as limbs. In: below 2^63. Out: tight.
fn fe_carry_columns(h: array<u64, 10>) -> Fe {
    let c1 = h[1] + (h[0] >> 26u);
    let c2 = h[2] + (c1 >> 25u);
    let c3 = h[3] + (c2 >> 26u);
    let c4 = h[4] + (c3 >> 25u);
    let c5 = h[5] + (c4 >> 26u);
    let c6 = h[6] + (c5 >> 25u);
    let c7 = h[7] + (c6 >> 26u);
    let c8 = h[8] + (c7 >> 25u);
    let c9 = h[9] + (c8 >> 26u);
    let c0 = (h[0] & 0x3fffffflu) + (c9 >> 25u) * 19lu;
    return Fe(array<u32, 10>(
        u32(c0) & 0x3ffffffu, (u32(c1) & 0x1ffffffu) + u32(c0 >> 26u),
        u32(c2) & 0x3ffffffu, u32(c3) & 0x1ffffffu, u32(c4) & 0x3ffffffu,
        u32(c5) & 0x1ffffffu, u32(c6) & 0x3ffffffu, u32(c7) & 0x1ffffffu,
        u32(c8) & 0x3ffffffu, u32(c9) & 0x1ffffffu,
    ));
}

// The product. In: loose. Out: tight.
fn fe_mul(a: Fe, b: Fe) -> Fe {
    let a0 = u64(a.l[0]); let a1 = u64(a.l[1]); let d1 = u64(a.l[1] * 2u);
    let a2 = u64(a.l[2]); let a3 = u64(a.l[3]); let d3 = u64(a.l[3] * 2u);
    let a4 = u64(a.l[4]); let a5 = u64(a.l[5]); let d5 = u64(a.l[5] * 2u);
    let a6 = u64(a.l[6]); let a7 = u64(a.l[7]); let d7 = u64(a.l[7] * 2u);
    let a8 = u64(a.l[8]); let a9 = u64(a.l[9]); let d9 = u64(a.l[9] * 2u);
    let b0 = u64(b.l[0]); let b1 = u64(b.l[1]);
    let b2 = u64(b.l[2]); let b3 = u64(b.l[3]);
    let b4 = u64(b.l[4]); let b5 = u64(b.l[5]);
    let b6 = u64(b.l[6]); let b7 = u64(b.l[7]);
    let b8 = u64(b.l[8]); let b9 = u64(b.l[9]);
    // Columns past the tenth come round at weight 2^255 = 19.
    let n1 = u64(b.l[1] * 19u); let n2 = u64(b.l[2] * 19u); let n3 = u64(b.l[3] * 19u);
    let n4 = u64(b.l[4] * 19u); let n5 = u64(b.l[5] * 19u); let n6 = u64(b.l[6] * 19u);
    let n7 = u64(b.l[7] * 19u); let n8 = u64(b.l[8] * 19u); let n9 = u64(b.l[9] * 19u);
    let h0 = a0 * b0 + d1 * n9 + a2 * n8 + d3 * n7 + a4 * n6 + d5 * n5 + a6 * n4 + d7 * n3 +
        a8 * n2 + d9 * n1;
    let h1 = a0 * b1 + a1 * b0 + a2 * n9 + a3 * n8 + a4 * n7 + a5 * n6 + a6 * n5 + a7 * n4 +
        a8 * n3 + a9 * n2;
    let h2 = a0 * b2 + d1 * b1 + a2 * b0 + d3 * n9 + a4 * n8 + d5 * n7 + a6 * n6 + d7 * n5 +
        a8 * n4 + d9 * n3;
    let h3 = a0 * b3 + a1 * b2 + a2 * b1 + a3 * b0 + a4 * n9 + a5 * n8 + a6 * n7 + a7 * n6 +
        a8 * n5 + a9 * n4;
    let h4 = a0 * b4 + d1 * b3 + a2 * b2 + d3 * b1 + a4 * b0 + d5 * n9 + a6 * n8 + d7 * n7 +
        a8 * n6 + d9 * n5;
    let h5 = a0 * b5 + a1 * b4 + a2 * b3 + a3 * b2 + a4 * b1 + a5 * b0 + a6 * n9 + a7 * n8 +
        a8 * n7 + a9 * n6;
    let h6 = a0 * b6 + d1 * b5 + a2 * b4 + d3 * b3 + a4 * b2 + d5 * b1 + a6 * b0 + d7 * n9 +
        a8 * n8 + d9 * n7;
    let h7 = a0 * b7 + a1 * b6 + a2 * b5 + a3 * b4 + a4 * b3 + a5 * b2 + a6 * b1 + a7 * b0 +
        a8 * n9 + a9 * n8;
    let h8 = a0 * b8 + d1 * b7 + a2 * b6 + d3 * b5 + a4 * b4 + d5 * b3 + a6 * b2 + d7 * b1 +
        a8 * b0 + d9 * n9;
    let h9 = a0 * b9 + a1 * b8 + a2 * b7 + a3 * b6 + a4 * b5 + a5 * b4 + a6 * b3 + a7 * b2 +
        a8 * b1 + a9 * b0;
    return fe_carry_columns(array<u64, 10>(h0, h1, h2, h3, h4, h5, h6, h7, h8, h9));
}

// The square. In: loose. Out: tight.
fn fe_square(a: Fe) -> Fe {
    let a0 = u64(a.l[0]); let a1 = u64(a.l[1]);
    let a2 = u64(a.l[2]); let a3 = u64(a.l[3]);
    let a4 = u64(a.l[4]); let a5 = u64(a.l[5]);
    let a6 = u64(a.l[6]); let a7 = u64(a.l[7]);
    let a8 = u64(a.l[8]); let a9 = u64(a.l[9]);
    // A column of two different limbs comes twice, one of two odd limbs twice more.
    let e0 = u64(a.l[0] * 2u); let e1 = u64(a.l[1] * 2u); let e2 = u64(a.l[2] * 2u);
    let e3 = u64(a.l[3] * 2u); let e4 = u64(a.l[4] * 2u); let e5 = u64(a.l[5] * 2u);
    let e6 = u64(a.l[6] * 2u); let e7 = u64(a.l[7] * 2u); let e8 = u64(a.l[8] * 2u);
    let e9 = u64(a.l[9] * 2u);
    let f1 = u64(a.l[1] * 4u); let f3 = u64(a.l[3] * 4u); let f5 = u64(a.l[5] * 4u);
    let f7 = u64(a.l[7] * 4u);
    let n5 = u64(a.l[5] * 19u); let n6 = u64(a.l[6] * 19u); let n7 = u64(a.l[7] * 19u);
    let n8 = u64(a.l[8] * 19u); let n9 = u64(a.l[9] * 19u);
    let h0 = a0 * a0 + f1 * n9 + e2 * n8 + f3 * n7 + e4 * n6 + e5 * n5;
    let h1 = e0 * a1 + e2 * n9 + e3 * n8 + e4 * n7 + e5 * n6;
    let h2 = e0 * a2 + e1 * a1 + f3 * n9 + e4 * n8 + f5 * n7 + a6 * n6;
    let h3 = e0 * a3 + e1 * a2 + e4 * n9 + e5 * n8 + e6 * n7;
    let h4 = e0 * a4 + f1 * a3 + a2 * a2 + f5 * n9 + e6 * n8 + e7 * n7;
    let h5 = e0 * a5 + e1 * a4 + e2 * a3 + e6 * n9 + e7 * n8;
    let h6 = e0 * a6 + f1 * a5 + e2 * a4 + e3 * a3 + f7 * n9 + a8 * n8;
    let h7 = e0 * a7 + e1 * a6 + e2 * a5 + e3 * a4 + e8 * n9;
    let h8 = e0 * a8 + f1 * a7 + e2 * a6 + f3 * a5 + a4 * a4 + e9 * n9;
    let h9 = e0 * a9 + e1 * a8 + e2 * a7 + e3 * a6 + e4 * a5;
    return fe_carry_columns(array<u64, 10>(h0, h1, h2, h3, h4, h5, h6, h7, h8, h9));
}

// The sum, not carried. In: any whose sums fit 32 bits. Out: loose where both are tight.
fn fe_add(a: Fe, b: Fe) -> Fe {
    return Fe(array<u32, 10>(
       a.l[0] + b.l[0], a.l[1] + b.l[1], a.l[2] + b.l[2], a.l[3] + b.l[3], a.l[4] + b.l[4],
        a.l[5] + b.l[5], a.l[6] + b.l[6], a.l[7] + b.l[7], a.l[8] + b.l[8], a.l[9] + b.l[9],
    ));
}

// The difference plus 2 p, not carried. In: a up to 2^31, b tight. Out: loose where a is tight.
fn fe_sub(a: Fe, b: Fe) -> Fe {
    return Fe(array<u32, 10>(
       a.l[0] + 0x7ffffdau - b.l[0], a.l[1] + 0x3fffffeu - b.l[1], a.l[2] + 0x7fffffeu - b.l[2],
        a.l[3] + 0x3fffffeu - b.l[3], a.l[4] + 0x7fffffeu - b.l[4], a.l[5] + 0x3fffffeu - b.l[5],
        a.l[6] + 0x7fffffeu - b.l[6], a.l[7] + 0x3fffffeu - b.l[7], a.l[8] + 0x7fffffeu - b.l[8],
        a.l[9] + 0x3fffffeu - b.l[9],
    ));
}

// The same value in tight limbs. In: any limbs.
fn fe_carry(a: Fe) -> Fe {
    return Fe(array<u32, 10>(
        (a.l[0] & 0x3ffffffu) + (a.l[9] >> 25u) * 19u,
        (a.l[1] & 0x1ffffffu) + (a.l[0] >> 26u),
        (a.l[2] & 0x3ffffffu) + (a.l[1] >> 25u),
        (a.l[3] & 0x1ffffffu) + (a.l[2] >> 26u),
        (a.l[4] & 0x3ffffffu) + (a.l[3] >> 25u),
        (a.l[5] & 0x1ffffffu) + (a.l[4] >> 26u),
        (a.l[6] & 0x3ffffffu) + (a.l[5] >> 25u),
        (a.l[7] & 0x1ffffffu) + (a.l[6] >> 26u),
        (a.l[8] & 0x3ffffffu) + (a.l[7] >> 25u),
        (a.l[9] & 0x1ffffffu) + (a.l[8] >> 26u),
    ));
}

// a where the condition holds, else b, as in select().
fn fe_select(b: Fe, a: Fe, condition: bool) -> Fe {
    return Fe(array<u32, 10>(
       select(b.l[0], a.l[0], condition), select(b.l[1], a.l[1], condition),
        select(b.l[2], a.l[2], condition), select(b.l[3], a.l[3], condition),
        select(b.l[4], a.l[4], condition), select(b.l[5], a.l[5], condition),
        select(b.l[6], a.l[6], condition), select(b.l[7], a.l[7], condition),
        select(b.l[8], a.l[8], condition), select(b.l[9], a.l[9], condition),
    ));
}

// The one value below p. In: any limbs.
fn fe_freeze(a: Fe) -> Fe {
    let t = fe_carry(a);
    // Whether t + 19 reaches 2^255, so that p is to be taken off.
    var q = (t.l[0] + 19u) >> 26u;
    q = (t.l[1] + q) >> 25u;
    q = (t.l[2] + q) >> 26u;
    q = (t.l[3] + q) >> 25u;
    q = (t.l[4] + q) >> 26u;
    q = (t.l[5] + q) >> 25u;
    q = (t.l[6] + q) >> 26u;
    q = (t.l[7] + q) >> 25u;
    q = (t.l[8] + q) >> 26u;
    q = (t.l[9] + q) >> 25u;
    let x0 = t.l[0] + q * 19u;
    let x1 = t.l[1] + (x0 >> 26u);
    let x2 = t.l[2] + (x1 >> 25u);
    let x3 = t.l[3] + (x2 >> 26u);
    let x4 = t.l[4] + (x3 >> 25u);
    let x5 = t.l[5] + (x4 >> 26u);
    let x6 = t.l[6] + (x5 >> 25u);
    let x7 = t.l[7] + (x6 >> 26u);
    let x8 = t.l[8] + (x7 >> 25u);
    let x9 = t.l[9] + (x8 >> 26u);
    return Fe(array<u32, 10>(
       x0 & 0x3ffffffu, x1 & 0x1ffffffu, x2 & 0x3ffffffu, x3 & 0x1ffffffu, x4 & 0x3ffffffu,
        x5 & 0x1ffffffu, x6 & 0x3ffffffu, x7 & 0x1ffffffu, x8 & 0x3ffffffu, x9 & 0x1ffffffu,
    ));
}

// Whether the value is 0 mod p. In: any limbs.
fn fe_is_zero(a: Fe) -> bool {
    let f = fe_freeze(a);
    return (f.l[0] | f.l[1] | f.l[2] | f.l[3] | f.l[4] | f.l[5] | f.l[6] | f.l[7] | f.l[8] |
        f.l[9]) == 0u;
}

// Eight little-endian words, the last without its top bit. Out: tight, maybe not below p.
fn fe_from_words(w: array<u32, 8>) -> Fe {
    return Fe(array<u32, 10>(
        w[0] & 0x3ffffffu,
        ((w[0] >> 26u) | (w[1] << 6u)) & 0x1ffffffu,
        ((w[1] >> 19u) | (w[2] << 13u)) & 0x3ffffffu,
        ((w[2] >> 13u) | (w[3] << 19u)) & 0x1ffffffu,
        (w[3] >> 6u) & 0x3ffffffu,
        w[4] & 0x1ffffffu,
        ((w[4] >> 25u) | (w[5] << 7u)) & 0x3ffffffu,
        ((w[5] >> 19u) | (w[6] << 13u)) & 0x1ffffffu,
        ((w[6] >> 12u) | (w[7] << 20u)) & 0x3ffffffu,
        (w[7] >> 6u) & 0x1ffffffu,
    ));
}

// The value below p as eight little-endian words. In: frozen.
fn fe_to_words(f: Fe) -> array<u32, 8> {
    return array<u32, 8>(
        f.l[0] | (f.l[1] << 26u),
        (f.l[1] >> 6u) | (f.l[2] << 19u),
        (f.l[2] >> 13u) | (f.l[3] << 13u),
        (f.l[3] >> 19u) | (f.l[4] << 6u),
        f.l[5] | (f.l[6] << 25u),
        (f.l[6] >> 7u) | (f.l[7] << 19u),
        (f.l[7] >> 13u) | (f.l[8] << 12u),
        (f.l[8] >> 20u) | (f.l[9] << 6u),
    );
}

// a^(2^n). In: tight. Out: tight.
fn fe_square_times(a: Fe, n: u32) -> Fe {
    var x = a;
    for (var i = 0u; i < n; i++) { x = fe_square(x); }
    return x;
}

struct FeChain { z11: Fe, z_250: Fe }

// z^11 and z^(2^250 - 1), from which both powers below go on. In: loose. Out: tight.
fn fe_chain(z: Fe) -> FeChain {
    let z2 = fe_square(z);
    let z9 = fe_mul(z, fe_square_times(z2, 2u));
    let z11 = fe_mul(z2, z9);
    let z_5 = fe_mul(z9, fe_square(z11));
    let z_10 = fe_mul(fe_square_times(z_5, 5u), z_5);
    let z_20 = fe_mul(fe_square_times(z_10, 10u), z_10);
    let z_40 = fe_mul(fe_square_times(z_20, 20u), z_20);
    let z_50 = fe_mul(fe_square_times(z_40, 10u), z_10);
    let z_100 = fe_mul(fe_square_times(z_50, 50u), z_50);
    let z_200 = fe_mul(fe_square_times(z_100, 100u), z_100);
    return FeChain(z11, fe_mul(fe_square_times(z_200, 50u), z_50));
}

// z^((p - 5) / 8) = z^(2^252 - 3), for square roots. In: loose. Out: tight.
fn fe_pow_p58(z: Fe) -> Fe {
    return fe_mul(fe_square_times(fe_chain(z).z_250, 2u), z);
}

// 1/z = z^(2^255 - 21); 0 for 0. In: loose. Out: tight.
fn fe_invert(z: Fe) -> Fe {
    let chain = fe_chain(z);
    return fe_mul(fe_square_times(chain.z_250, 5u), chain.z11);
}
