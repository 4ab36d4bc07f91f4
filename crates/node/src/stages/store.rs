//! Stop 5 between its links: group commit, then feedback to ordering and the answers to the door.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clearway_flow::{LinkReceiver, LinkSender, Worker, receive_either, try_receive_either};
use clearway_store::{Append, Durable, LogGuard, RecordKind, StoreError, StoreStage, Writer};
use clearway_types::final_record::FinalRecord;
use clearway_types::messages::{ExecutedBlock, Persist, Persisted};
use clearway_types::units::{Digest, Height};

use super::{Progress, Stage};
use crate::checkpointer::look_at;
use crate::disk::Disk;
use crate::error::NodeError;
use crate::log_index::LogIndex;
use crate::threads::DRAIN_TIMEOUT;

/// Bytes that one group commit takes at most: bounds how long an answer waits for its sync.
const GROUP_BYTES_MAX: usize = 16 << 20;
/// How long the store waits before it tries a full disk again.
const DISK_FULL_PAUSE: Duration = Duration::from_millis(200);

/// Links of the writer.
pub(crate) struct StoreLinks {
    pub(crate) persist: LinkReceiver<Persist>,
    pub(crate) executed: LinkReceiver<Arc<ExecutedBlock>>,
    pub(crate) persisted: LinkSender<Vec<Persisted>>,
    pub(crate) receipts: LinkSender<Arc<ExecutedBlock>>,
}

/// What is to be told of a record once it is durable.
pub(crate) enum Ticket {
    Batch(Digest),
    Manifest(Height, Digest),
    Final(Arc<ExecutedBlock>),
}

/// Stores in groups; waits while the disk is full.
pub(crate) struct Storing {
    links: StoreLinks,
    stage: StoreStage,
    /// Looked after by the checkpointer, until this stage ends.
    log: LogGuard,
    index: Arc<LogIndex>,
    disk: Arc<Disk>,
    /// What is not durable yet; empty between steps.
    inbox: Vec<Append<Ticket>>,
}

impl Stage for Storing {
    type Work = Append<Ticket>;

    fn wait(&mut self) -> Option<Append<Ticket>> {
        let links = &self.links;
        receive_either((&links.persist, of_persist), (&links.executed, of_executed))
    }

    fn poll(&mut self) -> Option<Append<Ticket>> {
        let links = &self.links;
        try_receive_either((&links.persist, of_persist), (&links.executed, of_executed))
    }

    /// # Errors
    /// The first failed write or sync, or a block that the log could not give again: nothing after
    /// it was acknowledged.
    fn step(&mut self, first: Append<Ticket>, worker: &mut Worker) -> Result<Progress, NodeError> {
        self.take_group(first);
        // A disk that fills up in the middle takes the rest of the group later.
        while !self.inbox.is_empty() {
            let spans = spans(&self.inbox);
            let committed = commit(worker, &mut self.stage, &mut self.inbox, &self.disk)?;
            drop(spans);
            let Some(durable) = committed else {
                return Ok(Progress::Ended);
            };
            announce(worker, &self.links, &self.index, durable)?;
        }
        Ok(Progress::GoesOn)
    }

    /// Damage since the last look is mended while somebody still can; what cannot be is told.
    fn end(&mut self) -> Result<(), NodeError> {
        Ok(look_at(&self.log)?)
    }
}

impl Storing {
    pub(crate) fn new(
        links: StoreLinks,
        writer: Writer,
        index: &Arc<LogIndex>,
        disk: &Arc<Disk>,
    ) -> Self {
        Self {
            links,
            log: writer.log_guard(),
            stage: StoreStage::new(writer),
            index: Arc::clone(index),
            disk: Arc::clone(disk),
            inbox: Vec::new(),
        }
    }

    /// All that waits, up to the bytes of a group.
    fn take_group(&mut self, first: Append<Ticket>) {
        let mut bytes = 0;
        push(&mut self.inbox, first, &mut bytes);
        while bytes < GROUP_BYTES_MAX
            && let Ok(persist) = self.links.persist.try_receive()
        {
            push(&mut self.inbox, of_persist(persist), &mut bytes);
        }
        while bytes < GROUP_BYTES_MAX
            && let Ok(executed) = self.links.executed.try_receive()
        {
            push(&mut self.inbox, of_executed(executed), &mut bytes);
        }
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
                    if since.elapsed() >= DRAIN_TIMEOUT {
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
