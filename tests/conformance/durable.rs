//! While a sync hangs, nobody is told what is executed and not durable yet.

use std::path::Path;
use std::time::{Duration, Instant};

use clearway_client::{Client, ClientConfig, ClientError, Draft, Signer};
use clearway_harness::{NodeProcess, Recorder, folder};
use clearway_types::amount::Amount;
use clearway_types::units::{AccountId, ParticipantId};
use clearway_types::wire::AnswerStatus;
use tempfile::tempdir;

use crate::program::program;

/// Nothing here takes so long unless it is stuck for good.
const TIMEOUT: Duration = Duration::from_secs(60);

fn account(owner: u32) -> AccountId {
    AccountId::new(ParticipantId(owner), 1)
}

#[test]
fn answers_about_the_ledger_wait_for_a_sync_that_hangs() {
    let Some(recorder) = Recorder::build() else {
        return;
    };
    let dir = tempdir().expect("a temporary folder");
    folder::init(program(dir.path()));
    let log = dir.path().join("data/log");
    std::fs::create_dir_all(&log).expect("made");
    let stuck = dir.path().join("stuck");
    let mut command = program(dir.path());
    recorder.hold_syncs(&mut command, &log, &stuck);
    let mut node = NodeProcess::start(command, Path::new("node.toml"), "127.0.0.1:0");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let genesis = folder::genesis(dir.path());
    let identity = folder::identity(dir.path(), 2);
    let server = folder::server(&genesis, node.door());
    let mut config = ClientConfig::new(identity.clone(), vec![server]);
    (config.silence, config.give_up_after) = (TIMEOUT, TIMEOUT);
    let signer = Signer::new(identity, genesis.hash()).expect("randomness");
    let pay = Draft::transfer(
        account(2),
        account(3),
        Amount::new(1, genesis.ledgers[0].id),
    );
    runtime.block_on(async {
        let client = Client::connect(config).await.expect("let in");
        let payer = client.clone();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let paying = tokio::spawn(async move {
            let mut settled = 0;
            while !*stopped.borrow() {
                let answers = payer.submit(&[signer.sign(pay)]).await.expect("answered");
                settled += answers.settled_count();
            }
            settled
        });
        let from = Instant::now();
        // A sync is held up at some moment, until that moment lies behind an execution.
        let status = loop {
            std::fs::write(&stuck, "").expect("written");
            let first = client.status().await.expect("answered");
            tokio::task::yield_now().await;
            let status = client.status().await.expect("answered");
            if status.executed > status.height && first.executed == status.executed {
                match client.account(account(2)).await {
                    Err(ClientError::Status(AnswerStatus::NotReady)) => break status,
                    // A sync that had begun before ended meanwhile.
                    told => {
                        let told = told.expect("answered").expect("it exists").height;
                        let durable = client.status().await.expect("answered").height;
                        assert!(durable >= told, "told {told}, durable {durable}");
                    }
                }
            }
            std::fs::remove_file(&stuck).expect("it was there");
            client.account(account(2)).await.expect("answered");
            assert!(from.elapsed() < TIMEOUT, "never between execution and sync");
        };
        let still = client.status().await.expect("answered");
        assert_eq!(still.height, status.height, "nothing became durable");
        assert_eq!(still.exec_head, status.exec_head);
        std::fs::remove_file(&stuck).expect("it was there");
        let view = client.account(account(2)).await.expect("answered");
        assert!(view.expect("it exists").height >= status.executed);
        stop.send_replace(true);
        let settled = paying.await.expect("no panic");
        let view = client.account(account(2)).await.expect("answered");
        let paid = view.expect("it exists").account.debits_posted.get();
        assert_eq!(paid, settled as u128);
        client.close().await;
    });
    node.stop();
}
