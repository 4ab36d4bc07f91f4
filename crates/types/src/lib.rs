//! The words of Clearway: records, codes and limits that every other crate speaks. No I/O, no
//! threads.
//!
//! One thing, one word.
//!
//! Who: a **participant** is an institution with a number; a **member** one that moves money, a
//! **sponsor** one that opens accounts for another, an **issuer** one whose account brings a
//! currency's money in and out, an **operator** one that changes participants and ledgers together
//! with others, an **auditor** one that reads only. A **validator** runs a node; a **cluster** is
//! all validators of one **genesis**.
//!
//! What is signed:
//! * **envelope**: 192 bytes, a **body** and its signature ([`envelope::Envelope`]);
//! * **transfer**: the body of an envelope that moves money ([`transfer::Transfer`]); a **hold**
//!   sets money aside, a **post** moves it, a **void** gives it back; a **return** sends a settled
//!   transfer's money back;
//! * **identifier**: the 128 bits that let an envelope apply once ([`units::TransferId`]); its
//!   **end** is the cluster time after which it never applies;
//! * **chain**: linked envelopes that apply all or none;
//! * **duplicate**: an envelope whose bytes came before;
//! * **hint**: x of a signature's R, advice that spares a verifier work ([`wire`]).
//!
//! What it moves: **amount** ([`amount::Amount`]) of a **currency** ([`account::Currency`]) with a
//! **ledger** number, on an **account** ([`account::Account`]) with its **credit line** and **debit
//! limit**.
//!
//! The walk:
//! * **stage**: one stop of it; **link**: the bounded queue between two stages;
//! * **frame**: envelopes as they come from one stream ([`messages::FrameBatch`]); **slab**: the
//!   bytes of envelopes that lie one after another;
//! * **backend**: one implementation of signature verification; **gate**: what alone calls a
//!   signature valid;
//! * **batch**: envelopes that one validator sealed ([`batch::Batch`]) in its **lane**, the chain
//!   of its batches from one disk ([`batch::LaneId`]);
//! * **epoch**: the time of one validator set ([`manifest::EpochId`]);
//! * **manifest**: what consensus orders, a list of batches ([`manifest::Manifest`]);
//! * **block**: a final manifest with its batches ([`messages::OrderedBlock`]); **certificate**:
//!   the signature of a quorum on its manifest ([`certificate::Certificate`]);
//! * **event**: what execution does by itself ([`event::Event`]);
//! * **outcome**: result code and flags of one envelope ([`code::Outcome`]); **execution head**:
//!   the hash of all results so far; **state root**: the hash of all tables;
//! * **answer**: an outcome with its height, a node's word; **receipt**: an outcome or an event
//!   with its height as a leaf of the tree that a block commits to, which a certificate and a
//!   Merkle path prove.
//!
//! On disk: a **record** lies in a **segment**; the **watermark** names the newest durable one; an
//! **index** finds records by identifier; a **checkpoint** keeps the state at a height; a **feed**
//! tells an account's records in order.
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
pub mod seeded;
pub mod transfer;
pub mod units;
pub mod wire;
