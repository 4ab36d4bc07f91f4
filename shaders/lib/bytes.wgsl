// The order of bytes in words.

// A little-endian word of memory as the big-endian word that SHA reads, and back.
fn byte_swap(x: u32) -> u32 {
    return (x << 24u) | ((x & 0xff00u) << 8u) | ((x >> 8u) & 0xff00u) | (x >> 24u);
}
