//! The rules of a manifest, checked before this validator votes for it.
use std::collections::BTreeMap;
use std::time::Duration;

use clearway_types::envelope::ENVELOPE_BYTES;
use clearway_types::limits::{
    BLOCK_BYTES_MAX, CLOCK_AHEAD_MS_MAX, EXEC_LAG_MAX, KEY_LAG_MAX, LANE_STEP_MAX,
};
use clearway_types::manifest::{EpochId, Manifest};
use clearway_types::messages::ExecHead;
use clearway_types::units::{Digest, Height, ValidatorNumber};

use crate::batches::Batches;
use crate::chain::{Head, Lanes, tip_of};
use crate::now::Now;
use crate::recovery::LaneTip;

/// Answer to "may this validator vote for it?". A wait is never turned into a refusal: consensus
/// asks once and takes a refusal as final.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VoteDecision {
    /// Every rule holds.
    Accept,
    /// It is wrong for ever, for this reason.
    Refuse(&'static str),
    /// Something is missing here: data, an execution, or time to pass.
    Wait {
        /// Uptime at which asking again makes sense by itself.
        until: Option<Duration>,
    },
}

const WAIT: VoteDecision = VoteDecision::Wait { until: None };

/// Execution heads computed here, newest last; as many as a manifest may look back.
#[derive(Default)]
pub(crate) struct Heads(BTreeMap<Height, Digest>);

impl Heads {
    pub(crate) fn insert(&mut self, head: ExecHead) {
        self.0.insert(head.height, head.head);
        while self.0.len() as u64 > 2 * EXEC_LAG_MAX {
            self.0.pop_first();
        }
    }

    /// Last executed height and its head.
    pub(crate) fn newest(&self) -> ExecHead {
        let (height, head) = self
            .0
            .last_key_value()
            .expect("height 0 is there from the start");
        ExecHead {
            height: *height,
            head: *head,
        }
    }

    pub(crate) fn at(&self, height: Height) -> Option<Digest> {
        self.0.get(&height).copied()
    }
}

/// Validators in the order in which a block of `height` takes their lanes: the first one rotates.
pub(crate) fn lane_order(
    height: Height,
    validators: &[ValidatorNumber],
) -> impl Iterator<Item = ValidatorNumber> + '_ {
    let first = usize::try_from(height.0 % validators.len() as u64).expect("below a length");
    let (last, rest) = validators.split_at(first);
    rest.iter().chain(last).copied()
}

/// What a manifest is held against.
pub(crate) struct Context<'a> {
    pub(crate) epoch: EpochId,
    pub(crate) validators: &'a [ValidatorNumber],
    pub(crate) leader: ValidatorNumber,
    pub(crate) parent_digest: Digest,
    pub(crate) parent: Head,
    pub(crate) lanes: Lanes,
    pub(crate) batches: &'a Batches,
    pub(crate) heads: &'a Heads,
}

/// Checks `manifest`; cheap and final reasons first, waits last.
pub(crate) fn check(manifest: &Manifest, context: &Context<'_>, now: Now) -> VoteDecision {
    if let Err(reason) = check_place(manifest, context) {
        return VoteDecision::Refuse(reason);
    }
    match check_batches(manifest, context) {
        VoteDecision::Accept => {}
        other => return other,
    }
    match check_result(manifest, context.heads) {
        VoteDecision::Accept => check_time(manifest, now),
        other => other,
    }
}

fn check_place(manifest: &Manifest, context: &Context<'_>) -> Result<(), &'static str> {
    let parent = &context.parent;
    let lag = manifest.height.0.saturating_sub(manifest.state_height.0);
    let rules = [
        (
            manifest.epoch.number == context.epoch.number,
            "epoch is not the cluster's",
        ),
        (
            manifest.epoch.validators == context.epoch.validators,
            "validator set is not the epoch's",
        ),
        (
            manifest.leader == context.leader,
            "leader is not the view's",
        ),
        (
            manifest.parent == context.parent_digest,
            "parent is not the view's",
        ),
        (
            manifest.height == parent.height.next(),
            "height does not follow the parent's",
        ),
        (
            manifest.time >= parent.time,
            "time lies before the parent's",
        ),
        (
            manifest.state_height >= parent.state_height,
            "state height falls",
        ),
        (
            manifest.state_height <= parent.height,
            "state height is not below its own",
        ),
        (lag <= EXEC_LAG_MAX, "state height lags too far"),
    ];
    rules
        .iter()
        .find(|(holds, _)| !holds)
        .map_or(Ok(()), |(_, reason)| Err(*reason))
}

/// Batches extend the lanes' tips, lane by lane in rotating order, within the block's bounds.
fn check_batches(manifest: &Manifest, context: &Context<'_>) -> VoteDecision {
    if manifest.envelope_count() > BLOCK_BYTES_MAX / ENVELOPE_BYTES {
        return VoteDecision::Refuse("block is too large");
    }
    let mut rest = manifest.batches.as_slice();
    let mut missing = false;
    for owner in lane_order(manifest.height, context.validators) {
        let own = rest.iter().take_while(|batch| batch.lane.owner == owner);
        let len = own.count();
        if len > LANE_STEP_MAX {
            return VoteDecision::Refuse("too many batches of one validator");
        }
        let (own, others) = rest.split_at(len);
        rest = others;
        let mut tip = tip_of(&context.lanes, owner);
        for named in own {
            let Some((index, previous)) = tip.next(named.lane.incarnation) else {
                return VoteDecision::Refuse("batch is of a lane that has ended");
            };
            if named.index != index {
                return VoteDecision::Refuse("batch does not follow its lane's tip");
            }
            match context.batches.batch(named.digest) {
                None => missing = true,
                Some(batch) => {
                    let header = &batch.header;
                    let lag = manifest.state_height.0.abs_diff(header.directory_height.0);
                    if header.lane != named.lane || header.index != named.index {
                        return VoteDecision::Refuse("batch stands elsewhere in its lane");
                    }
                    if header.previous != previous || header.count != named.count {
                        return VoteDecision::Refuse("batch is not what the manifest says");
                    }
                    if lag > KEY_LAG_MAX {
                        return VoteDecision::Refuse("batch was verified by too old a directory");
                    }
                }
            }
            tip = LaneTip::of(named);
        }
    }
    match (rest.is_empty(), missing) {
        (false, _) => VoteDecision::Refuse("lanes are out of order or unknown"),
        (true, true) => WAIT,
        (true, false) => VoteDecision::Accept,
    }
}

/// The named result is the one computed here.
fn check_result(manifest: &Manifest, heads: &Heads) -> VoteDecision {
    if manifest.state_height > heads.newest().height {
        return WAIT;
    }
    match heads.at(manifest.state_height) {
        Some(head) if head == manifest.exec_head => VoteDecision::Accept,
        Some(_) => VoteDecision::Refuse("execution head differs from the one computed here"),
        // Older than this node remembers: it cannot judge, and must not refuse for that.
        None => WAIT,
    }
}

fn check_time(manifest: &Manifest, now: Now) -> VoteDecision {
    let ahead_ms = manifest.time.0.saturating_sub(now.time.0);
    match ahead_ms.saturating_sub(CLOCK_AHEAD_MS_MAX) {
        0 => VoteDecision::Accept,
        wait_ms => VoteDecision::Wait {
            until: Some(now.uptime.saturating_add(Duration::from_millis(wait_ms))),
        },
    }
}
