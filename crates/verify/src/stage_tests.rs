//! Tests of the stage: a table for each way out, mixed frames, and the partition of every frame.

use std::collections::BTreeMap;

use bytes::Bytes;
use clearway_crypto::hash::envelope_digests;
use clearway_crypto::hint::hints;
use clearway_crypto::keys::SigningKey;
use clearway_types::account::KeyEntry;
use clearway_types::drop_reason::DropReason;
use clearway_types::envelope::{Body, Envelope, VERSION};
use clearway_types::flags::Flags;
use clearway_types::kind::Kind;
use clearway_types::limits::CHAIN_LEN_MAX;
use clearway_types::messages::StreamKey;
use clearway_types::seeded::SplitMix;
use clearway_types::units::{ParticipantId, TransferId, UnixSeconds};
use zerocopy::{FromZeros, IntoBytes};

use super::*;

#[path = "pool_tests.rs"]
mod pools;

const TAG: DomainTag = DomainTag([9; 16]);
const NOW: TimeMs = TimeMs(1_000_000);
/// Participants 1 to 3 are registered, with a key in slots 0 and 1.
const MEMBERS: u32 = 3;

fn key(member: u32, slot: u8) -> SigningKey {
    let mut seed = [slot; 32];
    seed[..4].copy_from_slice(&member.to_le_bytes());
    SigningKey::from_seed(&seed)
}

fn directory() -> KeyDirectory {
    let entry = |member, slot| {
        Some(KeyEntry {
            public_key: key(member, slot).public_key(),
            valid_from: Height(0),
            valid_to: Height(u64::MAX),
        })
    };
    let slots = |member| [entry(member, 0), entry(member, 1), None, None];
    KeyDirectory {
        height: Height(7),
        participants: (1..=MEMBERS)
            .map(|member| (ParticipantId(member), slots(member)))
            .collect(),
    }
}

fn stage() -> VerifyStage {
    clearway_crypto::check_ranges();
    let gate = Gate::new().expect("this machine computes rightly");
    let directory = Arc::new(Latest::new(Arc::new(directory())));
    let config = VerifyConfig::default();
    VerifyStage::new(&config, Arc::new(gate), TAG, directory, Arc::default())
        .expect("the default settings are good")
}

/// A valid body of member 1, number `counter`.
fn body(counter: u64) -> Body {
    let mut body = Body::new_zeroed();
    body.id = TransferId::new(NOW, counter, 0);
    body.kind = Kind::Transfer as u8;
    body.version = VERSION;
    body.signer.set(1);
    body.expires_at.set(NOW.seconds().0 + 1);
    body
}

fn sign(body: Body) -> Envelope {
    let slot = u8::try_from(body.flags().key_slot()).expect("two bits");
    key(body.signer().0, slot).sign_envelope(TAG, body)
}

/// A signed chain of `len` members with the ids that the head's `counter` gives.
fn chain(counter: u64, len: usize) -> Vec<Envelope> {
    let mut member = body(counter);
    let mut members = Vec::new();
    for position in 0..len {
        member.flags.set(Flags::new(0, position + 1 < len).0);
        members.push(sign(member));
        member.id = member.id.chain_next().expect("chains are short");
    }
    members
}

fn frame_of(source: u64, stream: u64, first_index: u32, envelopes: &[Envelope]) -> FrameBatch {
    FrameBatch {
        source: SourceId(source),
        member: ParticipantId(1),
        stream: StreamKey(stream),
        first_index,
        slab: Bytes::copy_from_slice(envelopes.as_bytes()),
        hints: Bytes::new(),
    }
}

/// Codes by place on one stream.
fn codes(verdict: &Verdict, stream: u64) -> BTreeMap<u32, ResultCode> {
    let mut codes = BTreeMap::new();
    for refusals in &verdict.refusals {
        if refusals.stream == StreamKey(stream) {
            codes.extend(refusals.items.iter().copied());
        }
    }
    codes
}

fn edited(counter: u64, edit: impl Fn(&mut Body)) -> Envelope {
    let mut body = body(counter);
    edit(&mut body);
    sign(body)
}

