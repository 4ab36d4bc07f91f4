// Sha-512 (FIPS 180-4), written out: state and schedule stay in registers.

struct Sha512 { a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64, h: u64 }

const SHA512_INITIAL = Sha512(
    0x6a09e667f3bcc908lu, 0xbb67ae8584caa73blu,
    0x3c6ef372fe94f82blu, 0xa54ff53a5f1d36f1lu,
    0x510e527fade682d1lu, 0x9b05688c2b3e6c1flu,
    0x1f83d9abfb41bd6blu, 0x5be0cd19137e2179lu,
);

fn sha512_rotate(x: u64, n: u32) -> u64 { return (x >> n) | (x << (64u - n)); }

// One round; kw is the round's constant plus its word of the schedule.
fn sha512_round(s: Sha512, kw: u64) -> Sha512 {
    let sum1 = sha512_rotate(s.e, 14u) ^ sha512_rotate(s.e, 18u) ^ sha512_rotate(s.e, 41u);
    let t1 = s.h + sum1 + (s.g ^ (s.e & (s.f ^ s.g))) + kw;
    let sum0 = sha512_rotate(s.a, 28u) ^ sha512_rotate(s.a, 34u) ^ sha512_rotate(s.a, 39u);
    let t2 = sum0 + ((s.a & s.b) | (s.c & (s.a | s.b)));
    return Sha512(t1 + t2, s.a, s.b, s.c, s.d + t1, s.e, s.f, s.g);
}

// Word t of the schedule, from the words t - 16, t - 15, t - 7 and t - 2.
fn sha512_extend(w16: u64, w15: u64, w7: u64, w2: u64) -> u64 {
    let sigma0 = sha512_rotate(w15, 1u) ^ sha512_rotate(w15, 8u) ^ (w15 >> 7u);
    let sigma1 = sha512_rotate(w2, 19u) ^ sha512_rotate(w2, 61u) ^ (w2 >> 6u);
    return w16 + sigma0 + w7 + sigma1;
}

