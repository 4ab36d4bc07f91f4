//! The backends that commands choose from: the processor's, and a GPU where one is asked for.

use clearway_crypto::gate::{BackendId, Gate};
use clearway_crypto::hash;
use clearway_node::config::NodeConfig;

use crate::failure::{Failure, Kind, OrFail as _};
use crate::ui;

/// Which backend verifies.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct BackendArgs {
    /// auto, portable, avx2, ifma8, gpu or gpu:N; `clearway doctor` says what this machine has
    #[arg(long, value_name = "NAME")]
    pub(crate) backend: Option<String>,
    /// Take a GPU driver that computes on the processor: for tests, it is slower than auto
    #[arg(long)]
    pub(crate) allow_software_adapter: bool,
}

impl BackendArgs {
    /// The gate with this backend behind it, and the backend.
    pub(crate) fn open(&self) -> Result<(Gate, BackendId), Failure> {
        let name = self.backend.as_deref().unwrap_or(AUTO);
        open(name, self.allow_software_adapter)
    }
}

/// The gate with the backend of this name behind it, and the backend.
///
/// A GPU is opened where it is asked for: that takes seconds, and may fail on a machine whose
/// processor verifies well.
pub(crate) fn open(name: &str, software: bool) -> Result<(Gate, BackendId), Failure> {
    let gate = Gate::new().or_fail(Kind::Failed)?;
    if name == AUTO {
        let id = gate.preferred();
        return Ok((gate, id));
    }
    let (family, index) = match name.split_once(':') {
        Some((family, index)) => (family, Some(index)),
        None => (name, None),
    };
    if family == GPU {
        let index = index.map(|index| {
            let wrong = || Failure::usage(format!("`{name}`: write {GPU} or {GPU}:0"));
            index.parse().map_err(|_| wrong())
        });
        let gate = device::open(gate, index.transpose()?, software)?;
        let id = gate.preferred();
        return Ok((gate, id));
    }
    let id = gate.find(name).or_fail(Kind::NotFound)?;
    Ok((gate, id))
}

/// What a node of this configuration needs: its gate, and the configuration with the backend that
/// was chosen. Hashing is handed over here.
///
/// A device that is asked for by name and cannot be had is an error. Left to choose, a node goes on
/// with the processor and says so: that is the way to outlive the loss of a GPU.
pub(crate) fn of_node(config: &NodeConfig) -> Result<(Gate, NodeConfig), Failure> {
    let software = config.allow_software_adapter;
    let len_min = match config.hash_backend.as_str() {
        "cpu" => None,
        GPU => Some(HASHES_MIN),
        "gpu:all" => Some(1),
        name => {
            let chosen = hash::choose(name);
            chosen.map_err(|error| {
                let help = "write cpu, gpu, gpu:all or one of these";
                Failure::usage(format!("setting `hash_backend`: {error}; {help}"))
            })?;
            None
        }
    };
    if let Some(len_min) = len_min {
        let handed = device::hand_over_hashes(software, len_min);
        handed.map_err(|failure| or_instead(failure, "hash_backend = \"cpu\""))?;
    }
    let config = config.clone();
    if config.backend == AUTO && adapters().iter().any(|adapter| adapter.usable) {
        match open(GPU, false) {
            Ok((gate, _)) => return Ok((gate, config)),
            Err(failure) if failure.kind() == Kind::NotFound => {
                ui::note(&format!("{failure}; the processor verifies"));
            }
            Err(failure) => return Err(failure),
        }
    }
    let is_device = config.backend.split(':').next() == Some(GPU);
    let opened = open(&config.backend, software);
    let (gate, _) = opened.map_err(|failure| match is_device {
        true => or_instead(failure, "backend = \"auto\""),
        false => failure,
    })?;
    Ok((gate, config))
}

/// A device that was asked for by name is not there: the setting that does without it.
fn or_instead(failure: Failure, setting: &str) -> Failure {
    match failure.kind() {
        Kind::NotFound => {
            let message = format!("{failure}; set {setting} to go on with the processor");
            Failure::new(Kind::NotFound, message)
        }
        _ => failure,
    }
}

