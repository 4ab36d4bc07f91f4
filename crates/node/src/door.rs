//! The edges of the node: the members' door on QUIC and the operators' page on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clearway_flow::{InFlight, Latest, LinkSender};
use clearway_ingest::{FrameSink, Ingest, IngestConfig, MemberRate, QueryService};
use clearway_types::directory::KeyDirectory;
use clearway_types::messages::FrameBatch;
use clearway_verify::Scheduler;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::admin::{self, Readiness};
use crate::clock::ClockWatch;
use crate::config::NodeConfig;
use crate::error::NodeError;
use crate::gather::Figures;
use crate::keystore::ValidatorKeys;
use crate::question_share::{Bounded, question_cores};

/// Threads of the QUIC runtime: one moves more than verification can take from it.
const RUNTIME_THREADS: usize = 1;

/// The runtime of door and page.
pub(crate) fn runtime() -> Result<Runtime, NodeError> {
    Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("ingest-0")
        .enable_all()
        .build()
        .map_err(NodeError::Thread)
}

/// The links to the verify workers: all frames of a source go to the same one.
pub(crate) struct Frames {
    workers: Vec<LinkSender<FrameBatch>>,
    scheduler: Scheduler,
}

impl Frames {
    pub(crate) fn new(workers: Vec<LinkSender<FrameBatch>>, scheduler: Scheduler) -> Self {
        Self { workers, scheduler }
    }
}

impl FrameSink for Frames {
    fn offer(&self, frame: FrameBatch) -> Result<(), FrameBatch> {
        self.workers[self.scheduler.worker(frame.source)].offer(frame)
    }
}

/// Opens the members' door.
pub(crate) async fn open(
    config: &NodeConfig,
    keys: &ValidatorKeys,
    directory: &Arc<Latest<KeyDirectory>>,
    frames: Frames,
    questions: impl QueryService,
    in_flight: &Arc<InFlight>,
) -> Result<Ingest, NodeError> {
    let cores = question_cores(config);
    let ingest = Ingest::start(
        door_config(config),
        &keys.connection,
        Arc::clone(directory),
        Box::new(frames),
        Arc::new(Bounded::new(questions, cores)),
        Arc::clone(in_flight),
    );
    let ingest = ingest.await?;
    ingest.metrics().question_cores.set(cores as u64);
    Ok(ingest)
}

fn door_config(config: &NodeConfig) -> IngestConfig {
    let door = &config.door;
    let mut ingest = IngestConfig::new(config.listen);
    ingest.connections_max = door.connections_max as usize;
    ingest.member_connections_max = door.connections_per_member_max as usize;
    // Both are bounds, not memory that is taken: more connections may fill more frames.
    ingest.fill_bytes_max = ingest.fill_bytes_max.max(ingest.fill_bytes_min());
    let of_member = ingest.member_fill_bytes_min();
    ingest.member_fill_bytes_max = ingest.member_fill_bytes_max.max(of_member);
    ingest.transport.streams_max = door.streams_per_connection_max;
    ingest.transport.stream_window_bytes = door.stream_window_bytes;
    ingest.transport.connection_window_bytes = door.connection_window_bytes;
    ingest.transport.payload_bytes = door.udp_payload_bytes_max;
    ingest.transport.idle_timeout = Duration::from_millis(door.idle_ms.into());
    ingest.frame_fill_max = Duration::from_millis(door.frame_fill_ms.into());
    ingest.fill_bytes_per_s_min = door.fill_bytes_per_s_min;
    ingest.handshakes.address_max = door.handshakes_per_address_max as usize;
    if door.member_rate_max > 0 {
        let rate = door.member_rate_max;
        ingest.member_rate = MemberRate {
            signatures_per_s: rate,
            burst: rate,
        };
    }
    ingest
}

/// Listens for the operators' page.
pub(crate) fn listen_admin(
    runtime: &Runtime,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), NodeError> {
    let listen = |source| NodeError::Listen { address, source };
    let listener = runtime
        .block_on(TcpListener::bind(address))
        .map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    Ok((listener, bound))
}

/// Serves the operators' page, and watches the clocks, until the node has stopped.
pub(crate) fn serve_admin(
    runtime: &Runtime,
    listener: TcpListener,
    readiness: watch::Receiver<Readiness>,
    clocks: ClockWatch,
    figures: &Arc<Figures>,
) {
    let clocks = Arc::new(clocks);
    let watching = Arc::clone(&clocks);
    runtime.spawn(async move { watching.run().await });
    let (counters, figures) = (Arc::clone(&figures.admin), Arc::clone(figures));
    runtime.spawn(async move {
        if let Err(error) = admin::serve(listener, readiness, clocks, figures, counters).await {
            tracing::warn!(%error, "the operators' page has ended");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_connections_that_may_be_set_has_room_for_its_frames() {
        for (in_all, of_member) in [(1, 1), (2000, 8), (2000, 2000), (65_536, 65_536)] {
            let mut config = NodeConfig::default();
            config.door.connections_max = in_all;
            config.door.connections_per_member_max = of_member;
            let checked = door_config(&config).check();
            assert!(checked.is_ok(), "{in_all}, {of_member}: {checked:?}");
        }
    }
}
