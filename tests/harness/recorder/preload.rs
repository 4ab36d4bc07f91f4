//! A library that Linux loads in front of the C library: it writes down what a program does to its
//! files, and can play a full disk or one that hangs. `../src/recorder.rs` builds it and reads what
//! it wrote.
//!
//! Only calls through the C library are seen. So a reader of a record first compares the files
//! that it adds up to with those that are there; `tests/crash_images` does, and that is the test
//! that attacks this file: `the_record_tells_everything_that_the_node_did_to_its_files`.

#![allow(
    unsafe_code,
    non_camel_case_types,
    reason = "stands in for functions of the C library, with their signatures"
)]

use std::collections::HashSet;
use std::ffi::{CStr, OsStr, c_char, c_int, c_long, c_uint, c_void};
use std::fs::{self, File, Metadata};
use std::io::Seek as _;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// `struct iovec` of the C library.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct iovec {
    base: *const u8,
    bytes: usize,
}

type off_t = i64;
type Open = unsafe extern "C" fn(*const c_char, c_int, c_uint) -> c_int;
type OpenAt = unsafe extern "C" fn(c_int, *const c_char, c_int, c_uint) -> c_int;
type Write = unsafe extern "C" fn(c_int, *const c_void, usize) -> isize;
type WriteAt = unsafe extern "C" fn(c_int, *const c_void, usize, off_t) -> isize;
type WriteV = unsafe extern "C" fn(c_int, *const iovec, c_int) -> isize;
type WriteVAt = unsafe extern "C" fn(c_int, *const iovec, c_int, off_t) -> isize;
type WriteVAt2 = unsafe extern "C" fn(c_int, *const iovec, c_int, off_t, c_int) -> isize;
type Resize = unsafe extern "C" fn(c_int, off_t) -> c_int;
type Allocate = unsafe extern "C" fn(c_int, c_int, off_t, off_t) -> c_int;
type OnFile = unsafe extern "C" fn(c_int) -> c_int;
type OnPath = unsafe extern "C" fn(*const c_char) -> c_int;
type OnPathAt = unsafe extern "C" fn(c_int, *const c_char, c_int) -> c_int;
type MakeDir = unsafe extern "C" fn(*const c_char, c_uint) -> c_int;
type Rename = unsafe extern "C" fn(*const c_char, *const c_char) -> c_int;
type Map = unsafe extern "C" fn(*mut c_void, usize, c_int, c_int, c_int, off_t) -> *mut c_void;

// Numbers that are the same on every architecture that Linux gives its generic ones, x86-64 too.
const AT_FDCWD: c_int = -100;
const ENOSPC: c_int = 28;
const O_WRONLY: c_int = 1;
const O_CREAT: c_int = 0o100;
const O_TRUNC: c_int = 0o1000;
const O_APPEND: c_int = 0o2000;
const O_DSYNC: c_int = 0o10000;
const O_CLOEXEC: c_int = 0o2_000_000;
const PROT_WRITE: c_int = 2;
const MAP_SHARED: c_int = 1;
/// `RWF_DSYNC` and `RWF_SYNC`.
const RWF_SYNCED: c_int = 2 | 4;
const RTLD_NEXT: isize = -1;
const SIGKILL: c_int = 9;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
    fn __errno_location() -> *mut c_int;
    fn raise(signal: c_int) -> c_int;
}

/// The function that this library stands in front of, looked up once.
macro_rules! next {
    ($symbol:literal as $kind:ty) => {{
        static FOUND: OnceLock<$kind> = OnceLock::new();
        *FOUND.get_or_init(|| {
            // SAFETY: the C library has a function of this name with this signature; a null
            // pointer never becomes a function, `find` ends the program then.
            unsafe { std::mem::transmute::<*mut c_void, $kind>(find($symbol)) }
        })
    }};
}

fn find(symbol: &CStr) -> *mut c_void {
    // SAFETY: the name ends in zero, and `RTLD_NEXT` is a handle that always exists.
    let found = unsafe { dlsym(RTLD_NEXT as *mut c_void, symbol.as_ptr()) };
    if found.is_null() {
        std::process::abort();
    }
    found
}

