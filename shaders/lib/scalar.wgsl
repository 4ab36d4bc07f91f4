// Scalars modulo the group order L = 2^252 + 27742317777372353535851937790883648493.
//
// The bounds stand beside the lines; the twin (crates/gpu/src/twin/scalar.rs) checks every sum.

// L, as eight little-endian words.
const ORDER = array<u32, 8>(
    0x5cf5d3edu, 0x5812631au, 0xa2f79cd6u, 0x14def9deu,
    0x00000000u, 0x00000000u, 0x00000000u, 0x10000000u,
);

// Whether a number of eight little-endian words is below L.
fn scalar_is_reduced(s: array<u32, 8>) -> bool {
    var below = false;
    below = s[0] < ORDER[0] || (s[0] == ORDER[0] && below);
    below = s[1] < ORDER[1] || (s[1] == ORDER[1] && below);
    below = s[2] < ORDER[2] || (s[2] == ORDER[2] && below);
    below = s[3] < ORDER[3] || (s[3] == ORDER[3] && below);
    below = s[4] < ORDER[4] || (s[4] == ORDER[4] && below);
    below = s[5] < ORDER[5] || (s[5] == ORDER[5] && below);
    below = s[6] < ORDER[6] || (s[6] == ORDER[6] && below);
    below = s[7] < ORDER[7] || (s[7] == ORDER[7] && below);
    return below;
}

// The same number in ten limbs of 26 bits; what is beyond stays in the last.
fn scalar_carry(h: array<u64, 10>) -> array<u64, 10> {
    let c1 = h[1] + (h[0] >> 26u);
    let c2 = h[2] + (c1 >> 26u);
    let c3 = h[3] + (c2 >> 26u);
    let c4 = h[4] + (c3 >> 26u);
    let c5 = h[5] + (c4 >> 26u);
    let c6 = h[6] + (c5 >> 26u);
    let c7 = h[7] + (c6 >> 26u);
    let c8 = h[8] + (c7 >> 26u);
    let c9 = h[9] + (c8 >> 26u);
    return array<u64, 10>(
        h[0] & 0x3fffffflu, c1 & 0x3fffffflu, c2 & 0x3fffffflu, c3 & 0x3fffffflu,
        c4 & 0x3fffffflu, c5 & 0x3fffffflu, c6 & 0x3fffffflu, c7 & 0x3fffffflu,
        c8 & 0x3fffffflu, c9,
    );
}

