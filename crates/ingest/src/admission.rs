//! Rates: signatures of a member a second, charged before they are verified; handshakes of an
//! address.

use std::time::{Duration, Instant};

/// Token bucket as one instant: when all that was taken will have been earned (GCRA, ITU-T I.371).
#[derive(Debug)]
pub(crate) struct TokenBucket {
    per_s: u32,
    burst: u32,
    /// When the account is square again; before `now` means that there is credit.
    square_at: Instant,
}

/// Taking that many would have to wait longer than allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooFast;

impl TokenBucket {
    /// A bucket with a full burst of credit.
    pub(crate) fn new(per_s: u32, burst: u32, now: Instant) -> Self {
        let mut bucket = Self {
            per_s,
            burst,
            square_at: now,
        };
        let burst = bucket.time_for(u64::from(burst));
        bucket.square_at = now.checked_sub(burst).unwrap_or(now);
        bucket
    }

    /// Takes `count`; gives how long to wait before they may go on.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        count: usize,
        wait_max: Duration,
    ) -> Result<Duration, TooFast> {
        let after = self.after(now, count as u64);
        let wait = after.saturating_duration_since(now);
        if wait > wait_max {
            return Err(TooFast);
        }
        self.square_at = after;
        Ok(wait)
    }

    /// Charges `count` signatures that were not taken: the price of bad ones.
    pub(crate) fn charge(&mut self, now: Instant, count: u64) {
        self.square_at = self.after(now, count);
    }

    /// Whether it has all its credit again, as a new one has.
    pub(crate) fn is_rested(&self, now: Instant) -> bool {
        self.square_at + self.time_for(u64::from(self.burst)) <= now
    }

    fn after(&self, now: Instant, count: u64) -> Instant {
        let burst = self.time_for(u64::from(self.burst));
        let credit_from = now.checked_sub(burst).unwrap_or(now);
        self.square_at.max(credit_from) + self.time_for(count)
    }

    fn time_for(&self, count: u64) -> Duration {
        let ns = u128::from(count) * 1_000_000_000 / u128::from(self.per_s);
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX >> 8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT_MAX: Duration = Duration::from_secs(2);

    fn bucket(now: Instant) -> TokenBucket {
        TokenBucket::new(1000, 500, now)
    }

    #[test]
    fn a_burst_is_free_then_each_signature_waits_its_turn_then_it_is_too_fast() {
        let now = Instant::now() + Duration::from_secs(3600);
        let mut bucket = bucket(now);
        let ms = |ms| Ok(Duration::from_millis(ms));
        let rows = [
            (0, 500, ms(0)),
            (0, 100, ms(100)),
            (0, 1900, ms(2000)),
            (0, 1, Err(TooFast)),
            (1000, 100, ms(1100)),
            // Credit does not grow beyond the burst.
            (1_000_000, 500, ms(0)),
            (1_000_000, 100, ms(100)),
        ];
        for (row, (at_ms, count, expected)) in rows.into_iter().enumerate() {
            let at = now + Duration::from_millis(at_ms);
            assert_eq!(bucket.take(at, count, WAIT_MAX), expected, "row {row}");
        }
    }

    #[test]
    fn a_bucket_is_rested_when_its_whole_burst_is_there_again() {
        let now = Instant::now() + Duration::from_secs(3600);
        let mut bucket = bucket(now);
        assert!(bucket.is_rested(now));
        assert_eq!(bucket.take(now, 100, WAIT_MAX), Ok(Duration::ZERO));
        assert!(!bucket.is_rested(now + Duration::from_millis(99)));
        assert!(bucket.is_rested(now + Duration::from_millis(100)));
    }

    #[test]
    fn bad_signatures_are_charged_after_the_fact() {
        let now = Instant::now() + Duration::from_secs(3600);
        let mut bucket = bucket(now);
        bucket.charge(now, 3000);
        assert_eq!(bucket.take(now, 1, WAIT_MAX), Err(TooFast));
        let later = now + Duration::from_millis(2501);
        assert_eq!(bucket.take(later, 1, WAIT_MAX), Ok(Duration::ZERO));
    }
}
