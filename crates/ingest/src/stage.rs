//! The door as the node sees it: start, router, stop.

use std::net::SocketAddr;
use std::sync::Arc;

use clearway_crypto::keys::SigningKey;
use clearway_flow::{InFlight, Latest, LinkSender};
use clearway_types::directory::KeyDirectory;
use clearway_types::messages::FrameBatch;
use tokio::task::JoinHandle;

use crate::config::IngestConfig;
use crate::door::Door;
use crate::error::IngestError;
use crate::metrics::IngestMetrics;
use crate::query::QueryService;
use crate::router::AnswerRouter;

/// `ingest_verify` as the door sees it: takes a frame or says that there is no room, at once.
///
/// The door asks again about a millisecond later, one frame at a time, members in turn; until then
/// nothing is read from the streams that wait. So the link should hold a few milliseconds of work.
pub trait FrameSink: Send + Sync + 'static {
    /// Takes the frame.
    ///
    /// # Errors
    /// The frame, when there is no room for it now.
    fn offer(&self, frame: FrameBatch) -> Result<(), FrameBatch>;
}

impl FrameSink for LinkSender<FrameBatch> {
    fn offer(&self, frame: FrameBatch) -> Result<(), FrameBatch> {
        self.try_send(frame).map_err(|refused| refused.into_inner())
    }
}

/// The open door. Its tasks run on the tokio runtime that started it.
pub struct Ingest {
    door: Arc<Door>,
    accepting: JoinHandle<()>,
}

impl Ingest {
    /// Listens. `key` is the node's connection key, whose public half the genesis lists.
    ///
    /// # Errors
    /// For settings that cannot work, an address in use, or a key that TLS refuses.
    pub async fn start(
        config: IngestConfig,
        key: &SigningKey,
        directory: Arc<Latest<KeyDirectory>>,
        frames: Box<dyn FrameSink>,
        queries: Arc<dyn QueryService>,
        in_flight: Arc<InFlight>,
    ) -> Result<Self, IngestError> {
        let door = Door::open(config, key, directory, frames, queries, in_flight)?;
        let accepting = tokio::spawn(Arc::clone(&door).accept_all());
        tracing::info!(address = %door.address, "the door is open");
        Ok(Self { door, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.door.address
    }

    /// Takes refusals and executed blocks, from any thread; outlives the door.
    #[must_use]
    pub fn router(&self) -> AnswerRouter {
        self.door.router.clone()
    }

    /// Its counters.
    #[must_use]
    pub fn metrics(&self) -> Arc<IngestMetrics> {
        Arc::clone(&self.door.metrics)
    }

    /// Closes gracefully: takes nothing new, resets streams that have not said what they want,
    /// refuses envelopes that have not been taken in yet with `Unavailable`, waits for the answers
    /// on their way up to `stop_grace`, then closes.
    pub async fn stop(self) {
        self.door.close().await;
        // The task ends by itself once the door is closed; it panics only by a bug, seen in the
        // log.
        if let Err(error) = self.accepting.await {
            tracing::error!(%error, "the accept loop did not end by itself");
        }
    }
}
