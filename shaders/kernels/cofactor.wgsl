// The equation of ZIP-215 with its factor 8, for signatures whose encoding is not R's.
//
// One thread an item; those that finish accepted, and those whose key or S is none, are done. No
// honest signer makes what is left. In: batch, key_table, scratch X, Y and Z. In and out: results.

@compute @workgroup_size(64)
fn cofactor(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= batch[HEAD_ITEM_COUNT]) { return; }
    let at = i * RESULT_WORDS;
    let item = item_at(i);
    let state = key_table[batch[item + ITEM_SLOT] * SLOT_WORDS + SLOT_STATE];
    if (results[at] != RESULT_REJECT || state != SLOT_POINT) { return; }
    if (!scalar_is_reduced(batch_words(item))) { return; }
    let r = point_decode_negated(batch_words(batch[item + ITEM_STREAM]));
    if (!r.valid) { return; }
    let x = scratch_load(SCRATCH_X, i);
    let y = scratch_load(SCRATCH_Y, i);
    let z = scratch_load(SCRATCH_Z, i);
    // (x : y : z) with its t: all four times z.
    let p = Extended(fe_mul(x, z), fe_mul(y, z), fe_square(z), fe_mul(x, y));
    var rest = point_projective(point_add(p, point_cached(r.point)));
    for (var times = 0u; times < 3u; times++) { rest = point_projective(point_double(rest)); }
    // The neutral point is (0 : 1), in any multiple.
    if (fe_is_zero(rest.x) && fe_is_zero(fe_sub(rest.y, rest.z))) {
        results[at] = RESULT_COFACTOR;
    }
}
