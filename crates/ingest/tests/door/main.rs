//! The door under real QUIC on loopback: what members send, what they get, and what they may not do.

mod limits;
mod queries;
mod raw;
mod rig;
mod submit;
