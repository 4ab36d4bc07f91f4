//! The engine's context with a journal of ours in the place of a file for each of its blobs: tasks,
//! time and chance are those of the runtime below.
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clearway_types::hex;
use commonware_runtime::telemetry::metrics::{Metric, Registered};
use commonware_runtime::{
    BlobVersion, Clock, Error, Handle, IoBufMut, IoBufs, IoBufsMut, Metrics, Name, ReadOptions,
    Spawner, Supervisor, WriteOptions, signal,
};
use governor::clock::{Clock as Instants, ReasonablyRealtime};
use rand_core::{TryCryptoRng, TryRng};

use crate::journal::{Journal, Key, Shared};

/// A context of the engine, and the journal.
pub(super) struct Journaled<E> {
    context: E,
    journal: Arc<Journal>,
}

impl<E> Journaled<E> {
    pub(super) fn new(context: E, journal: Arc<Journal>) -> Self {
        Self { context, journal }
    }

    fn with(self, change: impl FnOnce(E) -> E) -> Self {
        Self::new(change(self.context), self.journal)
    }
}

impl<E: Supervisor> Supervisor for Journaled<E> {
    fn name(&self) -> Name {
        self.context.name()
    }

    fn child(&self, label: &'static str) -> Self {
        Self::new(self.context.child(label), Arc::clone(&self.journal))
    }

    fn with_attribute(self, key: &'static str, value: impl fmt::Display) -> Self {
        self.with(|context| context.with_attribute(key, value))
    }
}

impl<E: Spawner> Spawner for Journaled<E> {
    fn shared(self, blocking: bool) -> Self {
        self.with(|context| context.shared(blocking))
    }

    fn dedicated(self) -> Self {
        self.with(E::dedicated)
    }

    fn spawn<F, Fut, T>(self, task: F) -> Handle<T>
    where
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let Self { context, journal } = self;
        context.spawn(move |context| task(Self { context, journal }))
    }

    async fn stop(self, value: i32, timeout: Option<Duration>) -> Result<(), Error> {
        self.context.stop(value, timeout).await
    }

    fn stopped(&self) -> signal::Signal {
        self.context.stopped()
    }
}

impl<E: Metrics> Metrics for Journaled<E> {
    fn register<N: Into<String>, H: Into<String>, M: Metric>(
        &self,
        name: N,
        help: H,
        metric: M,
    ) -> Registered<M> {
        self.context.register(name, help, metric)
    }

    fn encode(&self) -> String {
        self.context.encode()
    }
}

impl<E: Clock> Clock for Journaled<E> {
    fn current(&self) -> SystemTime {
        self.context.current()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static + use<E> {
        self.context.sleep(duration)
    }

    fn sleep_until(
        &self,
        deadline: SystemTime,
    ) -> impl Future<Output = ()> + Send + 'static + use<E> {
        self.context.sleep_until(deadline)
    }
}

impl<E: Clock> Instants for Journaled<E> {
    type Instant = SystemTime;

    fn now(&self) -> SystemTime {
        self.context.now()
    }
}

impl<E: Clock> ReasonablyRealtime for Journaled<E> {}

impl<E: TryRng<Error = Infallible>> TryRng for Journaled<E> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.context.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.context.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.context.try_fill_bytes(bytes)
    }
}

impl<E: TryCryptoRng<Error = Infallible>> TryCryptoRng for Journaled<E> {}

impl<E: Send + Sync + 'static> commonware_runtime::Storage for Journaled<E> {
    type Blob = Blob;

    /// Durable with the first sync of any blob, before which nothing stands on it.
    async fn open_versioned(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<(Blob, u64, BlobVersion), Error> {
        let key = (partition.to_owned(), name.to_owned());
        let opened = self.journal.open_blob(&key, versions.end().get());
        let Some(content) = opened else {
            return Err(Error::BlobAlreadyOpen(key.0, hex::encode(name)));
        };
        let (found, len) = {
            let content = content.lock();
            (BlobVersion::new(content.version), content.bytes.len())
        };
        if !versions.contains(&found) {
            let expected = versions;
            return Err(Error::BlobVersionMismatch { expected, found });
        }
        let journal = Arc::clone(&self.journal);
        let blob = Blob {
            key,
            content,
            journal,
        };
        Ok((blob, len as u64, found))
    }

    /// As opening one; a blob that comes back after a power cut is one that the engine is past.
    async fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
        match (self.journal.remove(partition, name), name) {
            (true, _) => Ok(()),
            (false, None) => Err(Error::PartitionMissing(partition.to_owned())),
            (false, Some(name)) => Err(Error::BlobMissing(partition.to_owned(), hex::encode(name))),
        }
    }

    async fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        let names = self.journal.names(partition);
        match names.is_empty() {
            true => Err(Error::PartitionMissing(partition.to_owned())),
            false => Ok(names),
        }
    }
}

/// One of the journal's blobs, open.
pub(super) struct Blob {
    key: Key,
    content: Shared,
    journal: Arc<Journal>,
}

impl Blob {
    fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
        let content = self.content.lock();
        let from = usize::try_from(offset).map_err(|_| Error::OffsetOverflow)?;
        let end = from.checked_add(len).ok_or(Error::OffsetOverflow)?;
        let bytes = content.bytes.get(from..end);
        bytes
            .map(<[u8]>::to_vec)
            .ok_or(Error::BlobInsufficientLength)
    }

    /// One write and one sync, on the thread of the task: the engine's next step waits for it.
    fn sync_now(&self) -> Result<(), Error> {
        let synced = self.journal.sync();
        synced.map_err(|error| {
            let (partition, name) = (self.key.0.clone(), hex::encode(&self.key.1));
            Error::BlobSyncFailed(partition, name, Arc::new(error))
        })
    }
}

impl commonware_runtime::Blob for Blob {
    async fn read_at_buf(
        &self,
        offset: u64,
        len: usize,
        bufs: impl Into<IoBufsMut> + Send,
        _: ReadOptions,
    ) -> Result<IoBufsMut, Error> {
        let (bytes, mut bufs) = (self.read(offset, len)?, bufs.into());
        if bufs.len() != len {
            bufs = IoBufsMut::from(IoBufMut::zeroed(len));
        }
        bufs.copy_from_slice(&bytes);
        Ok(bufs)
    }

    async fn read_at(&self, offset: u64, len: usize, _: ReadOptions) -> Result<IoBufsMut, Error> {
        Ok(IoBufsMut::from(self.read(offset, len)?))
    }

    async fn write_at(
        &self,
        offset: u64,
        bufs: impl Into<IoBufs> + Send,
        options: WriteOptions,
    ) -> Result<(), Error> {
        let bytes = bufs.into().coalesce();
        let end = offset.checked_add(bytes.len() as u64);
        end.ok_or(Error::OffsetOverflow)?;
        self.journal
            .write(&self.key, &self.content, offset, bytes.as_ref());
        match options.contains(WriteOptions::SYNC) {
            true => self.sync_now(),
            false => Ok(()),
        }
    }

    async fn resize(&self, len: u64) -> Result<(), Error> {
        self.journal.resize(&self.key, &self.content, len);
        Ok(())
    }

    async fn sync(&self) -> Result<(), Error> {
        self.sync_now()
    }

    async fn start_sync(&self) -> Handle<()> {
        Handle::ready(self.sync_now())
    }
}
