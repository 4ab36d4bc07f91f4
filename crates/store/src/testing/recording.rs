//! A file system that remembers every change, and the disks that a power cut can leave behind.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clearway_types::seeded::SplitMix;
use parking_lot::Mutex;

use super::MemoryIo;
use crate::format::to_usize;
use crate::io::{Access, BlockFile, BlockIo, LockGuard};
use crate::mapped::Mapped;

/// Unit in which a disk keeps or loses what was not synced.
const SECTOR_BYTES: u64 = 512;

/// A memory file system that logs each change, sync and marker.
#[derive(Clone, Debug)]
pub struct RecordingIo {
    inner: MemoryIo,
    tape: Arc<Mutex<Tape>>,
}

#[derive(Debug, Default)]
struct Tape {
    ops: Vec<Op>,
    names: BTreeMap<PathBuf, usize>,
    inode_count: usize,
    sync_names: Vec<String>,
    base_op_count: usize,
    skip_sync: Option<usize>,
}

/// One logged call. Files are known by number, since names move.
#[derive(Clone, Debug)]
enum Op {
    Create {
        inode: usize,
        path: PathBuf,
    },
    Truncate {
        inode: usize,
    },
    Write {
        inode: usize,
        offset: u64,
        bytes: Vec<u8>,
    },
    Sync {
        inode: usize,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    SyncDir {
        dir: PathBuf,
    },
    Marker(u64),
}

impl RecordingIo {
    /// An empty disk.
    pub fn new() -> Self {
        Self {
            inner: MemoryIo::new(),
            tape: Arc::default(),
        }
    }

    /// A disk that holds these files, all of them durable.
    pub fn over(files: BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let io = Self {
            inner: MemoryIo::from_files(files.clone()),
            tape: Arc::default(),
        };
        let mut tape = io.tape.lock();
        for (inode, (path, bytes)) in files.into_iter().enumerate() {
            tape.names.insert(path.clone(), inode);
            tape.inode_count += 1;
            let dir = path.parent().map(Path::to_owned).unwrap_or_default();
            tape.ops.push(Op::Create { inode, path });
            tape.ops.push(Op::Write {
                inode,
                offset: 0,
                bytes,
            });
            tape.ops.push(Op::Sync { inode });
            tape.ops.push(Op::SyncDir { dir });
        }
        tape.base_op_count = tape.ops.len();
        drop(tape);
        io
    }

    /// A disk on which the sync with this number (files and directories counted together, from 0)
    /// answers well and does nothing: a lane that proves that the crash tests would notice.
    pub fn without_sync(sync_index: usize) -> Self {
        let io = Self::new();
        io.tape.lock().skip_sync = Some(sync_index);
        io
    }

    /// Notes that the outside world was told something now.
    pub fn mark(&self, marker: u64) {
        self.tape.lock().ops.push(Op::Marker(marker));
    }

    /// What each sync so far was for, the skipped one included: a file's name at that time, or
    /// the directory's.
    pub fn sync_names(&self) -> Vec<String> {
        self.tape.lock().sync_names.clone()
    }

    /// What was logged so far.
    pub fn log(&self) -> CrashLog {
        let tape = self.tape.lock();
        CrashLog {
            ops: tape.ops.clone(),
            base_op_count: tape.base_op_count,
        }
    }

