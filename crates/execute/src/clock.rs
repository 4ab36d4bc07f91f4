//! The only clock of execution: height and time of the block under way.

use clearway_types::units::{Day, Height, TimeMs};

/// Height and time of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Clock {
    /// Height of the block under way.
    pub(crate) height: Height,
    /// Its manifest's time.
    pub(crate) time: TimeMs,
}

impl Clock {
    /// Before everything.
    pub(crate) const ZERO: Self = Self {
        height: Height(0),
        time: TimeMs(0),
    };

    /// Height `height`, as many seconds after 1970.
    #[cfg(test)]
    pub(crate) fn at(height: u64) -> Self {
        Self {
            height: Height(height),
            time: TimeMs(height.saturating_mul(1000)),
        }
    }

    /// Whole seconds.
    pub(crate) fn second(&self) -> u32 {
        self.time.seconds().0
    }

    /// The calendar day.
    pub(crate) fn day(&self) -> Day {
        self.time.day()
    }

    /// What accounts and limits keep of the height: its low 32 bits.
    pub(crate) fn height_low(&self) -> u32 {
        u32::try_from(self.height.0 & 0xffff_ffff).expect("32 bits are left")
    }
}

/// Milliseconds of a whole second.
pub(crate) fn milliseconds(second: u32) -> u64 {
    u64::from(second).saturating_mul(1000)
}
