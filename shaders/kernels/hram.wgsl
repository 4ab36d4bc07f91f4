// k = SHA-512(R || A || M) mod L of each item, and the signed digits of k and S.
//
// One thread an item. In: batch. Out: scratch K and S.

fn stream_word(at: u32) -> u64 {
    return (u64(byte_swap(batch[at])) << 32u) | u64(byte_swap(batch[at + 1u]));
}

fn low(x: u64) -> u32 { return byte_swap(u32(x)); }
fn high(x: u64) -> u32 { return byte_swap(u32(x >> 32u)); }

@compute @workgroup_size(64)
fn hram(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= batch[HEAD_ITEM_COUNT]) { return; }
    let item = item_at(i);
    var at = batch[item + ITEM_STREAM];
    let blocks = min(batch[item + ITEM_BLOCKS], BLOCKS_MAX);
    var state = SHA512_INITIAL;
    for (var block = 0u; block < blocks; block++) {
        state = sha512_compress(state, array<u64, 16>(
            stream_word(at), stream_word(at + 2u), stream_word(at + 4u), stream_word(at + 6u),
            stream_word(at + 8u), stream_word(at + 10u), stream_word(at + 12u),
            stream_word(at + 14u), stream_word(at + 16u), stream_word(at + 18u),
            stream_word(at + 20u), stream_word(at + 22u), stream_word(at + 24u),
            stream_word(at + 26u), stream_word(at + 28u), stream_word(at + 30u),
        ));
        at += BLOCK_WORDS;
    }
    let k = scalar_reduce(array<u32, 16>(
        high(state.a), low(state.a), high(state.b), low(state.b),
        high(state.c), low(state.c), high(state.d), low(state.d),
        high(state.e), low(state.e), high(state.f), low(state.f),
        high(state.g), low(state.g), high(state.h), low(state.h),
    ));
    scratch_store_words(SCRATCH_K, i, scalar_recode(k, 0x88888888u));
    scratch_store_words(SCRATCH_S, i, scalar_recode(batch_words(item), 0x80808080u));
}
