//! Tests of the store through its public doors, in one binary.

mod blocks;
mod busy;
mod checkpoint;
mod crash;
mod damage;
mod faults;
mod format;
mod fuzz;
mod guard;
mod index;
mod log;
mod mapped;
mod stage;
mod support;
mod watermark;
