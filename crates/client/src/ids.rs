//! Makes identifiers: time-ordered, unique for a signer over all its processes and restarts.

use clearway_types::units::{TimeMs, TransferId};
use parking_lot::Mutex;

use crate::error::ClientError;

/// Makes identifiers.
///
/// Layout: milliseconds (6 bytes, big-endian), sequence within the millisecond (2), random bytes of
/// this maker (7), chain position (1). Two makers collide only when 56 random bits do.
#[derive(Debug)]
pub struct IdMaker {
    maker: [u8; 7],
    last: Mutex<(TimeMs, u16)>,
}

impl IdMaker {
    /// A maker with random bytes of its own.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn new() -> Result<Self, ClientError> {
        let mut maker = [0; 7];
        clearway_quic::fill_random(&mut maker)?;
        Ok(Self::with_bytes(maker))
    }

    /// A maker whose identifiers can be foretold: for tests and reproducible workloads.
    #[must_use]
    pub fn with_bytes(maker: [u8; 7]) -> Self {
        Self {
            maker,
            last: Mutex::new((TimeMs(0), 0)),
        }
    }

    /// The next identifier; rises even when `now` does not.
    pub fn make(&self, now: TimeMs) -> TransferId {
        let mut last = self.last.lock();
        *last = match last.1.checked_add(1) {
            _ if now > last.0 => (now, 0),
            Some(sequence) => (last.0, sequence),
            None => (TimeMs(last.0.0.saturating_add(1)), 0),
        };
        let (time, sequence) = *last;
        let mut id = [0; 16];
        id[..6].copy_from_slice(&time.0.to_be_bytes()[2..]);
        id[6..8].copy_from_slice(&sequence.to_be_bytes());
        id[8..15].copy_from_slice(&self.maker);
        TransferId(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_and_stand_alone_even_when_the_clock_does_not_move() {
        let ids = IdMaker::with_bytes([7; 7]);
        let mut last = TransferId::ZERO;
        for step in 0..200_000u64 {
            // The clock stands still, jumps back, and goes on.
            let now = TimeMs(1_000_000 + [0, 5, 3][usize::try_from(step / 70_000).unwrap()]);
            let id = ids.make(now);
            assert!(id > last, "step {step}");
            assert_eq!(id.chain_position(), 0, "step {step}");
            last = id;
        }
    }

    #[test]
    fn two_makers_make_different_ids_in_the_same_millisecond() {
        let (a, b) = (IdMaker::new().unwrap(), IdMaker::new().unwrap());
        assert_ne!(a.make(TimeMs(5)), b.make(TimeMs(5)));
    }
}
