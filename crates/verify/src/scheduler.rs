//! How much is verified at once: what waits decides, sources stay apart.

use clearway_types::messages::{FrameBatch, SourceId};

use crate::config::VerifyConfig;

/// The rule by which workers take frames and group them.
///
/// Whatever waits is verified together: frames of a source in one group, groups of clean sources in
/// one equation. Frames of one source are verified and passed on in order
/// as long as one worker takes them: with several workers, give each a link of its own and use
/// [`Scheduler::worker`].
#[derive(Clone, Copy, Debug)]
pub struct Scheduler {
    workers: usize,
    group_len_max: usize,
}

impl Scheduler {
    /// The rule under these settings.
    #[must_use]
    pub fn new(config: &VerifyConfig) -> Self {
        Self {
            workers: config.workers,
            group_len_max: config.group_len_max,
        }
    }

    /// The worker, below `workers`, that verifies what a source sends.
    #[must_use]
    pub fn worker(&self, source: SourceId) -> usize {
        let worker = source.0 % self.workers as u64;
        usize::try_from(worker).expect("below the number of workers")
    }

    /// Cuts frames into groups of one source and at most `group_len_max` envelopes; a longer frame
    /// is a group of its own. Frames of a source stay in order.
    #[must_use]
    pub fn groups(&self, frames: Vec<FrameBatch>) -> Vec<Vec<FrameBatch>> {
        let mut groups: Vec<(usize, Vec<FrameBatch>)> = Vec::new();
        for frame in frames {
            let len = frame.envelope_count();
            let open = groups
                .iter_mut()
                .rev()
                .find(|(_, group)| group[0].source == frame.source)
                .filter(|(group_len, _)| group_len + len <= self.group_len_max);
            match open {
                Some((group_len, group)) => {
                    *group_len += len;
                    group.push(frame);
                }
                None => groups.push((len, vec![frame])),
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }

    /// Gathers the groups of clean sources into pools of at most `group_len_max` envelopes, which
    /// share an equation; any other group is a pool of its own. Groups of a source stay in order.
    #[must_use]
    pub fn pools(
        &self,
        groups: Vec<Vec<FrameBatch>>,
        is_clean: impl Fn(SourceId) -> bool,
    ) -> Vec<Vec<Vec<FrameBatch>>> {
        let mut pools: Vec<Vec<Vec<FrameBatch>>> = Vec::new();
        // The pool that further groups may join, and its length.
        let mut open: Option<(usize, usize)> = None;
        for group in groups {
            let len = group.iter().map(FrameBatch::envelope_count).sum::<usize>();
            let clean = is_clean(group[0].source);
            let joined = open.filter(|(_, held)| clean && held + len <= self.group_len_max);
            match joined {
                Some((at, held)) => {
                    pools[at].push(group);
                    open = Some((at, held + len));
                }
                None => {
                    if clean {
                        open = Some((pools.len(), len));
                    }
                    pools.push(vec![group]);
                }
            }
        }
        pools
    }
}

/// Frames taken at once: bounds the search for a group of the same source.
pub const FRAMES_TAKE_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use clearway_types::envelope::ENVELOPE_BYTES;
    use clearway_types::messages::StreamKey;
    use clearway_types::units::ParticipantId;

    use super::*;

    fn frame(source: u64, stream: u64, len: usize) -> FrameBatch {
        FrameBatch {
            source: SourceId(source),
            member: ParticipantId(1),
            stream: StreamKey(stream),
            first_index: 0,
            slab: Bytes::from(vec![0; len * ENVELOPE_BYTES]),
            hints: Bytes::new(),
        }
    }

    fn scheduler(workers: usize, group_len_max: usize) -> Scheduler {
        Scheduler::new(&VerifyConfig {
            workers,
            group_len_max,
            ..VerifyConfig::default()
        })
    }

    #[test]
    fn groups_keep_sources_apart_and_frames_of_a_source_in_order() {
        let frames = [
            (1, 10, 4),
            (2, 11, 1),
            (1, 12, 4),
            (1, 13, 4),
            (2, 14, 20),
            (2, 15, 1),
        ];
        let frames = frames.map(|(source, stream, len)| frame(source, stream, len));
        let groups = scheduler(1, 10).groups(frames.into());
        let streams: Vec<Vec<u64>> = groups
            .iter()
            .map(|group| group.iter().map(|frame| frame.stream.0).collect())
            .collect();
        assert_eq!(
            streams,
            [vec![10, 12], vec![11], vec![13], vec![14], vec![15]]
        );
    }

    #[test]
    fn clean_sources_share_pools_and_others_stay_alone() {
        let frames = [(1, 10, 4), (2, 11, 3), (3, 12, 1), (1, 13, 4), (4, 14, 6)];
        let frames = frames.map(|(source, stream, len)| frame(source, stream, len));
        let scheduler = scheduler(1, 10);
        let groups = scheduler.groups(frames.into());
        let pools = scheduler.pools(groups, |source| source != SourceId(2));
        let streams: Vec<Vec<u64>> = pools
            .iter()
            .map(|pool| pool.iter().flatten().map(|frame| frame.stream.0).collect())
            .collect();
        // Source 1 has a group of 8, which leaves room for source 3's and none for source 4's.
        assert_eq!(streams, [vec![10, 13, 12], vec![11], vec![14]]);
    }

    #[test]
    fn every_source_has_one_worker() {
        let scheduler = scheduler(3, 10);
        for source in 0..50 {
            let worker = scheduler.worker(SourceId(source));
            assert!(worker < 3);
            assert_eq!(worker, scheduler.worker(SourceId(source)));
        }
    }
}