/// Fewer digests are made sooner than a device answers: 1.9 ms of one core.
const HASHES_MIN: usize = 32_768;
/// The fastest backend of the processor.
const AUTO: &str = "auto";
/// The backend on a device.
const GPU: &str = "gpu";

/// Each adapter of this machine, and why it is or is not used.
pub(crate) fn adapters() -> Vec<Adapter> {
    device::adapters()
}

/// What `doctor` says of an adapter.
#[derive(serde::Serialize, Debug)]
pub(crate) struct Adapter {
    /// As in `gpu:N`.
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) driver: String,
    /// Whether it computes on the processor.
    pub(crate) software: bool,
    pub(crate) usable: bool,
    pub(crate) verdict: String,
}

#[cfg(feature = "gpu")]
mod device {
    use std::path::PathBuf;
    use std::sync::Arc;

    use clearway_crypto::gate::Gate;
    use clearway_crypto::hash;
    use clearway_gpu::{AdapterChoice, Gpu, GpuConfig, GpuHashes, adapter};

    use super::Adapter;
    use crate::failure::{Failure, Kind, OrFail as _};

    pub(super) fn open(gate: Gate, index: Option<usize>, software: bool) -> Result<Gate, Failure> {
        let adapter = AdapterChoice { index, software };
        let config = GpuConfig {
            adapter,
            kernels_in: cache_folder(),
            ..GpuConfig::default()
        };
        let is_software = adapter::chosen(adapter).is_some_and(|report| report.software);
        let config = if is_software {
            config.software()
        } else {
            config
        };
        let cpu = Arc::new(gate.clone());
        let gpu = Gpu::open(config, cpu).or_fail(Kind::NotFound)?;
        gate.and(Arc::new(gpu)).or_fail(Kind::Failed)
    }

    /// The user's own folder for what can be made again.
    fn cache_folder() -> Option<PathBuf> {
        let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let caches = named("XDG_CACHE_HOME").map(PathBuf::from);
        let caches = caches.or_else(|| Some(PathBuf::from(named("HOME")?).join(".cache")));
        caches.map(|caches| caches.join("clearway"))
    }

    pub(super) fn hand_over_hashes(software: bool, len_min: usize) -> Result<(), Failure> {
        let choice = AdapterChoice {
            index: None,
            software,
        };
        let hashes = GpuHashes::open(choice).or_fail(Kind::NotFound)?;
        // A second node of this process finds it done.
        hash::hand_over(Box::new(hashes), len_min);
        Ok(())
    }

    pub(super) fn adapters() -> Vec<Adapter> {
        let choice = AdapterChoice::default();
        let reports = adapter::list().into_iter();
        reports
            .map(|report| Adapter {
                index: report.index,
                usable: report.is_usable(choice),
                verdict: report.verdict(choice),
                name: report.name,
                driver: report.driver,
                software: report.software,
            })
            .collect()
    }
}

#[cfg(not(feature = "gpu"))]
mod device {
    use clearway_crypto::gate::Gate;

    use super::Adapter;
    use crate::failure::{Failure, Kind};

    pub(super) fn open(_: Gate, _: Option<usize>, _: bool) -> Result<Gate, Failure> {
        Err(without())
    }

    pub(super) fn hand_over_hashes(_: bool, _: usize) -> Result<(), Failure> {
        Err(without())
    }

    fn without() -> Failure {
        let why = "this program was built without GPU support; build it with --features gpu";
        Failure::new(Kind::NotFound, why)
    }

    pub(super) fn adapters() -> Vec<Adapter> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_and_wrong_ones_refused() {
        let (gate, id) = open("portable", false).expect("every machine has it");
        assert_eq!(gate.name(id), "portable");
        let (gate, id) = BackendArgs::default().open().expect("some backend");
        assert_eq!(id, gate.preferred());
        for (name, word) in [("gpu:x", "gpu:0"), ("quantum", "quantum"), ("gpu:99", "")] {
            let failure = open(name, true).expect_err(name);
            assert!(failure.to_string().contains(word), "{failure}");
        }
    }
}
