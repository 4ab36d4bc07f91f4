//! Seeded randomness of workloads: a small generator that never changes, and a zipf sampler.

use clearway_types::seeded::SplitMix;

/// The numbers of a seed. What it draws from them is its own and stays: the hash of a workload
/// stands in published results.
#[derive(Clone, Debug)]
pub struct Random(SplitMix);

impl Random {
    /// The generator of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(SplitMix(seed))
    }

    /// 64 even bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`; the bias of the multiplication is below 2^-32 for any bound here.
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below 0");
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("64 bits are left")
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let bits = (self.next_u64() >> 11) as f64;
        bits / 9_007_199_254_740_992.0
    }
}

/// Ranks 1..=n where rank k has weight k^-s, by rejection from the inverse of an integrable hat.
///
/// Powers come from the machine's mathematics library: the same seed gives the same workload on
/// machines with the same library; a published figure carries the workload's hash for that reason.
#[derive(Clone, Debug)]
pub struct Zipf {
    count: f64,
    exponent: f64,
    /// Area under the hat: 1 on [0, 1], x^-s from there to n.
    area: f64,
}

impl Zipf {
    /// A sampler over `count` ranks.
    ///
    /// # Panics
    /// When `count` is 0 or the exponent is below 0; with 0 all ranks are as frequent.
    #[must_use]
    pub fn new(count: u32, exponent: f64) -> Self {
        assert!(count > 0 && exponent >= 0.0, "zipf needs ranks and a slope");
        let mut zipf = Self {
            count: f64::from(count),
            exponent,
            area: 0.0,
        };
        zipf.area = 1.0 + zipf.tail(zipf.count);
        zipf
    }

    /// Integral of x^-s from 1 to `x`.
    fn tail(&self, x: f64) -> f64 {
        let power = 1.0 - self.exponent;
        if power.abs() < 1e-9 {
            x.ln()
        } else {
            (x.powf(power) - 1.0) / power
        }
    }

    /// Where the hat's area reaches `area`.
    fn inverse(&self, area: f64) -> f64 {
        if area <= 1.0 {
            return area;
        }
        let power = 1.0 - self.exponent;
        if power.abs() < 1e-9 {
            (area - 1.0).exp()
        } else {
            ((area - 1.0) * power + 1.0).powf(1.0 / power)
        }
    }

    /// A rank from 0 (most frequent) to n - 1.
    pub fn sample(&self, random: &mut Random) -> u32 {
        loop {
            let x = self.inverse(random.unit() * self.area);
            // Rank k collects the hat over (k - 1, k], where the hat is at least k^-s.
            let rank = x.ceil().clamp(1.0, self.count);
            let hat = if x <= 1.0 {
                1.0
            } else {
                x.powf(-self.exponent)
            };
            if random.unit() * hat <= rank.powf(-self.exponent) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a whole number between 1 and a u32"
                )]
                return rank as u32 - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_as_frequent_as_their_weights() {
        for exponent in [0.0, 0.8, 1.0, 1.2] {
            let (count, draws) = (50u32, 200_000u32);
            let zipf = Zipf::new(count, exponent);
            let mut random = Random::new(42);
            let mut seen = vec![0u32; count as usize];
            for _ in 0..draws {
                seen[zipf.sample(&mut random) as usize] += 1;
            }
            let weight = |rank: usize| f64::from(u32::try_from(rank + 1).unwrap()).powf(-exponent);
            let total: f64 = (0..seen.len()).map(weight).sum();
            for (rank, seen) in seen.iter().enumerate() {
                let expected = f64::from(draws) * weight(rank) / total;
                let distance = (f64::from(*seen) - expected).abs();
                // Six standard deviations: one false alarm in half a billion ranks.
                assert!(
                    distance < 6.0 * expected.sqrt() + 1.0,
                    "s = {exponent}, rank {rank}: {seen} seen, {expected} expected"
                );
            }
        }
    }

    #[test]
    fn numbers_below_a_bound_reach_both_ends() {
        let mut random = Random::new(7);
        let seen: Vec<u64> = (0..1000).map(|_| random.below(3)).collect();
        assert!((0..3).all(|value| seen.contains(&value)));
        assert!(seen.iter().all(|value| *value < 3));
    }
}