/// What to watch, and where to write it down.
struct Watch {
    root: PathBuf,
    /// Descriptor of the record.
    log: Option<c_int>,
    /// While this file is there, the disk is full.
    full: Option<PathBuf>,
    /// While this file is there, no sync ends.
    stuck: Option<PathBuf>,
    /// Once this file is there, the program ends after the next line of the record.
    kill: Option<PathBuf>,
    /// Numbers (`st_ino`) of the files below the root that were opened.
    files: Mutex<HashSet<u64>>,
    sync_count: AtomicU64,
}

type Files<'a> = MutexGuard<'a, HashSet<u64>>;

fn watch() -> Option<&'static Watch> {
    static WATCH: OnceLock<Option<Watch>> = OnceLock::new();
    WATCH.get_or_init(Watch::from_environment).as_ref()
}

impl Watch {
    fn from_environment() -> Option<Self> {
        let root = PathBuf::from(std::env::var_os("RECORDER_ROOT")?);
        let log = std::env::var_os("RECORDER_LOG").map(|path| {
            let path = std::ffi::CString::new(path.as_bytes()).unwrap_or_default();
            let flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
            let open_log = next!(c"open64" as Open);
            // SAFETY: the path ends in zero and lives as long as the call.
            let log = unsafe { open_log(path.as_ptr(), flags, 0o600) };
            if log < 0 {
                std::process::abort();
            }
            log
        });
        Some(Self {
            root,
            log,
            full: std::env::var_os("RECORDER_FULL").map(PathBuf::from),
            stuck: std::env::var_os("RECORDER_STUCK").map(PathBuf::from),
            kill: std::env::var_os("RECORDER_KILL").map(PathBuf::from),
            files: Mutex::default(),
            sync_count: AtomicU64::new(0),
        })
    }

    /// The one lock: a change and its line in the record are one step, so that the order of the
    /// lines is the order of the changes. Syncs alone run outside it, see [`on_sync`].
    fn lock(&self) -> Files<'_> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self) -> bool {
        is_there(self.full.as_ref())
    }

    /// Appends to the record: one line, and the bytes that it announces. The lock shows that
    /// nobody else is writing.
    fn note(&self, _lock: &Files<'_>, line: &str, parts: &[iovec]) {
        let Some(log) = self.log else { return };
        let mut text = line.as_bytes().to_vec();
        text.push(b'\n');
        for part in parts {
            // SAFETY: the program handed these parts to a write that answered well.
            text.extend_from_slice(unsafe { std::slice::from_raw_parts(part.base, part.bytes) });
        }
        let mut rest = text.as_slice();
        let write = next!(c"write" as Write);
        while !rest.is_empty() {
            // SAFETY: the bytes live as long as the call.
            let written = unsafe { write(log, rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(written) {
                Ok(written) => rest = &rest[written..],
                // A record with a hole proves nothing.
                Err(_) => std::process::abort(),
            }
        }
        // From outside, a kill could come between a change and its line. Here the lock is held:
        // no change is under way but those of syncs, whose end is not told then.
        if is_there(self.kill.as_ref()) {
            // SAFETY: takes no pointer, and does not come back.
            unsafe { raise(SIGKILL) };
        }
    }

    /// The path below the root, or `None` for one outside.
    fn inside(&self, dir: c_int, path: *const c_char) -> Option<String> {
        if path.is_null() {
            return None;
        }
        // SAFETY: not null, and callers of the C library end their paths in zero.
        let path = Path::new(OsStr::from_bytes(
            unsafe { CStr::from_ptr(path) }.to_bytes(),
        ));
        let start = match dir {
            AT_FDCWD => std::env::current_dir().ok()?,
            dir => fs::read_link(format!("/proc/self/fd/{dir}")).unwrap_or_default(),
        };
        self.below_root(&start.join(path))
    }

    fn below_root(&self, path: &Path) -> Option<String> {
        let mut plain = PathBuf::new();
        for part in path.components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => drop(plain.pop()),
                part => plain.push(part),
            }
        }
        let below = plain.strip_prefix(&self.root).ok()?.to_str()?;
        // Both would break the lines of the record.
        if below.contains(['\t', '\n']) {
            std::process::abort();
        }
        Some(below.to_owned())
    }

    /// A regular file below the root, by an open descriptor.
    fn file(&self, files: &Files<'_>, metadata: Option<&Metadata>) -> Option<u64> {
        let metadata = metadata.filter(|metadata| metadata.is_file())?;
        Some(metadata.ino()).filter(|number| files.contains(number))
    }
}

