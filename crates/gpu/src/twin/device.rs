//! A device that is the twin: slow, everywhere, and right or panicking.

use std::time::Duration;

use super::kernels::{Memory, cofactor, dsm, finish, hram, keys};
use crate::batch::Batch;
use crate::device::{Device, DeviceError, Size};
use crate::layout::{HEAD_ITEM_COUNT, RESULT_WORDS};

/// The twins of the kernels behind the device's face.
#[derive(Clone, Debug)]
pub struct TwinDevice {
    size: Size,
    /// What the kernels left.
    pub memory: Memory,
    results: Vec<Option<Vec<u32>>>,
}

impl TwinDevice {
    /// A device of this size.
    #[must_use]
    pub fn new(size: Size) -> Self {
        Self {
            size,
            memory: Memory::new(size.items_max, size.key_slots),
            results: vec![None; size.ring_len],
        }
    }
}

impl Device for TwinDevice {
    fn size(&self) -> Size {
        self.size
    }

    fn submit(&mut self, slot: usize, batch: &Batch<'_>) -> Result<(), DeviceError> {
        assert!(self.results[slot].is_none(), "a free slot");
        self.memory.batch = batch.words();
        for kernel in [keys, hram, dsm, finish, cofactor] {
            kernel(&mut self.memory);
        }
        let words = batch.head[HEAD_ITEM_COUNT] as usize * RESULT_WORDS;
        self.results[slot] = Some(self.memory.results[..words].to_vec());
        Ok(())
    }

    fn collect(
        &mut self,
        slot: usize,
        _: Duration,
        results: &mut Vec<u32>,
    ) -> Result<bool, DeviceError> {
        let found = self.results[slot].take();
        results.clear();
        results.extend(found.iter().flatten());
        Ok(found.is_some())
    }
}
