//! What of the log operators see, and how much of it could not be written.

use clearway_flow::Counter;
use clearway_order::ENGINE_PANICS;

/// Lines of this process's log that could not be written. The writer of the log counts here; the
/// metrics page shows it as `log_lines_dropped`.
pub static LINES_DROPPED: Counter = Counter::new();

/// Levels from the quietest to the loudest.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The directives behind the setting `log`. A level by itself is meant for Clearway: the libraries
/// below it, the ordering engine above all, tell operators nothing at `info`, and that at length.
/// They stay at `warn` unless the filter names them, for example `info,commonware=debug`; and what
/// the engine panics with is said once, by the code that turns it into an error.
#[must_use]
pub fn directives(filter: &str) -> String {
    let own = |part: &str| {
        let level = part.trim().to_ascii_lowercase();
        let rank = LEVELS.iter().position(|known| *known == level);
        match rank {
            Some(rank) if rank > 2 => format!("warn,clearway={level}"),
            _ => part.to_owned(),
        }
    };
    let mut parts: Vec<String> = filter.split(',').map(own).collect();
    if !filter.contains("commonware") {
        parts.push(format!("{ENGINE_PANICS}=off"));
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_by_itself_is_clearways_and_named_targets_stay_as_they_are() {
        for (filter, expected) in [
            ("info", "warn,clearway=info"),
            ("TRACE", "warn,clearway=trace"),
            ("warn", "warn"),
            ("error", "error"),
            ("off", "off"),
            ("clearway=debug", "clearway=debug"),
            (
                "info,commonware=debug",
                "warn,clearway=info,commonware=debug",
            ),
            (
                "clearway_order=trace, debug",
                "clearway_order=trace,warn,clearway=debug",
            ),
            ("loud", "loud"),
        ] {
            let found = directives(filter);
            let quiet = format!(",{ENGINE_PANICS}=off");
            let found = found.strip_suffix(&quiet).unwrap_or(&found);
            assert_eq!(found, expected, "{filter}");
        }
    }
}
