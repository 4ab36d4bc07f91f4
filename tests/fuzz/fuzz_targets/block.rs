//! Any bytes as the stored parts of a block: batch, manifest, certificate, final record.
#![no_main]

use clearway_types::fuzz::fuzz_block;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_block(data));
