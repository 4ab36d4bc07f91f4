// Sha-256 (FIPS 180-4), written out: state and schedule stay in registers.

struct Sha256 { a: u32, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32, h: u32 }

const SHA256_INITIAL = Sha256(
    0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
    0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u,
);

fn sha256_rotate(x: u32, n: u32) -> u32 { return (x >> n) | (x << (32u - n)); }

// One round; kw is the round's constant plus its word of the schedule.
fn sha256_round(s: Sha256, kw: u32) -> Sha256 {
    let sum1 = sha256_rotate(s.e, 6u) ^ sha256_rotate(s.e, 11u) ^ sha256_rotate(s.e, 25u);
    let t1 = s.h + sum1 + (s.g ^ (s.e & (s.f ^ s.g))) + kw;
    let sum0 = sha256_rotate(s.a, 2u) ^ sha256_rotate(s.a, 13u) ^ sha256_rotate(s.a, 22u);
    let t2 = sum0 + ((s.a & s.b) | (s.c & (s.a | s.b)));
    return Sha256(t1 + t2, s.a, s.b, s.c, s.d + t1, s.e, s.f, s.g);
}

// Word t of the schedule, from the words t - 16, t - 15, t - 7 and t - 2.
fn sha256_extend(w16: u32, w15: u32, w7: u32, w2: u32) -> u32 {
    let sigma0 = sha256_rotate(w15, 7u) ^ sha256_rotate(w15, 18u) ^ (w15 >> 3u);
    let sigma1 = sha256_rotate(w2, 17u) ^ sha256_rotate(w2, 19u) ^ (w2 >> 10u);
    return w16 + sigma0 + w7 + sigma1;
}

