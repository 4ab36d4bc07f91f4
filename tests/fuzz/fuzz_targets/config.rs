//! Any bytes as a configuration file of a node.
#![no_main]

use clearway_node::config::fuzz_config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_config(data));
