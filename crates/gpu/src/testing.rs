//! What tests on a device share: an adapter, or a loud word that there is none.

use crate::adapter::{self, AdapterChoice};
use crate::lasting;

/// Runs a test with an adapter, on the thread where drivers are called; see [`adapter()`].
///
/// # Panics
/// When the test does, or an adapter is required and there is none.
pub fn on_adapter(test: &str, body: impl FnOnce(AdapterChoice) + Send + 'static) {
    if let Some(choice) = adapter(test) {
        lasting::run(move || body(choice));
    }
}

/// Any adapter that can run the kernels, software included. Without one, the test named says that
/// it did not run; where `CLEARWAY_REQUIRE` names `gpu`, that is a failure.
///
/// # Panics
/// When an adapter is required and there is none.
#[must_use]
pub fn adapter(test: &str) -> Option<AdapterChoice> {
    let choice = AdapterChoice {
        index: None,
        software: true,
    };
    let found = adapter::list();
    if found.iter().any(|report| report.lacks.is_empty()) {
        return Some(choice);
    }
    let required = std::env::var("CLEARWAY_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name == "gpu"),
        "CLEARWAY_REQUIRE names gpu, and no adapter can run the kernels: {found:?}; install a \
         Vulkan driver (mesa-vulkan-drivers has one for the CPU)"
    );
    println!("NOT RUN: {test}: no adapter can run the kernels: {found:?}");
    None
}
