//! Any bytes as envelopes: header checks and views.
#![no_main]

use clearway_types::fuzz::fuzz_envelope;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_envelope(data));
