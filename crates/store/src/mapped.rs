//! Read-only memory maps of whole segments. The only file of this crate with unsafe code; the
//! tests in `tests/store/mapped.rs` attack it with files that shrink and readers beside the writer.
#![allow(
    unsafe_code,
    reason = "memory maps: every access is bounded and checked in this file"
)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use memmap2::{MmapOptions, MmapRaw};

use crate::format::to_usize;

/// A read-only map of the first bytes of a file.
///
/// References into the map are handed out only below `stable_bytes`, the part that the store never
/// writes again; everything else is copied out byte for byte. The file's length is checked when it
/// is mapped and by the callers before they read: a file that somebody shortens gives an error
/// then, though a file cut in the very moment of a read still kills the process (SIGBUS), as with
/// every map.
#[derive(Debug)]
pub struct Mapped {
    map: MmapRaw,
    stable_bytes: AtomicU64,
}

impl Mapped {
    /// Maps the first `bytes` bytes; the file must have them.
    pub(crate) fn new(file: &File, bytes: u64) -> io::Result<Mapped> {
        if bytes == 0 || file.metadata()?.len() < bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let map = MmapOptions::new()
            .len(to_usize(bytes))
            .map_raw_read_only(file)?;
        assert_eq!(map.len() as u64, bytes);
        Ok(Mapped {
            map,
            stable_bytes: AtomicU64::new(0),
        })
    }

    /// Declares that the first `bytes` bytes are never written again. Only ever grows.
    pub(crate) fn set_stable(&self, bytes: u64) {
        assert!(bytes <= self.map.len() as u64, "stable part beyond the map");
        self.stable_bytes.fetch_max(bytes, Ordering::Release);
    }

    /// Copies bytes out of the map, stable or not.
    pub(crate) fn copy_to(&self, offset: u64, buffer: &mut [u8]) {
        let start = to_usize(offset);
        let end = start
            .checked_add(buffer.len())
            .expect("a range within a segment");
        assert!(end <= self.map.len(), "range beyond the map");
        // SAFETY: the source lies within the map by the assertion above, the map lives as long as
        // `self`, and the buffer is exclusively ours. The source may lie above `stable_bytes`:
        // only recovery reads there, before the one process that holds the lock starts to write.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.map.as_ptr().add(start),
                buffer.as_mut_ptr(),
                buffer.len(),
            );
        }
    }

    /// Bytes of the stable part, without a copy; they keep the map alive. `None` for a range that
    /// is not stable as a whole.
    pub(crate) fn slice(self: &Arc<Self>, range: Range<u64>) -> Option<Bytes> {
        assert!(range.start <= range.end, "range upside down");
        if range.end > self.stable_bytes.load(Ordering::Acquire) {
            return None;
        }
        let range = to_usize(range.start)..to_usize(range.end);
        let map = Arc::clone(self);
        Some(Bytes::from_owner(StableRange { map, range }))
    }
}

struct StableRange {
    map: Arc<Mapped>,
    range: Range<usize>,
}

impl AsRef<[u8]> for StableRange {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `Mapped::slice`, the only constructor, checked that the range is in order and
        // ends within `stable_bytes`, which `set_stable` asserted to lie within the map. The store
        // never writes below `stable_bytes` again, the lock keeps other processes away, and the
        // `Arc` keeps the map.
        unsafe {
            std::slice::from_raw_parts(
                self.map.map.as_ptr().add(self.range.start),
                self.range.end - self.range.start,
            )
        }
    }
}
