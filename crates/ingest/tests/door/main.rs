//! The door under real QUIC on loopback: what members send, get, and may not do.

mod fair;
mod limits;
mod places;
mod queries;
mod raw;
mod rig;
mod rude;
mod submit;
mod twice;
