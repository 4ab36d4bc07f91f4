//! Assembly: topology, configuration, thread placement, metrics.

pub mod config;
pub mod genesis_file;
pub mod keystore;
