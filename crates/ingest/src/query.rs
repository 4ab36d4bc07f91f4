//! Questions of members: what the node must answer, and how answers reach the stream.

use std::sync::Arc;
use std::time::Duration;

use clearway_types::codec::Reader;
use clearway_types::units::{AccountId, Height, ParticipantId};
use clearway_types::wire::proof::SettlementProof;
use clearway_types::wire::query::{
    AccountView, FollowCursor, FollowItem, FollowRequest, Found, Lookup, StatusView,
};
use clearway_types::wire::{AnswerHeader, AnswerStatus, CloseCode, Op};
use tokio::sync::{Semaphore, watch};

/// Items of a feed that are read and written at once: 209 bytes each, 53 KiB.
const PAGE_ITEMS_MAX: usize = 256;
/// A feed without news looks again after so long: a block may be announced before it is readable.
const FOLLOW_LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Why a question is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueryError {
    /// There is no such thing.
    #[error("there is no such thing")]
    NotFound,
    /// It exists and cannot be answered yet, such as a proof without a certificate.
    #[error("it cannot be answered yet: ask again in a moment")]
    NotReady,
    /// The asker may not see it.
    #[error("the asker may not see it")]
    NotAllowed,
    /// The node cannot read its own data.
    #[error("the node cannot read its own data: see its log")]
    Failed,
}

impl QueryError {
    fn status(self) -> AnswerStatus {
        match self {
            Self::NotFound => AnswerStatus::NotFound,
            Self::NotReady => AnswerStatus::NotReady,
            Self::NotAllowed => AnswerStatus::NotAllowed,
            Self::Failed => AnswerStatus::Failed,
        }
    }
}

/// A part of an account's feed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FollowPage {
    /// Entries and ended holds, in (height, index) order; no marks, the door makes them.
    pub items: Vec<FollowItem>,
    /// First place that was not looked at: behind the last item when the page is full, else index 0
    /// of the first height that is not final here.
    pub next: FollowCursor,
}

/// Answers from the node's store and state. Called from threads that may wait for the disk.
///
/// `asker` is the member that the connection belongs to; what it may see is decided here.
pub trait QueryService: Send + Sync + 'static {
    /// Where an envelope was executed; `None` when it was not.
    ///
    /// # Errors
    /// When it cannot be told.
    fn lookup(&self, asker: ParticipantId, name: Lookup) -> Result<Option<Found>, QueryError>;

    /// All that is needed to check an envelope's outcome.
    ///
    /// # Errors
    /// `NotFound` for one that was not executed, `NotReady` while no certificate covers it.
    fn proof(&self, asker: ParticipantId, name: Lookup) -> Result<SettlementProof, QueryError>;

    /// An account as of the last height.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    fn account(&self, asker: ParticipantId, account: AccountId) -> Result<AccountView, QueryError>;

    /// At most `items_max` items of an account's feed from `request.from` on.
    ///
    /// # Errors
    /// When it cannot be told.
    fn follow(
        &self,
        asker: ParticipantId,
        request: FollowRequest,
        items_max: usize,
    ) -> Result<FollowPage, QueryError>;

    /// How far the node is.
    ///
    /// # Errors
    /// When it cannot be told.
    fn status(&self) -> Result<StatusView, QueryError>;
}

/// A question that has been read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Question {
    Lookup(Vec<Lookup>),
    Proof(Lookup),
    Account(AccountId),
    Follow(FollowRequest),
    Status,
}

impl Question {
    /// Reads what follows the header of a question.
    ///
    /// # Errors
    /// [`CloseCode::Malformed`] for bytes that the op does not take.
    pub(crate) fn parse(op: Op, count: usize, body: &[u8]) -> Result<Self, CloseCode> {
        let mut reader = Reader::new(body);
        let question = match op {
            Op::Lookup => (0..count)
                .map(|_| Lookup::decode(&mut reader))
                .collect::<Result<_, _>>()
                .map(Self::Lookup),
            Op::Proof => Lookup::decode(&mut reader).map(Self::Proof),
            Op::Account => reader.u64().map(|id| Self::Account(AccountId(id))),
            Op::Follow => {
                let request = reader.bytes(body.len()).and_then(FollowRequest::decode);
                request.map(Self::Follow)
            }
            Op::Status => Ok(Self::Status),
            Op::Submit | Op::SubmitHinted => unreachable!("a submit is no question"),
        };
        let question = question.map_err(|_| CloseCode::Malformed)?;
        reader.finish().map_err(|_| CloseCode::Malformed)?;
        Ok(question)
    }
}

