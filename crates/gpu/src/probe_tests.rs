//! Every function of `shaders/lib` against its twin, at the bounds of its limbs and beyond chance.

use clearway_crypto::suite;
use clearway_types::seeded::SplitMix;

use super::tests::words;
use super::*;
use crate::adapter;
use crate::kernels::PROBES;
use crate::testing;
use crate::twin::field::{
    FE_D, FE_SQRT_M1, FE_ZERO, Fe, fe_add, fe_carry, fe_freeze, fe_from_words, fe_invert,
    fe_is_zero, fe_mul, fe_pow_p58, fe_select, fe_square, fe_sub, fe_to_words, loose_max,
};
use crate::twin::point::{
    Affine, Projective, affine_negate_if, cached_negate_if, point_add, point_add_affine,
    point_cached, point_decode_negated, point_double, point_encode, point_extended,
    point_projective,
};
use crate::twin::scalar::{ORDER, scalar_is_reduced, scalar_recode, scalar_reduce};
use crate::twin::sha256::{SHA256_INITIAL, sha256_compress};
use crate::twin::sha512::{SHA512_INITIAL, sha512_compress};

/// Runs a probe over inputs of `width` words each and compares with the twin's words.
fn check<const IN: usize>(name: &str, inputs: &[[u32; IN]], twin: impl Fn(&[u32; IN]) -> Vec<u32>) {
    let expected: Vec<u32> = inputs.iter().flat_map(&twin).collect();
    let (probe, asked) = (name.to_owned(), inputs.to_vec());
    testing::on_adapter(name, move |choice| {
        compare(choice, &probe, &asked, &expected)
    });
}

fn compare<const IN: usize>(
    choice: AdapterChoice,
    name: &str,
    inputs: &[[u32; IN]],
    expected: &[u32],
) {
    let kernel = PROBES.iter().find(|probe| probe.name == name);
    let kernel = kernel.expect("a row of the table");
    let adapter = adapter::choose(choice).expect("an adapter");
    let (device, queue) = request(&adapter).expect("a device");
    let scope = device.push_error_scope(ErrorFilter::Validation);
    let layout = layout_of(&device, name, &[true, false]);
    let pipeline = pipeline(&device, &layout, kernel, None);
    let input = device_buffer(&device, "input", inputs.len() * IN);
    let output = device_buffer(&device, "output", expected.len());
    queue.write_buffer(&input, 0, inputs.as_bytes());
    let bindings = bind(&device, name, &layout, &[&input, &output]);
    let mut encoder = device.create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_bind_group(0, &bindings, &[]);
        pass.set_pipeline(&pipeline);
        pass.dispatch_workgroups(groups(inputs.len()), 1, 1);
    }
    queue.submit([encoder.finish()]);
    let error = pollster::block_on(scope.pop());
    assert!(error.is_none(), "{name}: {error:?}");
    let found = words(&device, &queue, &output);
    let width = expected.len() / inputs.len();
    let pairs = found.chunks(width).zip(expected.chunks(width));
    for (at, (found, expected)) in pairs.enumerate() {
        assert_eq!(found, expected, "{name}: input {at}: {:x?}", inputs[at]);
    }
}

fn word(random: &mut SplitMix) -> u32 {
    u32::try_from(random.next_u64() >> 32).expect("32 bits")
}

#[test]
fn field() {
    let mut random = SplitMix(255);
    // Limbs at their bounds, and anywhere below.
    let mut element = |way: usize| -> [u32; 10] {
        std::array::from_fn(|k| match (way + k) % 4 {
            0 => loose_max(k),
            1 => word(&mut random) % (loose_max(k) + 1),
            2 => 0,
            _ => word(&mut random) % (1 << 25),
        })
    };
    let p: [u32; 10] = std::array::from_fn(|k| match k {
        0 => (1 << 26) - 19,
        _ => (1 << (26 - k % 2)) - 1,
    });
    let mut elements: Vec<[u32; 10]> = (0..60).map(&mut element).collect();
    elements.extend([[0; 10], p, std::array::from_fn(loose_max)]);
    let inputs: Vec<[u32; 20]> = elements
        .iter()
        .zip(elements.iter().cycle().skip(1))
        .map(|(a, b)| std::array::from_fn(|at| if at < 10 { a[at] } else { b[at - 10] }))
        .collect();
    check("field", &inputs, |input| {
        let [a, b] = [0, 10].map(|at| Fe(*input[at..].first_chunk().expect("20 words")));
        let (tight_a, tight_b) = (fe_carry(a), fe_carry(b));
        let first: [u32; 8] = *input.first_chunk().expect("20 words");
        let elements = [
            fe_mul(a, b),
            fe_square(a),
            tight_a,
            fe_add(tight_a, tight_b),
            fe_sub(tight_a, tight_b),
            fe_select(tight_a, tight_b, a.0[0] & 1 == 1),
            fe_freeze(a),
            fe_pow_p58(a),
            fe_invert(a),
            fe_from_words(first),
        ];
        let zero = fe_is_zero(fe_add(tight_a, fe_sub(FE_ZERO, tight_a)));
        let constant = fe_to_words(fe_freeze(fe_mul(FE_SQRT_M1, FE_D)));
        let mut out = elements.map(|fe| fe.0).as_flattened().to_vec();
        out.extend(fe_to_words(fe_freeze(b)));
        out.extend([u32::from(fe_is_zero(a)), u32::from(zero)]);
        out.extend(constant);
        out
    });
}

