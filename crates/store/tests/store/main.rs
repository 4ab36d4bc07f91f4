//! Tests of the store through its public doors, in one binary.

mod log;
mod stage;
mod support;
