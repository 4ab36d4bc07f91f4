//! Forged histories: each lie, sealed as well as can be, is found by the check that it attacks
//! and by no other check in its place.

mod history;

use clearway_crypto::validators::ValidatorSecret;
use clearway_replay::{Check, Checks, Difference, Options, Summary, replay};
use clearway_types::code::{Outcome, ResultCode};
use clearway_types::codec::Reader;
use clearway_types::event::Event;
use clearway_types::transfer::Transfer;
use clearway_types::units::Height;
use history::{BLOCK_COUNT, Cluster, EXPIRE_HEIGHT, Forge, HOLD_HEIGHT, PAYMENTS, REPEAT_HEIGHT};

/// Block that most forgers choose.
const HEIGHT: u64 = 10;

fn run(forge: &Forge, checks: Checks) -> Summary {
    let cluster = Cluster::new();
    let reader = cluster.store(forge);
    let options = Options {
        checks,
        ..Options::default()
    };
    replay(&reader, &cluster.genesis, &options, &mut |_| {}).expect("the log itself is sound")
}

#[test]
fn an_honest_history_passes_every_check() {
    let summary = run(&Forge::default(), Checks::all());
    assert_eq!(summary.difference, None);
    assert!(summary.ok() && summary.roots_equal());
    assert_eq!(summary.blocks, BLOCK_COUNT);
    let envelopes = BLOCK_COUNT * PAYMENTS + 2;
    assert_eq!(summary.envelopes, envelopes);
    assert_eq!(summary.signatures_verified, envelopes);
    assert_eq!(summary.certificates_verified, BLOCK_COUNT);
    assert_eq!(summary.state_roots_compared, 1);
    assert_eq!(summary.duplicates, 1);
    assert_eq!(summary.codes["InsufficientFunds"], BLOCK_COUNT);
    assert_eq!(
        summary.settled + summary.rejected + summary.duplicates,
        envelopes
    );
    assert_eq!(summary.supply["978"], "1000");
}

#[test]
fn a_replay_that_stops_early_is_right_about_its_part() {
    let cluster = Cluster::new();
    let reader = cluster.store(&Forge::default());
    let options = Options {
        to: Some(Height(9)),
        ..Options::default()
    };
    let summary = replay(&reader, &cluster.genesis, &options, &mut |_| {}).expect("sound");
    assert_eq!((summary.height, summary.difference), (Height(9), None));
}

#[test]
fn a_block_without_a_certificate_is_covered_by_the_one_above_it() {
    let forge = Forge {
        certificate: Some(|height, certificate| {
            if height == HEIGHT {
                *certificate = None;
            }
        }),
        ..Forge::default()
    };
    let summary = run(&forge, Checks::all());
    assert_eq!(summary.difference, None);
    assert_eq!(summary.certificates_verified, BLOCK_COUNT - 1);
}

#[test]
fn another_genesis_is_another_history() {
    let cluster = Cluster::new();
    let reader = cluster.store(&Forge::default());
    let mut genesis = cluster.genesis.clone();
    genesis.accounts[0].balance += 1;
    let summary = replay(&reader, &genesis, &Options::default(), &mut |_| {}).expect("sound");
    let difference = summary.difference.expect("the parent is not this genesis");
    assert_eq!(difference.height, Height(1));
}

/// A lie: what it is called, who tells it, which check must find it, in which block.
struct Row {
    lie: &'static str,
    forge: Forge,
    check: Check,
    height: u64,
}

fn row(lie: &'static str, check: Check, height: u64, forge: Forge) -> Row {
    Row {
        lie,
        forge,
        check,
        height,
    }
}

#[test]
fn each_lie_is_found_by_the_check_that_it_attacks() {
    for Row {
        lie,
        forge,
        check,
        height,
    } in rows()
    {
        let found: Difference = run(&forge, Checks::all())
            .difference
            .unwrap_or_else(|| panic!("{lie}: nothing was found"));
        assert_eq!(
            (found.check, found.height.0),
            (check, height),
            "{lie}: {found}"
        );
        let without = run(&forge, Checks::without(check)).difference;
        assert_ne!(
            without.as_ref().map(|found| found.check),
            Some(check),
            "{lie}: a check that is switched off still answers"
        );
    }
}

#[test]
fn nothing_else_would_have_found_a_forged_signature_or_amount() {
    let rows = rows()
        .into_iter()
        .filter(|row| row.check == Check::Signature);
    for Row { lie, forge, .. } in rows {
        let summary = run(&forge, Checks::without(Check::Signature));
        assert_eq!(summary.difference, None, "{lie}");
    }
}