#[test]
fn point() {
    let cases = suite::known_answers();
    let words = |bytes: &[u8; 32]| -> [u32; 8] {
        let (words, _) = bytes.as_chunks::<4>();
        std::array::from_fn(|at| u32::from_le_bytes(words[at]))
    };
    let inputs: Vec<[u32; 16]> = cases
        .iter()
        .step_by(3)
        .map(|case| {
            let r = case.signature.first_chunk().expect("64 bytes");
            let (key, r) = (words(&case.public_key), words(r));
            std::array::from_fn(|at| if at < 8 { key[at] } else { r[at - 8] })
        })
        .collect();
    let encode = |p: Projective| {
        let inverse = fe_invert(p.z);
        point_encode(fe_mul(p.x, inverse), fe_mul(p.y, inverse))
    };
    check("point", &inputs, |input| {
        let [p, q] = [0, 8].map(|at| *input[at..].first_chunk().expect("16 words"));
        let (p, q) = (point_decode_negated(p), point_decode_negated(q));
        let odd = input[0] & 1 == 1;
        let cached = cached_negate_if(point_cached(q.point), odd);
        let affine = Affine {
            y_plus_x: cached.y_plus_x,
            y_minus_x: cached.y_minus_x,
            t2d: point_cached(q.point).t2d,
        };
        let affine = affine_negate_if(affine, false);
        let doubled = point_double(Projective {
            x: p.point.x,
            y: p.point.y,
            z: p.point.z,
        });
        let extended = point_extended(point_add(p.point, point_cached(q.point)));
        let sum = point_add_affine(extended, affine_negate_if(affine, odd));
        let mut out = Vec::new();
        out.extend(encode(point_projective(doubled)));
        out.extend(encode(point_projective(point_add(p.point, cached))));
        out.extend(encode(point_projective(sum)));
        out.extend(point_encode(p.point.x, p.point.y));
        out.extend([u32::from(p.valid), u32::from(q.valid), extended.t.0[0]]);
        out
    });
}

#[test]
fn scalar() {
    let mut random = SplitMix(252);
    let mut inputs: Vec<[u32; 16]> = (0..60)
        .map(|_| std::array::from_fn(|_| word(&mut random)))
        .collect();
    inputs.extend([[0; 16], [u32::MAX; 16]]);
    // Around the group order, and its multiples by 2^256.
    for low in [ORDER[0] - 1, ORDER[0], ORDER[0] + 1] {
        let mut order = [0; 16];
        order[..8].copy_from_slice(&ORDER);
        order[0] = low;
        inputs.push(order);
        order.rotate_right(8);
        inputs.push(order);
    }
    check("scalar", &inputs, |input| {
        let low = *input.first_chunk().expect("16 words");
        let reduced = scalar_reduce(*input);
        let mut out = Vec::new();
        out.extend(reduced);
        out.extend(scalar_recode(low, 0x8888_8888));
        out.extend(scalar_recode(reduced, 0x8080_8080));
        out.push(u32::from(scalar_is_reduced(low)));
        out
    });
}

#[test]
fn sha256() {
    let mut random = SplitMix(256);
    let inputs: Vec<[u32; 16]> = (0..40)
        .map(|_| std::array::from_fn(|_| word(&mut random)))
        .collect();
    check("sha256", &inputs, |input| {
        sha256_compress(SHA256_INITIAL, input.map(u32::swap_bytes)).to_vec()
    });
}

#[test]
fn sha512() {
    let mut random = SplitMix(512);
    let inputs: Vec<[u32; 32]> = (0..40)
        .map(|_| std::array::from_fn(|_| word(&mut random)))
        .collect();
    let halves = |word: u64| {
        let [high, low] = [word >> 32, word & u64::from(u32::MAX)];
        [high, low].map(|half| u32::try_from(half).expect("32 bits"))
    };
    check("sha512", &inputs, |input| {
        let (pairs, _) = input.as_chunks::<2>();
        let block = std::array::from_fn(|at| {
            let [high, low] = pairs[at].map(u64::from);
            (high << 32) | low
        });
        let state = sha512_compress(SHA512_INITIAL, block);
        state.into_iter().flat_map(halves).collect()
    });
}