fn is_there(path: Option<&PathBuf>) -> bool {
    path.is_some_and(|path| path.exists())
}

/// The open file behind a descriptor that stays the caller's.
fn borrowed(file: c_int) -> Option<ManuallyDrop<File>> {
    // SAFETY: never dropped, so the descriptor is not closed; one that is not open makes the calls
    // on it fail and nothing else.
    (file >= 0).then(|| ManuallyDrop::new(unsafe { File::from_raw_fd(file) }))
}

fn metadata(file: c_int) -> Option<Metadata> {
    borrowed(file)?.metadata().ok()
}

fn refuse_full() -> isize {
    // SAFETY: every thread has an error number.
    unsafe { *__errno_location() = ENOSPC };
    -1
}

fn on_open(dir: c_int, path: *const c_char, flags: c_int, call: &dyn Fn() -> c_int) -> c_int {
    let Some((watch, name)) = watch().and_then(|w| Some((w, w.inside(dir, path)?))) else {
        return call();
    };
    let mut files = watch.lock();
    let there = fs::symlink_metadata(watch.root.join(&name)).is_ok();
    let file = call();
    if let Some(metadata) = metadata(file).filter(Metadata::is_file) {
        files.insert(metadata.ino());
        let (what, number) = (if there { "open" } else { "create" }, metadata.ino());
        watch.note(&files, &format!("{what}\t{number}\t{name}"), &[]);
        if there && flags & O_TRUNC != 0 {
            watch.note(&files, &format!("resize\t{number}\t0"), &[]);
        }
        if flags & O_DSYNC != 0 {
            watch.note(&files, &format!("unknown\tO_DSYNC\t{name}"), &[]);
        }
    }
    file
}

/// Bytes that fit the file as it is: a full disk takes no others.
fn cut(parts: &[iovec], mut room_bytes: u64) -> Vec<iovec> {
    let mut kept = Vec::new();
    for part in parts {
        let bytes = part
            .bytes
            .min(usize::try_from(room_bytes).unwrap_or(usize::MAX));
        room_bytes -= bytes as u64;
        kept.push(iovec {
            base: part.base,
            bytes,
        });
    }
    kept
}

/// A write at `at`, or at the file's position.
fn on_write(
    file: c_int,
    parts: &[iovec],
    at: Option<off_t>,
    durable: bool,
    call: &dyn Fn(&[iovec]) -> isize,
) -> isize {
    let Some(watch) = watch() else {
        return call(parts);
    };
    let before = metadata(file).filter(Metadata::is_file);
    if before.is_none() {
        return call(parts);
    }
    let files = watch.lock();
    let Some(number) = watch.file(&files, before.as_ref()) else {
        drop(files);
        return call(parts);
    };
    let position = || {
        borrowed(file)
            .and_then(|mut file| file.stream_position().ok())
            .unwrap_or(0)
    };
    let place = |at: off_t| u64::try_from(at).unwrap_or(0);
    let mut parts = parts.to_vec();
    if watch.is_full() {
        let length = metadata(file).map_or(0, |now| now.len());
        let room_bytes = length.saturating_sub(at.map_or_else(position, place));
        if room_bytes == 0 {
            return refuse_full();
        }
        parts = cut(&parts, room_bytes);
    }
    let written = call(&parts);
    if let Ok(bytes @ 1..) = u64::try_from(written) {
        // A file's position, also one that only appends, is behind the bytes now.
        let offset = at.map_or_else(|| position().saturating_sub(bytes), place);
        let parts = cut(&parts, bytes);
        let what = if durable { "write-synced" } else { "write" };
        watch.note(
            &files,
            &format!("{what}\t{number}\t{offset}\t{bytes}"),
            &parts,
        );
    }
    written
}

