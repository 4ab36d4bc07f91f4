//! A small history made by hand, honest or forged: what a validator with a bad will could store.

use std::sync::Arc;

use blst::min_sig::SecretKey;
use bytes::Bytes;
use clearway_crypto::certificate::{SIGNATURE_DST, finalize_message, vote_namespace};
use clearway_crypto::keys::SigningKey;
use clearway_crypto::validators::{ValidatorSecret, genesis_epoch};
use clearway_crypto::{hash, merkle};
use clearway_execute::Ledger;
use clearway_store::testing::MemoryIo;
use clearway_store::{Reader, RecordKind, Store, StoreOptions};
use clearway_types::account::Role;
use clearway_types::batch::{Batch, BatchHeader, LaneId};
use clearway_types::certificate::Certificate;
use clearway_types::domain::DomainTag;
use clearway_types::envelope::{Envelope, VERSION, envelopes};
use clearway_types::final_record::FinalRecord;
use clearway_types::genesis::{
    Genesis, GenesisAccount, GenesisLedger, GenesisParticipant, GenesisValidator, HexBytes, Rules,
};
use clearway_types::kind::Kind;
use clearway_types::manifest::{BatchRef, EpochId, Manifest};
use clearway_types::messages::{ExecutedBlock, OrderedBlock};
use clearway_types::transfer::Transfer;
use clearway_types::units::{
    AccountId, Digest, Height, LedgerId, ParticipantId, TimeMs, TransferId, ValidatorNumber,
};
use zerocopy::{FromZeros, IntoBytes};

/// Blocks of the history: the last but four has a state root.
pub(crate) const BLOCK_COUNT: u64 = 36;
/// Payments a block.
pub(crate) const PAYMENTS: u64 = 5;
/// Block that takes the hold in.
pub(crate) const HOLD_HEIGHT: u64 = 3;
/// Block before whose envelopes the hold ends: its time-out is two seconds, a block takes one.
pub(crate) const EXPIRE_HEIGHT: u64 = HOLD_HEIGHT + 2;
/// Block that repeats the first payment of the one before it.
pub(crate) const REPEAT_HEIGHT: u64 = 7;
const LEDGER: LedgerId = LedgerId(978);
const START: TimeMs = TimeMs(1_700_000_000_000);

/// What a forger may change while the chain is built; each hook sees every block.
#[derive(Default)]
pub(crate) struct Forge {
    /// Envelopes before they are sealed; signatures are the honest ones.
    pub(crate) envelopes: Option<fn(u64, &mut Vec<Envelope>)>,
    /// The batch's head before its digest is computed.
    pub(crate) header: Option<fn(u64, &mut BatchHeader)>,
    /// The batch's head after its digest was computed.
    pub(crate) header_after: Option<fn(u64, &mut BatchHeader)>,
    /// The manifest before its digest is computed.
    pub(crate) manifest: Option<fn(u64, &mut Manifest)>,
    /// The digest under which manifest and results are stored.
    pub(crate) manifest_digest: Option<fn(u64, &mut Digest)>,
    /// The results; receipts root and execution head are not computed from them again.
    pub(crate) results: Option<fn(u64, &mut ExecutedBlock)>,
    /// Whether execution heads follow from the forged roots.
    pub(crate) chain_heads: bool,
    /// The certificate.
    pub(crate) certificate: Option<fn(u64, &mut Option<Certificate>)>,
}

/// The keys of the cluster.
pub(crate) struct Cluster {
    pub(crate) genesis: Genesis,
    member: SigningKey,
    validator: ValidatorSecret,
}

