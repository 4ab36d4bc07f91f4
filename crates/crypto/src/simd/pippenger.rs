//! Sums of many points, each times a number of its own: Pippenger's buckets, a bucket a lane.
//!
//! A window of the numbers sorts the points into buckets by digit. Buckets of nearly equal load go
//! to the lanes side by side, each lane keeps its bucket's sum in registers, and the points stream
//! in. No two lanes share a bucket, so nothing is scattered. The sums of buckets are then weighted
//! by running sums, each lane over its part of the buckets.

use super::digits::Digits;
use super::field::{Field, LaneMask, Work};
use super::point::{Curve, Extended, PackedPoint, Row, Rows};

/// What a sum needs, kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Point numbers by bucket, [`NEGATIVE`] marks those to subtract.
    order: Vec<u32>,
    /// A place in `order` for each bucket.
    places: Vec<u32>,
    /// Bucket numbers, fullest first.
    fullest: Vec<u32>,
    loads: Vec<u32>,
    sums: Vec<PackedPoint>,
}

/// Where a bucket's points lie in the order.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    number: usize,
    start: usize,
    count: usize,
}

impl Scratch {
    /// Sorts one window's points by bucket, and the buckets by load.
    fn sort(&mut self, digits: &[i16], bucket_count: usize) {
        // places[b] becomes the end of bucket b, then, filled backwards, its start.
        self.places.clear();
        self.places.resize(bucket_count + 1, 0);
        for &digit in digits {
            self.places[usize::from(digit.unsigned_abs())] += 1;
        }
        self.places[0] = 0;
        self.sort_buckets();
        let mut end = 0;
        for place in &mut self.places[1..] {
            end += *place;
            *place = end;
        }
        // Behind the last bucket, as behind every other, there is something to fetch ahead.
        self.order.truncate(end as usize);
        self.order.resize(end as usize + AHEAD, 0);
        for (number, &digit) in (0_u32..).zip(digits) {
            if digit != 0 {
                let place = &mut self.places[usize::from(digit.unsigned_abs())];
                *place -= 1;
                let sign = if digit < 0 { NEGATIVE } else { 0 };
                self.order[*place as usize] = number | sign;
            }
        }
        self.places.push(end);
    }

    /// Bucket numbers by the loads that `places` holds, fullest first.
    fn sort_buckets(&mut self) {
        let loads = &self.places[1..];
        let fullest = loads.iter().max().map_or(0, |&load| load as usize);
        self.loads.clear();
        self.loads.resize(fullest + 2, 0);
        for &load in loads {
            self.loads[fullest - load as usize + 1] += 1;
        }
        for at in 1..self.loads.len() {
            self.loads[at] += self.loads[at - 1];
        }
        self.fullest.resize(loads.len(), 0);
        for (number, &load) in (1..).zip(loads) {
            let place = &mut self.loads[fullest - load as usize];
            self.fullest[*place as usize] = number;
            *place += 1;
        }
    }

    fn bucket(&self, number: u32) -> Bucket {
        let number = number as usize;
        let start = self.places[number] as usize;
        Bucket {
            number,
            start,
            count: self.places[number + 1] as usize - start,
        }
    }

    /// Sums every bucket's points into `sums`.
    #[inline(always)]
    fn fill_buckets<F: Field<LANES>, const LANES: usize>(
        &mut self,
        curve: &Curve<F, LANES>,
        rows: &[Row],
        neutral: &Row,
    ) {
        self.sums.resize(self.fullest.len(), PackedPoint::default());
        for group in 0..self.fullest.len().div_ceil(LANES) {
            let mut buckets = [Bucket::default(); LANES];
            let numbers = &self.fullest[group * LANES..];
            for (bucket, &number) in buckets.iter_mut().zip(numbers) {
                *bucket = self.bucket(number);
            }
            let sum = self.bucket_sums::<F, LANES>(curve, rows, neutral, &buckets);
            for (bucket, sum) in buckets.iter().zip(sum.store()).take(numbers.len()) {
                self.sums[bucket.number - 1] = sum;
            }
        }
    }

    /// The sums of a bucket a lane; the first is the fullest.
    #[inline(always)]
    fn bucket_sums<F: Field<LANES>, const LANES: usize>(
        &self,
        curve: &Curve<F, LANES>,
        rows: &[Row],
        neutral: &Row,
        buckets: &[Bucket; LANES],
    ) -> Extended<F, LANES> {
        let mut sum = Extended::from_rows(curve, &self.pick(curve, rows, neutral, buckets, 0));
        // Most additions are of a point in every lane: no need to look whether there is one.
        let shortest = buckets.iter().map(|bucket| bucket.count).min();
        let shortest = shortest.expect("there are lanes");
        let entries = std::array::from_fn(|lane| {
            let start = buckets[lane].start;
            &self.order[start..][..shortest + AHEAD]
        });
        for at in 1..shortest {
            sum = sum.add_rows(curve.token, &pick_all(curve, rows, neutral, &entries, at));
        }
        for at in shortest.max(1)..buckets[0].count {
            sum = sum.add_rows(curve.token, &self.pick(curve, rows, neutral, buckets, at));
        }
        sum
    }