/// A new length, or room up to it.
fn on_resize(file: c_int, length: Option<off_t>, room: bool, call: &dyn Fn() -> c_int) -> c_int {
    let Some(watch) = watch() else { return call() };
    let files = watch.lock();
    let before = metadata(file);
    let Some(number) = watch.file(&files, before.as_ref()) else {
        drop(files);
        return call();
    };
    let old = before.map_or(0, |before| before.len());
    let new = length.and_then(|length| u64::try_from(length).ok());
    if watch.is_full() && room {
        refuse_full();
        return -1;
    }
    let answer = call();
    match new {
        None => watch.note(&files, &format!("unknown\tfallocate\t{number}"), &[]),
        Some(new) if answer == 0 && (!room || new > old) => {
            watch.note(&files, &format!("resize\t{number}\t{new}"), &[]);
        }
        Some(_) => {}
    }
    answer
}

/// Syncs run side by side, as without this library. Two lines: what was written before the first
/// is durable when the second is there; what is written between them may be or not.
fn on_sync(file: c_int, call: &dyn Fn() -> c_int) -> c_int {
    let Some(watch) = watch() else { return call() };
    let Some(before) = metadata(file) else {
        return call();
    };
    let files = watch.lock();
    let subject = if before.is_dir() {
        let path = fs::read_link(format!("/proc/self/fd/{file}")).unwrap_or_default();
        watch.below_root(&path).map(|path| format!("dir\t{path}"))
    } else {
        watch
            .file(&files, Some(&before))
            .map(|number| format!("file\t{number}"))
    };
    let Some(subject) = subject else {
        drop(files);
        return call();
    };
    let count = watch.sync_count.fetch_add(1, Ordering::Relaxed);
    let token = format!("{}.{count}", std::process::id());
    watch.note(&files, &format!("syncing\t{token}\t{subject}"), &[]);
    drop(files);
    while is_there(watch.stuck.as_ref()) {
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
    let answer = call();
    if answer == 0 {
        watch.note(&watch.lock(), &format!("synced\t{token}"), &[]);
    }
    answer
}

fn on_rename(
    (from_dir, from): (c_int, *const c_char),
    (to_dir, to): (c_int, *const c_char),
    call: &dyn Fn() -> c_int,
) -> c_int {
    let Some(watch) = watch() else { return call() };
    let mut files = watch.lock();
    let (from, to) = (watch.inside(from_dir, from), watch.inside(to_dir, to));
    if from.is_none() && to.is_none() {
        drop(files);
        return call();
    }
    let replaced = to
        .as_ref()
        .and_then(|to| fs::symlink_metadata(watch.root.join(to)).ok());
    let answer = call();
    if answer == 0 {
        replaced.map(|replaced| files.remove(&replaced.ino()));
        let line = match (from, to) {
            (Some(from), Some(to)) => format!("rename\t{from}\t{to}"),
            (from, to) => format!("unknown\trename\t{from:?} to {to:?}"),
        };
        watch.note(&files, &line, &[]);
    }
    answer
}

/// A name that comes or goes.
fn on_name(what: &str, dir: c_int, path: *const c_char, call: &dyn Fn() -> c_int) -> c_int {
    let Some((watch, name)) = watch().and_then(|w| Some((w, w.inside(dir, path)?))) else {
        return call();
    };
    let mut files = watch.lock();
    let before = fs::symlink_metadata(watch.root.join(&name)).ok();
    let answer = call();
    if answer == 0 {
        before.map(|before| files.remove(&before.ino()));
        watch.note(&files, &format!("{what}\t{name}"), &[]);
    }
    answer
}

/// Stores through a map cannot be seen.
fn on_map(file: c_int, protection: c_int, flags: c_int) {
    if file < 0 || protection & PROT_WRITE == 0 || flags & MAP_SHARED == 0 {
        return;
    }
    let Some(watch) = watch() else { return };
    let files = watch.lock();
    if let Some(number) = watch.file(&files, metadata(file).as_ref()) {
        watch.note(&files, &format!("unknown\tmmap\t{number}"), &[]);
    }
}

/// The parts of a vectored call.
///
/// # Safety
/// As the C library asks: `count` parts at `parts`.
unsafe fn slices<'a>(parts: *const iovec, count: c_int) -> &'a [iovec] {
    match usize::try_from(count) {
        // SAFETY: the caller's promise, and more than none of them.
        Ok(count @ 1..) => unsafe { std::slice::from_raw_parts(parts, count) },
        _ => &[],
    }
}

fn count(parts: &[iovec]) -> c_int {
    c_int::try_from(parts.len()).unwrap_or(c_int::MAX)
}

/// A function of the C library under one or two names: both do the same on 64-bit machines.
/// Exported with the C library's own signature; `open` and its kin are declared there with a
/// variable last argument, which 64-bit Linux passes in the same register as a fixed one.
macro_rules! stand_in {
    ($($name:literal $alias:ident = $kind:ty: ($($arg:ident: $ty:ty),*) -> $ret:ty,
        |$next:ident| $body:expr;)*) => {$(
        /// Stands in for the function of this name, under its contract.
        ///
        /// # Safety
        /// As the C library asks.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $alias($($arg: $ty),*) -> $ret {
            let $next = next!($name as $kind);
            // SAFETY: arguments are handed on as they came, or as a shorter piece of the same
            // buffers.
            #[allow(unused_unsafe, reason = "some bodies need none")]
            unsafe { $body }
        }
    )*};
}

