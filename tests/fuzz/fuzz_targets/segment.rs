//! Any bytes as a segment of the block store: opened, read and written on.
#![no_main]

use clearway_store::fuzz::fuzz_segment;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_segment(data));