    fn sync(&self, op: Op) {
        let mut tape = self.tape.lock();
        let path = match &op {
            Op::Sync { inode } => tape
                .names
                .iter()
                .find(|(_, i)| *i == inode)
                .map(|(path, _)| path),
            Op::SyncDir { dir } => Some(dir),
            _ => None,
        };
        let name = path.and_then(|path| path.file_name()).unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        if tape.skip_sync != Some(tape.sync_names.len()) {
            tape.ops.push(op);
        }
        tape.sync_names.push(name);
    }
}

impl Default for RecordingIo {
    fn default() -> Self {
        Self::new()
    }
}

impl BlockIo for RecordingIo {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir(dir)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn BlockFile>> {
        let inner = self.inner.open(path, access)?;
        let mut tape = self.tape.lock();
        let inode = match tape.names.get(path) {
            Some(&inode) => {
                if access == Access::Create {
                    tape.ops.push(Op::Truncate { inode });
                }
                inode
            }
            None => {
                let inode = tape.inode_count;
                tape.inode_count += 1;
                tape.names.insert(path.to_owned(), inode);
                tape.ops.push(Op::Create {
                    inode,
                    path: path.to_owned(),
                });
                inode
            }
        };
        Ok(Arc::new(RecordingFile {
            io: self.clone(),
            inner,
            inode,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)?;
        let mut tape = self.tape.lock();
        let inode = tape.names.remove(from).expect("the inner rename found it");
        tape.names.insert(to.to_owned(), inode);
        tape.ops.push(Op::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
        });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)?;
        let mut tape = self.tape.lock();
        tape.names.remove(path);
        tape.ops.push(Op::Remove {
            path: path.to_owned(),
        });
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn len_bytes(&self, path: &Path) -> io::Result<u64> {
        self.inner.len_bytes(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.sync(Op::SyncDir {
            dir: dir.to_owned(),
        });
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.inner.lock(path)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.inner.free_bytes(dir)
    }

    fn monotonic_ns(&self) -> u64 {
        self.inner.monotonic_ns()
    }
}

#[derive(Debug)]
struct RecordingFile {
    io: RecordingIo,
    inner: Arc<dyn BlockFile>,
    inode: usize,
}

impl BlockFile for RecordingFile {
    fn read_some_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read_some_at(offset, buffer)
    }

    fn write_some_at(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.inner.write_some_at(offset, slices)?;
        let bytes = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .take(written)
            .collect();
        self.io.tape.lock().ops.push(Op::Write {
            inode: self.inode,
            offset,
            bytes,
        });
        Ok(written)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.io.sync(Op::Sync { inode: self.inode });
        Ok(())
    }

    fn map(&self, _bytes: u64) -> io::Result<Option<Arc<Mapped>>> {
        Ok(None)
    }
}

/// A recorded run, from which the disks are built that a power cut could have left.
#[derive(Clone, Debug)]
pub struct CrashLog {
    ops: Vec<Op>,
    /// Calls that only made the disk what it was at the start.
    base_op_count: usize,
}

/// A disk in the middle of a run: what is safe, and what is still on its way.
#[derive(Clone, Debug, Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    pending_names: Vec<(PathBuf, Option<usize>, PathBuf)>,
    live_names: BTreeMap<PathBuf, usize>,
    marker: u64,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    synced: Vec<u8>,
    live: Vec<u8>,
    pending: Vec<(u64, Vec<u8>)>,
}

impl CrashLog {
    /// Places in the run at which [`CrashLog::random_image`] can cut it.
    pub fn cuts(&self) -> std::ops::RangeInclusive<usize> {
        self.base_op_count..=self.ops.len()
    }

    /// Bytes written in all.
    pub fn written_bytes(&self) -> u64 {
        let lengths = self.ops[self.base_op_count..].iter().map(|op| match op {
            Op::Write { bytes, .. } => bytes.len() as u64,
            _ => 0,
        });
        lengths.sum()
    }

    /// Every disk on which a prefix of the run arrived, down to the byte: `visit` gets the files
    /// and the last marker before the cut.
    pub fn prefix_images(&self, visit: &mut dyn FnMut(BTreeMap<PathBuf, Vec<u8>>, u64)) {
        let mut disk = Disk::default();
        let (base, run) = self.ops.split_at(self.base_op_count);
        base.iter().for_each(|op| disk.apply(op));
        visit(disk.live_files(), 0);
        for op in run {
            if let Op::Write {
                inode,
                offset,
                bytes,
            } = op
            {
                for (at, byte) in (*offset..).zip(bytes) {
                    write(&mut disk.inodes[*inode].live, at, &[*byte]);
                    visit(disk.live_files(), disk.marker);
                }
            } else {
                disk.apply(op);
                visit(disk.live_files(), disk.marker);
            }
        }
    }

