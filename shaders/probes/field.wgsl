// Every function of the field, once for each pair of elements.
//
// One thread a pair of 20 words; 118 words out.

fn element(at: u32) -> Fe {
    return Fe(array<u32, 10>(
        input[at], input[at + 1u], input[at + 2u], input[at + 3u], input[at + 4u],
        input[at + 5u], input[at + 6u], input[at + 7u], input[at + 8u], input[at + 9u],
    ));
}

fn store(at: u32, f: Fe) {
    output[at] = f.l[0];
    output[at + 1u] = f.l[1];
    output[at + 2u] = f.l[2];
    output[at + 3u] = f.l[3];
    output[at + 4u] = f.l[4];
    output[at + 5u] = f.l[5];
    output[at + 6u] = f.l[6];
    output[at + 7u] = f.l[7];
    output[at + 8u] = f.l[8];
    output[at + 9u] = f.l[9];
}

@compute @workgroup_size(64)
fn field(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= arrayLength(&output) / 118u) { return; }
    let start = id.x * 20u;
    let to = id.x * 118u;
    let a = element(start);
    let b = element(start + 10u);
    let tight_a = fe_carry(a);
    let tight_b = fe_carry(b);
    store(to, fe_mul(a, b));
    store(to + 10u, fe_square(a));
    store(to + 20u, tight_a);
    store(to + 30u, fe_add(tight_a, tight_b));
    store(to + 40u, fe_sub(tight_a, tight_b));
    store(to + 50u, fe_select(tight_a, tight_b, (a.l[0] & 1u) == 1u));
    store(to + 60u, fe_freeze(a));
    store(to + 70u, fe_pow_p58(a));
    store(to + 80u, fe_invert(a));
    store(to + 90u, fe_from_words(probe_words(start)));
    probe_write_words(to + 100u, fe_to_words(fe_freeze(b)));
    output[to + 108u] = select(0u, 1u, fe_is_zero(a));
    // The sum of a and its negative is a 0 that is written otherwise.
    output[to + 109u] = select(0u, 1u, fe_is_zero(fe_add(tight_a, fe_sub(FE_ZERO, tight_a))));
    probe_write_words(to + 110u, fe_to_words(fe_freeze(fe_mul(FE_SQRT_M1, FE_D))));
}
