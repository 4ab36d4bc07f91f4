//! Tables of edits: each breaks one rule of a right envelope, in the order of the codes.

use clearway_types::code::ResultCode;
use clearway_types::envelope::Body;

use crate::support::World;

/// Breaks one rule, in the envelope or in the state.
pub(crate) type Edit<T> = fn(&mut World, &mut T);

/// Each row alone gives its code; any two rows together give the earlier row's code.
pub(crate) fn check<T>(
    name: &str,
    start: fn(&mut World) -> T,
    body: fn(&T) -> &Body,
    rows: &[(Edit<T>, ResultCode)],
) {
    let answer = |edits: &[Edit<T>]| {
        let mut world = World::new();
        let mut record = start(&mut world);
        for edit in edits {
            edit(&mut world, &mut record);
        }
        world.one(body(&record))
    };
    assert_eq!(answer(&[]), ResultCode::Settled, "{name}: nothing edited");
    for (index, (edit, code)) in rows.iter().enumerate() {
        assert_eq!(answer(&[*edit]), *code, "{name}: row {index}");
        for (later, later_code) in &rows[index + 1..] {
            assert!(
                later_code >= code,
                "{name}: {later_code} stands after {code}"
            );
            // The later row first, so that the earlier one is in force whatever both write.
            let found = answer(&[*later, *edit]);
            assert_eq!(found, *code, "{name}: {code} together with {later_code}");
        }
    }
}
