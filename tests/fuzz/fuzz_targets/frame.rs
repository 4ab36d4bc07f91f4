//! Any bytes as what comes through the members' door: headers, requests, answers.
#![no_main]

use clearway_types::fuzz::fuzz_frame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_frame(data));
