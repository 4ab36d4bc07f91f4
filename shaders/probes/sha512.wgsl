// The compression function of SHA-512, once for each block, from the first state.
//
// One thread a block of 32 words, the high half of each 64-bit word first; 16 words out.

fn word(at: u32) -> u64 {
    return (u64(input[at]) << 32u) | u64(input[at + 1u]);
}

@compute @workgroup_size(64)
fn sha512(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= arrayLength(&output) / 16u) { return; }
    let at = id.x * 32u;
    let state = sha512_compress(SHA512_INITIAL, array<u64, 16>(
        word(at), word(at + 2u), word(at + 4u), word(at + 6u), word(at + 8u), word(at + 10u),
        word(at + 12u), word(at + 14u), word(at + 16u), word(at + 18u), word(at + 20u),
        word(at + 22u), word(at + 24u), word(at + 26u), word(at + 28u), word(at + 30u),
    ));
    let to = id.x * 16u;
    probe_write_words(to, array<u32, 8>(
        u32(state.a >> 32u), u32(state.a), u32(state.b >> 32u), u32(state.b),
        u32(state.c >> 32u), u32(state.c), u32(state.d >> 32u), u32(state.d),
    ));
    probe_write_words(to + 8u, array<u32, 8>(
        u32(state.e >> 32u), u32(state.e), u32(state.f >> 32u), u32(state.f),
        u32(state.g >> 32u), u32(state.g), u32(state.h >> 32u), u32(state.h),
    ));
}
