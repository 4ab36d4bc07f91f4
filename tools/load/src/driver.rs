//! Offers signed streams to a node and measures the answers: closed loop, or open loop at a rate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clearway_client::{Client, ClientConfig, ClientError, Identity, Run, Server};
use clearway_types::genesis::HexBytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::cluster::{BANK_COUNT, Members, bank};
use crate::measure::Tally;
use crate::sign::SignedStream;

/// How long a stream may stay without any byte before it is sent again: longer than any pause that
/// a loaded machine makes, so that the load is not doubled by impatience.
const SILENCE: Duration = Duration::from_secs(30);

/// How streams are offered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Connections, each of another bank, round and round.
    pub connections: usize,
    /// Closed loop: streams in flight on each connection.
    pub streams_in_flight: usize,
    /// Open loop: payments a second over all workers; `None` for as fast as answers come.
    pub rate: Option<f64>,
    /// Where the node listens.
    pub server: SocketAddr,
    /// The node's connection key.
    pub server_key: HexBytes<32>,
    /// Largest UDP payload, bytes; both sides must agree.
    pub udp_payload_bytes: u16,
}

/// Why a load could not be offered or was not answered.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// A client gave up.
    #[error("load connection {connection}: {source}")]
    Client {
        /// Which connection.
        connection: usize,
        /// Why.
        source: ClientError,
    },
    /// A worker process failed.
    #[error("load process {part}: {message}")]
    Worker {
        /// Which process.
        part: usize,
        /// Why.
        message: String,
    },
    /// The system refused something.
    #[error("load: {0}; check limits of processes and open files")]
    Io(#[from] std::io::Error),
}

/// Microseconds of the clock that all processes of this machine share.
#[must_use]
pub fn clock_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (seconds, nanoseconds) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds * 1_000_000 + nanoseconds / 1000
}

/// Opens the connections of a plan. `number` of the first one tells workers apart.
///
/// # Errors
/// When one cannot be opened.
pub async fn connect(
    plan: &Plan,
    members: &Members,
    number: usize,
) -> Result<Vec<Client>, DriverError> {
    let mut clients = Vec::with_capacity(plan.connections);
    for connection in 0..plan.connections {
        let index = u32::try_from((number + connection) % BANK_COUNT as usize);
        let participant = bank(index.expect("below the number of banks"));
        let identity = Identity::new(members.key(participant), participant, 0);
        let server = Server {
            address: plan.server,
            public_key: plan.server_key.0,
        };
        let mut config = ClientConfig::new(identity, vec![server]);
        config.silence = SILENCE;
        config.transport.payload_bytes = plan.udp_payload_bytes;
        config.transport.send_window_bytes = 16 << 20;
        config.transport.stream_window_bytes = 4 << 20;
        config.transport.connection_window_bytes = 16 << 20;
        let client = Client::connect(config).await;
        clients.push(client.map_err(|source| DriverError::Client { connection, source })?);
    }
    Ok(clients)
}

/// Offers all streams and waits for the last answer.
///
/// `start_us` is when an open loop begins, on [`clock_us`]; a closed loop begins at once.
/// `progress` is told how many payments were answered.
///
/// # Errors
/// When a stream is not answered.
pub async fn offer(
    clients: &[Client],
    streams: Vec<SignedStream>,
    plan: &Plan,
    start_us: u64,
    progress: &(dyn Fn(usize) + Send + Sync),
) -> Result<Tally, DriverError> {
    let streams = Arc::new(streams);
    let copies = || {
        clients
            .iter()
            .map(|client| client.metrics().envelopes_sent.value())
    };
    let copies_before: u64 = copies().sum();
    let mut tasks = JoinSet::new();
    let (answered_sender, mut answered) = tokio::sync::mpsc::unbounded_channel();
    for (connection, client) in clients.iter().enumerate() {
        let sender = Sender {
            client: client.clone(),
            connection,
            of: clients.len(),
            streams: Arc::clone(&streams),
            next: Arc::new(AtomicUsize::new(connection)),
            answered: answered_sender.clone(),
        };
        match plan.rate {
            Some(rate) => {
                let pace = Pace { start_us, rate };
                tasks.spawn(open_loop(sender, pace));
            }
            None => {
                for _ in 0..plan.streams_in_flight {
                    tasks.spawn(closed_loop(sender.clone()));
                }
            }
        }
    }
    drop(answered_sender);
    let mut tally = Tally::default();
    loop {
        tokio::select! {
            Some(count) = answered.recv() => progress(count),
            Some(done) = tasks.join_next() => {
                tally.add(&done.expect("load tasks do not panic and are not cancelled")?);
            }
            else => break,
        }
    }
    tally.copies_sent = copies().sum::<u64>() - copies_before;
    Ok(tally)
}

/// One connection's part of the streams.
#[derive(Clone)]
struct Sender {
    client: Client,
    connection: usize,
    of: usize,
    streams: Arc<Vec<SignedStream>>,
    /// The next stream of this connection, shared by its tasks.
    next: Arc<AtomicUsize>,
    answered: tokio::sync::mpsc::UnboundedSender<usize>,
}