#[test]
fn a_frame_of_valid_envelopes_passes_without_a_copy() {
    let stage = stage();
    let mut envelopes: Vec<_> = (0..20).map(|n| sign(body(n))).collect();
    envelopes.extend(chain(20, 3));
    envelopes.push(edited(24, |body| {
        body.signer.set(2);
        body.flags.set(Flags::new(1, false).0);
    }));
    let frame = frame_of(5, 6, 100, &envelopes);
    let verdict = stage.on_batch(&frame, NOW);
    assert_eq!(verdict.refusals, []);
    let batch = verdict.verified.expect("all are valid");
    assert_eq!(batch.slab.as_ptr(), frame.slab.as_ptr(), "the same memory");
    assert_eq!(batch.digests, envelope_digests_all(&frame.slab));
    assert_eq!(batch.directory_height, Height(7));
    let run = OriginRun {
        stream: StreamKey(6),
        first_index: 100,
        count: 24,
    };
    assert_eq!(batch.origins, [run]);
    assert_eq!(stage.metrics().slabs_untouched.value(), 1);
    let metrics = stage.metrics();
    assert_eq!(metrics.signatures_verified.value(), 24);
    assert_eq!(metrics.signatures_batched.value(), 24);
    assert_eq!(metrics.signatures_single.value(), 0);
}

#[test]
fn hints_are_used_where_they_are_right_and_change_no_verdict() {
    let stage = stage();
    let mut envelopes: Vec<_> = (0..600).map(|n| sign(body(n))).collect();
    envelopes[7].signature[40] ^= 1;
    let Some(mut hints) = hints(envelopes.iter().map(|e| &e.signature)) else {
        println!("NOT RUN: this machine makes no hints");
        return;
    };
    hints[3] = hints[4];
    hints[9] = [0xff; 32];
    let frame = FrameBatch {
        hints: hints.as_flattened().to_vec().into(),
        ..frame_of(5, 6, 0, &envelopes)
    };
    let verdict = stage.on_batch(&frame, NOW);
    assert_eq!(
        codes(&verdict, 6),
        BTreeMap::from([(7, ResultCode::BadSignature)])
    );
    let metrics = stage.metrics();
    // The equation fails for the seventh; the search goes on with what was decoded.
    assert_eq!(metrics.hints_right.value(), 598, "{metrics:?}");
    assert_eq!(metrics.hints_wrong.value(), 2, "{metrics:?}");
    assert!(metrics.signatures_batched.value() > 600, "{metrics:?}");
    // The next verifier gets them as they came, without that of the refused one.
    let verified = verdict.verified.expect("599 pass");
    hints.remove(7);
    assert_eq!(verified.hints, hints.as_flattened());
    assert_eq!(verified.digests.len(), hints.len());
    // Where all pass, both come out as they came in.
    let whole = FrameBatch {
        hints: hints[..5].as_flattened().to_vec().into(),
        ..frame_of(
            5,
            7,
            0,
            &(600..605).map(|n| sign(body(n))).collect::<Vec<_>>(),
        )
    };
    let verified = stage.on_batch(&whole, NOW).verified.expect("all pass");
    assert_eq!((verified.slab, verified.hints), (whole.slab, whole.hints));
}

type Fault = fn(&mut Envelope);

#[test]
fn each_header_fault_has_its_code_and_harms_nobody_else() {
    let rows: [(Fault, ResultCode); 5] = [
        (|e| e.body.version = 2, ResultCode::VersionUnknown),
        (|e| e.body.kind = 0xee, ResultCode::KindUnknown),
        (|e| e.body.kind = 0x14, ResultCode::KindUnknown),
        (|e| e.body.flags.set(1 << 12), ResultCode::ReservedFlagSet),
        (|e| e.body.id = TransferId::MAX, ResultCode::IdReserved),
    ];
    for (fault, code) in rows {
        let metrics = check_fault(fault, true, code);
        assert_eq!(metrics.refused_header.value(), 1, "{code}");
    }
}

#[test]
fn each_fault_of_key_signature_time_or_chain_has_its_code_and_harms_nobody_else() {
    let bad = ResultCode::BadSignature;
    let other_cluster: Fault = |e| *e = key(1, 0).sign_envelope(DomainTag([8; 16]), e.body);
    let rows: [(Fault, bool, ResultCode, DropReason); 7] = [
        (
            |e| e.body.signer.set(MEMBERS + 1),
            true,
            ResultCode::SignerUnknown,
            DropReason::UnknownSigner,
        ),
        (
            |e| e.body.flags.set(Flags::new(2, false).0),
            true,
            ResultCode::KeySlotEmpty,
            DropReason::UnknownSigner,
        ),
        (
            |e| e.signature[7] ^= 1,
            false,
            bad,
            DropReason::BadSignature,
        ),
        (
            |e| e.body.signer.set(2),
            false,
            bad,
            DropReason::BadSignature,
        ),
        (other_cluster, false, bad, DropReason::BadSignature),
        (
            |e| e.body.expires_at.set(NOW.seconds().0),
            true,
            ResultCode::Expired,
            DropReason::Expired,
        ),
        (
            |e| e.body.id = e.body.id.chain_next().expect("not the last"),
            true,
            ResultCode::ChainBroken,
            DropReason::ChainBroken,
        ),
    ];
    for (row, (fault, resign, code, reason)) in rows.into_iter().enumerate() {
        let metrics = check_fault(fault, resign, code);
        assert_eq!(metrics.refused_for(reason).value(), 1, "row {row}");
    }
}

