//! The stage: frames of one source in, verified envelopes and refusals out.

use std::sync::Arc;
use std::time::Instant;

use clearway_crypto::backend::{Backend, Item, Work};
use clearway_crypto::gate::{BackendId, Gate, Verdicts};
use clearway_crypto::hash::envelope_digests_all;
use clearway_flow::{InFlight, Joined, Latest};
use clearway_types::batch::EnvelopeDigests;
use clearway_types::code::ResultCode;
use clearway_types::directory::KeyDirectory;
use clearway_types::domain::DomainTag;
use clearway_types::envelope::envelopes;
use clearway_types::limits::STREAM_ENVELOPES_MAX;
use clearway_types::messages::{FrameBatch, Origin, OriginRun, Refusals, SourceId, VerifiedBatch};
use clearway_types::units::{Height, TimeMs};

use crate::check::Checked;
use crate::choice::{Choice, Taken};
use crate::config::VerifyConfig;
use crate::error::VerifyError;
use crate::metrics::VerifyMetrics;
use crate::output::{Passed, Refused};
use crate::scheduler::Scheduler;
use crate::sources::{Sources, Trust};
use crate::triage::{Fate, Triage, lone};

/// Verification; each worker thread has a clone, and the clones share everything.
#[derive(Clone, Debug)]
pub struct VerifyStage {
    gate: Arc<Gate>,
    choice: Choice,
    tag: DomainTag,
    directory: Arc<Latest<KeyDirectory>>,
    in_flight: Arc<InFlight>,
    sources: Arc<Sources>,
    scheduler: Scheduler,
    metrics: Arc<VerifyMetrics>,
}

/// What became of one frame. Each of its envelopes is in exactly one place: verified, refused, or
/// waiting in the in-flight table for the answer to the same bytes.
#[derive(Debug, Default)]
pub struct Verdict {
    /// `verify_order`: those that pass, in order; `None` when none does.
    pub verified: Option<VerifiedBatch>,
    /// `verify_ingest`: those that do not, for this frame's stream and for every stream that waits
    /// for one of these envelopes.
    pub refusals: Vec<Refusals>,
}

impl VerifyStage {
    /// A stage for the cluster with this tag.
    ///
    /// # Errors
    /// A setting out of its range, or a backend that this machine does not have.
    pub fn new(
        config: &VerifyConfig,
        gate: Arc<Gate>,
        tag: DomainTag,
        directory: Arc<Latest<KeyDirectory>>,
        in_flight: Arc<InFlight>,
    ) -> Result<Self, VerifyError> {
        config.check()?;
        let named = config.backend.as_ref().map(|name| gate.find(name));
        let choice = Choice::new(&gate, named.transpose()?);
        Ok(Self {
            gate,
            choice,
            tag,
            directory,
            in_flight,
            sources: Arc::default(),
            scheduler: Scheduler::new(config),
            metrics: Arc::default(),
        })
    }

    /// The counters, shared by all clones.
    #[must_use]
    pub fn metrics(&self) -> &Arc<VerifyMetrics> {
        &self.metrics
    }

