//! A member that keeps its own books: every answer it was given, to be compared with the ledger.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use clearway_client::{Client, ClientConfig, Draft, Signer};
use clearway_harness::folder;
use clearway_types::amount::Amount;
use clearway_types::code::ResultCode;
use clearway_types::envelope::Envelope;
use clearway_types::genesis::Genesis;
use clearway_types::units::{AccountId, ParticipantId};

use crate::books::{Answered, Books};

/// Payments of one submission: few, since every answer is asked for again after every restart.
const SUBMISSION_LEN: usize = 8;
/// After so long without a sign of life, the client sends again.
const SILENCE: Duration = Duration::from_millis(500);
/// A node that dies every moment may need many lives for one answer: neither the payments nor the
/// client's timeout end before that. Seconds.
pub(crate) const TTL_S: u32 = 1800;

/// Pays from one thread for as long as it is asked to.
pub(crate) struct Bank {
    stop: Arc<AtomicBool>,
    /// One message a submission that was answered, and one before them all: it is connected.
    answered: mpsc::Receiver<()>,
    books: Books,
    worker: JoinHandle<Record>,
}

/// What the bank was told.
pub(crate) struct Record {
    config: ClientConfig,
    from: AccountId,
    books: Books,
}

/// The account that the bank pays from.
pub(crate) fn account() -> AccountId {
    AccountId::new(ParticipantId(2), 1)
}

/// How the bank's client finds the node in this folder, at this door.
pub(crate) fn client_config(dir: &Path, door: &str) -> ClientConfig {
    let identity = folder::identity(dir, 2);
    let server = folder::server(&folder::genesis(dir), door);
    let mut config = ClientConfig::new(identity, vec![server]);
    config.silence = SILENCE;
    config.give_up_after = Duration::from_secs(TTL_S.into());
    config
}

impl Bank {
    /// Reads genesis and keys of the folder and starts paying from member 2 to member 3. Comes
    /// back once it is connected: a client promises to outlast a node's death only from then on.
    pub(crate) fn open(dir: &Path, door: &str) -> Self {
        let genesis = folder::genesis(dir);
        let identity = folder::identity(dir, 2);
        let signer = Signer::new(identity.clone(), genesis.hash()).expect("randomness");
        let signer = signer.with_ttl(Duration::from_secs(TTL_S.into()));
        let config = client_config(dir, door);
        let stop = Arc::new(AtomicBool::new(false));
        let (told, answered) = mpsc::channel();
        let (stopped, books) = (Arc::clone(&stop), Books::default());
        let kept = books.clone();
        let worker =
            std::thread::spawn(move || pay(config, &signer, &genesis, kept, (&stopped, &told)));
        // A worker that could not connect says why in its own panic.
        answered.recv().expect("the bank's client is connected");
        Self {
            stop,
            answered,
            books,
            worker,
        }
    }

    /// What it was told so far.
    pub(crate) fn books(&self) -> &Books {
        &self.books
    }

    /// Lets it work for so long.
    pub(crate) fn work_for(&self, time: Duration) {
        let until = std::time::Instant::now() + time;
        while let Some(left) = until.checked_duration_since(std::time::Instant::now()) {
            if self.answered.recv_timeout(left) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    /// Whether the client has given up.
    pub(crate) fn failed(&self) -> bool {
        self.worker.is_finished()
    }

    /// Ends it after the submission in flight, with its books.
    pub(crate) fn finish(self) -> Record {
        self.stop.store(true, Ordering::Relaxed);
        self.worker.join().expect("the bank pays to the end")
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn pay(
    config: ClientConfig,
    signer: &Signer,
    genesis: &Genesis,
    books: Books,
    (stop, told): (&AtomicBool, &mpsc::Sender<()>),
) -> Record {
    let ledger = genesis.ledgers[0].id;
    let from = account();
    let to = AccountId::new(ParticipantId(3), 1);
    runtime().block_on(async {
        let client = Client::connect(config.clone())
            .await
            .expect("the node is up");
        let _ = told.send(());
        while !stop.load(Ordering::Relaxed) {
            let draft = || Draft::transfer(from, to, Amount::new(1, ledger));
            let payments: Vec<Envelope> =
                (0..SUBMISSION_LEN).map(|_| signer.sign(draft())).collect();
            let answers = client.submit(&payments).await.expect("answered in the end");
            let answers = (0..payments.len()).map(|index| answers[index]);
            books.note(payments.iter().copied().zip(answers));
            // Nobody listens any more once the kills are over.
            let _ = told.send(());
        }
        client.close().await;
    });
    Record {
        config,
        from,
        books,
    }
}

impl Record {
    /// Payments that the bank was told are settled.
    pub(crate) fn settled(&self) -> u128 {
        self.books
            .answered()
            .iter()
            .filter(|answered| answered.answer.settled())
            .map(|_| 1)
            .sum()
    }

    /// What it was told.
    pub(crate) fn books(&self) -> &Books {
        &self.books
    }

    /// Nothing was refused, and what was paid is what the ledger says.
    pub(crate) fn check(&self, seed: u64) {
        let refused = |answered: &&Answered| answered.answer.outcome.code != ResultCode::Settled;
        if let Some(answered) = self.books.answered().iter().find(refused) {
            let (name, code) = (answered.name(), answered.answer.outcome.code);
            panic!("seed {seed}: {name:?} was refused: {code}");
        }
        let view = runtime().block_on(async {
            let client = Client::connect(self.config.clone()).await;
            let client = client.expect("the node is up");
            let view = client.account(self.from).await.expect("answered");
            client.close().await;
            view.expect("it exists")
        });
        let paid = view.account.debits_posted.get();
        assert_eq!(paid, self.settled(), "seed {seed}: paid against told");
    }
}
