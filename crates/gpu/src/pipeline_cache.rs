//! Compiled kernels on disk, so that the next start need not compile them: a drivers' format.
//!
//! A file belongs to one adapter, one driver and one text of all kernels, by its name. It is read
//! only when its checksum holds and is otherwise as good as absent; the driver checks it again. The
//! folder must be one that nobody else can write to. `wgpu_tests` opens devices on damaged files.
#![expect(unsafe_code, reason = "a driver takes what it once gave")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clearway_crypto::hash::sha256;
use wgpu::{AdapterInfo, Device, Features, PipelineCache, PipelineCacheDescriptor};

use crate::kernels::ALL;

/// A driver's cache and the file it is kept in.
#[derive(Debug)]
pub(crate) struct KeptPipelines {
    path: PathBuf,
    cache: PipelineCache,
}

impl KeptPipelines {
    /// The cache of this adapter in this folder; nothing where the driver keeps none.
    pub(crate) fn open(folder: &Path, info: &AdapterInfo, device: &Device) -> Option<Self> {
        if !device.features().contains(Features::PIPELINE_CACHE) {
            return None;
        }
        let path = folder.join(file_name(info));
        let data = fs::read(&path)
            .ok()
            .and_then(|file| checked(&file).map(<[u8]>::to_vec));
        // SAFETY: the data is what `get_data` gave for the same adapter, driver and kernels, by the
        // file's name, and unchanged, by its checksum.
        let cache = unsafe {
            device.create_pipeline_cache(&PipelineCacheDescriptor {
                label: Some("kernels"),
                data: data.as_deref(),
                fallback: true,
            })
        };
        Some(Self { path, cache })
    }

    /// What pipelines are made with.
    pub(crate) fn cache(&self) -> &PipelineCache {
        &self.cache
    }

    /// Writes what the driver gives, whole or not at all; without it the next start compiles.
    pub(crate) fn keep(&self) {
        let Some(data) = self.cache.get_data() else {
            return;
        };
        if let Err(error) = write(&self.path, &data) {
            let path = self.path.display();
            tracing::warn!(%error, "compiled GPU kernels are not kept: {path}");
        }
    }
}

fn write(path: &Path, data: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().expect("a file in a folder");
    fs::create_dir_all(folder)?;
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = fs::File::create(&unfinished)?;
    file.write_all(&sha256(&[data]).0)?;
    file.write_all(data)?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}

/// The data behind a checksum that holds.
fn checked(file: &[u8]) -> Option<&[u8]> {
    let (sum, data) = file.split_first_chunk::<32>()?;
    (sha256(&[data]).0 == *sum).then_some(data)
}

fn file_name(info: &AdapterInfo) -> String {
    let numbers = format!("{} {} {:?}", info.vendor, info.device, info.backend);
    let texts = ALL.map(|kernel| kernel.source()).concat();
    let parts = [
        &numbers,
        &info.name,
        &info.driver,
        &info.driver_info,
        &texts,
    ];
    // Each part's hash, so that no two lists of parts read the same.
    let sums = parts.map(|part| sha256(&[part.as_bytes()]).0);
    format!("kernels-{}.bin", sha256(&[sums.as_flattened()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_files_are_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deep").join("kernels.bin");
        write(&path, b"what a driver gave").expect("written");
        let file = fs::read(&path).expect("read");
        assert_eq!(checked(&file), Some(&b"what a driver gave"[..]));
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert_eq!(checked(&damaged), None, "byte {at}");
            assert_eq!(checked(&file[..at]), None, "cut at {at}");
        }
        // Nothing unfinished stays behind.
        let entries = fs::read_dir(path.parent().expect("a folder")).expect("read");
        assert_eq!(entries.count(), 1);
    }
}
