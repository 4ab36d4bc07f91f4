//! The backends that commands choose from, as arguments and exit codes.

use clearway_crypto::gate::{BackendId, Gate, GateError};
use clearway_node::Parts;
use clearway_node::backends::{self, BackendError};
use clearway_node::config::NodeConfig;

use crate::failure::{Failure, Kind};
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
        let name = self.backend.as_deref().unwrap_or(backends::AUTO);
        Ok(backends::open(name, self.allow_software_adapter)?)
    }
}

/// What a node of this configuration takes from this machine.
pub(crate) fn parts_of(config: &NodeConfig) -> Result<Parts, Failure> {
    let (parts, left_out) = Parts::of(config)?;
    if let Some(why) = left_out {
        ui::note(&format!("{why}; the processor verifies"));
    }
    Ok(parts)
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let kind = match error {
            BackendError::Adapter { .. } | BackendError::Hasher(_) => Kind::Usage,
            BackendError::Gate(GateError::Unknown { .. }) | BackendError::Device { .. } => {
                Kind::NotFound
            }
            BackendError::Gate(GateError::SelfTest { .. }) => Kind::Failed,
        };
        Self::new(kind, error)
    }
}
