//! Validator keys as the engine wants them: BLS multi-signatures, ordered by connection identity.
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use clearway_types::units::{ValidatorIndex, ValidatorNumber};
use commonware_codec::DecodeExt as _;
use commonware_consensus::simplex::scheme::bls12381_multisig;
use commonware_cryptography::bls12381::primitives::group::Private;
use commonware_cryptography::bls12381::primitives::variant::{MinSig, Variant};
use commonware_cryptography::certificate::Scheme as _;
use commonware_cryptography::ed25519::PublicKey;
use commonware_utils::TryCollect as _;
use commonware_utils::ordered::BiMap;

use crate::config::Validator;
use crate::error::OrderError;

/// How votes are signed: keys in G2, signatures in G1.
pub(crate) type Scheme = bls12381_multisig::Scheme<PublicKey, MinSig>;

/// The engine's scheme, and the two orders of validators: the engine numbers them by identity, the
/// genesis by their numbers.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) scheme: Scheme,
    places: BTreeMap<PublicKey, (ValidatorIndex, ValidatorNumber)>,
}

impl Keys {
    /// Keys of `validators`, voting with `secret` as `me`.
    pub(crate) fn new(
        namespace: &[u8],
        validators: &[Validator],
        me: ValidatorNumber,
        secret: &[u8; 32],
    ) -> Result<Self, OrderError> {
        let (mut places, mut vote_keys) = (BTreeMap::new(), BTreeSet::new());
        let mut pairs = Vec::with_capacity(validators.len());
        for (index, validator) in (0..).zip(validators) {
            let (identity, vote_key) = parse(validator)?;
            if !vote_keys.insert(validator.vote_key) {
                return Err(key_error(validator.number, "bls_public_key"));
            }
            let place = (ValidatorIndex(index), validator.number);
            if places.insert(identity.clone(), place).is_some() {
                return Err(key_error(validator.number, "public_key"));
            }
            pairs.push((identity, vote_key));
        }
        let mut owned = places.iter().filter(|(_, (_, number))| *number == me);
        let own = owned.next().map(|(identity, _)| identity.clone());
        let participants: Result<BiMap<PublicKey, _>, _> = pairs.into_iter().try_collect();
        let participants = participants.expect("no key of either kind stands there twice");
        let mismatch = || OrderError::SecretMismatch { number: me };
        let secret = Private::decode(Bytes::copy_from_slice(secret)).map_err(|_| mismatch())?;
        let scheme = Scheme::signer(namespace, participants, secret).ok_or_else(mismatch)?;
        let signer = scheme.me().and_then(|membership| membership.signer());
        let signer = signer.and_then(|index| scheme.participants().get(usize::from(index)));
        if signer.is_none() || signer != own.as_ref() {
            return Err(mismatch());
        }
        Ok(Self { scheme, places })
    }

    /// The validator that the engine names by its identity.
    pub(crate) fn number_of(&self, identity: &PublicKey) -> Option<ValidatorNumber> {
        self.places.get(identity).map(|(_, number)| *number)
    }

    /// Places in the set, in the engine's order.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = ValidatorIndex> + '_ {
        self.places.values().map(|(index, _)| *index)
    }

    pub(crate) fn validator_count(&self) -> usize {
        self.places.len()
    }
}

fn parse(validator: &Validator) -> Result<(PublicKey, <MinSig as Variant>::Public), OrderError> {
    let identity = PublicKey::decode(Bytes::copy_from_slice(&validator.identity));
    let vote_key = <MinSig as Variant>::Public::decode(Bytes::copy_from_slice(&validator.vote_key));
    Ok((
        identity.map_err(|_| key_error(validator.number, "public_key"))?,
        vote_key.map_err(|_| key_error(validator.number, "bls_public_key"))?,
    ))
}

fn key_error(number: ValidatorNumber, field: &'static str) -> OrderError {
    OrderError::Key { number, field }
}
