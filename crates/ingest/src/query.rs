//! Questions of members: what the node must answer, and how answers reach the stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clearway_types::codec::Reader;
use clearway_types::units::{AccountId, Height, ParticipantId};
use clearway_types::wire::proof::SettlementProof;
use clearway_types::wire::query::{
    AccountView, FollowCursor, FollowItem, FollowRequest, Found, Lookup, StatusView,
};
use clearway_types::wire::roster::RosterView;
use clearway_types::wire::{AnswerHeader, AnswerStatus, CloseCode, Op};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

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
    /// Nobody waits for the answer any more.
    #[error("nobody waits for the answer any more")]
    Unwanted,
}

impl QueryError {
    fn status(self) -> AnswerStatus {
        match self {
            Self::NotFound => AnswerStatus::NotFound,
            Self::NotReady => AnswerStatus::NotReady,
            Self::NotAllowed => AnswerStatus::NotAllowed,
            Self::Failed => AnswerStatus::Failed,
            // Never read: there is nobody to read it.
            Self::Unwanted => AnswerStatus::Busy,
        }
    }
}

/// Who asks a question, and whether it still waits for the answer.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The member that the connection belongs to.
    pub member: ParticipantId,
    gone: Arc<AtomicBool>,
}

impl Asker {
    /// A member who waits.
    #[must_use]
    pub fn new(member: ParticipantId) -> Self {
        Self {
            member,
            gone: Arc::default(),
        }
    }

    /// Whether its stream or connection has ended: work for it is wasted.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// The work may stop when what this gives is dropped.
    pub(crate) fn waits(&self) -> Waits {
        Waits(Arc::clone(&self.gone))
    }
}

/// Held while somebody waits for an answer.
pub(crate) struct Waits(Arc<AtomicBool>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
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
    /// Why the height of `next` cannot be given: the feed ends there.
    pub broken: Option<QueryError>,
}

/// Answers from the node's store and state. Called from threads that may wait for the disk.
///
/// What the `asker` may see is decided here. Whatever takes longer than reading a block looks now
/// and then whether the asker is gone, and then stops with [`QueryError::Unwanted`].
pub trait QueryService: Send + Sync + 'static {
    /// Where envelopes were executed, in the order of their names; `None` for those that were not.
    ///
    /// # Errors
    /// When it cannot be told.
    fn lookup(&self, asker: &Asker, names: &[Lookup]) -> Result<Vec<Option<Found>>, QueryError>;

    /// All that is needed to check an envelope's outcome.
    ///
    /// # Errors
    /// `NotFound` for one that was not executed, `NotReady` while no certificate covers it.
    fn proof(&self, asker: &Asker, name: Lookup) -> Result<SettlementProof, QueryError>;

    /// An account as of a height that is durable.
    ///
    /// # Errors
    /// `NotFound` when there is none, `NotReady` while its height does not become durable.
    fn account(&self, asker: &Asker, account: AccountId) -> Result<AccountView, QueryError>;

    /// At most `items_max` items of an account's feed from `request.from` on.
    ///
    /// # Errors
    /// When nothing of it can be told.
    fn follow(
        &self,
        asker: &Asker,
        request: FollowRequest,
        items_max: usize,
    ) -> Result<FollowPage, QueryError>;

    /// Who and what is registered as of a height that is durable, participants from `first` on.
    ///
    /// # Errors
    /// `NotReady` while its height does not become durable.
    fn roster(&self, asker: &Asker, first: ParticipantId) -> Result<RosterView, QueryError>;

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
    Roster(ParticipantId),
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
            Op::Roster => reader.u32().map(|id| Self::Roster(ParticipantId(id))),
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
    asker: &Asker,
    question: Question,
) -> Result<Vec<u8>, AnswerStatus> {
    let body = match question {
        Question::Lookup(names) => service
            .lookup(asker, &names)
            .map(|found| encode_all(&found)),
        Question::Proof(name) => service.proof(asker, name).map(|proof| proof.encode()),
        Question::Account(id) => service.account(asker, id).map(|view| view.to_bytes()),
        Question::Status => service.status().map(|view| view.to_bytes()),
        Question::Roster(first) => service.roster(asker, first).map(|view| view.to_bytes()),
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

fn encode_all(found: &[Option<Found>]) -> Vec<u8> {
    let mut body = Vec::with_capacity(found.len() * 16);
    found
        .iter()
        .for_each(|found| Found::encode(found.as_ref(), &mut body));
    body
}

/// One account's feed on its way to a stream.
pub(crate) struct Feed {
    pub(crate) service: Arc<dyn QueryService>,
    pub(crate) asker: Asker,
    pub(crate) turns: Turns,
    pub(crate) request: FollowRequest,
    pub(crate) heights: watch::Receiver<Height>,
}

/// A part of a feed as bytes.
pub(crate) struct Page {
    pub(crate) bytes: Vec<u8>,
    /// Nothing follows: the bytes end with the height that cannot be given, and why.
    pub(crate) last: bool,
}

impl Feed {
    /// The next items, with a mark behind them where a height is complete; `None` when there is
    /// nothing new.
    pub(crate) async fn read_page(&mut self) -> Result<Option<Page>, AnswerStatus> {
        let turn = self.turns.wait().await?;
        self.heights.mark_unchanged();
        let (service, asker) = (Arc::clone(&self.service), self.asker.clone());
        let request = self.request;
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            service.follow(&asker, request, PAGE_ITEMS_MAX)
        });
        let page = reading.await.map_err(|_| AnswerStatus::Failed)?;
        let page = page.map_err(QueryError::status)?;
        if page.next <= self.request.from && page.broken.is_none() {
            return Ok(None);
        }
        self.request.from = page.next;
        Ok(Some(encode_page(&page)))
    }

    /// As [`Feed::read_page`], waiting until there is something new; a fault is a last page.
    pub(crate) async fn next_page(&mut self) -> Page {
        loop {
            match self.read_page().await {
                Ok(Some(page)) => return page,
                Ok(None) => {}
                // Others are served first: the feed waits, it does not end.
                Err(AnswerStatus::Busy) => continue,
                Err(status) => return self.broken(status),
            }
            let news = tokio::time::timeout(FOLLOW_LOOK_AGAIN, self.heights.changed()).await;
            if let Ok(Err(_)) = news {
                return self.broken(AnswerStatus::Failed);
            }
        }
    }

    /// A last page without items.
    pub(crate) fn broken(&self, status: AnswerStatus) -> Page {
        let height = self.request.from.height;
        let mut bytes = Vec::new();
        FollowItem::Broken { height, status }.encode(&mut bytes);
        Page { bytes, last: true }
    }
}

