//! The kernel's samples: an event and a ring of memory for each thread of a process.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use perf_event::data::Record;
use perf_event::events::Software;
use perf_event::{Builder, SampleFlag, Sampler};
use rustix::process::{Resource, geteuid, getrlimit};

use crate::HERTZ;
use crate::error::ProfileError;

/// Registers of x86-64 by the kernel's numbers: what a stack is walked from.
const BP: u64 = 6;
const SP: u64 = 7;
const IP: u64 = 8;

/// Bytes of a ring: 20 samples with the stack below, which a busy thread takes 0.1 s to make.
const RING_BYTES_MAX: usize = 1 << 20;
/// The smallest: 7 samples, 0.035 s.
const RING_BYTES_MIN: usize = 64 << 10;
/// Bytes of a stack that are copied with each sample, by the smallest ring that has room for as
/// many of them: the first for tables of points on the stack, beside the futures of a runtime. A
/// record has 64 KiB at most.
const STACK_BYTES: [(usize, u32); 3] = [
    (RING_BYTES_MAX, 48 << 10),
    (256 << 10, 16 << 10),
    (RING_BYTES_MIN, 8 << 10),
];
/// The kernel's own page in front of each ring.
const HEAD_BYTES: usize = 4096;
/// Threads that may come while the process is sampled, beside those that it has.
const NEW_THREADS: usize = 8;

/// Processor mode in a record's head, and what it is in the kernel.
const MODE_MASK: u16 = 7;
const MODE_KERNEL: u16 = 1;

/// A sample as the kernel took it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample<'a> {
    pub(crate) thread: u32,
    /// Whether the thread was in the kernel: the registers are those with which it went there.
    pub(crate) is_in_kernel: bool,
    /// Instruction, stack and base pointer of the program; none of a thread that is leaving.
    pub(crate) registers: Option<[u64; 3]>,
    /// The stack from its pointer on.
    pub(crate) stack: &'a [u8],
}

/// The rings of a process. All is given back when they are dropped, also by a kill.
pub(crate) struct Rings {
    has_kernel: bool,
    ring_bytes: usize,
    stack_bytes: u32,
    rings: BTreeMap<u32, Sampler>,
    unseen: BTreeSet<u32>,
    samples_lost: u64,
}

impl Rings {
    /// Rings of these threads, with the kernel's part of their time where this user may see it.
    pub(crate) fn open(
        pid: u32,
        threads: impl ExactSizeIterator<Item = u32>,
    ) -> Result<Self, ProfileError> {
        let ring_bytes = ring_bytes(lockable_bytes(), threads.len() + NEW_THREADS);
        let fits = STACK_BYTES.iter().find(|(ring, _)| *ring <= ring_bytes);
        let (_, stack_bytes) = *fits.unwrap_or(&STACK_BYTES[STACK_BYTES.len() - 1]);
        let mut rings = Self {
            has_kernel: true,
            ring_bytes,
            stack_bytes,
            rings: BTreeMap::new(),
            unseen: BTreeSet::new(),
            samples_lost: 0,
        };
        let mut refused = None;
        for thread in threads {
            let mut opened = rings.ring(thread);
            if rings.has_kernel && opened.as_ref().is_err_and(is_refusal) {
                rings.has_kernel = false;
                opened = rings.ring(thread);
            }
            match opened {
                Ok(ring) => drop(rings.rings.insert(thread, ring)),
                // It has ended meanwhile.
                Err(error) if is_gone(&error) => {}
                Err(error) if is_refusal(&error) && rings.rings.is_empty() => {
                    return Err(forbidden(error));
                }
                Err(error) => {
                    rings.unseen.insert(thread);
                    refused = Some(error);
                }
            }
        }
        match (rings.rings.is_empty(), refused) {
            (false, _) => Ok(rings),
            (true, Some(said)) => Err(ProfileError::NoRoom { pid, said }),
            (true, None) => Err(ProfileError::NoProcess { pid }),
        }
    }

    /// Makes rings for the threads that are new among the living, and gives back those of ended
    /// ones, which have been emptied.
    pub(crate) fn follow(&mut self, living: impl Iterator<Item = u32>) {
        let living: BTreeSet<u32> = living.collect();
        self.rings.retain(|thread, _| living.contains(thread));
        for thread in living {
            if self.rings.contains_key(&thread) || self.unseen.contains(&thread) {
                continue;
            }
            match self.ring(thread) {
                Ok(ring) => drop(self.rings.insert(thread, ring)),
                Err(error) if is_gone(&error) => {}
                Err(_) => drop(self.unseen.insert(thread)),
            }
        }
    }