/// One of nine envelopes has the fault: it is answered with `code`, the others pass.
fn check_fault(fault: Fault, resign: bool, code: ResultCode) -> Arc<VerifyMetrics> {
    let stage = stage();
    let mut envelopes: Vec<_> = (0..9).map(|n| sign(body(n))).collect();
    fault(&mut envelopes[4]);
    if resign {
        envelopes[4] = sign(envelopes[4].body);
    }
    let verdict = stage.on_batch(&frame_of(1, 6, 50, &envelopes), NOW);
    assert_eq!(codes(&verdict, 6), BTreeMap::from([(54, code)]));
    let batch = verdict.verified.expect("the others are valid");
    envelopes.remove(4);
    assert_eq!(batch.slab, envelopes.as_bytes(), "{code}");
    let digests = envelope_digests_all(envelopes.as_bytes());
    assert_eq!(batch.digests, digests, "{code}");
    let runs: Vec<_> = batch
        .origins
        .iter()
        .map(|run| (run.first_index, run.count))
        .collect();
    assert_eq!(runs, [(50, 4), (55, 4)], "{code}");
    assert_eq!(stage.metrics().refused_all(), 1, "{code}");
    Arc::clone(stage.metrics())
}

#[test]
fn an_envelope_is_good_until_the_second_it_expires() {
    let stage = stage();
    let envelope = edited(1, |body| body.expires_at.set(1001));
    for (now, passes) in [(1_000_999, true), (1_001_000, false)] {
        let verdict = stage.on_batch(&frame_of(1, 6, 0, &[envelope]), TimeMs(now));
        assert_eq!(verdict.verified.is_some(), passes, "at {now} ms");
        stage.in_flight.finish(envelope_digests(&envelope).leaf);
    }
    assert_eq!(UnixSeconds(1001), envelope.body.expires_at());
}

