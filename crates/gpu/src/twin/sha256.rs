//! Twin of `shaders/lib/sha256.wgsl`: SHA-256 (FIPS 180-4) of whole blocks.

/// The eight words of the state.
pub type Sha256 = [u32; 8];

/// The state before the first block.
#[rustfmt::skip]
pub const SHA256_INITIAL: Sha256 = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

#[rustfmt::skip]
const ROUNDS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// One round; `kw` is the round's constant plus its word of the schedule.
#[must_use]
pub fn sha256_round(s: Sha256, kw: u32) -> Sha256 {
    let [a, b, c, d, e, f, g, h] = s;
    let sum1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let choice = g ^ (e & (f ^ g));
    let t1 = [sum1, choice, kw].into_iter().fold(h, u32::wrapping_add);
    let sum0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let t2 = sum0.wrapping_add((a & b) | (c & (a | b)));
    [t1.wrapping_add(t2), a, b, c, d.wrapping_add(t1), e, f, g]
}

/// Word t of the schedule, from the words t - 16, t - 15, t - 7 and t - 2.
#[must_use]
pub fn sha256_extend(w16: u32, w15: u32, w7: u32, w2: u32) -> u32 {
    let sigma0 = w15.rotate_right(7) ^ w15.rotate_right(18) ^ (w15 >> 3);
    let sigma1 = w2.rotate_right(17) ^ w2.rotate_right(19) ^ (w2 >> 10);
    [sigma0, w7, sigma1]
        .into_iter()
        .fold(w16, u32::wrapping_add)
}

/// The state after one block of sixteen words.
#[must_use]
pub fn sha256_compress(state: Sha256, block: [u32; 16]) -> Sha256 {
    let mut w = block;
    let mut s = state;
    for (t, &constant) in ROUNDS.iter().enumerate() {
        if t >= 16 {
            let at = |back: usize| w[(t - back) % 16];
            w[t % 16] = sha256_extend(at(16), at(15), at(7), at(2));
        }
        s = sha256_round(s, constant.wrapping_add(w[t % 16]));
    }
    std::array::from_fn(|at| state[at].wrapping_add(s[at]))
}