    /// The backend in use; a device where groups are shared out between it and its fallback.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn Backend> {
        self.gate.backend(self.choice.face())
    }

    /// The rule by which workers take frames.
    #[must_use]
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Verifies one frame.
    #[must_use]
    pub fn on_batch(&self, frame: &FrameBatch, now: TimeMs) -> Verdict {
        let mut verdicts = self.on_pool(&[std::slice::from_ref(frame)], now);
        verdicts.pop().expect("a verdict per frame")
    }

    /// Verifies frames of any sources: clean ones share an equation, others have their own. The
    /// verdicts of a source come in the order of its frames.
    #[must_use]
    pub fn on_batches(&self, frames: Vec<FrameBatch>, now: TimeMs) -> Vec<Verdict> {
        let groups = self.scheduler.groups(frames);
        let is_clean = |source| self.sources.trust(source, now) == Trust::Full;
        let pools = self.scheduler.pools(groups, is_clean).into_iter();
        pools
            .flat_map(|pool| {
                let groups: Vec<&[FrameBatch]> = pool.iter().map(Vec::as_slice).collect();
                self.on_pool(&groups, now)
            })
            .collect()
    }

    /// Verifies groups of frames, each of one source; a verdict per frame, in order.
    fn on_pool(&self, groups: &[&[FrameBatch]], now: TimeMs) -> Vec<Verdict> {
        let directory = self.directory.load();
        let mut items = Vec::new();
        let mut open = Vec::with_capacity(groups.len());
        for group in groups {
            let first_item = items.len();
            let frames: Vec<OpenFrame<'_>> = group
                .iter()
                .map(|frame| self.open(frame, &directory, now, first_item, &mut items))
                .collect();
            self.metrics.frames.add_count(frames.len());
            open.push((group[0].source, first_item..items.len(), frames));
        }
        let pool = match groups {
            [_] => None,
            _ => self.check_pool(&items),
        };
        let mut verdicts = Vec::new();
        for (source, range, mut frames) in open {
            let checked = match &pool {
                Some(pool) => {
                    let checked = Checked::of_pool(pool, range);
                    self.note(source, self.choice.face(), &checked, now);
                    checked
                }
                None => self.check(source, &items[range], now),
            };
            let close = |frame| self.close(frame, &checked, directory.height);
            verdicts.extend(frames.iter_mut().map(close));
        }
        verdicts
    }

    /// Triage, hashes, and the in-flight table; what is left to check goes into `items`, in which
    /// those of the frame's group begin at `first_of_group`.
    fn open<'a>(
        &'a self,
        frame: &'a FrameBatch,
        directory: &'a KeyDirectory,
        now: TimeMs,
        first_of_group: usize,
        items: &mut Vec<Item<'a>>,
    ) -> OpenFrame<'a> {
        let envelopes = envelopes(&frame.slab);
        assert!(
            envelopes.len() <= STREAM_ENVELOPES_MAX,
            "frames fit a stream"
        );
        let mut triage = Triage::new(envelopes, directory, now);
        let mut candidates = Vec::with_capacity(envelopes.len());
        let mut digests = Vec::with_capacity(envelopes.len());
        items.reserve(envelopes.len());
        let first_item = items.len() - first_of_group;
        // All of them, two side by side: wasted on the few that triage has refused.
        let all = envelopes.iter().zip(envelope_digests_all(&frame.slab));
        for (index, (envelope, hashes)) in all.enumerate() {
            let Fate::Open(key) = triage.fates[index] else {
                continue;
            };
            // A chain's members are not joined: two chains may share some, and none may lose one.
            if lone(&envelope.body)
                && self.in_flight.join(hashes.leaf, origin(frame, index)) == Joined::Again
            {
                triage.fates[index] = Fate::Joined;
                continue;
            }
            candidates.push(index);
            digests.push(hashes);
            items.push(Item {
                hint: frame.hint(index),
                ..Item::envelope(&self.tag, key, envelope)
            });
        }
        OpenFrame {
            frame,
            triage,
            candidates,
            digests,
            first_item,
        }
    }

    /// The verdicts on the signatures of several sources together; `None` when one of them is
    /// invalid and each source's have to be checked apart.
    fn check_pool<'i, 'a>(&self, items: &'i [Item<'a>]) -> Option<Verdicts<'i, 'a>> {
        let taken = self.choice.take(items.len());
        let since = Instant::now();
        let verdicts = self.gate.verify_pool(taken.backend(), items);
        self.metrics.group.record(since.elapsed());
        match verdicts {
            Ok(verdicts) => {
                self.metrics.groups.add(1);
                self.note_work(&taken, items.len(), verdicts.work());
                Some(verdicts)
            }
            Err(work) => {
                self.metrics.pools_failed.add(1);
                self.metrics.note_work(0, work);
                None
            }
        }
    }

    /// The verdicts on a group's signatures, and what they tell about its source.
    fn check<'i, 'a>(
        &self,
        source: SourceId,
        items: &'i [Item<'a>],
        now: TimeMs,
    ) -> Checked<'i, 'a> {
        let trust = self.sources.trust(source, now);
        let taken = self.choice.take(items.len());
        let since = Instant::now();
        let checked = Checked::new(&self.gate, taken.backend(), trust, items);
        self.metrics.group.record(since.elapsed());
        self.metrics.groups.add(1);
        if trust > Trust::Alone {
            self.metrics.groups_cautious.add(1);
        }
        self.note_work(&taken, items.len(), checked.work());
        self.note(source, taken.backend(), &checked, now);
        checked
    }

    /// Counts what verdicts on `count` signatures cost on the backend that was taken.
    fn note_work(&self, taken: &Taken<'_>, count: usize, mut work: Work) {
        if taken.backend() != self.choice.face() {
            work.fallback = count;
        }
        self.metrics.note_work(count, work);
    }

    /// Remembers a source that sent invalid signatures.
    fn note(&self, source: SourceId, backend: BackendId, checked: &Checked<'_, '_>, now: TimeMs) {
        let (count, invalid) = (checked.count(), checked.invalid_count());
        let searched = self.gate.backend(backend).search_pays_from();
        self.sources.note(source, count, invalid, searched, now);
    }

    /// Sorts a frame's envelopes into those that pass and those that are answered.
    fn close(
        &self,
        open: &mut OpenFrame<'_>,
        checked: &Checked<'_, '_>,
        directory_height: Height,
    ) -> Verdict {
        let refusals = self.refuse(open, checked).into_messages();
        let passing = open.count(|fate| matches!(fate, Fate::Open(_)));
        let joined = open.count(|fate| matches!(fate, Fate::Joined));
        self.metrics.envelopes_in.add_count(open.triage.fates.len());
        self.metrics.passed.add_count(passing);
        self.metrics.joined.add_count(joined);
        if passing == 0 {
            return Verdict {
                verified: None,
                refusals,
            };
        }
        let frame = open.frame;
        let verified = if passing == open.triage.fates.len() {
            self.metrics.slabs_untouched.add(1);
            VerifiedBatch {
                origins: vec![open.whole_run()],
                slab: frame.slab.clone(),
                hints: frame.hints.clone(),
                digests: std::mem::take(&mut open.digests),
                directory_height,
            }
        } else {
            let passed = open.passed(checked, passing);
            passed.into_batch(directory_height)
        };
        Verdict {
            verified: Some(verified),
            refusals,
        }
    }

    /// Marks invalid signatures and the rest of their chains as refused, and gathers all refusals.
    ///
    /// A refused envelope's flight ends here, so the places that wait for it are answered here too.
    fn refuse(&self, open: &mut OpenFrame<'_>, checked: &Checked<'_, '_>) -> Refused {
        let mut refused = Refused::default();
        if !checked.all_valid() {
            for (item, &index) in open.candidates.iter().enumerate() {
                if !checked.is_valid(open.first_item + item) {
                    open.triage.fates[index] = Fate::Refused(ResultCode::BadSignature);
                    for origin in self.in_flight.finish(open.digests[item].leaf) {
                        refused.push(origin, ResultCode::BadSignature);
                    }
                }
            }
            open.triage.spread_refusals();
        }
        for (index, fate) in open.triage.fates.iter().enumerate() {
            if let Fate::Refused(code) = *fate {
                self.metrics.note_refused(code);
                refused.push(origin(open.frame, index), code);
            }
        }
        refused
    }
}