/// What happens to each member of a chain; `None` passes.
type ChainRow = (&'static str, Vec<Envelope>, Vec<Option<ResultCode>>);

#[test]
fn a_chain_with_a_faulty_member_falls_as_a_whole() {
    let linked = Some(ResultCode::LinkedFailed);
    let bad = Some(ResultCode::BadSignature);
    let expired = Some(ResultCode::Expired);
    let not_money = Some(ResultCode::LinkNotAllowed);
    let edit = |at: usize, resign: bool, fault: Fault| {
        let mut members = chain(1, 3);
        fault(&mut members[at]);
        if resign {
            members[at] = sign(members[at].body);
        }
        members
    };
    let bad_head = edit(0, false, |e| e.signature[0] ^= 1);
    let bad_end = edit(2, false, |e| e.signature[40] ^= 1);
    let late = edit(1, true, |e| e.body.expires_at.set(1));
    let control = edit(1, true, |e| e.body.kind = Kind::AccountOpen as u8);
    let rows: [ChainRow; 5] = [
        ("whole", chain(1, 3), vec![None; 3]),
        ("bad head", bad_head, vec![bad, linked, linked]),
        ("bad end", bad_end, vec![linked, linked, bad]),
        ("expired member", late, vec![linked, expired, linked]),
        ("control record", control, vec![linked, not_money, linked]),
    ];
    rows.into_iter().for_each(check_chain);
}

#[test]
fn a_chain_that_is_not_whole_is_broken_for_every_member() {
    let broken = Some(ResultCode::ChainBroken);
    let (whole, other, lone) = (chain(1, 3), chain(2, 3), sign(body(9)));
    let mut two_signers = whole.clone();
    two_signers[1].body.signer.set(2);
    two_signers[1] = sign(two_signers[1].body);
    let spliced = vec![whole[0], other[1], other[2]];
    let reordered = vec![whole[1], whole[0], whole[2]];
    let too_long = CHAIN_LEN_MAX + 1;
    let rows: [ChainRow; 10] = [
        ("two whole", [&whole[..], &other].concat(), vec![None; 6]),
        ("two signers", two_signers, vec![broken; 3]),
        ("head cut", whole[1..].to_vec(), vec![broken; 2]),
        ("end cut", whole[..2].to_vec(), vec![broken; 2]),
        ("middle cut", vec![whole[0], whole[2]], vec![broken; 2]),
        ("reordered", reordered, vec![broken; 3]),
        ("spliced", spliced, vec![broken; 3]),
        ("end alone", vec![lone, whole[2]], vec![None, broken]),
        (
            "longest",
            chain(3, CHAIN_LEN_MAX),
            vec![None; CHAIN_LEN_MAX],
        ),
        ("too long", chain(3, too_long), vec![broken; too_long]),
    ];
    rows.into_iter().for_each(check_chain);
}

fn check_chain((name, members, expected): ChainRow) {
    let stage = stage();
    let verdict = stage.on_batch(&frame_of(1, 6, 0, &members), NOW);
    let found = codes(&verdict, 6);
    let mut passed = Vec::new();
    for ((member, place), expected) in members.iter().zip(0..).zip(expected) {
        assert_eq!(
            found.get(&place).copied(),
            expected,
            "{name}, member {place}"
        );
        if expected.is_none() {
            passed.extend_from_slice(member.as_bytes());
        }
    }
    let slab = verdict.verified.map(|batch| batch.slab);
    assert_eq!(slab.unwrap_or_default(), passed, "{name}");
}

#[test]
fn the_same_bytes_wait_for_the_first_and_share_its_refusal() {
    let stage = stage();
    let good = sign(body(1));
    let mut bad = sign(body(2));
    bad.signature[1] ^= 1;

    let verdict = stage.on_batch(&frame_of(1, 10, 0, &[good, good]), NOW);
    let batch = verdict.verified.expect("the first passes");
    assert_eq!(batch.slab, good.as_bytes());
    assert_eq!(verdict.refusals, []);
    let again = stage.on_batch(&frame_of(2, 11, 5, &[good]), NOW);
    assert!(again.verified.is_none() && again.refusals.is_empty());
    let leaf = envelope_digests(&good).leaf;
    let waiting = stage.in_flight.finish(leaf);
    let places: Vec<_> = waiting
        .iter()
        .map(|origin| (origin.stream.0, origin.index))
        .collect();
    assert_eq!(places, [(10, 1), (11, 5)]);

    // A worker has the bad one between join and verdict when another frame brings it again.
    let early = origin(&frame_of(3, 12, 0, &[]), 7);
    let frame = frame_of(1, 13, 0, &[bad, good]);
    let mut items = Vec::new();
    let directory = stage.directory.load();
    let mut open = stage.open(&frame, &directory, NOW, 0, &mut items);
    assert_eq!(
        stage.in_flight.join(envelope_digests(&bad).leaf, early),
        Joined::Again
    );
    let checked = stage.check(SourceId(1), &items, NOW);
    let verdict = stage.close(&mut open, &checked, Height(7));
    assert_eq!(
        codes(&verdict, 12),
        BTreeMap::from([(7, ResultCode::BadSignature)])
    );
    assert_eq!(
        codes(&verdict, 13),
        BTreeMap::from([(0, ResultCode::BadSignature)])
    );
    assert_eq!(verdict.verified.map(|batch| batch.slab.len()), Some(192));
    assert_eq!(stage.in_flight.len(), 1, "only the good one flies on");
}

#[test]
fn a_chain_that_shares_a_member_with_one_in_flight_loses_none() {
    let stage = stage();
    let first = chain(1, 2);
    let mut second = first.clone();
    second[1].body.fields[50] = 1;
    second[1] = sign(second[1].body);
    for members in [&first, &second, &first] {
        let verdict = stage.on_batch(&frame_of(1, 6, 0, members), NOW);
        let batch = verdict.verified.expect("the chain is whole");
        assert_eq!(batch.slab, members.as_bytes());
    }
    assert!(stage.in_flight.is_empty());
}

#[test]
fn every_envelope_of_random_frames_is_in_exactly_one_place() {
    let seed = 20_261_123;
    let mut random = SplitMix(seed);
    let stage = stage();
    for round in 0..40 {
        let envelopes = random_envelopes(&mut random, round * 1000);
        let verdict = stage.on_batch(&frame_of(round, round, 0, &envelopes), NOW);
        let mut seen = vec![0; envelopes.len()];
        for (place, _) in verdict.refusals.iter().flat_map(|refusals| &refusals.items) {
            seen[*place as usize] += 1;
        }
        if let Some(batch) = verdict.verified {
            let places: Vec<_> = places(&batch)
                .iter()
                .map(|origin| origin.index as usize)
                .collect();
            assert!(places.is_sorted(), "seed {seed} round {round}");
            let bytes: Vec<u8> = places
                .iter()
                .flat_map(|&place| envelopes[place].as_bytes().to_vec())
                .collect();
            assert_eq!(batch.slab, bytes, "seed {seed} round {round}");
            let digests = envelope_digests_all(&bytes);
            assert_eq!(batch.digests, digests, "seed {seed} round {round}");
            for (place, digests) in places.into_iter().zip(batch.digests) {
                seen[place] += 1;
                for waiting in stage.in_flight.finish(digests.leaf) {
                    seen[waiting.index as usize] += 1;
                }
            }
        }
        let once = seen.iter().all(|&count| count == 1);
        assert!(once, "seed {seed} round {round}: {seen:?}");
        assert!(stage.in_flight.is_empty(), "seed {seed} round {round}");
    }
    let metrics = stage.metrics();
    let out = metrics.passed.value() + metrics.joined.value() + metrics.refused_all();
    assert_eq!(metrics.envelopes_in.value(), out);
    assert!(metrics.joined.value() > 0 && metrics.refused_linked.value() > 0);
}

/// About 40 envelopes: good ones, chains, copies, and every other one with a fault.
fn random_envelopes(random: &mut SplitMix, first_counter: u64) -> Vec<Envelope> {
    let mut envelopes: Vec<Envelope> = Vec::new();
    for counter in first_counter.. {
        match random.index(8) {
            0 => envelopes.extend(chain(counter, 1 + random.index(5))),
            1 => envelopes.push(edited(counter, |body| body.kind = 0)),
            2 => envelopes.push(edited(counter, |body| body.expires_at.set(1))),
            3 if !envelopes.is_empty() => {
                let copied = envelopes[random.index(envelopes.len())];
                envelopes.push(copied);
            }
            _ => envelopes.push(sign(body(counter))),
        }
        let last = envelopes.last_mut().expect("just pushed");
        if random.index(20) == 0 {
            last.signature[random.index(64)] ^= 1;
        }
        if envelopes.len() >= 40 {
            break;
        }
    }
    envelopes
}

#[test]
fn workers_that_get_the_same_bytes_at_once_pass_them_once_and_answer_every_place() {
    let stage = stage();
    let mut envelopes: Vec<_> = (0..30).map(|n| sign(body(n))).collect();
    for envelope in &mut envelopes[20..] {
        envelope.signature[9] ^= 1;
    }
    let verdicts: Vec<Verdict> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (stage, envelopes) = (stage.clone(), &envelopes);
                scope.spawn(move || {
                    let frame = frame_of(worker, worker, 0, envelopes);
                    stage.on_batch(&frame, NOW)
                })
            })
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .map(|verdict| verdict.expect("no worker panics"))
            .collect()
    });
    let mut answers = BTreeMap::new();
    for verdict in &verdicts {
        for refusals in &verdict.refusals {
            for (index, code) in &refusals.items {
                assert_eq!(*code, ResultCode::BadSignature);
                *answers.entry((refusals.stream.0, *index)).or_insert(0) += 1;
            }
        }
    }
    let mut passed = 0;
    for batch in verdicts
        .iter()
        .filter_map(|verdict| verdict.verified.as_ref())
    {
        for (origin, digests) in places(batch).into_iter().zip(&batch.digests) {
            passed += 1;
            let waiting = stage.in_flight.finish(digests.leaf);
            for origin in waiting.into_iter().chain([origin]) {
                *answers.entry((origin.stream.0, origin.index)).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(passed, 20, "each good envelope goes on once");
    assert_eq!(answers.len(), 4 * 30, "every place is answered");
    assert!(answers.values().all(|&count| count == 1), "once");
    assert!(stage.in_flight.is_empty());
}

/// Where the answers of a batch go, one an envelope.
fn places(batch: &VerifiedBatch) -> Vec<Origin> {
    let runs = batch.origins.iter();
    runs.flat_map(|run| {
        (run.first_index..run.first_index + run.count).map(|index| Origin {
            stream: run.stream,
            index,
        })
    })
    .collect()
}