stand_in! {
    c"open" open = Open: (path: *const c_char, flags: c_int, mode: c_uint) -> c_int, |next|
        on_open(AT_FDCWD, path, flags, &|| next(path, flags, mode));
    c"open64" open64 = Open: (path: *const c_char, flags: c_int, mode: c_uint) -> c_int, |next|
        on_open(AT_FDCWD, path, flags, &|| next(path, flags, mode));
    c"openat" openat = OpenAt:
        (dir: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int, |next|
        on_open(dir, path, flags, &|| next(dir, path, flags, mode));
    c"openat64" openat64 = OpenAt:
        (dir: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int, |next|
        on_open(dir, path, flags, &|| next(dir, path, flags, mode));

    c"write" write = Write: (file: c_int, from: *const c_void, bytes: usize) -> isize, |next|
        on_write(file, &[iovec { base: from.cast(), bytes }], None, false,
            &|parts| next(file, parts[0].base.cast(), parts[0].bytes));
    c"pwrite" pwrite = WriteAt:
        (file: c_int, from: *const c_void, bytes: usize, at: off_t) -> isize, |next|
        on_write(file, &[iovec { base: from.cast(), bytes }], Some(at), false,
            &|parts| next(file, parts[0].base.cast(), parts[0].bytes, at));
    c"pwrite64" pwrite64 = WriteAt:
        (file: c_int, from: *const c_void, bytes: usize, at: off_t) -> isize, |next|
        on_write(file, &[iovec { base: from.cast(), bytes }], Some(at), false,
            &|parts| next(file, parts[0].base.cast(), parts[0].bytes, at));
    c"writev" writev = WriteV: (file: c_int, from: *const iovec, n: c_int) -> isize, |next|
        on_write(file, slices(from, n), None, false,
            &|parts| next(file, parts.as_ptr(), count(parts)));
    c"pwritev" pwritev = WriteVAt:
        (file: c_int, from: *const iovec, n: c_int, at: off_t) -> isize, |next|
        on_write(file, slices(from, n), Some(at), false,
            &|parts| next(file, parts.as_ptr(), count(parts), at));
    c"pwritev64" pwritev64 = WriteVAt:
        (file: c_int, from: *const iovec, n: c_int, at: off_t) -> isize, |next|
        on_write(file, slices(from, n), Some(at), false,
            &|parts| next(file, parts.as_ptr(), count(parts), at));
    c"pwritev2" pwritev2 = WriteVAt2:
        (file: c_int, from: *const iovec, n: c_int, at: off_t, flags: c_int) -> isize, |next|
        on_write(file, slices(from, n), (at >= 0).then_some(at), flags & RWF_SYNCED != 0,
            &|parts| next(file, parts.as_ptr(), count(parts), at, flags));
    c"pwritev64v2" pwritev64v2 = WriteVAt2:
        (file: c_int, from: *const iovec, n: c_int, at: off_t, flags: c_int) -> isize, |next|
        on_write(file, slices(from, n), (at >= 0).then_some(at), flags & RWF_SYNCED != 0,
            &|parts| next(file, parts.as_ptr(), count(parts), at, flags));

    c"ftruncate" ftruncate = Resize: (file: c_int, length: off_t) -> c_int, |next|
        on_resize(file, Some(length), false, &|| next(file, length));
    c"ftruncate64" ftruncate64 = Resize: (file: c_int, length: off_t) -> c_int, |next|
        on_resize(file, Some(length), false, &|| next(file, length));
    c"fallocate" fallocate = Allocate:
        (file: c_int, mode: c_int, at: off_t, length: off_t) -> c_int, |next|
        on_resize(file, (mode == 0).then_some(at + length), true,
            &|| next(file, mode, at, length));
    c"fallocate64" fallocate64 = Allocate:
        (file: c_int, mode: c_int, at: off_t, length: off_t) -> c_int, |next|
        on_resize(file, (mode == 0).then_some(at + length), true,
            &|| next(file, mode, at, length));

    c"fsync" fsync = OnFile: (file: c_int) -> c_int, |next| on_sync(file, &|| next(file));
    c"fdatasync" fdatasync = OnFile: (file: c_int) -> c_int, |next| on_sync(file, &|| next(file));

    c"rename" rename = Rename: (from: *const c_char, to: *const c_char) -> c_int, |next|
        on_rename((AT_FDCWD, from), (AT_FDCWD, to), &|| next(from, to));
    c"unlink" unlink = OnPath: (path: *const c_char) -> c_int, |next|
        on_name("remove", AT_FDCWD, path, &|| next(path));
    c"rmdir" rmdir = OnPath: (path: *const c_char) -> c_int, |next|
        on_name("remove", AT_FDCWD, path, &|| next(path));
    c"unlinkat" unlinkat = OnPathAt: (dir: c_int, path: *const c_char, flags: c_int) -> c_int,
        |next| on_name("remove", dir, path, &|| next(dir, path, flags));
    c"mkdir" mkdir = MakeDir: (path: *const c_char, mode: c_uint) -> c_int, |next|
        on_name("mkdir", AT_FDCWD, path, &|| next(path, mode));
    c"link" link = Rename: (from: *const c_char, to: *const c_char) -> c_int, |next|
        on_name("unknown\tlink", AT_FDCWD, to, &|| next(from, to));
    c"symlink" symlink = Rename: (from: *const c_char, to: *const c_char) -> c_int, |next|
        on_name("unknown\tsymlink", AT_FDCWD, to, &|| next(from, to));

    c"mmap" mmap = Map: (at: *mut c_void, bytes: usize, protection: c_int, flags: c_int,
        file: c_int, offset: off_t) -> *mut c_void, |next| {
        on_map(file, protection, flags);
        next(at, bytes, protection, flags, file, offset)
    };
    c"mmap64" mmap64 = Map: (at: *mut c_void, bytes: usize, protection: c_int, flags: c_int,
        file: c_int, offset: off_t) -> *mut c_void, |next| {
        on_map(file, protection, flags);
        next(at, bytes, protection, flags, file, offset)
    };
}

const _: () = assert!(size_of::<c_long>() == 8, "64-bit machines only");