fn account(number: u32) -> AccountId {
    AccountId::new(ParticipantId(2), number)
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let operator = SigningKey::from_seed(&[1; 32]);
        let member = SigningKey::from_seed(&[2; 32]);
        let validator = ValidatorSecret::from_bytes(&[3; 32]).expect("below the group's order");
        let participant = |id, role, key: &SigningKey| GenesisParticipant {
            id: ParticipantId(id),
            role,
            sponsor: ParticipantId(0),
            lei: String::new(),
            bic: String::new(),
            public_key: HexBytes(key.public_key()),
        };
        let genesis = Genesis {
            name: "replay".into(),
            time: START,
            rules: Rules::default(),
            validators: vec![GenesisValidator::new(
                ValidatorNumber(1),
                "v".into(),
                "127.0.0.1:1".into(),
                operator.public_key(),
                validator.public_key(),
                validator.prove_possession(),
            )],
            participants: vec![
                participant(1, Role::Operator, &operator),
                participant(2, Role::Member, &member),
            ],
            ledgers: vec![GenesisLedger {
                id: LEDGER,
                code: "EUR".into(),
                exponent: 2,
                issuer: ParticipantId(1),
                issuer_account: AccountId::new(ParticipantId(1), 1),
            }],
            accounts: [(1, 1000), (2, 0)]
                .map(|(number, balance)| GenesisAccount {
                    id: account(number),
                    ledger: LEDGER,
                    balance,
                    credit_line: 0,
                })
                .to_vec(),
        };
        Self {
            genesis,
            member,
            validator,
        }
    }

    /// A reader of the history that this forger stores.
    pub(crate) fn store(&self, forge: &Forge) -> Reader {
        let hash = self.genesis.hash();
        let options = StoreOptions {
            segment_bytes: 1 << 20,
            ..StoreOptions::new("log", hash.0)
        };
        let io = Arc::new(MemoryIo::new());
        let (mut writer, reader, _) = Store::open(io, options).expect("a new store");
        let mut chain = Chain::new(&self.genesis);
        for height in 1..=BLOCK_COUNT {
            let (slab, header, digest) = self.batch(height, &mut chain, forge);
            let mut manifest = chain.manifest(height, &header, digest);
            let executed = chain.execute(&manifest, &header, digest, &slab, forge);
            if let Some(change) = forge.manifest {
                change(height, &mut manifest);
            }
            let bytes = manifest.encode();
            let mut manifest_digest = hash::manifest_digest(&bytes);
            if let Some(change) = forge.manifest_digest {
                change(height, &mut manifest_digest);
            }
            let mut record = FinalRecord::of(&executed);
            record.manifest = manifest_digest;
            record.certificate = Some(self.certify(height, manifest_digest));
            if let Some(change) = forge.certificate {
                change(height, &mut record.certificate);
            }
            chain.parent = manifest_digest;
            let batch = [&header.to_bytes()[..], &slab];
            let mut put = |kind, digest: Digest, parts: &[&[u8]]| {
                writer
                    .append(kind, digest.0, parts)
                    .expect("memory takes it");
            };
            put(RecordKind::Batch, digest, &batch);
            put(RecordKind::Manifest, manifest_digest, &[&bytes]);
            put(RecordKind::Final, manifest_digest, &[&record.encode()]);
            writer.commit().expect("memory takes it");
        }
        reader
    }

    fn batch(&self, height: u64, chain: &mut Chain, forge: &Forge) -> (Bytes, BatchHeader, Digest) {
        let mut list = self.envelopes(height);
        if let Some(change) = forge.envelopes {
            change(height, &mut list);
        }
        let slab = Bytes::copy_from_slice(list.as_bytes());
        let digests = hash::envelope_digests_all(&slab);
        let leaves: Vec<Digest> = digests.iter().map(|digest| digest.leaf).collect();
        let mut header = BatchHeader {
            lane: LaneId::first(ValidatorNumber(1)),
            count: u32::try_from(list.len()).expect("a few"),
            index: height,
            previous: chain.lane,
            directory_height: Height(0),
            time: TimeMs(START.0 + height),
            envelopes_root: merkle::root(&leaves),
        };
        if let Some(change) = forge.header {
            change(height, &mut header);
        }
        let digest = hash::batch_digest(&header);
        if let Some(change) = forge.header_after {
            change(height, &mut header);
        }
        chain.lane = digest;
        (slab, header, digest)
    }

    /// Payments of one minor unit each, and a hold and a repetition at their heights.
    fn envelopes(&self, height: u64) -> Vec<Envelope> {
        let mut list: Vec<Envelope> = (0..PAYMENTS)
            .map(|n| self.payment(height, n, None))
            .collect();
        if height == HOLD_HEIGHT {
            list.push(self.payment(height, PAYMENTS, Some(2)));
        }
        if height == REPEAT_HEIGHT {
            list.push(self.payment(height - 1, 0, None));
        }
        list
    }

    fn payment(&self, height: u64, number: u64, hold_s: Option<u32>) -> Envelope {
        let mut body = Transfer::new_zeroed();
        body.id = TransferId::new(START, height * 100 + number, 0);
        body.debit = account(1).0.into();
        body.credit = account(2).0.into();
        // The last payment of each block asks for more than there is.
        body.amount = if number + 1 == PAYMENTS { 5000 } else { 1 }.into();
        body.timeout_s = hold_s.unwrap_or(0).into();
        body.signer = 2.into();
        body.expires_at = (time(height).seconds().0 + 30).into();
        body.ledger = LEDGER.0.into();
        body.kind = if hold_s.is_some() {
            Kind::Hold
        } else {
            Kind::Transfer
        } as u8;
        body.version = VERSION;
        let tag = DomainTag::new(self.genesis.hash());
        self.member.sign_envelope(tag, *body.as_body())
    }

    /// The one validator's certificate, signed with blst alone.
    pub(crate) fn certify(&self, view: u64, payload: Digest) -> Certificate {
        let namespace = vote_namespace(self.genesis.hash());
        let message = finalize_message(&namespace, 0, view, view - 1, payload);
        let secret = SecretKey::from_bytes(self.validator.to_bytes().as_ref());
        let secret = secret.expect("the validator's own secret");
        Certificate {
            epoch: 0,
            view,
            parent_view: view - 1,
            payload,
            validator_count: 1,
            signers: vec![1],
            signature: secret.sign(&message, SIGNATURE_DST, &[]).compress(),
        }
    }
}

