//! Settings of verification.

use clearway_types::limits::STREAM_ENVELOPES_MAX;

use crate::error::VerifyError;

/// What an operator may set; the defaults suit any machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyConfig {
    /// Name of the backend; `None` takes the fastest of the gate, and shares groups out between a
    /// device and its fallback.
    pub backend: Option<String>,
    /// Worker threads that verify, at least one.
    pub workers: usize,
    /// Envelopes that one equation may cover when several frames wait.
    pub group_len_max: usize,
}

impl Default for VerifyConfig {
    fn default() -> Self {
        Self {
            backend: None,
            workers: 1,
            group_len_max: GROUP_LEN_DEFAULT,
        }
    }
}

impl VerifyConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first setting out of its range.
    pub fn check(&self) -> Result<(), VerifyError> {
        let settings = [
            ("verify.workers", self.workers, WORKERS_MAX),
            (
                "verify.group_len_max",
                self.group_len_max,
                STREAM_ENVELOPES_MAX,
            ),
        ];
        for (setting, found, max) in settings {
            if !(1..=max).contains(&found) {
                return Err(VerifyError::OutOfRange {
                    setting,
                    found,
                    max,
                });
            }
        }
        Ok(())
    }
}

/// As long as a stream: equations get cheaper up to there and beyond, and 8,192 signatures take 12
/// to 25 ms of one core (75 ms with the portable backend).
const GROUP_LEN_DEFAULT: usize = STREAM_ENVELOPES_MAX;
/// More threads than this machine kind has cores in any size.
const WORKERS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let default = VerifyConfig::default();
        assert_eq!(default.check(), Ok(()));
        let rows = [
            ("verify.workers", 0, 8),
            ("verify.workers", WORKERS_MAX + 1, 8),
            ("verify.group_len_max", 1, 0),
            ("verify.group_len_max", 1, STREAM_ENVELOPES_MAX + 1),
        ];
        for (name, workers, group_len_max) in rows {
            let config = VerifyConfig {
                workers,
                group_len_max,
                ..default.clone()
            };
            let found = config.check();
            assert!(
                matches!(found, Err(VerifyError::OutOfRange { setting, .. }) if setting == name),
                "{found:?}"
            );
        }
    }
}
