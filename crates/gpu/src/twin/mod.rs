//! The shaders once more in plain Rust: the same names, the same limbs, every sum checked.
//!
//! A shader cannot tell that a sum overflowed; its twin panics where debug assertions are on. Tests
//! compare what both leave in memory, word by word. The twin also makes the table of the base point
//! and the answers that a device must know before it is trusted.

pub mod device;
pub mod field;
pub mod kernels;
pub mod point;
pub mod scalar;
pub mod sha256;
pub mod sha512;
