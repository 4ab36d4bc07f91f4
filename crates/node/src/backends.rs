//! Who verifies and who hashes: the processor's backends, and a device where one is asked for.
//!
//! Hashing is chosen for the whole process, see `DECISIONS.md` 21.

use std::error::Error;

use clearway_crypto::backend::Backend;
use clearway_crypto::gate::{BackendId, Gate, GateError};
use clearway_crypto::hash::{self, NoSuchHasher};
use clearway_flow::metric::Metric;

use crate::config::NodeConfig;

/// The fastest backend of the processor.
pub const AUTO: &str = "auto";
/// The backend on a device; with `:N` behind it on the adapter of that number.
pub const GPU: &str = "gpu";

/// Fewer digests are made sooner than a device answers: 1.9 ms of one core.
const HASHES_MIN: usize = 32_768;

/// Why there is no such backend.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// A backend fails its self-test, or this machine has none of that name.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The number of an adapter cannot be read.
    #[error("`{name}`: write {GPU} or {GPU}:0")]
    Adapter {
        /// What was asked for.
        name: String,
    },
    /// This machine has no hasher of that name.
    #[error("setting `hash_backend`: {0}; write cpu, gpu, gpu:all or one of these")]
    Hasher(#[from] NoSuchHasher),
    /// No device can be used.
    #[error("{source}{}", instead(*setting))]
    Device {
        /// What it lacks.
        source: Box<dyn Error + Send + Sync>,
        /// The setting that does without it.
        setting: Option<&'static str>,
    },
}

impl BackendError {
    /// Names the setting that goes on without the device.
    fn or_instead(self, setting: &'static str) -> Self {
        match self {
            Self::Device { source, .. } => Self::Device {
                source,
                setting: Some(setting),
            },
            other => other,
        }
    }
}

fn instead(setting: Option<&str>) -> String {
    setting.map_or_else(String::new, |setting| {
        format!("; set {setting} to go on with the processor")
    })
}

/// The gate with the backend of this name behind it, and the backend. `software` takes an adapter
/// that computes on the processor.
///
/// A device is opened where it is asked for: that takes seconds, and may fail on a machine whose
/// processor verifies well.
///
/// # Errors
/// This machine has no such backend, or it fails its self-test.
pub fn open(name: &str, software: bool) -> Result<(Gate, BackendId), BackendError> {
    open_behind(Gate::new()?, name, software)
}

fn open_behind(gate: Gate, name: &str, software: bool) -> Result<(Gate, BackendId), BackendError> {
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
            let wrong = |_| BackendError::Adapter { name: name.into() };
            index.parse().map_err(wrong)
        });
        let gate = device::open(gate, index.transpose()?, software)?;
        let id = gate.preferred();
        return Ok((gate, id));
    }
    let id = gate.find(name)?;
    Ok((gate, id))
}

/// The gate that a node of this configuration needs, and why a device was left out that it would
/// have taken. Who hashes is chosen here, too.
///
/// A device that is asked for by name and cannot be had is an error. Left to choose, a node goes on
/// with the processor and says so: that is the way to outlive the loss of a GPU.
pub(crate) fn of(config: &NodeConfig) -> Result<(Gate, Option<BackendError>), BackendError> {
    choose_hasher(config)?;
    let gate = Gate::new()?;
    if config.backend == AUTO && adapters().iter().any(|adapter| adapter.usable) {
        return match open_behind(gate.clone(), GPU, false) {
            Ok((gate, _)) => Ok((gate, None)),
            Err(left_out @ BackendError::Device { .. }) => Ok((gate, Some(left_out))),
            Err(error) => Err(error),
        };
    }
    let opened = open_behind(gate, &config.backend, config.allow_software_adapter);
    let (gate, _) = opened.map_err(|error| error.or_instead("backend = \"auto\""))?;
    Ok((gate, None))
}

fn choose_hasher(config: &NodeConfig) -> Result<(), BackendError> {
    let len_min = match config.hash_backend.as_str() {
        "cpu" => return Ok(()),
        GPU => HASHES_MIN,
        "gpu:all" => 1,
        name => {
            hash::choose(name)?;
            return Ok(());
        }
    };
    let offloaded = device::offload_hashes(config.allow_software_adapter, len_min);
    offloaded.map_err(|error| error.or_instead("hash_backend = \"cpu\""))
}

/// What a device counts of its own: nothing yet where the backend is another, and in a build
/// without GPU support whether it answers alone.
pub(crate) fn figures(backend: &dyn Backend) -> Vec<Metric> {
    device::figures(backend)
}

