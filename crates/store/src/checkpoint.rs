//! Checkpoint files: a state, opaque to the store, written whole or not at all and checked before
//! it is believed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{At, Hex, StoreError};
use crate::format::{CheckpointFileHead, CheckpointTail, HEAD_BYTES, Head, HeadFault};
use crate::io::{Access, BlockFile, BlockIo, write_all_at};
use crate::limits::{BULK_BYTES, CHECKPOINT_COUNT_KEPT};
use crate::view::View;
use crate::words::SegmentNumber;

const NAME_DIGITS: usize = 20;
const PREFIX: &str = "checkpoint-";
const SUFFIX: &str = ".ckp";
const TEMPORARY_NAME: &str = "checkpoint.tmp";
const TAIL_BYTES: u64 = size_of::<CheckpointTail>() as u64;
/// Bytes gathered before they are written, so that a writer of small fields costs few calls.
const BUFFER_BYTES: usize = 256 << 10;

/// A checkpoint that passed its checksum.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The block height whose state this is.
    pub height: u64,
    /// What was written; points into a memory map where there is one.
    pub content: Bytes,
}

/// What a search for the newest checkpoint met.
#[derive(Debug, Default)]
pub struct CheckpointSearch {
    /// The newest whole checkpoint.
    pub newest: Option<Checkpoint>,
    /// Newer files that failed their checksum, newest first. They were left where they are.
    pub damaged: Vec<PathBuf>,
    /// Why newer files, or the directory, could not be read.
    pub unread: Vec<StoreError>,
}