// The state after one block of sixteen words.
fn sha256_compress(state: Sha256, block: array<u32, 16>) -> Sha256 {
    var w0 = block[0]; var w1 = block[1]; var w2 = block[2]; var w3 = block[3];
    var w4 = block[4]; var w5 = block[5]; var w6 = block[6]; var w7 = block[7];
    var w8 = block[8]; var w9 = block[9]; var w10 = block[10]; var w11 = block[11];
    var w12 = block[12]; var w13 = block[13]; var w14 = block[14]; var w15 = block[15];
    var s = state;
    s = sha256_round(s, 0x428a2f98u + w0);
    s = sha256_round(s, 0x71374491u + w1);
    s = sha256_round(s, 0xb5c0fbcfu + w2);
    s = sha256_round(s, 0xe9b5dba5u + w3);
    s = sha256_round(s, 0x3956c25bu + w4);
    s = sha256_round(s, 0x59f111f1u + w5);
    s = sha256_round(s, 0x923f82a4u + w6);
    s = sha256_round(s, 0xab1c5ed5u + w7);
    s = sha256_round(s, 0xd807aa98u + w8);
    s = sha256_round(s, 0x12835b01u + w9);
    s = sha256_round(s, 0x243185beu + w10);
    s = sha256_round(s, 0x550c7dc3u + w11);
    s = sha256_round(s, 0x72be5d74u + w12);
    s = sha256_round(s, 0x80deb1feu + w13);
    s = sha256_round(s, 0x9bdc06a7u + w14);
    s = sha256_round(s, 0xc19bf174u + w15);
    w0 = sha256_extend(w0, w1, w9, w14);
    s = sha256_round(s, 0xe49b69c1u + w0);
    w1 = sha256_extend(w1, w2, w10, w15);
    s = sha256_round(s, 0xefbe4786u + w1);
    w2 = sha256_extend(w2, w3, w11, w0);
    s = sha256_round(s, 0x0fc19dc6u + w2);
    w3 = sha256_extend(w3, w4, w12, w1);
    s = sha256_round(s, 0x240ca1ccu + w3);
    w4 = sha256_extend(w4, w5, w13, w2);
    s = sha256_round(s, 0x2de92c6fu + w4);
    w5 = sha256_extend(w5, w6, w14, w3);
    s = sha256_round(s, 0x4a7484aau + w5);
    w6 = sha256_extend(w6, w7, w15, w4);
    s = sha256_round(s, 0x5cb0a9dcu + w6);
    w7 = sha256_extend(w7, w8, w0, w5);
    s = sha256_round(s, 0x76f988dau + w7);
    w8 = sha256_extend(w8, w9, w1, w6);
    s = sha256_round(s, 0x983e5152u + w8);
    w9 = sha256_extend(w9, w10, w2, w7);
    s = sha256_round(s, 0xa831c66du + w9);
    w10 = sha256_extend(w10, w11, w3, w8);
    s = sha256_round(s, 0xb00327c8u + w10);
    w11 = sha256_extend(w11, w12, w4, w9);
    s = sha256_round(s, 0xbf597fc7u + w11);
    w12 = sha256_extend(w12, w13, w5, w10);
    s = sha256_round(s, 0xc6e00bf3u + w12);
    w13 = sha256_extend(w13, w14, w6, w11);
    s = sha256_round(s, 0xd5a79147u + w13);
    w14 = sha256_extend(w14, w15, w7, w12);
    s = sha256_round(s, 0x06ca6351u + w14);
    w15 = sha256_extend(w15, w0, w8, w13);
    s = sha256_round(s, 0x14292967u + w15);
    w0 = sha256_extend(w0, w1, w9, w14);
    s = sha256_round(s, 0x27b70a85u + w0);
    w1 = sha256_extend(w1, w2, w10, w15);
    s = sha256_round(s, 0x2e1b2138u + w1);
    w2 = sha256_extend(w2, w3, w11, w0);
    s = sha256_round(s, 0x4d2c6dfcu + w2);
    w3 = sha256_extend(w3, w4, w12, w1);
    s = sha256_round(s, 0x53380d13u + w3);
    w4 = sha256_extend(w4, w5, w13, w2);
    s = sha256_round(s, 0x650a7354u + w4);
    w5 = sha256_extend(w5, w6, w14, w3);
    s = sha256_round(s, 0x766a0abbu + w5);
    w6 = sha256_extend(w6, w7, w15, w4);
    s = sha256_round(s, 0x81c2c92eu + w6);
    w7 = sha256_extend(w7, w8, w0, w5);
    s = sha256_round(s, 0x92722c85u + w7);
    w8 = sha256_extend(w8, w9, w1, w6);
    s = sha256_round(s, 0xa2bfe8a1u + w8);
    w9 = sha256_extend(w9, w10, w2, w7);
    s = sha256_round(s, 0xa81a664bu + w9);
    w10 = sha256_extend(w10, w11, w3, w8);
    s = sha256_round(s, 0xc24b8b70u + w10);
    w11 = sha256_extend(w11, w12, w4, w9);
    s = sha256_round(s, 0xc76c51a3u + w11);
    w12 = sha256_extend(w12, w13, w5, w10);
    s = sha256_round(s, 0xd192e819u + w12);
    w13 = sha256_extend(w13, w14, w6, w11);
    s = sha256_round(s, 0xd6990624u + w13);
    w14 = sha256_extend(w14, w15, w7, w12);
    s = sha256_round(s, 0xf40e3585u + w14);
    w15 = sha256_extend(w15, w0, w8, w13);
    s = sha256_round(s, 0x106aa070u + w15);
    w0 = sha256_extend(w0, w1, w9, w14);
    s = sha256_round(s, 0x19a4c116u + w0);
    w1 = sha256_extend(w1, w2, w10, w15);
    s = sha256_round(s, 0x1e376c08u + w1);
    w2 = sha256_extend(w2, w3, w11, w0);
    s = sha256_round(s, 0x2748774cu + w2);
    w3 = sha256_extend(w3, w4, w12, w1);
    s = sha256_round(s, 0x34b0bcb5u + w3);
    w4 = sha256_extend(w4, w5, w13, w2);
    s = sha256_round(s, 0x391c0cb3u + w4);
    w5 = sha256_extend(w5, w6, w14, w3);
    s = sha256_round(s, 0x4ed8aa4au + w5);
    w6 = sha256_extend(w6, w7, w15, w4);
    s = sha256_round(s, 0x5b9cca4fu + w6);
    w7 = sha256_extend(w7, w8, w0, w5);
    s = sha256_round(s, 0x682e6ff3u + w7);
    w8 = sha256_extend(w8, w9, w1, w6);
    s = sha256_round(s, 0x748f82eeu + w8);
    w9 = sha256_extend(w9, w10, w2, w7);
    s = sha256_round(s, 0x78a5636fu + w9);
    w10 = sha256_extend(w10, w11, w3, w8);
    s = sha256_round(s, 0x84c87814u + w10);
    w11 = sha256_extend(w11, w12, w4, w9);
    s = sha256_round(s, 0x8cc70208u + w11);
    w12 = sha256_extend(w12, w13, w5, w10);
    s = sha256_round(s, 0x90befffau + w12);
    w13 = sha256_extend(w13, w14, w6, w11);
    s = sha256_round(s, 0xa4506cebu + w13);
    w14 = sha256_extend(w14, w15, w7, w12);
    s = sha256_round(s, 0xbef9a3f7u + w14);
    w15 = sha256_extend(w15, w0, w8, w13);
    s = sha256_round(s, 0xc67178f2u + w15);
    return Sha256(
        state.a + s.a, state.b + s.b, state.c + s.c, state.d + s.d,
        state.e + s.e, state.f + s.f, state.g + s.g, state.h + s.h,
    );
}
