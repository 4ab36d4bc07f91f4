//! The engine's certificates against the checker that knows no engine.
use bytes::Bytes;
use clearway_crypto::certificate::{CertificateError, check, vote_namespace};
use clearway_crypto::validators::{POSSESSION_NAMESPACE, ValidatorSet, check_possession};
use clearway_types::certificate::Certificate;
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::simplex::types::{Finalization, Finalize, Proposal};
use commonware_consensus::types::{Epoch, Round, View};
use commonware_cryptography::bls12381::primitives::group::Private;
use commonware_cryptography::bls12381::primitives::ops;
use commonware_cryptography::bls12381::primitives::variant::MinSig;
use commonware_cryptography::sha256;
use commonware_parallel::Sequential;
use commonware_utils::iter::NonEmpty;
use commonware_utils::sys_rng;

use super::{genesis, secret, validator_number};
use crate::config::Validator;
use crate::engine::{Keys, from_engine, to_engine};
use crate::error::OrderError;

fn validators(count: usize) -> Vec<Validator> {
    let rows = genesis(count).validators.into_iter();
    rows.map(|validator| Validator {
        number: validator.number,
        identity: validator.public_key.0,
        vote_key: validator.bls_public_key.0,
    })
    .collect()
}

fn keys(validator_count: usize, me: usize, secret_of: usize) -> Result<Keys, OrderError> {
    let namespace = vote_namespace(genesis(validator_count).hash());
    let secret = secret(secret_of).to_bytes();
    Keys::new(
        &namespace,
        &validators(validator_count),
        validator_number(me),
        &secret,
    )
}

/// A finalization that the engine's own code signs and assembles.
fn finalization(
    validator_count: usize,
    signers: &[usize],
    view: u64,
) -> Finalization<crate::engine::Scheme, sha256::Digest> {
    let parent = View::new(view - 1);
    let round = Round::new(Epoch::zero(), View::new(view));
    let proposal = Proposal::new(round, parent, sha256::Digest([7; 32]));
    let votes: Vec<_> = signers
        .iter()
        .map(|index| {
            let keys = keys(validator_count, *index, *index).expect("matching keys");
            Finalize::sign(&keys.scheme, proposal.clone()).expect("a signer")
        })
        .collect();
    let any = keys(validator_count, 0, 0).expect("matching keys");
    let votes = NonEmpty::try_new(votes.iter()).expect("at least one vote");
    Finalization::from_finalizes(&any.scheme, votes, &Sequential).expect("a quorum")
}

fn set(validator_count: usize) -> ValidatorSet {
    ValidatorSet::from_genesis(&genesis(validator_count)).expect("honest keys")
}

fn verdict(certificate: &Certificate, validator_count: usize) -> Result<(), CertificateError> {
    let namespace = vote_namespace(genesis(validator_count).hash());
    check(certificate, &set(validator_count), &namespace)
}

/// Views across every length of the varint that encodes them.
#[test]
fn engine_certificates_verify_without_the_engine() {
    let quorums: [(usize, &[usize]); 4] = [
        (1, &[0]),
        (4, &[0, 1, 2]),
        (4, &[3, 1, 2]),
        (4, &[0, 1, 2, 3]),
    ];
    for (count, signers) in quorums {
        for view in [1, 127, 128, 129, 16_384, 1 << 35, u64::MAX] {
            let keys = keys(count, 0, 0).expect("matching keys");
            let finalization = finalization(count, signers, view);
            let certificate = from_engine(&finalization, &keys).expect("well formed");
            assert_eq!(
                verdict(&certificate, count),
                Ok(()),
                "{signers:?} in view {view}"
            );
            let mut expected = signers.to_vec();
            expected.sort_unstable();
            assert_eq!(certificate.signer_indexes().collect::<Vec<_>>(), expected);
        }
    }
}

#[test]
fn a_doubled_key_is_that_of_the_later_validator() {
    let refused = |edit: fn(&mut Vec<Validator>)| {
        let mut validators = validators(4);
        edit(&mut validators);
        let namespace = vote_namespace(genesis(4).hash());
        let me = validator_number(0);
        Keys::new(&namespace, &validators, me, &secret(0).to_bytes()).err()
    };
    let of_third = |field| {
        let number = validator_number(2);
        Some(OrderError::Key { number, field })
    };
    let doubled = refused(|all| all[2].vote_key = all[1].vote_key);
    assert_eq!(doubled, of_third("bls_public_key"));
    let doubled = refused(|all| all[2].identity = all[1].identity);
    assert_eq!(doubled, of_third("public_key"));
}

#[test]
fn a_stored_certificate_returns_to_the_engine_unchanged() {
    let keys = keys(4, 0, 0).expect("matching keys");
    let original = finalization(4, &[0, 2, 3], 77);
    let certificate = from_engine(&original, &keys).expect("well formed");
    let again = to_engine(&certificate, &keys).expect("well formed");
    assert_eq!(again, original);
    assert!(again.verify(&mut sys_rng(), &keys.scheme, &Sequential));
}

#[test]
fn each_altered_field_fails_here_and_in_the_engine() {
    type Edit = fn(&mut Certificate);
    let edits: [(&str, Edit); 7] = [
        ("epoch", |c| c.epoch += 1),
        ("view", |c| c.view += 1),
        ("parent view", |c| c.parent_view -= 1),
        ("payload", |c| c.payload.0[0] ^= 1),
        ("one signer less", |c| c.signers[0] &= 0b1110),
        ("another signer", |c| c.signers[0] = 0b1101),
        ("a flipped signature bit", |c| c.signature[20] ^= 4),
    ];
    let keys = keys(4, 0, 0).expect("matching keys");
    let good = from_engine(&finalization(4, &[0, 1, 2], 300), &keys).expect("well formed");
    for (name, edit) in edits {
        let mut bad = good.clone();
        edit(&mut bad);
        assert!(verdict(&bad, 4).is_err(), "{name} passes the checker");
        let engine = to_engine(&bad, &keys)
            .is_some_and(|found| found.verify(&mut sys_rng(), &keys.scheme, &Sequential));
        assert!(!engine, "{name} passes the engine");
    }
}

#[test]
fn another_cluster_does_not_accept_a_certificate() {
    let keys = keys(1, 0, 0).expect("matching keys");
    let good = from_engine(&finalization(1, &[0], 5), &keys).expect("well formed");
    let mut other = genesis(1);
    other.name.push('!');
    let namespace = vote_namespace(other.hash());
    let rejected = Err(CertificateError::Rejected);
    assert_eq!(check(&good, &set(1), &namespace), rejected);
}

#[test]
fn proofs_of_possession_are_the_engines() {
    let private = Bytes::copy_from_slice(secret(0).to_bytes().as_ref());
    let private = Private::decode(private).expect("a scalar");
    let proof = ops::sign_proof_of_possession::<MinSig>(&private, POSSESSION_NAMESPACE).encode();
    assert_eq!(proof.as_ref(), secret(0).prove_possession());
    let proof = proof.as_ref().try_into().expect("48 bytes");
    assert!(check_possession(&secret(0).public_key(), &proof));
    assert!(!check_possession(&secret(1).public_key(), &proof));
}

#[test]
fn a_secret_of_another_validator_is_refused() {
    for (me, secret_of, ok) in [(0, 0, true), (3, 3, true), (0, 1, false), (2, 0, false)] {
        let found = keys(4, me, secret_of).map(|_| ());
        let number = validator_number(me);
        let expected = if ok {
            Ok(())
        } else {
            Err(OrderError::SecretMismatch { number })
        };
        assert_eq!(found, expected, "validator {me} with secret {secret_of}");
    }
}
