// [S]B - [k]A of each item: Straus' method, four bits of k and, every other time, eight of S.
//
// One thread an item. In: batch, tables, scratch K and S. Out: scratch X, Y and Z.

fn key_entry(at: u32) -> Cached {
    return Cached(
        key_table_load(at), key_table_load(at + 10u),
        key_table_load(at + 20u), key_table_load(at + 30u),
    );
}

fn base_entry(at: u32) -> Affine {
    return Affine(
        base_table_load(at), base_table_load(at + 10u), base_table_load(at + 20u),
    );
}

@compute @workgroup_size(64)
fn dsm(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= batch[HEAD_ITEM_COUNT]) { return; }
    let slot = batch[item_at(i) + ITEM_SLOT] * SLOT_WORDS;
    var p = Projective(FE_ZERO, FE_ONE, FE_ONE);
    for (var step = 0u; step < 64u; step++) {
        let window = 63u - step;
        for (var times = 0u; times < 3u; times++) { p = point_projective(point_double(p)); }
        let four_times = point_extended(point_double(p));
        let nibbles = scratch[scratch_at(SCRATCH_K + (window >> 3u), i)];
        let digit = i32((nibbles >> (4u * (window & 7u))) & 15u) - 8;
        let multiple = key_entry(slot + u32(abs(digit)) * SLOT_ENTRY_WORDS);
        var sum = point_add(four_times, cached_negate_if(multiple, digit < 0));
        if ((window & 1u) == 0u) {
            let place = window >> 1u;
            let bytes = scratch[scratch_at(SCRATCH_S + (place >> 2u), i)];
            let digit = i32((bytes >> (8u * (place & 3u))) & 255u) - 128;
            let multiple = base_entry(u32(abs(digit)) * BASE_ENTRY_WORDS);
            sum = point_add_affine(point_extended(sum), affine_negate_if(multiple, digit < 0));
        }
        p = point_projective(sum);
    }
    scratch_store(SCRATCH_X, i, p.x);
    scratch_store(SCRATCH_Y, i, p.y);
    scratch_store(SCRATCH_Z, i, p.z);
}
