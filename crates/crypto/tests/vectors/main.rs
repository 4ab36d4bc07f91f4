//! Published vectors and real signatures against the rule and every backend of the processor.

mod cases;

use std::sync::Arc;

use clearway_crypto::gate::Gate;

/// Whose verdicts are compared.
fn gate() -> Arc<Gate> {
    clearway_crypto::check_ranges();
    Arc::new(Gate::new().expect("this machine computes rightly"))
}
