//! Thread of stop 5: group commit, then the news to ordering and the answers to the door.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clearway_flow::{LinkReceiver, LinkSender, Worker};
use clearway_store::{Append, Durable, RecordKind, StoreError, StoreStage};
use clearway_types::final_record::FinalRecord;
use clearway_types::messages::{ExecutedBlock, Persist, Persisted};
use clearway_types::units::{Digest, Height};
use crossbeam::channel::select;

use crate::disk::Disk;
use crate::error::NodeError;
use crate::log_index::LogIndex;
use crate::node::DRAIN_PATIENCE;

/// Bytes that one group commit takes at most: bounds how long an answer waits for its sync.
const GROUP_BYTES_MAX: usize = 16 << 20;
/// How long the store waits before it tries a full disk again.
const DISK_FULL_PAUSE: Duration = Duration::from_millis(200);

/// Links of the writer's thread.
pub(crate) struct StoreLinks {
    pub(crate) persist: LinkReceiver<Persist>,
    pub(crate) executed: LinkReceiver<Arc<ExecutedBlock>>,
    pub(crate) persisted: LinkSender<Vec<Persisted>>,
    pub(crate) receipts: LinkSender<Arc<ExecutedBlock>>,
}

enum Ticket {
    Batch(Digest),
    Manifest(Height, Digest),
    Final(Arc<ExecutedBlock>),
}

/// Stores in groups until both links have ended; waits while `disk` is full.
///
/// # Errors
/// The first failed write or sync, or a block that the log could not give again: nothing after it
/// was acknowledged.
pub(crate) fn run(
    mut worker: Worker,
    links: &StoreLinks,
    mut stage: StoreStage,
    index: &LogIndex,
    disk: &Disk,
) -> Result<(), NodeError> {
    let mut inbox = Vec::new();
    while fill(&mut worker, links, &mut inbox) {
        let spans = spans(&inbox);
        let committed = commit(&mut worker, &mut stage, &mut inbox, disk)?;
        drop(spans);
        let Some(durable) = committed else {
            return Ok(());
        };
        announce(&mut worker, links, index, durable)?;
    }
    Ok(())
}

/// Takes all that waits, at least one message; false when both links have ended.
fn fill(worker: &mut Worker, links: &StoreLinks, inbox: &mut Vec<Append<Ticket>>) -> bool {
    let mut bytes = 0;
    let first = worker.waiting(|| first_of(links));
    match first {
        None => return false,
        Some(append) => push(inbox, append, &mut bytes),
    }
    while bytes < GROUP_BYTES_MAX
        && let Ok(persist) = links.persist.try_receive()
    {
        push(inbox, of_persist(persist), &mut bytes);
    }
    while bytes < GROUP_BYTES_MAX
        && let Ok(executed) = links.executed.try_receive()
    {
        push(inbox, of_executed(executed), &mut bytes);
    }
    true
}

fn first_of(links: &StoreLinks) -> Option<Append<Ticket>> {
    let from_persist = || links.persist.receive().map(of_persist);
    let from_executed = || links.executed.receive().map(of_executed);
    select! {
        recv(links.persist.channel()) -> persist => match persist {
            Ok(persist) => {
                links.persist.note_taken();
                Some(of_persist(persist))
            }
            Err(_) => from_executed(),
        },
        recv(links.executed.channel()) -> executed => match executed {
            Ok(executed) => {
                links.executed.note_taken();
                Some(of_executed(executed))
            }
            Err(_) => from_persist(),
        },
    }
}

/// A group commit serves both links: a span for each that has something in it.
fn spans(inbox: &[Append<Ticket>]) -> [tracing::span::EnteredSpan; 2] {
    let is_block = |append: &&Append<Ticket>| matches!(append.ticket, Ticket::Final(_));
    let blocks = inbox.iter().filter(is_block).count();
    let records = inbox.len() - blocks;
    let order_store = match records {
        0 => tracing::Span::none(),
        _ => tracing::trace_span!("order_store", records),
    };
    let execute_store = match blocks {
        0 => tracing::Span::none(),
        _ => tracing::trace_span!("execute_store", blocks),
    };
    [order_store.entered(), execute_store.entered()]
}

fn push(inbox: &mut Vec<Append<Ticket>>, append: Append<Ticket>, bytes: &mut usize) {
    *bytes += append.parts.iter().map(Bytes::len).sum::<usize>();
    inbox.push(append);
}

fn of_persist(persist: Persist) -> Append<Ticket> {
    match persist {
        Persist::Batch(batch) => {
            let header = Bytes::copy_from_slice(&batch.header.to_bytes());
            let parts = std::iter::once(header)
                .chain(batch.slabs.iter().cloned())
                .collect();
            let (digest, ticket) = (batch.digest.0, Ticket::Batch(batch.digest));
            Append {
                kind: RecordKind::Batch,
                digest,
                parts,
                ticket,
            }
        }
        Persist::Manifest {
            height,
            digest,
            bytes,
        } => Append {
            kind: RecordKind::Manifest,
            digest: digest.0,
            parts: vec![bytes],
            ticket: Ticket::Manifest(height, digest),
        },
    }
}

fn of_executed(executed: Arc<ExecutedBlock>) -> Append<Ticket> {
    Append {
        kind: RecordKind::Final,
        digest: executed.exec_head.0,
        parts: vec![FinalRecord::of(&executed).encode().into()],
        ticket: Ticket::Final(executed),
    }
}

/// One group; waits out a full disk, since everything that waits behind it waits safely. `None`
/// when the node was asked to stop and there was no room for as long as a stop waits: what is left
/// was not answered.
fn commit(
    worker: &mut Worker,
    stage: &mut StoreStage,
    inbox: &mut Vec<Append<Ticket>>,
    disk: &Disk,
) -> Result<Option<Vec<Durable<Ticket>>>, NodeError> {
    let mut stopping = None;
    loop {
        match stage.on_batch(inbox) {
            Ok(durable) => {
                disk.on_log(None);
                return Ok(Some(durable));
            }
            Err(error @ StoreError::DiskFull { .. }) => {
                disk.on_log(Some(&error));
                if disk.is_stopping() {
                    let since = *stopping.get_or_insert_with(Instant::now);
                    if since.elapsed() >= DRAIN_PATIENCE {
                        let records = inbox.len();
                        tracing::warn!(records, "stopped on a full disk: unanswered and not kept");
                        return Ok(None);
                    }
                }
                worker.waiting(|| std::thread::sleep(DISK_FULL_PAUSE));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn announce(
    worker: &mut Worker,
    links: &StoreLinks,
    index: &LogIndex,
    durable: Vec<Durable<Ticket>>,
) -> Result<(), NodeError> {
    let mut persisted = Vec::new();
    let mut finals = Vec::new();
    for Durable { sequence, ticket } in durable {
        match ticket {
            Ticket::Batch(digest) => {
                index.on_batch(digest, sequence);
                persisted.push(Persisted::Batch(digest));
            }
            Ticket::Manifest(height, digest) => {
                index.on_manifest(digest, height, sequence);
                persisted.push(Persisted::Manifest(digest));
            }
            Ticket::Final(executed) => {
                index.on_final(&executed, sequence)?;
                finals.push(executed);
            }
        }
    }
    // A receiver that is gone needs it no more.
    if !persisted.is_empty() {
        let _ = worker.send(&links.persisted, persisted);
    }
    for executed in finals {
        let _ = worker.send(&links.receipts, executed);
    }
    Ok(())
}
