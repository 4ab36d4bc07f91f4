//! The proofs on a device: wgpu host code, the kernel table, Rust twins of the shaders.
//!
//! # In
//! Signatures as a [`clearway_crypto::backend::Backend`] gets them; shaders from `shaders/`.
//! # Out
//! Verdicts like every backend's: what a device accepts with evidence, and the CPU's word on the
//! rest.
//! # Never
//! Believes a refusal, an answer without evidence, or a device that was wrong once since it was
//! opened; loses a signature, whatever the device does; takes an adapter that computes on the CPU
//! unless told to; signs anything.
//! # Limits
//! [`device::Size`] bounds what lies on the device; messages longer than
//! [`layout::MESSAGE_LEN_MAX`] bytes are verified by the CPU.
//! # Cost
//! A payment: some 340 bytes to the device and 40 back; about 1,500 products and 1,000 squares of
//! the field. The CPU verifies one accepted signature in 1,024 again, and every refused one.

pub mod adapter;
mod backend;
pub mod batch;
pub mod canary;
pub mod device;
pub mod faults;
mod hashes;
pub mod kernels;
pub mod keys;
mod lasting;
pub mod layout;
mod metrics;
mod pipeline_cache;
mod queue;
mod self_test;
pub mod testing;
mod thread;
pub mod twin;
pub mod wgpu_device;

pub use adapter::{AdapterChoice, AdapterReport};
pub use backend::{Gpu, GpuConfig};
pub use hashes::GpuHashes;
pub use metrics::GpuMetrics;
pub use queue::Doubt;
pub use thread::{Opener, Timings};
