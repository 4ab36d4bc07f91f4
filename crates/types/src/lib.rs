//! The words of Clearway: records, codes and limits that every other crate speaks. No I/O, no
//! threads.
//!
//! One thing, one word:
//! * **envelope**: 192 bytes, a signed instruction ([`envelope::Envelope`]);
//! * **transfer**: the body of an envelope that moves money ([`transfer::Transfer`]);
//! * **frame**: envelopes as they come from one stream ([`messages::FrameBatch`]);
//! * **batch**: envelopes that one validator sealed ([`batch::Batch`]) in its **lane**, the chain
//!   of its batches from one disk ([`batch::LaneId`]);
//! * **epoch**: the time of one validator set ([`manifest::EpochId`]);
//! * **manifest**: what consensus orders, a list of batches ([`manifest::Manifest`]);
//! * **block**: a final manifest with its batches ([`messages::OrderedBlock`]);
//! * **event**: what execution does by itself ([`event::Event`]);
//! * **outcome**: result code and flags of one envelope ([`code::Outcome`]);
//! * **receipt**: an outcome or an event with its height: a node's word, until a certificate and a
//!   Merkle path prove it;
//! * **stage**: one stop of the walk; **link**: the bounded queue between two stages;
//! * **backend**: one implementation of signature verification.
//!
//! # In
//! Bytes.
//! # Out
//! Records that cannot be wrong in shape.
//! # Never
//! Reads a clock, a file, the environment; iterates a hash map; uses a float.
//! # Limits
//! [`limits`].
//! # Cost
//! Parsing is a cast of bytes in place.

#![deny(
    clippy::float_arithmetic,
    clippy::iter_over_hash_type,
    clippy::host_endian_bytes,
    clippy::arithmetic_side_effects
)]

pub mod account;
pub mod amount;
pub mod batch;
pub mod certificate;
pub mod code;
pub mod codec;
pub mod control;
pub mod directory;
pub mod domain;
pub mod drop_reason;
pub mod envelope;
pub mod event;
pub mod final_record;
pub mod flags;
pub mod fuzz;
pub mod genesis;
pub mod hex;
pub mod kind;
pub mod limits;
pub mod manifest;
pub mod messages;
pub mod transfer;
pub mod units;
pub mod wire;
