//! The feed of an account: what touched it, read block by block from the log.

use clearway_ingest::{Asker, FollowPage, QueryError};
use clearway_store::history::StoredBlock;
use clearway_types::envelope::envelopes;
use clearway_types::units::{AccountId, Height};
use clearway_types::wire::query::{FollowCursor, FollowItem, FollowRequest};

use crate::log_index::LogIndex;
use crate::lookups::unreadable;
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
            page.broken = Some(unreadable(from.height, &error));
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
                page.broken = Some(unreadable(page.next.height, &error));
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

/// What happened to an account in a block: envelopes that touched it, then holds that ended by
/// time.
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
    let ended = (first..)
        .zip(&record.expired)
        .filter(move |(_, hold)| [hold.debit, hold.credit].contains(&account))
        .map(move |(index, hold)| FollowItem::HoldExpired {
            height,
            index,
            signer: hold.signer,
            id: hold.id,
            debit: hold.debit,
            credit: hold.credit,
            ledger: hold.ledger,
            amount: hold.amount,
        });
    entries.chain(ended)
}
