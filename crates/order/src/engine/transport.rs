//! The transport of a cluster of one: nobody to send to, nothing ever arrives.
//!
//! The engine asks for three channels (votes, certificates, certificate requests). A single
//! validator's own votes reach its batcher inside the engine, so all three may be silent.
use commonware_actor::{Feedback, Unreliable};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{
    BlockedSubscription, Blocker, CheckedSender, LimitedSender, Message, Receiver, Recipients,
};
use commonware_runtime::IoBufs;
use commonware_utils::{channel::ring, ordered::Set};
use parking_lot::Mutex;
use std::{convert::Infallible, future::pending, num::NonZeroUsize, sync::Arc, time::SystemTime};

/// Takes every message and drops it: there is no other validator.
#[derive(Clone, Debug)]
pub(crate) struct NullSender;

/// The engine's proof that recipients were checked: there are none.
pub(crate) struct NullChecked;

impl LimitedSender for NullSender {
    type PublicKey = PublicKey;
    type Checked<'a> = NullChecked;

    fn check(&mut self, _recipients: Recipients<PublicKey>) -> Result<NullChecked, SystemTime> {
        Ok(NullChecked)
    }
}

impl CheckedSender for NullChecked {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        Vec::new()
    }

    fn send(self, _message: impl Into<IoBufs> + Send, _priority: bool) -> Unreliable<Feedback> {
        Unreliable::new(Feedback::Ok)
    }
}

/// Never yields a message and never closes: the engine stops when a channel closes.
#[derive(Debug)]
pub(crate) struct NullReceiver;

impl Receiver for NullReceiver {
    type Error = Infallible;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, Infallible> {
        pending().await
    }

    fn capacity(&self) -> NonZeroUsize {
        NonZeroUsize::MIN
    }
}

/// Answers block requests for peers that do not exist. It keeps the sending half of each
/// subscription, because a closed one would look like a network that went away.
#[derive(Clone, Default)]
pub(crate) struct NullBlocker {
    subscriptions: Arc<Mutex<Vec<ring::Sender<Set<PublicKey>>>>>,
}

impl Blocker for NullBlocker {
    type PublicKey = PublicKey;

    fn block(&mut self, peer: PublicKey) -> Feedback {
        tracing::warn!(
            ?peer,
            "the engine asked to block a peer that a cluster of one cannot have"
        );
        Feedback::Ok
    }

    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        let (sender, receiver) = ring::channel(NonZeroUsize::MIN);
        self.subscriptions.lock().push(sender);
        receiver
    }
}