// A number of sixteen little-endian words, modulo L, as eight: below 2^253, maybe L too large.
//
// The upper eight words count 2^(32 k) mod L each, in ten limbs of 26 bits; what the sum has from
// 2^252 on counts L - 2^252 less.
fn scalar_reduce(x: array<u32, 16>) -> array<u32, 8> {
    let x8 = u64(x[8]); let x9 = u64(x[9]); let x10 = u64(x[10]); let x11 = u64(x[11]);
    let x12 = u64(x[12]); let x13 = u64(x[13]); let x14 = u64(x[14]); let x15 = u64(x[15]);
    // Columns of 26 bits: eight products of 32 by 26 bits and a limb, below 2^62.
    let h0 = u64(x[0] & 0x3ffffffu) +
        x8 * 0x198951dlu + x9 * 0xf5d3edlu + x10 * 0xf5d3edlu + x11 * 0xf5d3edlu +
        x12 * 0x2a6271lu + x13 * 0x1d275e7lu + x14 * 0xacb65lu + x15 * 0x37b0f19lu;
    let h1 = u64(((x[0] >> 26u) | (x[1] << 6u)) & 0x3ffffffu) +
        x8 * 0x30c5d23lu + x9 * 0x1491297lu + x10 * 0x98c697lu + x11 * 0x98c697lu +
        x12 * 0x884a68lu + x13 * 0x3077341lu + x14 * 0x2bd4828lu + x15 * 0x3b85d16lu;
    let h2 = u64(((x[1] >> 20u) | (x[2] << 12u)) & 0x3ffffffu) +
        x8 * 0xf70d6elu + x9 * 0x2b3088blu + x10 * 0x1e06581lu + x11 * 0x1cd6581lu +
        x12 * 0x1d95398lu + x13 * 0x16bc8a1lu + x14 * 0x17a979dlu + x15 * 0x2aea4d8lu;
    let h3 = u64(((x[2] >> 14u) | (x[3] << 18u)) & 0x3ffffffu) +
        x8 * 0x3d1cdf7lu + x9 * 0x1e48745lu + x10 * 0xe34e69lu + x11 * 0x3a8bdelu +
        x12 * 0x10d793flu + x13 * 0x2b32fd8lu + x14 * 0x2f8e347lu + x15 * 0x28d2felu;
    let h4 = u64(((x[3] >> 8u) | (x[4] << 24u)) & 0x3ffffffu) +
        x8 * 0x2c6ef5blu + x9 * 0x1e5652clu + x10 * 0x293b8c8lu + x11 * 0x24581bblu +
        x12 * 0x1b64a7flu + x13 * 0x37cdfa7lu + x14 * 0x1e24bablu + x15 * 0x218ca0clu;
    let h5 = u64((x[4] >> 2u) & 0x3ffffffu) +
        x8 * 0x3fffffflu + x9 * 0x841885lu + x10 * 0x218ca6lu + x11 * 0x3b67396lu +
        x12 * 0x28b04clu + x13 * 0xe65046lu + x14 * 0x30c268flu + x15 * 0x3bb1cf4lu;
    let h6 = u64(((x[4] >> 28u) | (x[5] << 4u)) & 0x3ffffffu) +
        x8 * 0x3fffffflu + x9 * 0x3ffffeblu + x10 * 0x106215dlu + x11 * 0x6329a7lu +
        x12 * 0x19ce5a3lu + x13 * 0x22c131blu + x14 * 0x19411b7lu + x15 * 0x309a3dclu;
    let h7 = u64(((x[5] >> 22u) | (x[6] << 10u)) & 0x3ffffffu) +
        x8 * 0x3fffffflu + x9 * 0x3fffffflu + x10 * 0x3fffac8lu + x11 * 0x1885742lu +
        x12 * 0xca69fblu + x13 * 0x33968c2lu + x14 * 0x304c6celu + x15 * 0x1046df0lu;
    let h8 = u64(((x[6] >> 16u) | (x[7] << 16u)) & 0x3ffffffu) +
        x8 * 0x3fffffflu + x9 * 0x3fffffflu + x10 * 0x3fffffflu + x11 * 0x3feb210lu +
        x12 * 0x215d086lu + x13 * 0x29a7ed9lu + x14 * 0x25a30a2lu + x15 * 0x131b399lu;
    let h9 = u64((x[7] >> 10u) & 0x3ffffffu) +
        x8 * 0x3fffflu + x9 * 0x3fffflu + x10 * 0x3fffflu + x11 * 0x3fffflu +
        x12 * 0x8418lu + x13 * 0x218clu + x14 * 0x3b673lu + x15 * 0x28b0lu;
    let h = scalar_carry(array<u64, 10>(h0, h1, h2, h3, h4, h5, h6, h7, h8, h9));
    // Limb 9 begins at 2^234: what lies from 2^252 on is below 2^38.
    let over = h[9] >> 18u;
    // over * (L - 2^252), below 2^163: seven limbs.
    let m = scalar_carry(array<u64, 10>(
        over * 0xf5d3edlu, over * 0x98c697lu, over * 0x1cd6581lu, over * 0x37a8bdelu,
        over * 0x14def9lu, 0lu, 0lu, 0lu, 0lu, 0lu,
    ));
    // Plus L, each limb of it holding 2^26 more and the next one less, so that none falls below 0.
    let r = scalar_carry(array<u64, 10>(
        h[0] + 0x4f5d3edlu - m[0], h[1] + 0x498c696lu - m[1], h[2] + 0x5cd6580lu - m[2],
        h[3] + 0x77a8bddlu - m[3], h[4] + 0x414def8lu - m[4], h[5] + 0x3fffffflu - m[5],
        h[6] + 0x3fffffflu - m[6], h[7] + 0x3fffffflu, h[8] + 0x3fffffflu,
        (h[9] & 0x3fffflu) + 0x3fffflu,
    ));
    return array<u32, 8>(
        u32(r[0] | (r[1] << 26u)),
        u32((r[1] >> 6u) | (r[2] << 20u)),
        u32((r[2] >> 12u) | (r[3] << 14u)),
        u32((r[3] >> 18u) | (r[4] << 8u)),
        u32((r[4] >> 24u) | (r[5] << 2u) | (r[6] << 28u)),
        u32((r[6] >> 4u) | (r[7] << 22u)),
        u32((r[7] >> 10u) | (r[8] << 16u)),
        u32((r[8] >> 16u) | (r[9] << 10u)),
    );
}

// x plus the same word eight times, modulo 2^256: signed digits in unsigned places.
//
// With 0x88888888 each nibble less 8 is a digit from -8 to 7; with 0x80808080 each byte less 128.
fn scalar_recode(x: array<u32, 8>, bias: u32) -> array<u32, 8> {
    let b = u64(bias);
    let r0 = u64(x[0]) + b;
    let r1 = u64(x[1]) + b + (r0 >> 32u);
    let r2 = u64(x[2]) + b + (r1 >> 32u);
    let r3 = u64(x[3]) + b + (r2 >> 32u);
    let r4 = u64(x[4]) + b + (r3 >> 32u);
    let r5 = u64(x[5]) + b + (r4 >> 32u);
    let r6 = u64(x[6]) + b + (r5 >> 32u);
    let r7 = u64(x[7]) + b + (r6 >> 32u);
    return array<u32, 8>(
        u32(r0), u32(r1), u32(r2), u32(r3),
        u32(r4), u32(r5), u32(r6), u32(r7),
    );
}
