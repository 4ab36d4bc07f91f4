//! The fuzzer's body over a small corpus and seeded mutations of it.

use clearway_store::fuzz::{fuzz_segment, seed_segment};
use clearway_types::seeded::SplitMix;

#[test]
fn foreign_bytes_as_a_segment_never_panic() {
    let seed_file = seed_segment();
    assert_eq!(seed_file.len(), 8192);
    let body = seed_file[4096..].to_vec();
    for corpus in [&[][..], &[0], &[0xff; 5000], &seed_file, &body] {
        fuzz_segment(corpus);
    }
    for seed in 0..4_000_u64 {
        let mut random = SplitMix(seed);
        let mut data = if seed % 2 == 0 {
            seed_file.clone()
        } else {
            body.clone()
        };
        mutate(&mut data, &mut random);
        let outcome = std::panic::catch_unwind(|| fuzz_segment(&data));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

/// Flips, copies and cuts; half of the time the first record's header checksum is made right
/// again, so that the checks behind it are reached.
fn mutate(data: &mut Vec<u8>, random: &mut SplitMix) {
    let used = data
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(1, |last| last + 1) as u64;
    let index = |random: &mut SplitMix| usize::try_from(random.below(used)).expect("small");
    for _ in 0..=random.below(6) {
        let at = index(random);
        match random.below(4) {
            0 => data[at] ^= 1 << random.below(8),
            1 => data[at] = random.next_u64().to_le_bytes()[0],
            2 => {
                let end = (index(random).max(at) + 1).min(data.len());
                let part = data[at..end].to_vec();
                let to = index(random);
                let count = part.len().min(data.len() - to);
                data[to..to + count].copy_from_slice(&part[..count]);
            }
            _ => data[at..].iter_mut().take(8).for_each(|byte| *byte = 0),
        }
    }
    let start = if data.len() == 8192 { 4096 } else { 0 };
    if random.below(2) == 0 {
        let crc = crc32fast::hash(&data[start..start + 92]);
        data[start + 92..start + 96].copy_from_slice(&crc.to_le_bytes());
    }
    if random.below(16) == 0 {
        let len = index(random);
        data.truncate(len.max(start + 96));
    }
}