#[test]
fn every_check_of_the_chain_and_the_results_has_its_lie() {
    let attacked: Vec<Check> = rows().iter().map(|row| row.check).collect();
    for check in Check::ALL {
        // Conservation follows from executing again: no log can bend it, only a bug; nor what the
        // caller knows.
        let expected = ![Check::Conserved, Check::Recorded].contains(check);
        assert_eq!(attacked.contains(check), expected, "{check}");
    }
}

fn rows() -> Vec<Row> {
    let mut rows = chain_rows();
    rows.extend(lane_rows());
    rows.extend(envelope_rows());
    rows.extend(certificate_rows());
    rows.extend(result_rows());
    rows.extend(root_rows());
    rows
}

fn chain_rows() -> Vec<Row> {
    vec![
        row(
            "manifest under a foreign digest",
            Check::ManifestDigest,
            HEIGHT,
            Forge {
                manifest_digest: Some(|height, digest| digest.0[0] ^= u8::from(height == HEIGHT)),
                ..Forge::default()
            },
        ),
        row(
            "another parent",
            Check::ManifestChain,
            HEIGHT,
            Forge {
                manifest: Some(|height, manifest| {
                    manifest.parent.0[0] ^= u8::from(height == HEIGHT);
                }),
                ..Forge::default()
            },
        ),
        row(
            "a leader that does not exist",
            Check::ManifestChain,
            HEIGHT,
            Forge {
                manifest: Some(|height, manifest| {
                    manifest.leader.0 += u32::from(height == HEIGHT);
                }),
                ..Forge::default()
            },
        ),
        row(
            "another epoch",
            Check::ManifestChain,
            HEIGHT,
            Forge {
                manifest: Some(|height, manifest| {
                    manifest.epoch.number += u64::from(height == HEIGHT);
                }),
                ..Forge::default()
            },
        ),
        row(
            "other validators",
            Check::ManifestChain,
            HEIGHT,
            Forge {
                manifest: Some(|height, manifest| {
                    manifest.epoch.validators.0[0] ^= u8::from(height == HEIGHT);
                }),
                ..Forge::default()
            },
        ),
        row(
            "time that falls",
            Check::ManifestTime,
            HEIGHT,
            Forge {
                manifest: Some(|height, manifest| {
                    manifest.time.0 -= 1001 * u64::from(height == HEIGHT);
                }),
                ..Forge::default()
            },
        ),
        row(
            "another execution head",
            Check::ManifestExecHead,
            HEIGHT,
            Forge {
                manifest: Some(|height, manifest| {
                    manifest.exec_head.0[0] ^= u8::from(height == HEIGHT);
                }),
                ..Forge::default()
            },
        ),
        row(
            "a height of the state that falls",
            Check::ManifestExecHead,
            HEIGHT,
            Forge {
                manifest: Some(|height, manifest| {
                    manifest.state_height.0 -= 2 * u64::from(height == HEIGHT);
                }),
                ..Forge::default()
            },
        ),
    ]
}

fn lane_rows() -> Vec<Row> {
    vec![
        row(
            "another batch under the digest",
            Check::BatchDigest,
            HEIGHT,
            Forge {
                header_after: Some(|height, header| header.time.0 += u64::from(height == HEIGHT)),
                ..Forge::default()
            },
        ),
        row(
            "a lane that skips",
            Check::LaneLink,
            HEIGHT,
            Forge {
                header: Some(|height, header| {
                    header.previous.0[0] ^= u8::from(height == HEIGHT);
                }),
                ..Forge::default()
            },
        ),
        row(
            "a lane of nobody",
            Check::LaneLink,
            HEIGHT,
            Forge {
                header: Some(|height, header| {
                    header.lane.owner.0 += u32::from(height == HEIGHT);
                }),
                ..Forge::default()
            },
        ),
        row(
            "a later lane that does not begin",
            Check::LaneLink,
            HEIGHT,
            Forge {
                header: Some(|height, header| {
                    header.lane.incarnation.0 += u32::from(height == HEIGHT);
                }),
                ..Forge::default()
            },
        ),
        row(
            "a lane that has ended",
            Check::LaneLink,
            HEIGHT,
            Forge {
                header: Some(|height, header| {
                    header.lane.incarnation.0 += u32::from(height < HEIGHT);
                }),
                ..Forge::default()
            },
        ),
        row(
            "a root of other envelopes",
            Check::EnvelopesRoot,
            HEIGHT,
            Forge {
                header: Some(|height, header| {
                    header.envelopes_root.0[0] ^= u8::from(height == HEIGHT);
                }),
                ..Forge::default()
            },
        ),
    ]
}

