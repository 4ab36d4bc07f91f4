//! The members' side of the door: sign, submit, await answers, look things up, check receipts.
//!
//! ```no_run
//! # use clearway_client::{Client, ClientConfig, Draft, Identity, Server, Signer};
//! # use clearway_types::{amount::Amount, units::{AccountId, LedgerId, ParticipantId}};
//! # async fn pay(seed: [u8; 32], server: Server, genesis: clearway_types::units::Digest)
//! # -> Result<(), clearway_client::ClientError> {
//! let bank = Identity::from_seed(&seed, ParticipantId(7), 0);
//! let client = Client::connect(ClientConfig::new(bank.clone(), vec![server])).await?;
//! let signer = Signer::new(bank, genesis)?.with_time(client.time());
//! let (from, to) = (AccountId::new(ParticipantId(7), 1), AccountId::new(ParticipantId(8), 1));
//! let payment = signer.sign(Draft::transfer(from, to, Amount::new(10_355, LedgerId(1))));
//! let answers = client.submit(&[payment]).await?;
//! println!("{:?} at height {}", answers[0].outcome.code, answers[0].height);
//! # Ok(()) }
//! ```
//!
//! # In
//! Drafts, envelopes, questions.
//! # Out
//! Signed envelopes, answers in the order of submission, what was looked up, checked receipts.
//! # Never
//! Believes a single node: [`Client::prove`] checks certificate, chain of results and Merkle path
//! before it says that an outcome is final. Never signs the same envelope twice with other bytes:
//! a resend is the same 192 bytes, settled once all the same. Never says `Expired`, or another
//! refusal that may speak of a further copy alone, before log and cluster time confirm it
//! ([`Fate`]): a member is not led to pay twice.
//! # Limits
//! A stream takes [`clearway_types::limits::STREAM_ENVELOPES_MAX`] envelopes; a node takes 32
//! streams a connection and 8 connections a member. Windows and time-outs are in [`ClientConfig`].
//! # Cost
//! Two copies of the envelopes, one of them with hints between them (none with
//! [`Client::submit_slab`]), and one of QUIC's: see `crates/ingest/examples/throughput.rs` for the
//! measured figure. A hint takes about 1 us to make.

mod answer;
mod chain;
mod client;
mod config;
mod draft;
mod error;
mod fate;
mod follow;
mod identity;
mod ids;
mod metrics;
mod proof;
mod query;
mod signer;
mod slab;
mod submit;
mod time;

pub use answer::{Answer, Answers, Run};
pub use clearway_quic::Transport;
pub use client::Client;
pub use config::{ClientConfig, Server};
pub use draft::Draft;
pub use error::{ClientError, ProofError};
pub use fate::{Fate, Named};
pub use follow::Follow;
pub use identity::Identity;
pub use ids::IdMaker;
pub use metrics::ClientMetrics;
pub use proof::{ClusterKeys, Receipt};
pub use signer::Signer;
pub use slab::Slab;
pub use submit::Submission;
pub use time::{CLOCK_TOLERANCE, ClockFault, ClusterClock, ClusterTime};
