//! What executing a block again gives against what the log says it gave.

use clearway_types::final_record::FinalRecord;
use clearway_types::messages::ExecutedBlock;
use clearway_types::units::Digest;

use crate::check::{Check, Checks, Difference};

/// Compares every part of the stored results with the computed ones.
pub(crate) fn compare(
    stored: &FinalRecord,
    computed: &ExecutedBlock,
    sequence: u64,
    checks: &Checks,
) -> Result<(), Difference> {
    let height = stored.height;
    let at = |check, reason| Difference::at(check, height, reason).record(sequence);
    if checks.has(Check::Outcomes) {
        if stored.results.len() != computed.results.len() {
            let (found, expected) = (stored.results.len(), computed.results.len());
            return Err(at(
                Check::Outcomes,
                format!("{found} results are stored for {expected} envelopes"),
            ));
        }
        let pairs = stored.results.iter().zip(&computed.results);
        if let Some((index, (found, expected))) = pairs.enumerate().find(|(_, (a, b))| a != b) {
            let reason = format!(
                "result is {} (flags {}), expected {} (flags {})",
                found.code, found.flags.0, expected.code, expected.flags.0
            );
            return Err(at(Check::Outcomes, reason).envelope(index));
        }
    }
    if checks.has(Check::Duplicates) && stored.duplicates != computed.duplicates {
        let (found, expected) = (&stored.duplicates, &computed.duplicates);
        let reason = format!("repeated envelopes are {found:?}, expected {expected:?}");
        return Err(at(Check::Duplicates, reason));
    }
    if checks.has(Check::Events) && stored.events != computed.events {
        let (found, expected) = (&stored.events, &computed.events);
        let reason = format!("events are {found:?}, expected {expected:?}");
        return Err(at(Check::Events, reason));
    }
    let same = |check, what, found: Option<Digest>, expected: Option<Digest>| {
        if !checks.has(check) || found == expected {
            return Ok(());
        }
        let show = |root: Option<Digest>| root.map_or("none".to_owned(), |root| root.to_string());
        let reason = format!("{what} is {}, expected {}", show(found), show(expected));
        Err(at(check, reason))
    };
    same(
        Check::ReceiptsRoot,
        "receipts root",
        Some(stored.receipts_root),
        Some(computed.receipts_root),
    )?;
    same(
        Check::StateRoot,
        "state root",
        stored.state_root,
        computed.state_root,
    )?;
    same(
        Check::ExecHead,
        "execution head",
        Some(stored.exec_head),
        Some(computed.exec_head),
    )
}