fn envelope_rows() -> Vec<Row> {
    vec![
        row(
            "a forged signature",
            Check::Signature,
            HEIGHT,
            Forge {
                envelopes: Some(|height, list| {
                    list[2].signature[40] ^= u8::from(height == HEIGHT);
                }),
                ..Forge::default()
            },
        ),
        row(
            "a changed amount",
            Check::Signature,
            HEIGHT,
            Forge {
                envelopes: Some(|height, list| {
                    if height == HEIGHT {
                        let mut transfer = *Transfer::of(&list[1].body);
                        transfer.amount = 2.into();
                        list[1].body = *transfer.as_body();
                    }
                }),
                ..Forge::default()
            },
        ),
        row(
            "a signer without a key",
            Check::Signature,
            HEIGHT,
            Forge {
                envelopes: Some(|height, list| {
                    if height == HEIGHT {
                        list[1].body.signer = 77.into();
                    }
                }),
                ..Forge::default()
            },
        ),
    ]
}

fn certificate_rows() -> Vec<Row> {
    vec![
        row(
            "a certificate by a stranger",
            Check::Certificate,
            HEIGHT,
            Forge {
                certificate: Some(|height, certificate| {
                    if let Some(certificate) = certificate.as_mut().filter(|_| height == HEIGHT) {
                        let stranger = ValidatorSecret::from_bytes(&[9; 32]).expect("in range");
                        certificate.signature = stranger.prove_possession();
                    }
                }),
                ..Forge::default()
            },
        ),
        row(
            "a certificate of another block",
            Check::Certificate,
            HEIGHT,
            Forge {
                certificate: Some(|height, certificate| {
                    if let Some(certificate) = certificate.as_mut().filter(|_| height == HEIGHT) {
                        certificate.payload.0[0] ^= 1;
                    }
                }),
                ..Forge::default()
            },
        ),
        row(
            "no certificate at the end",
            Check::Certificate,
            BLOCK_COUNT - 1,
            Forge {
                certificate: Some(|height, certificate| {
                    if height >= BLOCK_COUNT - 1 {
                        *certificate = None;
                    }
                }),
                ..Forge::default()
            },
        ),
    ]
}

/// An event whose last field has another value.
fn another(event: Event) -> Event {
    let mut bytes = Vec::new();
    event.encode(&mut bytes);
    *bytes.last_mut().expect("an event has a number") ^= 1;
    Event::decode(&mut Reader::new(&bytes)).expect("every value of its last field is allowed")
}

fn result_rows() -> Vec<Row> {
    vec![
        row(
            "a wrong result code",
            Check::Outcomes,
            HEIGHT,
            Forge {
                results: Some(|height, executed| {
                    if height == HEIGHT {
                        executed.results[4] = Outcome::new(ResultCode::Settled);
                    }
                }),
                chain_heads: true,
                ..Forge::default()
            },
        ),
        row(
            "a result too few",
            Check::Outcomes,
            HEIGHT,
            Forge {
                results: Some(|height, executed| {
                    if height == HEIGHT {
                        executed.results.pop();
                    }
                }),
                ..Forge::default()
            },
        ),
        row(
            "a wrong first height",
            Check::Duplicates,
            REPEAT_HEIGHT,
            Forge {
                results: Some(|height, executed| {
                    if height == REPEAT_HEIGHT {
                        executed.duplicates[0].height.0 -= 1;
                    }
                }),
                ..Forge::default()
            },
        ),
        row(
            "an event with another field",
            Check::Events,
            EXPIRE_HEIGHT,
            Forge {
                results: Some(|height, executed| {
                    if height == EXPIRE_HEIGHT {
                        executed.events[0] = another(executed.events[0]);
                    }
                }),
                ..Forge::default()
            },
        ),
    ]
}

fn root_rows() -> Vec<Row> {
    vec![
        row(
            "another receipts root",
            Check::ReceiptsRoot,
            HOLD_HEIGHT,
            Forge {
                results: Some(|height, executed| {
                    executed.receipts_root.0[0] ^= u8::from(height == HOLD_HEIGHT);
                }),
                chain_heads: true,
                ..Forge::default()
            },
        ),
        row(
            "another state root",
            Check::StateRoot,
            32,
            Forge {
                results: Some(|_, executed| {
                    if let Some(root) = executed.state_root.as_mut() {
                        root.0[0] ^= 1;
                    }
                }),
                chain_heads: true,
                ..Forge::default()
            },
        ),
        row(
            "no state root",
            Check::StateRoot,
            32,
            Forge {
                results: Some(|_, executed| executed.state_root = None),
                chain_heads: true,
                ..Forge::default()
            },
        ),
        row(
            "another execution head",
            Check::ExecHead,
            HEIGHT,
            Forge {
                results: Some(|height, executed| {
                    executed.exec_head.0[0] ^= u8::from(height == HEIGHT);
                }),
                ..Forge::default()
            },
        ),
    ]
}