/// An adapter of this machine, and why it is or is not used.
#[derive(Clone, serde::Serialize, Debug)]
pub struct Adapter {
    /// As in `gpu:N`.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The driver and its version.
    pub driver: String,
    /// Whether it computes on the processor.
    pub software: bool,
    /// Whether a node takes it by itself.
    pub usable: bool,
    /// Why it is or is not used.
    pub verdict: String,
}

/// Each adapter of this machine; none in a build without GPU support.
#[must_use]
pub fn adapters() -> Vec<Adapter> {
    device::adapters()
}

#[cfg(feature = "gpu")]
mod device {
    use std::any::Any;
    use std::error::Error;
    use std::path::PathBuf;
    use std::sync::Arc;

    use clearway_crypto::backend::Backend;
    use clearway_crypto::gate::Gate;
    use clearway_crypto::hash;
    use clearway_flow::metric::Metric;
    use clearway_gpu::{AdapterChoice, Gpu, GpuConfig, GpuHashes, GpuMetrics, adapter};

    use super::{Adapter, BackendError};

    pub(super) fn open(
        gate: Gate,
        index: Option<usize>,
        software: bool,
    ) -> Result<Gate, BackendError> {
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
        let gpu = Gpu::open(config, cpu).map_err(unusable)?;
        Ok(gate.and(Arc::new(gpu))?)
    }

    /// The user's own folder for what can be made again.
    fn cache_folder() -> Option<PathBuf> {
        let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let caches = named("XDG_CACHE_HOME").map(PathBuf::from);
        let caches = caches.or_else(|| Some(PathBuf::from(named("HOME")?).join(".cache")));
        caches.map(|caches| caches.join("clearway"))
    }

    pub(super) fn offload_hashes(software: bool, len_min: usize) -> Result<(), BackendError> {
        // A second node of this process finds it done.
        if hash::is_offloaded() {
            return Ok(());
        }
        let choice = AdapterChoice {
            index: None,
            software,
        };
        let hashes = GpuHashes::open(choice).map_err(unusable)?;
        hash::offload_to(Box::new(hashes), len_min);
        Ok(())
    }

    pub(super) fn figures(backend: &dyn Backend) -> Vec<Metric> {
        let gpu = backend.own_type().and_then(<dyn Any>::downcast_ref::<Gpu>);
        gpu.map_or_else(|| GpuMetrics::default().gather(), Gpu::gather)
    }

    fn unusable(error: impl Into<Box<dyn Error + Send + Sync>>) -> BackendError {
        BackendError::Device {
            source: error.into(),
            setting: None,
        }
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
    use clearway_crypto::backend::Backend;
    use clearway_crypto::gate::Gate;
    use clearway_flow::metric::{Metric, MetricKind};

    use super::{Adapter, BackendError};

    pub(super) fn open(_: Gate, _: Option<usize>, _: bool) -> Result<Gate, BackendError> {
        Err(without())
    }

    pub(super) fn offload_hashes(_: bool, _: usize) -> Result<(), BackendError> {
        Err(without())
    }

    pub(super) fn figures(_: &dyn Backend) -> Vec<Metric> {
        let help = "1 while the GPU answers, 0 in quarantine or where there is none";
        let ready = Metric::plain("gpu_ready", help, MetricKind::Gauge, 0.0);
        vec![ready]
    }

    fn without() -> BackendError {
        let why = "this program was built without GPU support; build it with --features gpu";
        BackendError::Device {
            source: why.into(),
            setting: None,
        }
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
        let (gate, id) = open(AUTO, false).expect("some backend");
        assert_eq!(id, gate.preferred());
        for (name, word) in [("gpu:x", "gpu:0"), ("quantum", "quantum"), ("gpu:99", "")] {
            let error = open(name, true).expect_err(name);
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn a_wrong_setting_names_what_there_is() {
        let config = |backend: &str, hash_backend: &str| NodeConfig {
            backend: backend.into(),
            hash_backend: hash_backend.into(),
            ..NodeConfig::default()
        };
        for (config, words) in [
            (config("auto", "abacus"), ["hash_backend", "gpu:all"]),
            (config("quantum", "cpu"), ["quantum", "--list-backends"]),
            (config("gpu:99", "cpu"), ["", "set backend = \"auto\""]),
        ] {
            let error = of(&config).expect_err("no machine has it").to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }
}
