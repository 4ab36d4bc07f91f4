//! Envelopes a second from client to door and back, with nothing behind the door, and CPU for each.
//!
//! `throughput [ENVELOPES] [STREAMS] [PAYLOAD_BYTES]`: streams at once, size of datagrams.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use clearway_client::{Client, ClientConfig, Identity, Server};
use clearway_crypto::keys::SigningKey;
use clearway_flow::{InFlight, Latest, link};
use clearway_ingest::{
    AnswerRouter, Asker, FollowPage, Ingest, IngestConfig, QueryError, QueryService,
};
use clearway_types::account::KeyEntry;
use clearway_types::batch::{Batch, BatchHeader, LaneId};
use clearway_types::code::{Outcome, ResultCode};
use clearway_types::directory::KeyDirectory;
use clearway_types::envelope::ENVELOPE_BYTES;
use clearway_types::manifest::{EpochId, Manifest};
use clearway_types::messages::{ExecutedBlock, FrameBatch, OrderedBlock, OriginRun};
use clearway_types::units::{AccountId, Digest, Height, ParticipantId, TimeMs, ValidatorNumber};
use clearway_types::wire::proof::SettlementProof;
use clearway_types::wire::query::{AccountView, FollowRequest, Found, Lookup, StatusView};
use clearway_types::wire::roster::RosterView;

const STREAM_ENVELOPES: usize = 8192;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>());
    let mut next = |default| args.next().unwrap_or(Ok(default));
    let (total, streams) = (next(2_000_000)?, next(4)?);
    let payload_bytes = u16::try_from(next(1452)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(measure(total, streams, payload_bytes))
}

async fn measure(
    total: usize,
    streams: usize,
    payload_bytes: u16,
) -> Result<(), Box<dyn std::error::Error>> {
    let member = Identity::from_seed(&[1; 32], ParticipantId(1), 0);
    let node_key = SigningKey::generate()?;
    let mut config = IngestConfig::new(([127, 0, 0, 1], 0).into());
    config.transport.payload_bytes = payload_bytes;
    config.transport.stream_window_bytes = 1 << 20;
    config.transport.connection_window_bytes = 4 << 20;
    config.member_rate.signatures_per_s = u32::MAX;
    config.member_rate.burst = u32::MAX;
    let (frames_in, frames_out) = link::<FrameBatch>("ingest_verify", 16);
    let directory = Arc::new(Latest::new(Arc::new(directory(&member))));
    let (queries, in_flight) = (Arc::new(NoQuestions), Arc::default());
    let in_flight: Arc<InFlight> = in_flight;
    let frames_in = Box::new(frames_in);
    let door = Ingest::start(config, &node_key, directory, frames_in, queries, in_flight).await?;
    let router = door.router();
    std::thread::spawn(move || {
        let mut height = 0;
        while let Some(frame) = frames_out.receive() {
            height += 1;
            router_answers(&router, &frame, Height(height));
        }
    });
    let server = Server {
        address: door.local_addr(),
        public_key: node_key.public_key(),
    };
    let mut config = ClientConfig::new(member, vec![server]);
    config.transport.payload_bytes = payload_bytes;
    let client = Client::connect(config).await?;
    let slab = Bytes::from(vec![0; STREAM_ENVELOPES * ENVELOPE_BYTES]);
    let (cpu_from, from) = (cpu_ticks()?, Instant::now());
    let senders: Vec<_> = (0..streams)
        .map(|_| {
            let (client, slab) = (client.clone(), slab.clone());
            let rounds = total.div_ceil(STREAM_ENVELOPES * streams);
            tokio::spawn(async move {
                let mut answered = 0;
                for _ in 0..rounds {
                    answered += client.submit_slab(slab.clone()).await?.settled_count();
                }
                Ok::<usize, clearway_client::ClientError>(answered)
            })
        })
        .collect();
    let mut answered = 0;
    for sender in senders {
        answered += sender.await??;
    }
    let (wall, ticks) = (from.elapsed(), cpu_ticks()? - cpu_from);
    let per_s = answered as f64 / wall.as_secs_f64();
    // Linux counts 100 ticks a second for user space on every architecture.
    let cpu_us = ticks as f64 * 10_000.0 / answered as f64;
    println!(
        "answered {answered} in {:.2} s: {per_s:.0} envelopes/s",
        wall.as_secs_f64()
    );
    println!("CPU of both sides together: {cpu_us:.3} us per envelope");
    client.close().await;
    door.stop().await;
    Ok(())
}

/// CPU time of this process, user and system, in hundredths of a second.
fn cpu_ticks() -> Result<u64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

fn directory(member: &Identity) -> KeyDirectory {
    let entry = KeyEntry {
        public_key: member.public_key(),
        valid_from: Height(0),
        valid_to: Height(u64::MAX),
    };
    KeyDirectory {
        height: Height(0),
        participants: BTreeMap::from([(member.participant(), [Some(entry), None, None, None])]),
    }
}

/// Makes a block of a frame in which everything settles.
fn router_answers(router: &AnswerRouter, frame: &FrameBatch, height: Height) {
    let count = frame.envelope_count();
    let origin = OriginRun {
        stream: frame.stream,
        first_index: frame.first_index,
        count: u32::try_from(count).expect("frames are bounded"),
    };
    let batch = Batch {
        header: BatchHeader {
            lane: LaneId::first(ValidatorNumber(1)),
            count: origin.count,
            index: height.0,
            previous: Digest::ZERO,
            directory_height: Height(0),
            time: TimeMs(0),
            envelopes_root: Digest::ZERO,
        },
        digest: Digest::ZERO,
        slabs: vec![frame.slab.clone()],
        hints: Vec::new(),
        digests: Vec::new(),
        origins: vec![origin],
    };
    let manifest = Manifest {
        epoch: EpochId::default(),
        height,
        parent: Digest::ZERO,
        time: TimeMs(0),
        leader: ValidatorNumber(1),
        state_height: Height(0),
        exec_head: Digest::ZERO,
        batches: Vec::new(),
    };
    router.on_block(&Arc::new(ExecutedBlock {
        block: OrderedBlock {
            manifest: Arc::new(manifest),
            digest: Digest::ZERO,
            batches: vec![Arc::new(batch)],
            certificate: None,
        },
        results: vec![Outcome::new(ResultCode::Settled); count],
        duplicates: Vec::new(),
        events: Vec::new(),
        receipts_root: Digest::ZERO,
        state_root: None,
        exec_head: Digest::ZERO,
    }));
}

/// Nobody asks here.
struct NoQuestions;

impl QueryService for NoQuestions {
    fn lookup(&self, _: &Asker, names: &[Lookup]) -> Result<Vec<Option<Found>>, QueryError> {
        Ok(vec![None; names.len()])
    }

    fn proof(&self, _: &Asker, _: Lookup) -> Result<SettlementProof, QueryError> {
        Err(QueryError::NotFound)
    }

    fn account(&self, _: &Asker, _: AccountId) -> Result<AccountView, QueryError> {
        Err(QueryError::NotFound)
    }

    fn follow(&self, _: &Asker, _: FollowRequest, _: usize) -> Result<FollowPage, QueryError> {
        Err(QueryError::NotFound)
    }

    fn roster(&self, _: &Asker, _: ParticipantId) -> Result<RosterView, QueryError> {
        Err(QueryError::NotFound)
    }

    fn status(&self) -> Result<StatusView, QueryError> {
        Err(QueryError::NotReady)
    }
}
