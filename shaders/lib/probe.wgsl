// What probes read and write: words for each thread, and how many.

@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(1) var<storage, read_write> output: array<u32>;

fn probe_words(at: u32) -> array<u32, 8> {
    return array<u32, 8>(
        input[at], input[at + 1u], input[at + 2u], input[at + 3u],
        input[at + 4u], input[at + 5u], input[at + 6u], input[at + 7u],
    );
}

fn probe_write_words(at: u32, w: array<u32, 8>) {
    output[at] = w[0];
    output[at + 1u] = w[1];
    output[at + 2u] = w[2];
    output[at + 3u] = w[3];
    output[at + 4u] = w[4];
    output[at + 5u] = w[5];
    output[at + 6u] = w[6];
    output[at + 7u] = w[7];
}