/// A frame between triage and its verdict.
#[derive(Debug)]
struct OpenFrame<'a> {
    frame: &'a FrameBatch,
    triage: Triage<'a>,
    /// Indexes of the envelopes whose signatures are checked, ascending.
    candidates: Vec<usize>,
    /// Hashes of the candidates.
    digests: Vec<EnvelopeDigests>,
    /// Where the candidates begin among the items of its group.
    first_item: usize,
}

impl OpenFrame<'_> {
    fn count(&self, test: impl Fn(&Fate<'_>) -> bool) -> usize {
        self.triage.fates.iter().filter(|fate| test(fate)).count()
    }

    /// All places of the frame.
    fn whole_run(&self) -> OriginRun {
        OriginRun {
            stream: self.frame.stream,
            first_index: self.frame.first_index,
            count: index_u32(self.triage.fates.len()),
        }
    }

    /// Copies the envelopes that pass into a slab of their own.
    fn passed(&self, checked: &Checked<'_, '_>, len: usize) -> Passed {
        let mut passed = Passed::new(self.frame, len);
        for (item, &index) in self.candidates.iter().enumerate() {
            if matches!(self.triage.fates[index], Fate::Open(_))
                && let Some(verified) = checked.verified(self.first_item + item)
            {
                passed.push(index_u32(index), &verified, self.digests[item]);
            }
        }
        assert_eq!(passed.digests.len(), len, "every open envelope is verified");
        passed
    }
}

fn origin(frame: &FrameBatch, index: usize) -> Origin {
    Origin {
        stream: frame.stream,
        index: frame.first_index + index_u32(index),
    }
}

fn index_u32(index: usize) -> u32 {
    u32::try_from(index).expect("a frame fits a stream")
}

#[cfg(test)]
#[path = "stage_tests.rs"]
mod tests;
