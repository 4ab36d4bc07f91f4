//! The feed of an account: what touched it, read block by block from the log.

use clearway_ingest::{Asker, FollowPage, QueryError};
use clearway_store::history::StoredBlock;
use clearway_types::envelope::envelopes;
use clearway_types::units::{AccountId, Height};
use clearway_types::wire::query::{FollowCursor, FollowItem, FollowRequest};

use crate::log_index::LogIndex;
use crate::touches::touches;

/// Blocks that are read for one page of a feed; a quiet account must not hold a thread for long.
const FOLLOW_BLOCKS_MAX: usize = 512;

/// At most `items_max` items of an account's feed from the cursor on. A block that cannot be read
/// ends the page, and with it the feed.
pub(crate) fn page(
    index: &LogIndex,
    asker: &Asker,
    request: FollowRequest,
    items_max: usize,
) -> Result<FollowPage, QueryError> {
    let from = request.from.max(FollowCursor::at(Height(1)));
    let mut page = FollowPage {
        items: Vec::new(),
        next: from,
        broken: None,
    };
    if from.height > index.durable_height() {
        return Ok(page);
    }
    let blocks = match index.history(from.height) {
        Ok(blocks) => blocks,
        Err(error) => {
            page.broken = Some(index.damage_log().unreadable(from.height, &error));
            return Ok(page);
        }
    };
    for block in blocks.take(FOLLOW_BLOCKS_MAX) {
        if asker.is_gone() {
            return Err(QueryError::Unwanted);
        }
        let block = match block {
            Ok(block) => block,
            Err(error) => {
                page.broken = Some(index.damage_log().unreadable(page.next.height, &error));
                return Ok(page);
            }
        };
        for item in items(&block, request.account) {
            if item.next_cursor() <= from {
                continue;
            }
            if page.items.len() == items_max {
                return Ok(page);
            }
            page.next = item.next_cursor();
            page.items.push(item);
        }
        page.next = FollowCursor::at(block.record.height.next());
    }
    Ok(page)
}

/// What happened to an account in a block: envelopes that touched it, then events that did.
fn items(block: &StoredBlock, account: AccountId) -> impl Iterator<Item = FollowItem> {
    let (height, record) = (block.record.height, &block.record);
    let all = block
        .batches
        .iter()
        .flat_map(|batch| envelopes(batch.envelopes()));
    let entries = (0u32..)
        .zip(all.zip(&record.results))
        .filter(move |(_, (envelope, outcome))| touches(account, envelope, **outcome))
        .map(move |(index, (envelope, outcome))| FollowItem::Entry {
            height,
            index,
            outcome: *outcome,
            envelope: *envelope,
        });
    let first = u32::try_from(record.results.len()).expect("a block is bounded");
    let events = (first..)
        .zip(&record.events)
        .filter(move |(_, event)| event.touches(account))
        .map(move |(index, event)| FollowItem::Event {
            height,
            index,
            event: *event,
        });
    entries.chain(events)
}

#[cfg(test)]
mod tests {
    use clearway_store::StoreError;
    use clearway_types::units::ParticipantId;
    use zerocopy::IntoBytes as _;

    use super::*;
    use crate::error::NodeError;
    use crate::testing::{Stand, account, lines_of};

    #[test]
    fn a_feed_that_breaks_is_told_in_the_log_once_with_its_place() {
        let stand = Stand::new(4 << 20);
        let node = stand.start();
        let member = stand.member(&node, 2);
        let payments = member.payments(2, 3, 5);
        let answers = member.runtime.block_on(member.client.submit(&payments));
        assert_eq!(answers.expect("answered").settled_count(), 5);
        let page = || {
            let from = FollowCursor::at(Height(1));
            let request = FollowRequest {
                account: account(2),
                from,
            };
            page(&node.index, &Asker::new(ParticipantId(2)), request, 100)
        };
        let (lines, whole) = lines_of(page);
        let whole = whole.expect("wanted");
        assert_eq!((whole.items.len(), lines.len()), (5, 0), "{lines:?}");
        let log = stand.config.data_dir.join("log");
        let segment = log.join("00000000000000000001.seg");
        stand.io.damage(&segment, |bytes| {
            let payment = payments[2].as_bytes();
            let at = bytes
                .windows(payment.len())
                .position(|found| found == payment);
            bytes[at.expect("it is stored") + 100] ^= 1;
        });
        let (lines, broken) = lines_of(|| (0..100).map(|_| page()).collect::<Vec<_>>());
        let is_broken =
            |page: &Result<FollowPage, _>| page.as_ref().is_ok_and(|page| page.broken.is_some());
        assert!(broken.iter().all(is_broken));
        assert_eq!(lines.len(), 1, "{lines:?}");
        let [line] = &lines[..] else { unreachable!() };
        for word in [
            "ERROR",
            "a final block cannot be read",
            "height=",
            "damaged at byte",
        ] {
            assert!(line.contains(word), "{word}: {line}");
        }
        // The newest bytes are damaged: a look that had read them before says so at the stop.
        let stopped = node.stop();
        let is_expected = matches!(
            stopped,
            Ok(()) | Err(NodeError::Store(StoreError::SegmentRuined { .. }))
        );
        assert!(is_expected, "{stopped:?}");
    }
}