/// The turns of one member's questions.
#[derive(Clone)]
pub(crate) struct Turns {
    /// The member's own.
    pub(crate) member: Arc<Semaphore>,
    /// Those of all members.
    pub(crate) door: Arc<Semaphore>,
    /// How long a question waits for both.
    pub(crate) wait_max: Duration,
}

/// The right to have one question answered.
pub(crate) struct Turn {
    member: MemberTurn,
    _door: OwnedSemaphorePermit,
}

/// The member's part of a turn: kept until the answer has been handed over, so that a member that
/// takes no answers has few of them made.
pub(crate) struct MemberTurn {
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    /// The work is done: the door's part goes to the next question.
    pub(crate) fn worked(self) -> MemberTurn {
        self.member
    }
}

impl Turns {
    /// Waits for the member's turn, then for the door's: however much one member asks, it takes
    /// part in the door's queue with few questions at a time.
    ///
    /// # Errors
    /// [`AnswerStatus::Busy`] when that takes too long.
    pub(crate) async fn wait(&self) -> Result<Turn, AnswerStatus> {
        let turns = async {
            let member = Arc::clone(&self.member).acquire_owned().await;
            let door = Arc::clone(&self.door).acquire_owned().await;
            let member = MemberTurn {
                _permit: member.ok()?,
            };
            Some(Turn {
                member,
                _door: door.ok()?,
            })
        };
        let turn = tokio::time::timeout(self.wait_max, turns).await;
        turn.ok().flatten().ok_or(AnswerStatus::Busy)
    }
}

fn encode_page(page: &FollowPage) -> Page {
    let mut bytes = Vec::with_capacity(page.items.len() * 209 + 20);
    for item in &page.items {
        item.encode(&mut bytes);
    }
    if let (0, Some(height)) = (page.next.index, page.next.height.0.checked_sub(1)) {
        let height = Height(height);
        FollowItem::Through { height }.encode(&mut bytes);
    }
    if let Some(error) = page.broken {
        let (height, status) = (page.next.height, error.status());
        FollowItem::Broken { height, status }.encode(&mut bytes);
    }
    let last = page.broken.is_some();
    Page { bytes, last }
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
            (
                Op::Roster,
                1,
                vec![9, 0, 0, 0],
                Question::Roster(ParticipantId(9)),
            ),
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
