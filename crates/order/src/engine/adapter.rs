//! The engine's four questions, put to the stage: propose, verify, certify, report.
use std::sync::Arc;

use clearway_types::units::Digest;
use commonware_actor::Feedback;
use commonware_consensus::simplex::Plan;
use commonware_consensus::simplex::types::{Activity, Context};
use commonware_consensus::types::Round;
use commonware_consensus::{Automaton, CertifiableAutomaton, Relay, Reporter};
use commonware_cryptography::ed25519::PublicKey;
use commonware_cryptography::sha256;
use commonware_utils::channel::oneshot;

use super::certificate::from_engine;
use super::scheme::{Keys, Scheme};
use crate::handle::{Judge, OrderHandle, ProposalAnswer};
use crate::room::JournalRoom;

/// One clone a task of the engine; all of them reach the same stage.
#[derive(Clone)]
pub(super) struct Adapter {
    pub(super) handle: OrderHandle,
    pub(super) keys: Keys,
    pub(super) room: Arc<dyn JournalRoom>,
}

/// The engine's end of a proposal request.
struct Answer(oneshot::Sender<sha256::Digest>);

impl ProposalAnswer for Answer {
    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn send(self: Box<Self>, digest: Digest) {
        // The engine may give up the view at any moment; the manifest is then proposed again.
        let _ = self.0.send(sha256::Digest(digest.0));
    }
}

impl Automaton for Adapter {
    type Context = Context<sha256::Digest, PublicKey>;
    type Digest = sha256::Digest;

    async fn propose(&mut self, context: Self::Context) -> oneshot::Receiver<sha256::Digest> {
        let (answer, receiver) = oneshot::channel();
        if !self.room.has_room() {
            self.handle.pause();
        }
        let parent = Digest(context.parent.1.0);
        self.handle.ask_proposal(parent, Box::new(Answer(answer)));
        receiver
    }

    async fn verify(
        &mut self,
        context: Self::Context,
        payload: sha256::Digest,
    ) -> oneshot::Receiver<bool> {
        let leader = self.keys.number_of(&context.leader);
        let leader = leader.expect("the engine elects leaders from the keys it was given");
        self.handle.ask_verify(Judge {
            leader,
            parent: Digest(context.parent.1.0),
            digest: Digest(payload.0),
        })
    }
}

impl CertifiableAutomaton for Adapter {
    async fn certify(&mut self, _: Round, payload: sha256::Digest) -> oneshot::Receiver<bool> {
        self.handle.ask_certify(Digest(payload.0))
    }
}

impl Relay for Adapter {
    type Digest = sha256::Digest;
    type PublicKey = PublicKey;
    type Plan = Plan<PublicKey>;

    /// Nobody to send a manifest to in a cluster of one.
    fn broadcast(&mut self, _: sha256::Digest, _: Plan<PublicKey>) -> Feedback {
        Feedback::Ok
    }
}

impl Reporter for Adapter {
    type Activity = Activity<Scheme, sha256::Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        match activity {
            Activity::Finalization(finalization) => {
                let certificate = from_engine(&finalization, &self.keys);
                self.handle
                    .on_final(certificate.expect("the engine reports verified certificates"));
            }
            Activity::Nullification(_) => self.handle.metrics().nullifications.add(1),
            Activity::ConflictingNotarize(_)
            | Activity::ConflictingFinalize(_)
            | Activity::NullifyFinalize(_) => self.handle.metrics().faults.add(1),
            Activity::Notarize(_)
            | Activity::Notarization(_)
            | Activity::Certification(_)
            | Activity::Nullify(_)
            | Activity::Finalize(_) => {}
        }
        Feedback::Ok
    }
}
