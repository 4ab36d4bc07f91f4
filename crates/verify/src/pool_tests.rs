//! Tests of the stage: which frames share an equation, and who pays for invalid signatures.

use super::*;

#[test]
fn frames_of_a_source_share_an_equation_and_keep_their_own_verdicts() {
    let stage = stage();
    let mut frames = Vec::new();
    for (stream, source) in [(0, 1), (1, 2), (2, 1), (3, 1)] {
        let mut envelopes: Vec<_> = (0..10).map(|n| sign(body(stream * 100 + n))).collect();
        if stream == 2 {
            envelopes[3].signature[2] ^= 1;
        }
        frames.push(frame_of(source, stream, 0, &envelopes));
    }
    let verdicts = stage.on_batches(frames, NOW);
    let metrics = stage.metrics();
    assert_eq!(metrics.frames.value(), 4);
    let mut streams = BTreeMap::new();
    for verdict in verdicts {
        let batch = verdict.verified.as_ref().expect("most are valid");
        let stream = batch.origins[0].stream.0;
        streams.insert(stream, (batch.digests.len(), codes(&verdict, stream)));
    }
    let bad = BTreeMap::from([(3, ResultCode::BadSignature)]);
    let none = BTreeMap::new();
    let expected = [
        (0, (10, none.clone())),
        (1, (10, none.clone())),
        (2, (9, bad)),
        (3, (10, none)),
    ];
    assert_eq!(streams, BTreeMap::from(expected));
}

#[test]
fn clean_sources_share_an_equation_until_one_spoils_it() {
    let stage = stage();
    // So long that every backend takes an equation.
    const LEN: u64 = 400;
    let frames = |round: u64, bad: Option<u64>| {
        let frame = |source: u64| {
            let first = (round * 10 + source) * LEN;
            let mut envelopes: Vec<_> = (first..first + LEN).map(|n| sign(body(n))).collect();
            if bad == Some(source) {
                envelopes[7].signature[5] ^= 1;
            }
            frame_of(source, round * 10 + source, 0, &envelopes)
        };
        (1..=3).map(frame).collect::<Vec<_>>()
    };
    let metrics = Arc::clone(stage.metrics());
    // Equations, those that failed, and refused signatures, each since the start.
    let rows = [
        (None, (1, 0, 0)),
        // Each source's own after that of all.
        (Some(2), (4, 1, 1)),
        // The second one is left out.
        (Some(2), (6, 1, 2)),
        (None, (8, 1, 2)),
    ];
    for (round, (bad, expected)) in (1..).zip(rows) {
        let verdicts = stage.on_batches(frames(round, bad), NOW);
        for verdict in &verdicts {
            let batch = verdict.verified.as_ref().expect("most are valid");
            let is_bad = bad == Some(batch.origins[0].stream.0 % 10);
            assert_eq!(batch.digests.len() as u64, LEN - u64::from(is_bad));
        }
        assert_eq!(verdicts.len(), 3);
        let refused = metrics.refused_for(DropReason::BadSignature);
        let found = (
            metrics.groups.value(),
            metrics.pools_failed.value(),
            refused.value(),
        );
        assert_eq!(found, expected, "round {round}");
    }
    let later = TimeMs(NOW.0 + crate::sources::MEMORY_MS);
    let envelopes = |n| vec![sign(with_end(body(n), later))];
    let one = [(1, 90), (2, 91)].map(|(source, n)| frame_of(source, n, 0, &envelopes(n)));
    assert_eq!(stage.on_batches(one.into(), later).len(), 2);
    assert_eq!(metrics.groups.value(), 9, "forgiven");
}

/// The same, with an end after `time`.
fn with_end(mut body: Body, time: TimeMs) -> Body {
    body.expires_at.set(time.seconds().0 + 1);
    body
}

#[test]
fn a_source_that_sent_garbage_is_verified_with_care_and_others_are_not() {
    let stage = stage();
    // So long that every backend takes an equation where it trusts.
    const LEN: u64 = 600;
    let mut bad: Vec<_> = (0..LEN).map(|n| sign(body(n))).collect();
    for envelope in &mut bad {
        envelope.signature[5] ^= 1;
    }
    let verdict = stage.on_batch(&frame_of(1, 6, 0, &bad), NOW);
    assert!(verdict.verified.is_none());
    let refused = stage.metrics().refused_for(DropReason::BadSignature);
    assert_eq!(refused.value(), LEN);
    let before = stage.metrics().signatures_single.value();
    let rows = [(1, LEN, 1), (2, 0, 1), (1, LEN, 2)];
    for (row, (source, singles, cautious)) in rows.into_iter().enumerate() {
        let envelopes: Vec<_> = (0..LEN)
            .map(|n| sign(body(LEN * (1 + row as u64) + n)))
            .collect();
        let since = stage.metrics().signatures_single.value();
        let verdict = stage.on_batch(&frame_of(source, 7, 0, &envelopes), NOW);
        assert_eq!(verdict.refusals, [], "row {row}");
        let found = stage.metrics().signatures_single.value() - since;
        assert_eq!(found, singles, "row {row}");
        assert_eq!(
            stage.metrics().groups_cautious.value(),
            cautious,
            "row {row}"
        );
    }
    assert!(stage.metrics().signatures_single.value() > before);
}
