//! Ordering in a simulation: the same engine on one thread, with time, storage and chance from a
//! seed. What the engine's storage had not synced is lost at each crash.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use clearway_types::units::TimeMs;
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _, deterministic};

use super::Orderer;
use crate::now::{Clock, Now};

/// What is left of a simulated machine when it loses power: clock, chance and what the engine had
/// synced.
pub struct PowerCut(deterministic::Checkpoint);

/// A simulated machine while it runs.
pub struct Simulation {
    context: deterministic::Context,
}

/// Runs `body` on a machine whose clock starts at `time` and whose chance comes from `seed`, to its
/// end, which is a power cut.
pub fn simulate<T>(
    seed: u64,
    time: TimeMs,
    body: impl AsyncFnOnce(Simulation) -> T,
) -> (T, PowerCut) {
    let start = UNIX_EPOCH + Duration::from_millis(time.0);
    let config = deterministic::Config::new()
        .with_seed(seed)
        .with_start_time(start);
    run(deterministic::Runner::new(config), body)
}

impl PowerCut {
    /// Runs `body` on the machine when power is back.
    pub fn simulate<T>(self, body: impl AsyncFnOnce(Simulation) -> T) -> (T, Self) {
        run(deterministic::Runner::from(self.0), body)
    }
}

fn run<T>(runner: deterministic::Runner, body: impl AsyncFnOnce(Simulation) -> T) -> (T, PowerCut) {
    let (done, checkpoint) =
        runner.start_and_recover(async |context| body(Simulation { context }).await);
    (done, PowerCut(checkpoint))
}

impl Simulation {
    /// The machine's clocks: they show the same instant until time passes.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let context = self.context.child("clock");
        Arc::new(move || {
            let uptime = context
                .current()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let time = TimeMs(u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX));
            Now { time, uptime }
        })
    }

    /// Lets the engine work for so long.
    pub async fn pass(&self, duration: Duration) {
        self.context.sleep(duration).await;
    }

    /// Starts ordering beside the body; it ends with the body at the latest.
    pub fn start(&self, orderer: Orderer) {
        let context = self.context.child("orderer");
        drop(context.spawn(async move |context| {
            orderer.handle.resume();
            if let Some(reason) = orderer.run_in(context).await {
                // It runs once, so there is nothing to mend its journal for.
                orderer.on_end(reason, &mut true);
            }
        }));
    }
}