    /// One disk that a power cut after `op_count` calls can leave: what was synced, and of the
    /// rest a random choice of 512-byte sectors and of name changes in their order. Also answers
    /// the last marker before the cut.
    pub fn random_image(
        &self,
        op_count: usize,
        random: &mut SplitMix,
    ) -> (BTreeMap<PathBuf, Vec<u8>>, u64) {
        let mut disk = Disk::default();
        self.ops[..op_count].iter().for_each(|op| disk.apply(op));
        (disk.cut(random), disk.marker)
    }
}

impl Disk {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Create { inode, path } => {
                assert_eq!(*inode, self.inodes.len(), "files are numbered in order");
                self.inodes.push(Inode::default());
                self.change_name(path, Some(*inode));
            }
            Op::Truncate { inode } => {
                // A new start of the file; the store only does this to files without a promise.
                self.inodes[*inode] = Inode::default();
            }
            Op::Write {
                inode,
                offset,
                bytes,
            } => {
                write(&mut self.inodes[*inode].live, *offset, bytes);
                self.inodes[*inode].pending.push((*offset, bytes.clone()));
            }
            Op::Sync { inode } => {
                let inode = &mut self.inodes[*inode];
                inode.synced.clone_from(&inode.live);
                inode.pending.clear();
            }
            Op::Rename { from, to } => {
                let inode = self.live_names.remove(from);
                self.live_names
                    .insert(to.clone(), inode.expect("logged after it worked"));
                self.pending_names.push((to.clone(), inode, from.clone()));
            }
            Op::Remove { path } => self.change_name(path, None),
            Op::SyncDir { dir } => {
                let pending = std::mem::take(&mut self.pending_names);
                let (synced, rest): (Vec<_>, Vec<_>) = pending
                    .into_iter()
                    .partition(|(path, ..)| path.parent() == Some(dir));
                synced
                    .into_iter()
                    .for_each(|change| apply_name(&mut self.names, change));
                self.pending_names = rest;
            }
            Op::Marker(marker) => self.marker = *marker,
        }
    }

    fn change_name(&mut self, path: &Path, inode: Option<usize>) {
        let change = (path.to_owned(), inode, PathBuf::new());
        apply_name(&mut self.live_names, change.clone());
        self.pending_names.push(change);
    }

    fn live_files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let names = self.live_names.iter();
        names
            .map(|(path, &inode)| (path.clone(), self.inodes[inode].live.clone()))
            .collect()
    }

    fn cut(&self, random: &mut SplitMix) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut names = self.names.clone();
        let kept = random.below(self.pending_names.len() as u64 + 1);
        let kept = self.pending_names.iter().take(to_usize(kept));
        kept.for_each(|change| apply_name(&mut names, change.clone()));
        let files = names.into_iter();
        files
            .map(|(path, inode)| (path, self.inodes[inode].cut(random)))
            .collect()
    }
}

impl Inode {
    /// What was synced, and each sector of each later write with a chance that differs from disk
    /// to disk, so that "nearly all" and "nearly nothing" come up too.
    fn cut(&self, random: &mut SplitMix) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        let chance = random.below(9);
        for (offset, data) in &self.pending {
            let end = offset + data.len() as u64;
            let mut at = *offset;
            while at < end {
                let next = end.min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
                if random.below(8) < chance {
                    let part = to_usize(at - offset)..to_usize(next - offset);
                    write(&mut bytes, at, &data[part]);
                }
                at = next;
            }
        }
        bytes
    }
}

fn apply_name(names: &mut BTreeMap<PathBuf, usize>, change: (PathBuf, Option<usize>, PathBuf)) {
    let (path, inode, from) = change;
    names.remove(&from);
    match inode {
        Some(inode) => names.insert(path, inode),
        None => names.remove(&path),
    };
}

fn write(bytes: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let end = to_usize(offset) + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[to_usize(offset)..end].copy_from_slice(data);
}
