// Whether [S]B - [k]A encodes to the bytes of R, with those bytes as evidence.
//
// One thread a run of items, which share one inversion (Montgomery's trick). Equal bytes imply the
// equation without its factor 8, hence a valid signature. Unequal bytes alone do not make one
// invalid: `cofactor` comes next. In: batch, key_table, scratch. Out: results.

@compute @workgroup_size(64)
fn finish(@builtin(global_invocation_id) id: vec3<u32>) {
    let count = batch[HEAD_ITEM_COUNT];
    // Neighbouring threads take neighbouring items, so a run strides through the batch.
    let stride = (count + RUN_LEN - 1u) / RUN_LEN;
    if (id.x >= stride) { return; }
    // No Z is 0: the formulas are complete, and every point stems from points of the curve.
    var product = FE_ONE;
    for (var i = id.x; i < count; i += stride) {
        scratch_store(SCRATCH_PRODUCT, i, product);
        product = fe_mul(product, scratch_load(SCRATCH_Z, i));
    }
    var inverse = fe_invert(product);
    let length = (count - id.x + stride - 1u) / stride;
    for (var left = length; left > 0u; left--) {
        let i = id.x + (left - 1u) * stride;
        let z_inverse = fe_mul(inverse, scratch_load(SCRATCH_PRODUCT, i));
        inverse = fe_mul(inverse, scratch_load(SCRATCH_Z, i));
        let x = fe_mul(scratch_load(SCRATCH_X, i), z_inverse);
        let y = fe_mul(scratch_load(SCRATCH_Y, i), z_inverse);
        write_result(i, point_encode(x, y));
    }
}

fn write_result(i: u32, encoding: array<u32, 8>) {
    let item = item_at(i);
    let r = batch_words(batch[item + ITEM_STREAM]);
    let same = encoding[0] == r[0] && encoding[1] == r[1] && encoding[2] == r[2]
        && encoding[3] == r[3] && encoding[4] == r[4] && encoding[5] == r[5]
        && encoding[6] == r[6] && encoding[7] == r[7];
    let point = key_table[batch[item + ITEM_SLOT] * SLOT_WORDS + SLOT_STATE] == SLOT_POINT;
    let sound = point && scalar_is_reduced(batch_words(item));
    // Without a sound key and S the encoding proves nothing: it is told so that it is nobody's R.
    let mask = select(batch[HEAD_NONCE] | 1u, 0u, sound);
    let at = i * RESULT_WORDS;
    results[at] = select(RESULT_REJECT, RESULT_ACCEPT, same && sound);
    results[at + RESULT_EVIDENCE] = encoding[0] ^ mask;
    results[at + RESULT_EVIDENCE + 1u] = encoding[1] ^ mask;
    results[at + RESULT_EVIDENCE + 2u] = encoding[2] ^ mask;
    results[at + RESULT_EVIDENCE + 3u] = encoding[3] ^ mask;
    results[at + RESULT_EVIDENCE + 4u] = encoding[4] ^ mask;
    results[at + RESULT_EVIDENCE + 5u] = encoding[5] ^ mask;
    results[at + RESULT_EVIDENCE + 6u] = encoding[6] ^ mask;
    results[at + RESULT_EVIDENCE + 7u] = encoding[7] ^ mask;
    results[at + RESULT_TAG] = batch[HEAD_NONCE] ^ i;
}
