//! Damage that questions meet, told in the log once a minute for each place.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

use clearway_ingest::QueryError;
use clearway_store::history::HistoryError;
use clearway_types::units::Height;
use parking_lot::Mutex;

/// Damage stays where it is and can be asked for thousands of times a second: each place is told
/// once in this time.
const TOLD_AGAIN: Duration = Duration::from_secs(60);
/// Places that are remembered, a few hundred bytes each; more damage than that is named no further.
const PLACES_MAX: usize = 256;

/// Says in the node's own log why a question was not answered.
#[derive(Debug, Default)]
pub(crate) struct DamageLog {
    /// When each was told last, by its text, which names the place.
    told: Mutex<BTreeMap<String, Instant>>,
}

impl DamageLog {
    /// The log cannot answer.
    pub(crate) fn failed(&self, what: &'static str, error: &dyn Display) -> QueryError {
        if self.is_told(error.to_string(), Instant::now()) {
            tracing::error!(%error, "{what}");
        }
        QueryError::Failed
    }

    /// The block at a height cannot be read.
    pub(crate) fn unreadable(&self, height: Height, error: &HistoryError) -> QueryError {
        if self.is_told(error.to_string(), Instant::now()) {
            tracing::error!(height = height.0, %error, "a final block cannot be read");
        }
        QueryError::Failed
    }

    /// Whether to say it now.
    fn is_told(&self, text: String, now: Instant) -> bool {
        let mut told = self.told.lock();
        told.retain(|_, at| now.saturating_duration_since(*at) < TOLD_AGAIN);
        let is_new = !told.contains_key(&text) && told.len() < PLACES_MAX;
        if is_new {
            told.insert(text, now);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_told_once_a_minute_and_a_bounded_number_of_them() {
        let (log, from) = (DamageLog::default(), Instant::now());
        let at = |second| from + Duration::from_secs(second);
        let told = |place: usize, second| log.is_told(format!("byte {place}"), at(second));
        let said = (0..120).filter(|&second| told(0, second) | told(1, second));
        assert_eq!(said.collect::<Vec<_>>(), [0, 60]);
        let said = (0..10 * PLACES_MAX).filter(|&place| told(place, 200));
        assert_eq!(said.count(), PLACES_MAX);
        assert!(told(5 * PLACES_MAX, 260), "a later minute has its own");
    }
}
