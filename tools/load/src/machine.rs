//! What a figure was measured on: processor, memory, kernel, file system and its sync time.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The machine of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Processor model.
    pub cpu: String,
    /// Logical cores that this process may use.
    pub cores: usize,
    /// Memory, bytes; 0 where the system does not say.
    pub memory_bytes: u64,
    /// Operating system and kernel.
    pub kernel: String,
    /// Processor architecture.
    pub arch: String,
}

/// Where the data lies and how long a sync takes there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Disk {
    /// File system, as the system names it.
    pub file_system: String,
    /// Whether synced data survives a power cut as far as the file system's kind can say.
    pub durable: bool,
    /// Median time to write and sync 4 KiB, microseconds.
    pub sync_us_p50: u64,
    /// Slowest of the samples, microseconds.
    pub sync_us_max: u64,
}

/// Samples of a sync measurement: 32 x about 0.2 ms are invisible in a run.
const SYNC_SAMPLES: usize = 32;

impl Machine {
    /// This machine.
    #[must_use]
    pub fn detect() -> Self {
        let first_line = |path: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.lines().next().unwrap_or_default().to_owned()
        };
        let release = first_line("/proc/sys/kernel/osrelease");
        Self {
            cpu: proc_value("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: proc_value("/proc/meminfo", "MemTotal")
                .and_then(|text| kibibytes(&text))
                .unwrap_or(0),
            kernel: format!("{} {release}", std::env::consts::OS)
                .trim()
                .to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
        }
    }
}

impl Disk {
    /// Measures the disk under `folder`.
    ///
    /// # Errors
    /// When a file cannot be written there.
    pub fn measure(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join(format!(".clearway-sync-{}.tmp", std::process::id()));
        let file = File::create_new(&path)?;
        let samples = sync_samples(file);
        std::fs::remove_file(&path)?;
        let mut samples = samples?;
        samples.sort_unstable();
        let (file_system, durable) = file_system(folder);
        Ok(Self {
            file_system,
            durable,
            sync_us_p50: samples[SYNC_SAMPLES / 2],
            sync_us_max: samples[SYNC_SAMPLES - 1],
        })
    }

    /// What a report says about durability.
    #[must_use]
    pub fn durability(&self) -> String {
        if self.durable {
            format!("fdatasync before each answer ({})", self.file_system)
        } else {
            format!("not durable ({})", self.file_system)
        }
    }
}

/// Times of single syncs, in the order in which they were made.
fn sync_samples(mut file: File) -> std::io::Result<Vec<u64>> {
    // The first sync pays for the file's creation and is not a sample.
    let mut samples = Vec::with_capacity(SYNC_SAMPLES);
    for round in 0..=SYNC_SAMPLES {
        let start = Instant::now();
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        if round > 0 {
            samples.push(micros(start.elapsed()));
        }
    }
    Ok(samples)
}

/// Whole microseconds, saturating.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Name and durability of the file system under `folder`, by the longest mount point above it.
fn file_system(folder: &Path) -> (String, bool) {
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.into());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let kind = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?.replace("\\040", " "), fields.next()?))
        })
        .filter(|(mount, _)| absolute.starts_with(mount))
        .max_by_key(|(mount, _)| mount.len())
        .map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned());
    let durable = !matches!(kind.as_str(), "tmpfs" | "ramfs");
    (kind, durable)
}

fn proc_value(path: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn kibibytes(text: &str) -> Option<u64> {
    let number: u64 = text.split(' ').next()?.parse().ok()?;
    number.checked_mul(1024)
}

/// What a process has used so far.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Seconds of processor time of all its threads.
    pub cpu_seconds: f64,
    /// Bytes it caused to be written to disks.
    pub bytes_written: u64,
    /// Most memory it ever held, bytes.
    pub memory_peak_bytes: u64,
}

impl Usage {
    /// This process, until now; figures that the system does not give are 0.
    #[must_use]
    pub fn now() -> Self {
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds of a process stay below 2^53"
        )]
        let cpu_seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        Self {
            cpu_seconds,
            bytes_written: proc_value("/proc/self/io", "write_bytes")
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
            memory_peak_bytes: proc_value("/proc/self/status", "VmHWM")
                .and_then(|text| kibibytes(&text))
                .unwrap_or(0),
        }
    }

    /// What was used since `earlier`; the peak stays the peak.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - earlier.cpu_seconds,
            bytes_written: self.bytes_written.saturating_sub(earlier.bytes_written),
            memory_peak_bytes: self.memory_peak_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_disk_has_a_name_and_ordered_sync_times() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let disk = Disk::measure(dir.path()).expect("it can be written");
        assert!(disk.sync_us_p50 <= disk.sync_us_max);
        assert!(disk.durability().contains(&disk.file_system));
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0);
    }

    #[test]
    fn memory_file_systems_count_as_not_durable() {
        let disk = |kind: &str, durable| Disk {
            file_system: kind.into(),
            durable,
            sync_us_p50: 1,
            sync_us_max: 1,
        };
        assert!(disk("tmpfs", false).durability().starts_with("not durable"));
        assert!(disk("ext4", true).durability().starts_with("fdatasync"));
        if Path::new("/dev/shm").exists() {
            assert_eq!(file_system(Path::new("/dev/shm")), ("tmpfs".into(), false));
        }
    }

    #[test]
    fn work_costs_processor_time() {
        let before = Usage::now();
        let mut sum = 0u64;
        while Usage::now().cpu_seconds - before.cpu_seconds < 0.001 {
            sum = sum.wrapping_mul(3).wrapping_add(1);
        }
        assert!(Usage::now().since(&before).cpu_seconds > 0.0, "{sum}");
        assert!(Machine::detect().cores >= 1);
    }
}