fn time(height: u64) -> TimeMs {
    TimeMs(START.0 + height * 1000)
}

/// What the next block continues.
struct Chain {
    ledger: Ledger,
    epoch: EpochId,
    parent: Digest,
    lane: Digest,
    /// The execution head that is stored, which a forger may have bent.
    head: Digest,
}

impl Chain {
    fn new(genesis: &Genesis) -> Self {
        Self {
            ledger: Ledger::from_genesis(genesis).expect("the genesis is right"),
            epoch: genesis_epoch(genesis),
            parent: genesis.hash(),
            lane: Digest::ZERO,
            head: genesis.hash(),
        }
    }

    fn manifest(&self, height: u64, header: &BatchHeader, digest: Digest) -> Manifest {
        Manifest {
            epoch: self.epoch,
            height: Height(height),
            parent: self.parent,
            time: time(height),
            leader: ValidatorNumber(1),
            state_height: Height(height - 1),
            exec_head: self.head,
            batches: vec![BatchRef {
                lane: header.lane,
                count: header.count,
                index: header.index,
                digest,
            }],
        }
    }

    fn execute(
        &mut self,
        manifest: &Manifest,
        header: &BatchHeader,
        digest: Digest,
        slab: &Bytes,
        forge: &Forge,
    ) -> ExecutedBlock {
        let height = manifest.height;
        let batch = Batch {
            header: *header,
            digest,
            slabs: vec![slab.clone()],
            hints: Vec::new(),
            digests: hash::envelope_digests_all(slab),
            origins: Vec::new(),
        };
        assert_eq!(envelopes(slab).len(), batch.digests.len());
        let mut executed = self.ledger.execute(OrderedBlock {
            manifest: Arc::new(manifest.clone()),
            digest: Digest::ZERO,
            batches: vec![Arc::new(batch)],
            certificate: None,
        });
        if let Some(change) = forge.results {
            change(height.0, &mut executed);
        }
        if forge.chain_heads {
            let (receipts, state) = (&executed.receipts_root, executed.state_root.as_ref());
            executed.exec_head = hash::exec_head(&self.head, height, receipts, state);
        }
        self.head = executed.exec_head;
        executed
    }
}
