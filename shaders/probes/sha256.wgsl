// The compression function of SHA-256, once for each block, from the first state.
//
// One thread a block of sixteen words; 8 words out.

@compute @workgroup_size(64)
fn sha256(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= arrayLength(&output) / 8u) { return; }
    let at = id.x * 16u;
    let state = sha256_compress(SHA256_INITIAL, array<u32, 16>(
        byte_swap(input[at]), byte_swap(input[at + 1u]), byte_swap(input[at + 2u]),
        byte_swap(input[at + 3u]), byte_swap(input[at + 4u]), byte_swap(input[at + 5u]),
        byte_swap(input[at + 6u]), byte_swap(input[at + 7u]), byte_swap(input[at + 8u]),
        byte_swap(input[at + 9u]), byte_swap(input[at + 10u]), byte_swap(input[at + 11u]),
        byte_swap(input[at + 12u]), byte_swap(input[at + 13u]), byte_swap(input[at + 14u]),
        byte_swap(input[at + 15u]),
    ));
    probe_write_words(id.x * 8u, array<u32, 8>(
        state.a, state.b, state.c, state.d, state.e, state.f, state.g, state.h,
    ));
}
