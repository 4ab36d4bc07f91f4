//! Which keys lie decoded in which slots of the device's table.

use std::collections::HashMap;

/// Keys by slot and slots by key. Slots are taken again in the order in which they were filled,
/// but never one that the same batch uses.
#[derive(Clone, Debug)]
pub struct DeviceKeys {
    slots: HashMap<[u8; 32], u32>,
    keys: Vec<Option<[u8; 32]>>,
    /// The batch that used each slot last.
    used: Vec<u64>,
    batch: u64,
    /// The slot to try next.
    next: usize,
}

impl DeviceKeys {
    /// No keys yet.
    #[must_use]
    pub fn new(slot_count: usize) -> Self {
        Self {
            slots: HashMap::with_capacity(slot_count),
            keys: vec![None; slot_count],
            used: vec![0; slot_count],
            batch: 0,
            next: 0,
        }
    }

    /// From now on slots belong to a new batch.
    pub fn begin_batch(&mut self) {
        self.batch += 1;
    }

    /// The slot of a key. A key that has none gets one, and is appended to `new_keys`.
    ///
    /// Devices run batches in order, so a slot may be filled again while an older batch is under
    /// way.
    ///
    /// # Panics
    /// When the batch has more keys than there are slots.
    pub fn slot(&mut self, key: &[u8; 32], new_keys: &mut Vec<([u8; 32], u32)>) -> u32 {
        if let Some(&slot) = self.slots.get(key) {
            self.used[slot as usize] = self.batch;
            return slot;
        }
        let free = self.free();
        if let Some(old) = self.keys[free].replace(*key) {
            self.slots.remove(&old);
        }
        self.used[free] = self.batch;
        let slot = u32::try_from(free).expect("slots fit a device");
        self.slots.insert(*key, slot);
        new_keys.push((*key, slot));
        slot
    }

    fn free(&mut self) -> usize {
        for _ in 0..self.keys.len() {
            let slot = self.next;
            self.next = (self.next + 1) % self.keys.len();
            if self.used[slot] != self.batch {
                return slot;
            }
        }
        panic!("a batch of more keys than {} slots", self.keys.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_taken_again_oldest_first_and_never_from_the_same_batch() {
        let key = |number| [number; 32];
        let mut device_keys = DeviceKeys::new(3);
        let mut batch = |keys: &[u8]| {
            device_keys.begin_batch();
            let mut new = Vec::new();
            let slots = keys.iter().map(|&k| device_keys.slot(&key(k), &mut new));
            let slots: Vec<u32> = slots.collect();
            let new: Vec<(u8, u32)> = new.iter().map(|(key, slot)| (key[0], *slot)).collect();
            (slots, new)
        };
        assert_eq!(batch(&[1, 2, 1]), (vec![0, 1, 0], vec![(1, 0), (2, 1)]));
        assert_eq!(batch(&[2, 3]), (vec![1, 2], vec![(3, 2)]));
        // The oldest slot is key 1's; it is used here, so key 4 takes the next.
        assert_eq!(batch(&[1, 4]), (vec![0, 1], vec![(4, 1)]));
        assert_eq!(batch(&[2, 1, 4]), (vec![2, 0, 1], vec![(2, 2)]));
    }

    #[test]
    #[should_panic(expected = "more keys than 2 slots")]
    fn a_batch_with_too_many_keys_is_a_bug() {
        let mut device_keys = DeviceKeys::new(2);
        device_keys.begin_batch();
        for key in 0..3 {
            device_keys.slot(&[key; 32], &mut Vec::new());
        }
    }
}