    /// Hands out all samples that there are. The ring of a thread that has ended goes: where a
    /// program calls another one in its place, another thread takes over the number.
    pub(crate) fn drain(&mut self, mut on_sample: impl FnMut(&Sample<'_>)) {
        let mut ended = Vec::new();
        for (&thread, ring) in &mut self.rings {
            while let Some(record) = ring.next_record() {
                let is_in_kernel = record.misc() & MODE_MASK == MODE_KERNEL;
                match record.parse_record() {
                    Ok(Record::Sample(sample)) => on_sample(&Sample {
                        thread,
                        is_in_kernel,
                        registers: sample
                            .regs_user()
                            // In the order of their numbers; none where the thread has no program.
                            .and_then(|found| match *found.regs {
                                [bp, sp, ip] if ip != 0 => Some([ip, sp, bp]),
                                _ => None,
                            }),
                        stack: sample.stack_user().unwrap_or_default(),
                    }),
                    Ok(Record::Lost(record)) => self.samples_lost += record.lost,
                    Ok(Record::LostSamples(record)) => self.samples_lost += record.lost,
                    Ok(Record::Exit(_)) => ended.push(thread),
                    // Of no interest, or of a kernel that says more than is asked for.
                    Ok(_) => {}
                    Err(_) => self.samples_lost += 1,
                }
            }
        }
        self.rings.retain(|thread, _| !ended.contains(thread));
    }

    /// Whether no thread is sampled.
    pub(crate) fn is_empty(&self) -> bool {
        self.rings.is_empty()
    }

    pub(crate) fn has_kernel(&self) -> bool {
        self.has_kernel
    }

    pub(crate) fn samples_lost(&self) -> u64 {
        self.samples_lost
    }

    /// Threads that got no ring.
    pub(crate) fn threads_unseen(&self) -> usize {
        self.unseen.len()
    }

    fn ring(&self, thread: u32) -> io::Result<Sampler> {
        let has_no_memory = |error: &io::Error| error.kind() == io::ErrorKind::OutOfMemory;
        match self.ring_of(thread, self.ring_bytes) {
            // Somebody else's rings count too.
            Err(error) if has_no_memory(&error) => self.ring_of(thread, RING_BYTES_MIN),
            opened => opened,
        }
    }

    fn ring_of(&self, thread: u32, ring_bytes: usize) -> io::Result<Sampler> {
        let thread = i32::try_from(thread).map_err(io::Error::other)?;
        let counter = Builder::new(Software::CPU_CLOCK)
            .observe_pid(thread)
            .any_cpu()
            .sample_frequency(HERTZ)
            .sample(SampleFlag::REGS_USER | SampleFlag::STACK_USER)
            .sample_regs_user(1 << BP | 1 << SP | 1 << IP)
            .sample_stack_user(self.stack_bytes)
            .exclude_kernel(!self.has_kernel)
            // Its end is told.
            .task(true)
            .enabled(true)
            .build()?;
        // The call was allowed: what is refused here is memory, whatever the system calls it.
        let mapped = counter.sampled(ring_bytes);
        mapped.map_err(|error| io::Error::new(io::ErrorKind::OutOfMemory, error))
    }
}

fn is_refusal(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let refusals = [Errno::ACCESS, Errno::PERM, Errno::NOSYS];
    Errno::from_io_error(error).is_some_and(|errno| refusals.contains(&errno))
}

fn is_gone(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::SRCH)
}

fn forbidden(said: io::Error) -> ProfileError {
    let level = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    ProfileError::Forbidden {
        said,
        level: level.map_or_else(|_| "not there".to_owned(), |text| text.trim().to_owned()),
    }
}

/// Bytes that this user may lock for rings: what the kernel grants for each core, and the limit of
/// locked memory on top.
fn lockable_bytes() -> usize {
    if geteuid().is_root() {
        return usize::MAX;
    }
    let granted = std::fs::read_to_string("/proc/sys/kernel/perf_event_mlock_kb");
    let granted: usize = granted
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let limit = getrlimit(Resource::Memlock).current;
    let limit = limit.map_or(usize::MAX, |bytes| {
        usize::try_from(bytes).unwrap_or(usize::MAX)
    });
    granted.saturating_mul(1024 * cores).saturating_add(limit)
}

/// The largest ring of which this many fit.
fn ring_bytes(lockable: usize, threads: usize) -> usize {
    let mut bytes = RING_BYTES_MAX;
    while bytes > RING_BYTES_MIN && (bytes + HEAD_BYTES).saturating_mul(threads) > lockable {
        bytes /= 2;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_as_large_as_fit_for_all_threads_and_never_below_the_smallest() {
        let rows = [
            (usize::MAX, 1000, RING_BYTES_MAX),
            (516 << 10, 1, RING_BYTES_MAX / 2),
            (516 << 10, 2, RING_BYTES_MAX / 8),
            (2 << 20, 8, RING_BYTES_MAX / 8),
            (2 << 20, 16, RING_BYTES_MIN),
            (0, 30, RING_BYTES_MIN),
        ];
        for (lockable, threads, expected) in rows {
            let found = ring_bytes(lockable, threads);
            assert_eq!(found, expected, "{lockable} bytes for {threads}");
        }
    }
}