/// Writes the state at `height` through `fill` and makes it durable; then removes all but the two
/// newest checkpoints. The directory is made when missing.
///
/// # Errors
/// [`StoreError::Io`] when the system or `fill` fails. Older checkpoints are still there then.
pub fn write_checkpoint(
    io: &Arc<dyn BlockIo>,
    dir: &Path,
    genesis: [u8; 32],
    height: u64,
    fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> Result<(), StoreError> {
    io.create_dir(dir).at("mkdir", dir)?;
    let temporary = dir.join(TEMPORARY_NAME);
    let file = io
        .open(&temporary, Access::Create)
        .at("create", &temporary)?;
    let mut sink = Sink {
        file: file.as_ref(),
        offset: 0,
        synced: 0,
        buffer: Vec::with_capacity(BUFFER_BYTES),
        hasher: blake3::Hasher::new(),
    };
    let head = CheckpointFileHead::new(height, genesis).seal();
    sink.write_all(&head).at("pwrite", &temporary)?;
    fill(&mut sink).at("writing a checkpoint", &temporary)?;
    sink.finish().at("pwrite", &temporary)?;
    file.sync_data().at("fdatasync", &temporary)?;
    let path = path(dir, height);
    io.rename(&temporary, &path).at("rename", &path)?;
    io.sync_dir(dir).at("fsync of the directory", dir)?;
    for old in heights(io, dir)?
        .into_iter()
        .rev()
        .skip(CHECKPOINT_COUNT_KEPT)
    {
        let path = self::path(dir, old);
        io.remove(&path).at("remove", &path)?;
    }
    Ok(())
}

/// Finds the newest checkpoint whose checksum is right.
///
/// # Errors
/// [`StoreError::ForeignGenesis`], [`StoreError::NewerFormat`] and [`StoreError::OlderFormat`] for
/// a whole file of another network or version. Damage is no error, nor is what the system cannot
/// read: the log has all that a checkpoint holds, so the next older file is tried and the search
/// says which files it passed over.
pub fn load_newest_checkpoint(
    io: &Arc<dyn BlockIo>,
    dir: &Path,
    genesis: [u8; 32],
) -> Result<CheckpointSearch, StoreError> {
    let mut search = CheckpointSearch::default();
    let heights = match heights(io, dir) {
        Ok(heights) => heights,
        Err(error) => {
            search.unread.push(error);
            return Ok(search);
        }
    };
    for height in heights.into_iter().rev() {
        match load(io, dir, &genesis, height) {
            Ok(Some(content)) => {
                search.newest = Some(Checkpoint { height, content });
                break;
            }
            Ok(None) => search.damaged.push(path(dir, height)),
            Err(error @ StoreError::Io { .. }) => search.unread.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(search)
}

/// The content of one checkpoint, or `None` when it is damaged.
fn load(
    io: &Arc<dyn BlockIo>,
    dir: &Path,
    genesis: &[u8; 32],
    height: u64,
) -> Result<Option<Bytes>, StoreError> {
    let path = path(dir, height);
    let len_bytes = io.len_bytes(&path).at("stat", &path)?;
    let Some(content_bytes) = len_bytes.checked_sub(HEAD_BYTES as u64 + TAIL_BYTES) else {
        return Ok(None);
    };
    let view = View::open(io, &path, SegmentNumber::default(), len_bytes)?;
    let mut image = [0; HEAD_BYTES];
    view.copy_to(0, &mut image)?;
    let head = match CheckpointFileHead::parse(&image) {
        Ok(head) => head,
        Err(HeadFault::Version(found)) => return Err(StoreError::version(&path, found)),
        Err(HeadFault::Blank | HeadFault::Damaged) => return Ok(None),
    };
    if head.genesis != *genesis {
        let (found, expected) = (Hex(head.genesis), Hex(*genesis));
        return Err(StoreError::ForeignGenesis {
            path,
            found,
            expected,
        });
    }
    let mut image = [0; size_of::<CheckpointTail>()];
    view.copy_to(len_bytes - TAIL_BYTES, &mut image)?;
    let tail = CheckpointTail::read_from_bytes(&image).expect("the length is the type's");
    let mut hasher = blake3::Hasher::new();
    view.for_each_chunk(0, len_bytes - TAIL_BYTES, &mut |_, chunk| {
        hasher.update(chunk);
        Ok(())
    })?;
    let whole = head.height.get() == height
        && tail.magic == CheckpointTail::MAGIC
        && tail.content_bytes.get() == content_bytes
        && tail.reserved == [0; 16]
        && tail.hash == *hasher.finalize().as_bytes();
    if !whole {
        return Ok(None);
    }
    // A checkpoint is never written again under its name: a new one replaces the whole file.
    view.set_stable(len_bytes);
    view.bytes(HEAD_BYTES as u64, content_bytes).map(Some)
}

/// Heights of the checkpoints in a directory, oldest first; none where there is no directory.
fn heights(io: &Arc<dyn BlockIo>, dir: &Path) -> Result<Vec<u64>, StoreError> {
    let names = match io.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.at("list", dir)?,
    };
    let mut heights: Vec<u64> = names.iter().filter_map(|name| parse_name(name)).collect();
    heights.sort_unstable();
    Ok(heights)
}

fn path(dir: &Path, height: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{height:0NAME_DIGITS$}{SUFFIX}"))
}

fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    if digits.len() != NAME_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Hashes what goes through, writes it in large pieces and syncs it on the way: one sync of all of
/// it would keep those of the log waiting.
struct Sink<'a> {
    file: &'a dyn BlockFile,
    offset: u64,
    /// Up to here it is synced.
    synced: u64,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
}

impl Sink<'_> {
    /// Writes the buffer and these bytes.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_all_at(self.file, self.offset, &[&self.buffer, bytes])?;
        self.offset += (self.buffer.len() + bytes.len()) as u64;
        self.buffer.clear();
        if self.offset - self.synced >= BULK_BYTES {
            self.file.sync_data()?;
            self.synced = self.offset;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        let tail = CheckpointTail {
            magic: CheckpointTail::MAGIC,
            content_bytes: (self.offset - HEAD_BYTES as u64).into(),
            hash: *self.hasher.finalize().as_bytes(),
            reserved: [0; 16],
        };
        write_all_at(self.file, self.offset, &[tail.as_bytes()])
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.put(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.put(&[])
    }
}
