//! A member that keeps its own books: every answer it was given, to be compared with the ledger.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use clearway_client::{Client, ClientConfig, Draft, Receipt, Signer};
use clearway_harness::folder;
use clearway_types::amount::Amount;
use clearway_types::code::ResultCode;
use clearway_types::envelope::Envelope;
use clearway_types::genesis::Genesis;
use clearway_types::units::{AccountId, ParticipantId};
use clearway_types::wire::query::Lookup;

/// Payments of one submission.
const SUBMISSION_LEN: usize = 64;
/// After so long without a sign of life, the client sends again.
const SILENCE: Duration = Duration::from_millis(500);
/// A node that dies every moment may need many lives for one answer: neither the payments nor the
/// client's patience end before that. Seconds.
pub(crate) const TTL_S: u32 = 1800;

/// Pays from one thread for as long as it is asked to.
pub(crate) struct Bank {
    stop: Arc<AtomicBool>,
    /// One message a submission that was answered, and one before them all: it is connected.
    answered: mpsc::Receiver<()>,
    worker: JoinHandle<Record>,
}

/// What the bank was told.
pub(crate) struct Record {
    config: ClientConfig,
    from: AccountId,
    answers: Vec<(Lookup, Receipt)>,
}

impl Bank {
    /// Reads genesis and keys of the folder and starts paying from member 2 to member 3. Comes
    /// back once it is connected: a client promises to outlast a node's death only from then on.
    pub(crate) fn open(dir: &Path, door: &str) -> Self {
        let genesis = folder::genesis(dir);
        let identity = folder::identity(dir, 2);
        let signer = Signer::new(identity.clone(), genesis.hash()).expect("randomness");
        let patience = Duration::from_secs(TTL_S.into());
        let signer = signer.with_ttl(patience);
        let mut config = ClientConfig::new(identity, vec![folder::server(&genesis, door)]);
        config.silence = SILENCE;
        config.give_up_after = patience;
        let stop = Arc::new(AtomicBool::new(false));
        let (told, answered) = mpsc::channel();
        let stopped = Arc::clone(&stop);
        let worker = std::thread::spawn(move || pay(config, &signer, &genesis, &stopped, &told));
        // A worker that could not connect says why in its own panic.
        answered.recv().expect("the bank's client is connected");
        Self {
            stop,
            answered,
            worker,
        }
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

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn pay(
    config: ClientConfig,
    signer: &Signer,
    genesis: &Genesis,
    stop: &AtomicBool,
    told: &mpsc::Sender<()>,
) -> Record {
    let ledger = genesis.ledgers[0].id;
    let from = AccountId::new(ParticipantId(2), 1);
    let to = AccountId::new(ParticipantId(3), 1);
    let mut answers = Vec::new();
    runtime().block_on(async {
        let client = Client::connect(config.clone())
            .await
            .expect("the node is up");
        let _ = told.send(());
        while !stop.load(Ordering::Relaxed) {
            let draft = || Draft::transfer(from, to, Amount::new(1, ledger));
            let payments: Vec<Envelope> =
                (0..SUBMISSION_LEN).map(|_| signer.sign(draft())).collect();
            let receipts = client.submit(&payments).await.expect("answered in the end");
            let names = payments.iter().map(Lookup::of);
            answers.extend(names.zip((0..payments.len()).map(|index| receipts[index])));
            // Nobody listens any more once the kills are over.
            let _ = told.send(());
        }
        client.close().await;
    });
    Record {
        config,
        from,
        answers,
    }
}

impl Record {
    /// Payments that the bank was told are settled.
    pub(crate) fn settled(&self) -> u128 {
        self.answers
            .iter()
            .filter(|(_, receipt)| receipt.settled())
            .map(|_| 1)
            .sum()
    }

    /// Compares every answer with the log, and the sum with the ledger.
    pub(crate) fn check(&self, door: &str, seed: u64) {
        let mut config = self.config.clone();
        config.servers[0].address = door.parse().expect("an address");
        runtime().block_on(async {
            let client = Client::connect(config).await.expect("the node is up");
            for chunk in self.answers.chunks(64) {
                let names: Vec<Lookup> = chunk.iter().map(|(name, _)| *name).collect();
                let found = client.lookup_all(&names).await.expect("answered");
                for ((name, receipt), found) in chunk.iter().zip(found) {
                    if !receipt.is_final() {
                        continue;
                    }
                    let found = found.unwrap_or_else(|| panic!("seed {seed}: {name:?} is lost"));
                    let told = (receipt.height, receipt.outcome.code);
                    assert_eq!(
                        (found.height, found.outcome.code),
                        told,
                        "seed {seed}: {name:?}"
                    );
                }
            }
            let refused =
                |(_, receipt): &&(Lookup, Receipt)| receipt.outcome.code != ResultCode::Settled;
            if let Some((name, receipt)) = self.answers.iter().find(refused) {
                panic!(
                    "seed {seed}: {name:?} was refused: {}",
                    receipt.outcome.code
                );
            }
            let view = client
                .account(self.from)
                .await
                .expect("answered")
                .expect("it exists");
            let paid = view.account.debits_posted.get();
            assert_eq!(paid, self.settled(), "seed {seed}: paid against told");
            client.close().await;
        });
    }
}