/// The bytes of an answer, header first, or why there are none. A feed has no end: [`Feed`] writes
/// it.
pub(crate) fn answer(
    service: &dyn QueryService,
    asker: ParticipantId,
    question: Question,
) -> Result<Vec<u8>, AnswerStatus> {
    let body = match question {
        Question::Lookup(names) => lookup_all(service, asker, &names),
        Question::Proof(name) => service.proof(asker, name).map(|proof| proof.encode()),
        Question::Account(id) => service.account(asker, id).map(|view| view.to_bytes()),
        Question::Status => service.status().map(|view| view.to_bytes()),
        Question::Follow(_) => unreachable!("feeds are written page by page"),
    };
    let body = body.map_err(QueryError::status)?;
    let head = AnswerHeader::new(AnswerStatus::Ok, body.len()).to_bytes();
    Ok([&head[..], &body].concat())
}

/// An answer without a body.
pub(crate) fn refusal(status: AnswerStatus) -> Vec<u8> {
    AnswerHeader::new(status, 0).to_bytes().to_vec()
}

fn lookup_all(
    service: &dyn QueryService,
    asker: ParticipantId,
    names: &[Lookup],
) -> Result<Vec<u8>, QueryError> {
    let mut body = Vec::with_capacity(names.len() * 16);
    for &name in names {
        Found::encode(service.lookup(asker, name)?.as_ref(), &mut body);
    }
    Ok(body)
}

/// One account's feed on its way to a stream.
pub(crate) struct Feed {
    pub(crate) service: Arc<dyn QueryService>,
    pub(crate) asker: ParticipantId,
    pub(crate) request: FollowRequest,
    pub(crate) heights: watch::Receiver<Height>,
}

impl Feed {
    /// The next items as bytes, with a mark behind them where a height is complete; `None` when
    /// there is nothing new.
    pub(crate) async fn read_page(
        &mut self,
        turns: &Semaphore,
    ) -> Result<Option<Vec<u8>>, AnswerStatus> {
        let _turn = turns.acquire().await.map_err(|_| AnswerStatus::Failed)?;
        self.heights.mark_unchanged();
        let (service, asker, request) = (Arc::clone(&self.service), self.asker, self.request);
        let reading =
            tokio::task::spawn_blocking(move || service.follow(asker, request, PAGE_ITEMS_MAX));
        let page = reading.await.map_err(|_| AnswerStatus::Failed)?;
        let page = page.map_err(QueryError::status)?;
        if page.next <= self.request.from {
            return Ok(None);
        }
        self.request.from = page.next;
        Ok(Some(encode_page(&page)))
    }

    /// As [`Feed::read_page`], waiting until there is something new.
    pub(crate) async fn next_page(&mut self, turns: &Semaphore) -> Result<Vec<u8>, AnswerStatus> {
        loop {
            if let Some(page) = self.read_page(turns).await? {
                return Ok(page);
            }
            let news = tokio::time::timeout(FOLLOW_LOOK_AGAIN, self.heights.changed()).await;
            if let Ok(Err(_)) = news {
                return Err(AnswerStatus::Failed);
            }
        }
    }
}

fn encode_page(page: &FollowPage) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(page.items.len() * 209 + 9);
    for item in &page.items {
        item.encode(&mut bytes);
    }
    if let (0, Some(height)) = (page.next.index, page.next.height.0.checked_sub(1)) {
        let height = Height(height);
        FollowItem::Through { height }.encode(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_parse_whole_or_close_as_malformed() {
        let mut lookup = Vec::new();
        let name = Lookup {
            signer: ParticipantId(1),
            id: clearway_types::units::TransferId([2; 16]),
        };
        name.encode(&mut lookup);
        let follow = FollowRequest {
            account: AccountId(3),
            from: FollowCursor::at(Height(4)),
        };
        let rows = [
            (Op::Lookup, 1, lookup.clone(), Question::Lookup(vec![name])),
            (
                Op::Lookup,
                2,
                lookup.repeat(2),
                Question::Lookup(vec![name; 2]),
            ),
            (Op::Proof, 1, lookup, Question::Proof(name)),
            (
                Op::Account,
                1,
                vec![7, 0, 0, 0, 0, 0, 0, 0],
                Question::Account(AccountId(7)),
            ),
            (Op::Follow, 1, follow.to_bytes(), Question::Follow(follow)),
            (Op::Status, 0, vec![], Question::Status),
        ];
        for (op, count, body, question) in rows {
            assert_eq!(Question::parse(op, count, &body), Ok(question), "{op:?}");
            let long = [&body[..], &[0]].concat();
            assert_eq!(
                Question::parse(op, count, &long),
                Err(CloseCode::Malformed),
                "{op:?}"
            );
            if let Some(len) = body.len().checked_sub(1) {
                let cut = Question::parse(op, count, &body[..len]);
                assert_eq!(cut, Err(CloseCode::Malformed), "{op:?}");
            }
        }
    }
}
