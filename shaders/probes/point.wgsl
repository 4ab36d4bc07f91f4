// Every function of points, once for each pair of encodings.
//
// One thread a pair of 16 words; 35 words out. What decodes to no point takes part as it is: the
// formulas are arithmetic, and the twin does the same.

fn encode(p: Projective) -> array<u32, 8> {
    let inverse = fe_invert(p.z);
    return point_encode(fe_mul(p.x, inverse), fe_mul(p.y, inverse));
}

@compute @workgroup_size(64)
fn point(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= arrayLength(&output) / 35u) { return; }
    let start = id.x * 16u;
    let to = id.x * 35u;
    let p = point_decode_negated(probe_words(start));
    let q = point_decode_negated(probe_words(start + 8u));
    let odd = (input[start] & 1u) == 1u;
    let cached = cached_negate_if(point_cached(q.point), odd);
    let affine = affine_negate_if(Affine(cached.y_plus_x, cached.y_minus_x,
        point_cached(q.point).t2d), false);
    let doubled = point_double(Projective(p.point.x, p.point.y, p.point.z));
    probe_write_words(to, encode(point_projective(doubled)));
    probe_write_words(to + 8u, encode(point_projective(point_add(p.point, cached))));
    let extended = point_extended(point_add(p.point, point_cached(q.point)));
    let sum = point_add_affine(extended, affine_negate_if(affine, odd));
    probe_write_words(to + 16u, encode(point_projective(sum)));
    probe_write_words(to + 24u, point_encode(p.point.x, p.point.y));
    output[to + 32u] = select(0u, 1u, p.valid);
    output[to + 33u] = select(0u, 1u, q.valid);
    output[to + 34u] = extended.t.l[0];
}
