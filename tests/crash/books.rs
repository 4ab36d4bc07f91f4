//! What a member was told, envelope by envelope.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clearway_client::Answer;
use clearway_types::envelope::Envelope;
use clearway_types::wire::query::Lookup;

/// Shared between the thread that pays and the one that asks again.
#[derive(Clone, Default)]
pub(crate) struct Books(Arc<Mutex<Vec<Answered>>>);

/// An envelope and its answer.
#[derive(Clone, Copy)]
pub(crate) struct Answered {
    pub(crate) envelope: Envelope,
    pub(crate) answer: Answer,
}

impl Answered {
    pub(crate) fn name(&self) -> Lookup {
        Lookup::of(&self.envelope)
    }
}

impl Books {
    pub(crate) fn note(&self, answers: impl Iterator<Item = (Envelope, Answer)>) {
        let answers = answers.map(|(envelope, answer)| Answered { envelope, answer });
        self.answered().extend(answers);
    }

    /// Everything so far, in the order of the answers.
    pub(crate) fn answered(&self) -> MutexGuard<'_, Vec<Answered>> {
        // Answers are added as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