// The state after one block of sixteen words.
fn sha512_compress(state: Sha512, block: array<u64, 16>) -> Sha512 {
    var w0 = block[0]; var w1 = block[1]; var w2 = block[2]; var w3 = block[3];
    var w4 = block[4]; var w5 = block[5]; var w6 = block[6]; var w7 = block[7];
    var w8 = block[8]; var w9 = block[9]; var w10 = block[10]; var w11 = block[11];
    var w12 = block[12]; var w13 = block[13]; var w14 = block[14]; var w15 = block[15];
    var s = state;
    s = sha512_round(s, 0x428a2f98d728ae22lu + w0);
    s = sha512_round(s, 0x7137449123ef65cdlu + w1);
    s = sha512_round(s, 0xb5c0fbcfec4d3b2flu + w2);
    s = sha512_round(s, 0xe9b5dba58189dbbclu + w3);
    s = sha512_round(s, 0x3956c25bf348b538lu + w4);
    s = sha512_round(s, 0x59f111f1b605d019lu + w5);
    s = sha512_round(s, 0x923f82a4af194f9blu + w6);
    s = sha512_round(s, 0xab1c5ed5da6d8118lu + w7);
    s = sha512_round(s, 0xd807aa98a3030242lu + w8);
    s = sha512_round(s, 0x12835b0145706fbelu + w9);
    s = sha512_round(s, 0x243185be4ee4b28clu + w10);
    s = sha512_round(s, 0x550c7dc3d5ffb4e2lu + w11);
    s = sha512_round(s, 0x72be5d74f27b896flu + w12);
    s = sha512_round(s, 0x80deb1fe3b1696b1lu + w13);
    s = sha512_round(s, 0x9bdc06a725c71235lu + w14);
    s = sha512_round(s, 0xc19bf174cf692694lu + w15);
    w0 = sha512_extend(w0, w1, w9, w14);
    s = sha512_round(s, 0xe49b69c19ef14ad2lu + w0);
    w1 = sha512_extend(w1, w2, w10, w15);
    s = sha512_round(s, 0xefbe4786384f25e3lu + w1);
    w2 = sha512_extend(w2, w3, w11, w0);
    s = sha512_round(s, 0x0fc19dc68b8cd5b5lu + w2);
    w3 = sha512_extend(w3, w4, w12, w1);
    s = sha512_round(s, 0x240ca1cc77ac9c65lu + w3);
    w4 = sha512_extend(w4, w5, w13, w2);
    s = sha512_round(s, 0x2de92c6f592b0275lu + w4);
    w5 = sha512_extend(w5, w6, w14, w3);
    s = sha512_round(s, 0x4a7484aa6ea6e483lu + w5);
    w6 = sha512_extend(w6, w7, w15, w4);
    s = sha512_round(s, 0x5cb0a9dcbd41fbd4lu + w6);
    w7 = sha512_extend(w7, w8, w0, w5);
    s = sha512_round(s, 0x76f988da831153b5lu + w7);
    w8 = sha512_extend(w8, w9, w1, w6);
    s = sha512_round(s, 0x983e5152ee66dfablu + w8);
    w9 = sha512_extend(w9, w10, w2, w7);
    s = sha512_round(s, 0xa831c66d2db43210lu + w9);
    w10 = sha512_extend(w10, w11, w3, w8);
    s = sha512_round(s, 0xb00327c898fb213flu + w10);
    w11 = sha512_extend(w11, w12, w4, w9);
    s = sha512_round(s, 0xbf597fc7beef0ee4lu + w11);
    w12 = sha512_extend(w12, w13, w5, w10);
    s = sha512_round(s, 0xc6e00bf33da88fc2lu + w12);
    w13 = sha512_extend(w13, w14, w6, w11);
    s = sha512_round(s, 0xd5a79147930aa725lu + w13);
    w14 = sha512_extend(w14, w15, w7, w12);
    s = sha512_round(s, 0x06ca6351e003826flu + w14);
    w15 = sha512_extend(w15, w0, w8, w13);
    s = sha512_round(s, 0x142929670a0e6e70lu + w15);
    w0 = sha512_extend(w0, w1, w9, w14);
    s = sha512_round(s, 0x27b70a8546d22ffclu + w0);
    w1 = sha512_extend(w1, w2, w10, w15);
    s = sha512_round(s, 0x2e1b21385c26c926lu + w1);
    w2 = sha512_extend(w2, w3, w11, w0);
    s = sha512_round(s, 0x4d2c6dfc5ac42aedlu + w2);
    w3 = sha512_extend(w3, w4, w12, w1);
    s = sha512_round(s, 0x53380d139d95b3dflu + w3);
    w4 = sha512_extend(w4, w5, w13, w2);
    s = sha512_round(s, 0x650a73548baf63delu + w4);
    w5 = sha512_extend(w5, w6, w14, w3);
    s = sha512_round(s, 0x766a0abb3c77b2a8lu + w5);
    w6 = sha512_extend(w6, w7, w15, w4);
    s = sha512_round(s, 0x81c2c92e47edaee6lu + w6);
    w7 = sha512_extend(w7, w8, w0, w5);
    s = sha512_round(s, 0x92722c851482353blu + w7);
    w8 = sha512_extend(w8, w9, w1, w6);
    s = sha512_round(s, 0xa2bfe8a14cf10364lu + w8);
    w9 = sha512_extend(w9, w10, w2, w7);
    s = sha512_round(s, 0xa81a664bbc423001lu + w9);
    w10 = sha512_extend(w10, w11, w3, w8);
    s = sha512_round(s, 0xc24b8b70d0f89791lu + w10);
    w11 = sha512_extend(w11, w12, w4, w9);
    s = sha512_round(s, 0xc76c51a30654be30lu + w11);
    w12 = sha512_extend(w12, w13, w5, w10);
    s = sha512_round(s, 0xd192e819d6ef5218lu + w12);
    w13 = sha512_extend(w13, w14, w6, w11);
    s = sha512_round(s, 0xd69906245565a910lu + w13);
    w14 = sha512_extend(w14, w15, w7, w12);
    s = sha512_round(s, 0xf40e35855771202alu + w14);
    w15 = sha512_extend(w15, w0, w8, w13);
    s = sha512_round(s, 0x106aa07032bbd1b8lu + w15);
    w0 = sha512_extend(w0, w1, w9, w14);
    s = sha512_round(s, 0x19a4c116b8d2d0c8lu + w0);
    w1 = sha512_extend(w1, w2, w10, w15);
    s = sha512_round(s, 0x1e376c085141ab53lu + w1);
    w2 = sha512_extend(w2, w3, w11, w0);
    s = sha512_round(s, 0x2748774cdf8eeb99lu + w2);
    w3 = sha512_extend(w3, w4, w12, w1);
    s = sha512_round(s, 0x34b0bcb5e19b48a8lu + w3);
    w4 = sha512_extend(w4, w5, w13, w2);
    s = sha512_round(s, 0x391c0cb3c5c95a63lu + w4);
    w5 = sha512_extend(w5, w6, w14, w3);
    s = sha512_round(s, 0x4ed8aa4ae3418acblu + w5);
    w6 = sha512_extend(w6, w7, w15, w4);
    s = sha512_round(s, 0x5b9cca4f7763e373lu + w6);
    w7 = sha512_extend(w7, w8, w0, w5);
    s = sha512_round(s, 0x682e6ff3d6b2b8a3lu + w7);
    w8 = sha512_extend(w8, w9, w1, w6);
    s = sha512_round(s, 0x748f82ee5defb2fclu + w8);
    w9 = sha512_extend(w9, w10, w2, w7);
    s = sha512_round(s, 0x78a5636f43172f60lu + w9);
    w10 = sha512_extend(w10, w11, w3, w8);
    s = sha512_round(s, 0x84c87814a1f0ab72lu + w10);
    w11 = sha512_extend(w11, w12, w4, w9);
    s = sha512_round(s, 0x8cc702081a6439eclu + w11);
    w12 = sha512_extend(w12, w13, w5, w10);
    s = sha512_round(s, 0x90befffa23631e28lu + w12);
    w13 = sha512_extend(w13, w14, w6, w11);
    s = sha512_round(s, 0xa4506cebde82bde9lu + w13);
    w14 = sha512_extend(w14, w15, w7, w12);
    s = sha512_round(s, 0xbef9a3f7b2c67915lu + w14);
    w15 = sha512_extend(w15, w0, w8, w13);
    s = sha512_round(s, 0xc67178f2e372532blu + w15);
    w0 = sha512_extend(w0, w1, w9, w14);
    s = sha512_round(s, 0xca273eceea26619clu + w0);
    w1 = sha512_extend(w1, w2, w10, w15);
    s = sha512_round(s, 0xd186b8c721c0c207lu + w1);
    w2 = sha512_extend(w2, w3, w11, w0);
    s = sha512_round(s, 0xeada7dd6cde0eb1elu + w2);
    w3 = sha512_extend(w3, w4, w12, w1);
    s = sha512_round(s, 0xf57d4f7fee6ed178lu + w3);
    w4 = sha512_extend(w4, w5, w13, w2);
    s = sha512_round(s, 0x06f067aa72176fbalu + w4);
    w5 = sha512_extend(w5, w6, w14, w3);
    s = sha512_round(s, 0x0a637dc5a2c898a6lu + w5);
    w6 = sha512_extend(w6, w7, w15, w4);
    s = sha512_round(s, 0x113f9804bef90daelu + w6);
    w7 = sha512_extend(w7, w8, w0, w5);
    s = sha512_round(s, 0x1b710b35131c471blu + w7);
    w8 = sha512_extend(w8, w9, w1, w6);
    s = sha512_round(s, 0x28db77f523047d84lu + w8);
    w9 = sha512_extend(w9, w10, w2, w7);
    s = sha512_round(s, 0x32caab7b40c72493lu + w9);
    w10 = sha512_extend(w10, w11, w3, w8);
    s = sha512_round(s, 0x3c9ebe0a15c9bebclu + w10);
    w11 = sha512_extend(w11, w12, w4, w9);
    s = sha512_round(s, 0x431d67c49c100d4clu + w11);
    w12 = sha512_extend(w12, w13, w5, w10);
    s = sha512_round(s, 0x4cc5d4becb3e42b6lu + w12);
    w13 = sha512_extend(w13, w14, w6, w11);
    s = sha512_round(s, 0x597f299cfc657e2alu + w13);
    w14 = sha512_extend(w14, w15, w7, w12);
    s = sha512_round(s, 0x5fcb6fab3ad6faeclu + w14);
    w15 = sha512_extend(w15, w0, w8, w13);
    s = sha512_round(s, 0x6c44198c4a475817lu + w15);
    return Sha512(
        state.a + s.a, state.b + s.b, state.c + s.c, state.d + s.d,
        state.e + s.e, state.f + s.f, state.g + s.g, state.h + s.h,
    );
}