    /// The points at one place of each lane's bucket; what comes soon is fetched.
    #[inline(always)]
    fn pick<'r, F: Field<LANES>, const LANES: usize>(
        &self,
        curve: &Curve<F, LANES>,
        rows: &'r [Row],
        neutral: &'r Row,
        buckets: &[Bucket; LANES],
        at: usize,
    ) -> Rows<'r, LANES> {
        let mut picked = Rows {
            rows: [neutral; LANES],
            negative: LaneMask::NONE,
        };
        for (lane, bucket) in buckets.iter().enumerate() {
            if at < bucket.count {
                let entry = self.order[bucket.start + at];
                picked.rows[lane] = &rows[(entry & !NEGATIVE) as usize];
                picked.negative.0 |= u8::from(entry & NEGATIVE != 0) << lane;
            }
            if let Some(entry) = self.order.get(bucket.start + at + AHEAD) {
                F::prefetch(curve.token, &rows[(entry & !NEGATIVE) as usize]);
            }
        }
        picked
    }

    /// Each lane's part of the buckets: the sum of all, and the sum weighted by place in the part.
    #[inline(always)]
    fn weigh<F: Field<LANES>, const LANES: usize>(
        &self,
        curve: &Curve<F, LANES>,
    ) -> (Extended<F, LANES>, Extended<F, LANES>) {
        let part = self.sums.len() / LANES;
        let mut running = self.load_sums(curve, part - 1);
        let mut weighted = running;
        for at in (0..part - 1).rev() {
            running = running.add(curve, &self.load_sums(curve, at));
            weighted = weighted.add(curve, &running);
        }
        (running, weighted)
    }

    /// The sums of the buckets at one place of each lane's part.
    #[inline(always)]
    fn load_sums<F: Field<LANES>, const LANES: usize>(
        &self,
        curve: &Curve<F, LANES>,
        at: usize,
    ) -> Extended<F, LANES> {
        let part = self.sums.len() / LANES;
        let sums = std::array::from_fn(|lane| &self.sums[lane * part + at]);
        Extended::load(curve.token, sums)
    }
}

/// The points at one place of each lane's entries; each has one there. What comes soon is fetched.
#[inline(always)]
fn pick_all<'r, F: Field<LANES>, const LANES: usize>(
    curve: &Curve<F, LANES>,
    rows: &'r [Row],
    neutral: &'r Row,
    entries: &[&[u32]; LANES],
    at: usize,
) -> Rows<'r, LANES> {
    let mut picked = Rows {
        rows: [neutral; LANES],
        negative: LaneMask::NONE,
    };
    for (lane, entries) in entries.iter().enumerate() {
        let (entry, soon) = (entries[at], entries[at + AHEAD]);
        picked.rows[lane] = &rows[(entry & !NEGATIVE) as usize];
        picked.negative.0 |= u8::from(entry & NEGATIVE != 0) << lane;
        F::prefetch(curve.token, &rows[(soon & !NEGATIVE) as usize]);
    }
    picked
}

/// The sum of `rows`, each times the number with its digits; a part of it in every lane.
///
/// # Panics
/// When there are fewer rows than numbers.
pub(crate) fn sum<F: Field<LANES>, const LANES: usize>(
    token: F::Token,
    rows: &[Row],
    digits: &Digits,
    scratch: &mut Scratch,
) -> Extended<F, LANES> {
    F::enter(
        token,
        Sum::<F, LANES> {
            token,
            rows,
            digits,
            scratch,
        },
    )
}

/// The arguments of [`sum`].
struct Sum<'a, F: Field<LANES>, const LANES: usize> {
    token: F::Token,
    rows: &'a [Row],
    digits: &'a Digits,
    scratch: &'a mut Scratch,
}

impl<F: Field<LANES>, const LANES: usize> Work for Sum<'_, F, LANES> {
    type Output = Extended<F, LANES>;

    #[inline(always)]
    fn run(self) -> Extended<F, LANES> {
        let width = self.digits.width();
        let lane_bits = LANES.trailing_zeros() as usize;
        assert!(width > lane_bits, "each lane has buckets");
        let curve = Curve::<F, LANES>::new(self.token);
        let none = Extended::neutral(&curve);
        let neutral = Row::neutral::<F, LANES>(self.token);
        let mut sum = none;
        for digits in self.digits.windows().rev() {
            self.scratch.sort(digits, 1 << (width - 1));
            let rows = &self.rows[..digits.len()];
            self.scratch
                .fill_buckets::<F, LANES>(&curve, rows, &neutral);
            let (running, weighted) = self.scratch.weigh::<F, LANES>(&curve);
            // Lane l's part starts at bucket l * part: it counts weighted + l * part * running.
            // The factor part is a part of the factor 2^width by which the sum so far moves up.
            sum = sum.double();
            for bit in (0..lane_bits).rev() {
                let lanes = LaneMask::from_fn::<LANES>(|lane| lane >> bit & 1 == 1);
                sum = sum.double();
                sum = sum.add(&curve, &Extended::select(lanes, &running, &none));
            }
            sum = sum.double_times(width - 1 - lane_bits);
            sum = sum.add(&curve, &weighted);
        }
        sum
    }
}

/// Marks a point that is subtracted.
const NEGATIVE: u32 = 1 << 31;
/// Points that are fetched ahead of their use, in each bucket.
const AHEAD: usize = 2;
