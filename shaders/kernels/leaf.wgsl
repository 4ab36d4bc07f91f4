// Both hashes of each envelope: its body's, and its leaf's over prefix, that hash and signature.
//
// One thread an envelope. In: envelopes of 48 words in the order of memory. Out: twelve words each,
// the first four of the body's hash and the eight of the leaf's.

@group(0) @binding(0) var<storage, read> envelopes: array<u32>;
@group(0) @binding(1) var<storage, read_write> digests: array<u32>;
// Number of envelopes, in the first word.
@group(0) @binding(2) var<storage, read> count: array<u32>;

// The padding of a body of 128 bytes is a block of its own.
const BODY_PADDING = array<u32, 16>(
    0x80000000u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 1024u,
);

fn word(at: u32) -> u32 { return byte_swap(envelopes[at]); }

fn block(at: u32) -> array<u32, 16> {
    return array<u32, 16>(
        word(at), word(at + 1u), word(at + 2u), word(at + 3u), word(at + 4u), word(at + 5u),
        word(at + 6u), word(at + 7u), word(at + 8u), word(at + 9u), word(at + 10u),
        word(at + 11u), word(at + 12u), word(at + 13u), word(at + 14u), word(at + 15u),
    );
}

// The word that begins with the last byte of one and goes on with the first three of the next: the
// prefix is one byte of zeros, so all that follows is shifted by one.
fn shifted(one: u32, next: u32) -> u32 { return (one << 24u) | (next >> 8u); }

@compute @workgroup_size(64)
fn leaf(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= count[0]) { return; }
    let at = 48u * i;
    let first = sha256_compress(SHA256_INITIAL, block(at));
    let body = sha256_compress(sha256_compress(first, block(at + 16u)), BODY_PADDING);
    let s = block(at + 32u);
    let half = sha256_compress(SHA256_INITIAL, array<u32, 16>(
        body.a >> 8u, shifted(body.a, body.b), shifted(body.b, body.c), shifted(body.c, body.d),
        shifted(body.d, body.e), shifted(body.e, body.f), shifted(body.f, body.g),
        shifted(body.g, body.h), shifted(body.h, s[0]), shifted(s[0], s[1]),
        shifted(s[1], s[2]), shifted(s[2], s[3]), shifted(s[3], s[4]), shifted(s[4], s[5]),
        shifted(s[5], s[6]), shifted(s[6], s[7]),
    ));
    // 97 bytes: 776 bits.
    let whole = sha256_compress(half, array<u32, 16>(
        shifted(s[7], s[8]), shifted(s[8], s[9]), shifted(s[9], s[10]), shifted(s[10], s[11]),
        shifted(s[11], s[12]), shifted(s[12], s[13]), shifted(s[13], s[14]),
        shifted(s[14], s[15]), (s[15] << 24u) | 0x800000u, 0u, 0u, 0u, 0u, 0u, 0u, 776u,
    ));
    let to = 12u * i;
    digests[to] = byte_swap(body.a);
    digests[to + 1u] = byte_swap(body.b);
    digests[to + 2u] = byte_swap(body.c);
    digests[to + 3u] = byte_swap(body.d);
    digests[to + 4u] = byte_swap(whole.a);
    digests[to + 5u] = byte_swap(whole.b);
    digests[to + 6u] = byte_swap(whole.c);
    digests[to + 7u] = byte_swap(whole.d);
    digests[to + 8u] = byte_swap(whole.e);
    digests[to + 9u] = byte_swap(whole.f);
    digests[to + 10u] = byte_swap(whole.g);
    digests[to + 11u] = byte_swap(whole.h);
}
