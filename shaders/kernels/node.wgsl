// One level of a Merkle tree: SHA-256 of each pair of neighbouring digests.
//
// One thread a pair. In: digests, eight words each in the order of memory. Out: the same.

@group(0) @binding(0) var<storage, read> lower: array<u32>;
@group(0) @binding(1) var<storage, read_write> upper: array<u32>;
// Pairs of this level, in the first word.
@group(0) @binding(2) var<storage, read> pairs: array<u32>;

// The padding of a message of 64 bytes is a block of its own.
const NODE_PADDING = array<u32, 16>(
    0x80000000u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 512u,
);

@compute @workgroup_size(64)
fn node(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= pairs[0]) { return; }
    let at = 16u * i;
    let message = array<u32, 16>(
        byte_swap(lower[at]), byte_swap(lower[at + 1u]), byte_swap(lower[at + 2u]),
        byte_swap(lower[at + 3u]), byte_swap(lower[at + 4u]), byte_swap(lower[at + 5u]),
        byte_swap(lower[at + 6u]), byte_swap(lower[at + 7u]), byte_swap(lower[at + 8u]),
        byte_swap(lower[at + 9u]), byte_swap(lower[at + 10u]), byte_swap(lower[at + 11u]),
        byte_swap(lower[at + 12u]), byte_swap(lower[at + 13u]), byte_swap(lower[at + 14u]),
        byte_swap(lower[at + 15u]),
    );
    let state = sha256_compress(sha256_compress(SHA256_INITIAL, message), NODE_PADDING);
    let to = 8u * i;
    upper[to] = byte_swap(state.a);
    upper[to + 1u] = byte_swap(state.b);
    upper[to + 2u] = byte_swap(state.c);
    upper[to + 3u] = byte_swap(state.d);
    upper[to + 4u] = byte_swap(state.e);
    upper[to + 5u] = byte_swap(state.f);
    upper[to + 6u] = byte_swap(state.g);
    upper[to + 7u] = byte_swap(state.h);
}
