// Decodes new keys and fills their slots with the multiples 0 to 8 of their negatives.
//
// One thread a key. In: batch. Out: key_table. What is no point gets the multiples of the neutral
// point, so that whatever is computed with it stays on the curve, and a state that says so.

fn store_entry(at: u32, q: Cached) {
    key_table_store(at, q.y_plus_x);
    key_table_store(at + 10u, q.y_minus_x);
    key_table_store(at + 20u, q.z2);
    key_table_store(at + 30u, q.t2d);
}

@compute @workgroup_size(64)
fn keys(@builtin(global_invocation_id) id: vec3<u32>) {
    let j = id.x;
    if (j >= batch[HEAD_KEY_COUNT]) { return; }
    let key = batch[HEAD_KEYS_AT] + j * KEY_WORDS;
    let slot = batch[key + KEY_SLOT] * SLOT_WORDS;
    let decoded = point_decode_negated(batch_words(key));
    let valid = decoded.valid;
    var p = Extended(
        fe_select(FE_ZERO, decoded.point.x, valid),
        fe_select(FE_ONE, decoded.point.y, valid),
        FE_ONE,
        fe_select(FE_ZERO, decoded.point.t, valid),
    );
    let step = point_cached(p);
    store_entry(slot, point_cached(Extended(FE_ZERO, FE_ONE, FE_ONE, FE_ZERO)));
    store_entry(slot + SLOT_ENTRY_WORDS, step);
    for (var entry = 2u; entry < 9u; entry++) {
        p = point_extended(point_add(p, step));
        store_entry(slot + entry * SLOT_ENTRY_WORDS, point_cached(p));
    }
    key_table[slot + SLOT_STATE] = select(SLOT_NO_POINT, SLOT_POINT, valid);
}
