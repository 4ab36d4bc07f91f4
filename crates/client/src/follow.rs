//! Follows an account from a height on, across broken connections, each item once.

use std::time::Duration;

use clearway_types::codec::Reader;
use clearway_types::units::{AccountId, Height};
use clearway_types::wire::Op;
use clearway_types::wire::query::{FOLLOW_ITEM_BYTES_MAX, FollowCursor, FollowItem, FollowRequest};

use crate::client::Client;
use crate::error::ClientError;
use crate::query::read_answer_head;

/// The feed of an account; endless, in (height, index) order.
#[derive(Debug)]
pub struct Follow {
    client: Client,
    account: AccountId,
    cursor: FollowCursor,
    stream: Option<quinn::RecvStream>,
    /// The server of the stream that was opened last.
    server: usize,
    /// Bytes of the item that is being read.
    item: Vec<u8>,
    /// Failures since the cursor last moved.
    failure_count: usize,
}

impl Client {
    /// Everything that touches `account` from `height` on, and everything to come.
    #[must_use]
    pub fn follow(&self, account: AccountId, height: Height) -> Follow {
        self.follow_from(account, FollowCursor::at(height))
    }

    /// As [`Client::follow`], from where an earlier feed was left ([`Follow::cursor`]).
    #[must_use]
    pub fn follow_from(&self, account: AccountId, cursor: FollowCursor) -> Follow {
        Follow {
            client: self.clone(),
            account,
            cursor,
            stream: None,
            server: self.preferred(),
            item: Vec::with_capacity(FOLLOW_ITEM_BYTES_MAX),
            failure_count: 0,
        }
    }
}

impl Follow {
    /// The next item; waits for it as long as it takes, over broken connections.
    ///
    /// # Errors
    /// When the node may not tell, when no server can give the next height
    /// ([`ClientError::FeedBroken`]), or when none speaks this protocol. Cancelling the future
    /// loses nothing.
    pub async fn next(&mut self) -> Result<FollowItem, ClientError> {
        loop {
            match self.read_item().await {
                Ok(item) => {
                    self.item.clear();
                    // What lies before the cursor was given already. A server that cannot give the
                    // next height repeats how far it is, which is no progress.
                    if item.next_cursor() > self.cursor {
                        self.failure_count = 0;
                        self.cursor = item.next_cursor();
                        return Ok(item);
                    }
                }
                Err(error) => {
                    self.stream = None;
                    self.item.clear();
                    self.failure_count += 1;
                    let tried_all = self.failure_count >= self.client.server_count();
                    if !error.worth_another_try() || (tried_all && !error.may_heal()) {
                        return Err(error);
                    }
                    self.client.move_on_from(self.server);
                    self.client.metrics().follow_resumes.add(1);
                    let pause = self.client.back_off(self.failure_count);
                    tokio::time::sleep(pause.max(Duration::from_millis(1))).await;
                }
            }
        }
    }

    /// Where to take the feed up again after the items given so far.
    #[must_use]
    pub fn cursor(&self) -> FollowCursor {
        self.cursor
    }

    async fn read_item(&mut self) -> Result<FollowItem, ClientError> {
        if self.stream.is_none() {
            let server = self.client.preferred();
            self.server = server;
            let request = FollowRequest {
                account: self.account,
                from: self.cursor,
            };
            let opening = async {
                let body = request.to_bytes();
                let mut recv = self.client.open(server, Op::Follow, 1, &body).await?;
                read_answer_head(&mut recv).await?;
                Ok(recv)
            };
            let config = self.client.config();
            let timeout = config.silence + config.connect_timeout;
            let opened = tokio::time::timeout(timeout, opening).await;
            self.stream = Some(opened.unwrap_or(Err(ClientError::NoAnswer))?);
        }
        let recv = self.stream.as_mut().expect("opened just above");
        // Bytes go into `self.item` as they come: a cancelled read loses none.
        loop {
            let wanted = FollowItem::bytes_wanted(&self.item)?;
            if self.item.len() >= wanted {
                break;
            }
            fill(recv, &mut self.item, wanted).await?;
        }
        let mut reader = Reader::new(&self.item);
        let item = FollowItem::decode(&mut reader)?;
        reader.finish()?;
        match item {
            FollowItem::Broken { height, status } => {
                Err(ClientError::FeedBroken { height, status })
            }
            item => Ok(item),
        }
    }
}

/// Reads until `bytes` has `len` bytes.
async fn fill(
    recv: &mut quinn::RecvStream,
    bytes: &mut Vec<u8>,
    len: usize,
) -> Result<(), ClientError> {
    while bytes.len() < len {
        match recv.read_chunk(len - bytes.len(), true).await? {
            Some(chunk) => bytes.extend_from_slice(&chunk.bytes),
            None => return Err(ClientError::Cut { bytes: bytes.len() }),
        }
    }
    Ok(())
}
