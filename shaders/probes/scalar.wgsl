// Every function of scalars, once for each number of sixteen words.
//
// One thread a number; 25 words out.

@compute @workgroup_size(64)
fn scalar(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= arrayLength(&output) / 25u) { return; }
    let start = id.x * 16u;
    let to = id.x * 25u;
    let low = probe_words(start);
    let reduced = scalar_reduce(array<u32, 16>(
        low[0], low[1], low[2], low[3], low[4], low[5], low[6], low[7],
        input[start + 8u], input[start + 9u], input[start + 10u], input[start + 11u],
        input[start + 12u], input[start + 13u], input[start + 14u], input[start + 15u],
    ));
    probe_write_words(to, reduced);
    probe_write_words(to + 8u, scalar_recode(low, 0x88888888u));
    probe_write_words(to + 16u, scalar_recode(reduced, 0x80808080u));
    output[to + 24u] = select(0u, 1u, scalar_is_reduced(low));
}
