//! The device against its twin, word by word, on whatever adapter this machine has.

use clearway_crypto::suite;
use wgpu::{Buffer, BufferDescriptor, BufferUsages, MapMode, PollType};
use zerocopy::IntoBytes;

use super::*;
use crate::batch::{Batch, Packed};
use crate::keys::DeviceKeys;
use crate::layout::{RESULT_ACCEPT, RESULT_COFACTOR};
use crate::testing;
use crate::twin::device::TwinDevice;

const SIZE: Size = Size {
    items_max: 1024,
    batch_words_max: Batch::words_max(1024),
    key_slots: 1024,
    ring_len: 3,
};

/// The words of a buffer that shaders write.
pub(super) fn words(device: &wgpu::Device, queue: &Queue, buffer: &Buffer) -> Vec<u32> {
    let size = buffer.size();
    let readback = device.create_buffer(&BufferDescriptor {
        label: None,
        size,
        usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(buffer, 0, &readback, 0, size);
    queue.submit([encoder.finish()]);
    readback.map_async(MapMode::Read, .., |outcome| outcome.expect("mapped"));
    let poll = device.poll(PollType::wait_indefinitely());
    poll.expect("the copy ends");
    let view = readback.get_mapped_range(..).expect("mapped");
    let mut words = vec![0; view.len() / 4];
    words.as_mut_bytes().copy_from_slice(&view);
    words
}

#[test]
fn every_word_that_kernels_leave_is_the_twins() {
    let name = "every_word_that_kernels_leave_is_the_twins";
    testing::on_adapter(name, every_word_is_the_twins);
}

fn every_word_is_the_twins(choice: AdapterChoice) {
    let mut device = WgpuDevice::open(choice, SIZE, None).expect("an adapter");
    let mut twin = TwinDevice::new(SIZE);
    let mut device_keys = DeviceKeys::new(SIZE.key_slots);
    let cases = suite::known_answers();
    for (nonce, len) in [(1, 1), (2, 9), (3, cases.len())] {
        let mut packed = Packed::default();
        for case in &cases[..len] {
            packed.push(&case.item(16));
        }
        let batch = Batch::of(&packed, &mut device_keys, SIZE.items_max, nonce);
        let results = [&mut device as &mut dyn Device, &mut twin].map(|device| {
            device.submit(0, &batch).expect("submitted");
            let mut results = Vec::new();
            let come = device.collect(0, Duration::from_secs(60), &mut results);
            assert!(come.expect("no fault"), "results in time");
            results
        });
        let keys = words(&device.device, &device.queue, &device.tables.keys);
        assert!(keys == twin.memory.key_table, "key table of batch {nonce}");
        let scratch = words(&device.device, &device.queue, &device.tables.scratch);
        assert!(scratch == twin.memory.scratch, "scratch of batch {nonce}");
        assert!(results[0] == results[1], "results of batch {nonce}");
        // The device alone follows the rule.
        for (case, result) in cases.iter().zip(results[0].chunks(RESULT_WORDS)) {
            let valid = [RESULT_ACCEPT, RESULT_COFACTOR].contains(&result[0]);
            assert_eq!(valid, case.valid, "{}", case.name);
            let plain = case.name == "honest" || case.name.starts_with("RFC");
            assert!(!plain || result[0] == RESULT_ACCEPT, "{}", case.name);
        }
    }
}

#[test]
fn kernels_are_kept_and_a_damaged_file_is_as_good_as_none() {
    let name = "kernels_are_kept_and_a_damaged_file_is_as_good_as_none";
    testing::on_adapter(name, kernels_are_kept);
}

fn kernels_are_kept(choice: AdapterChoice) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut packed = Packed::default();
    for case in &suite::known_answers()[..8] {
        packed.push(&case.item(16));
    }
    let results = || {
        let mut device = WgpuDevice::open(choice, SIZE, Some(folder.path())).expect("an adapter");
        let mut device_keys = DeviceKeys::new(SIZE.key_slots);
        let batch = Batch::of(&packed, &mut device_keys, SIZE.items_max, 9);
        device.submit(0, &batch).expect("submitted");
        let mut results = Vec::new();
        let come = device.collect(0, Duration::from_secs(60), &mut results);
        assert!(come.expect("no fault"), "results in time");
        results
    };
    let expected = results();
    let files = || {
        let entries = std::fs::read_dir(folder.path()).expect("read");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.collect::<Vec<_>>()
    };
    let kept = files();
    assert!(kept.len() <= 1, "{kept:?}");
    assert_eq!(results(), expected, "from the file");
    for path in &kept {
        let mut file = std::fs::read(path).expect("read");
        let middle = file.len() / 2;
        file[middle] ^= 1;
        std::fs::write(path, file).expect("written");
        assert_eq!(results(), expected, "without the damaged file");
    }
    assert_eq!(files(), kept);
}
