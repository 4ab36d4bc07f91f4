//! Published vectors and real signatures against the backend `gpu`.

#[path = "../../crypto/tests/vectors/cases.rs"]
mod cases;

use std::sync::{Arc, LazyLock};

use clearway_crypto::gate::Gate;
use clearway_gpu::{Gpu, GpuConfig, testing};

/// The processor's backends and, where there is an adapter, a device's.
fn gate() -> Arc<Gate> {
    static GATE: LazyLock<Arc<Gate>> = LazyLock::new(|| {
        let cpu = Arc::new(Gate::new().expect("this machine computes rightly"));
        let Some(adapter) = testing::adapter("published vectors on a GPU") else {
            return cpu;
        };
        let config = GpuConfig {
            adapter,
            ..GpuConfig::default()
        };
        let gpu = Gpu::open(config.software(), Arc::clone(&cpu)).expect("the adapter is right");
        let both = Gate::clone(&cpu).and(Arc::new(gpu));
        Arc::new(both.expect("it follows the rule"))
    });
    Arc::clone(&GATE)
}