impl Sender {
    fn take(&self) -> Option<usize> {
        let place = self.next.fetch_add(self.of, Ordering::Relaxed);
        (place < self.streams.len()).then_some(place)
    }

    /// Sends one stream and gives every run of answers with its time of arrival to `on_run`.
    async fn send(
        &self,
        place: usize,
        mut on_run: impl FnMut(&Run, u64) + Send,
    ) -> Result<(), DriverError> {
        let failed = |source| DriverError::Client {
            connection: self.connection,
            source,
        };
        let slab = self.streams[place].slab.clone();
        let mut submission = self.client.submission(slab).map_err(failed)?;
        while let Some(run) = submission.next().await.map_err(failed)? {
            on_run(&run, clock_us());
            // Nobody listens any more when another connection failed: its error is reported.
            let _ = self.answered.send(run.outcomes.len());
        }
        Ok(())
    }
}

/// Sends the next stream when an answer to the one before is complete.
async fn closed_loop(sender: Sender) -> Result<Tally, DriverError> {
    let mut tally = Tally::default();
    while let Some(place) = sender.take() {
        let sent_us = clock_us();
        tally.sent_at(sent_us, sender.streams[place].len() as u64);
        sender
            .send(place, |run, now_us| {
                let count = run.outcomes.len() as u64;
                record_codes(&mut tally, run, now_us);
                tally.respond(sent_us, now_us, count);
                tally.service.record(now_us - sent_us, count);
            })
            .await?;
    }
    Ok(tally)
}

/// When payments are meant to be sent.
#[derive(Clone, Copy)]
struct Pace {
    start_us: u64,
    rate: f64,
}

impl Pace {
    /// When payment `index` of the whole workload is due.
    fn due_us(self, index: usize) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "microseconds of a run stay far below 2^53"
        )]
        let after = (index as f64 * 1e6 / self.rate) as u64;
        self.start_us + after
    }
}

/// Sends each stream when its last payment is due, whatever became of the ones before.
async fn open_loop(sender: Sender, pace: Pace) -> Result<Tally, DriverError> {
    let sum = Arc::new(Mutex::new(Tally::default()));
    let mut tasks = JoinSet::new();
    while let Some(place) = sender.take() {
        let stream = &sender.streams[place];
        let (first, last) = (stream.first, stream.first + stream.len() - 1);
        let wait = pace.due_us(last).saturating_sub(clock_us());
        tokio::time::sleep(Duration::from_micros(wait)).await;
        let (sender, sum) = (sender.clone(), Arc::clone(&sum));
        tasks.spawn(async move {
            // One tally a connection: adding up histograms costs more than a stream's payments.
            let tally = || sum.lock();
            let sent_us = clock_us();
            tally().sent_at(sent_us, sender.streams[place].len() as u64);
            sender
                .send(place, |run, now_us| {
                    let mut tally = tally();
                    record_codes(&mut tally, run, now_us);
                    tally
                        .service
                        .record(now_us - sent_us, run.outcomes.len() as u64);
                    for offset in 0..run.outcomes.len() {
                        let due_us = pace.due_us(first + run.first_index + offset);
                        tally.respond(due_us, now_us, 1);
                    }
                })
                .await?;
            Ok::<(), DriverError>(())
        });
        while let Some(done) = tasks.try_join_next() {
            done.expect("load tasks do not panic and are not cancelled")?;
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("load tasks do not panic and are not cancelled")?;
    }
    let tally = sum.lock().clone();
    Ok(tally)
}

fn record_codes(tally: &mut Tally, run: &Run, now_us: u64) {
    tally.answered_at(now_us);
    for same in run.outcomes.chunk_by(|a, b| a.code == b.code) {
        tally.record(same[0].code, same.len() as u64);
    }
}

/// Envelopes on a stream of an open loop: what is due in 5 ms on one connection, at most `most`.
#[must_use]
pub fn open_loop_stream_len(rate: f64, connections: usize, most: usize) -> usize {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates and counts of a run are small"
    )]
    let due = (rate * 0.005 / connections as f64) as usize;
    due.clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_are_due_evenly_from_the_start() {
        let pace = Pace {
            start_us: 1000,
            rate: 2000.0,
        };
        assert_eq!(pace.due_us(0), 1000);
        assert_eq!(pace.due_us(1), 1500);
        assert_eq!(pace.due_us(2000), 1_001_000);
    }

    #[test]
    fn open_loop_streams_hold_five_milliseconds_of_payments() {
        assert_eq!(open_loop_stream_len(40_000.0, 4, 4096), 50);
        assert_eq!(open_loop_stream_len(10.0, 4, 4096), 1);
        assert_eq!(open_loop_stream_len(1e9, 1, 4096), 4096);
    }

    #[test]
    fn the_shared_clock_never_falls() {
        let before = clock_us();
        assert!(clock_us() >= before);
    }
}
