//! Any signatures: every backend's verdict is the rule's.
#![no_main]

use clearway_crypto::fuzz::fuzz_signatures;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_signatures(data));
