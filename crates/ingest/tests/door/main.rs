//! The door under real QUIC on loopback: what members send, get, and may not do.

mod limits;
mod queries;
mod raw;
mod rig;
mod submit;
