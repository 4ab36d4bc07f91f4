//! Asks a node again for everything that a member was told, and reads the same from its log.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use clearway_client::{Client, ClientConfig, ClusterKeys};
use clearway_harness::folder;
use clearway_node::LOG_FOLDER;
use clearway_store::history::History;
use clearway_store::{RealIo, Sequence, Store, StoreOptions};
use clearway_types::code::{OutcomeFlags, ResultCode};
use clearway_types::envelope::envelopes;
use clearway_types::transfer::Transfer;
use clearway_types::units::Height;
use clearway_types::wire::query::{FollowItem, Lookup};

use crate::bank::{account, client_config, runtime};
use crate::books::Answered;

/// Of this many answers, one is proven after each restart, another one each time.
const PROVE_EVERY: usize = 100;

/// Where an envelope was executed first, and with what result.
type Results = HashMap<Lookup, (Height, ResultCode)>;

/// Asks as the bank.
pub(crate) struct Auditor {
    config: ClientConfig,
    keys: ClusterKeys,
}

impl Auditor {
    pub(crate) fn new(dir: &Path, door: &str) -> Self {
        Self {
            config: client_config(dir, door),
            keys: ClusterKeys::from_genesis(&folder::genesis(dir)).expect("keys"),
        }
    }

    /// Looks every answered envelope up, proves some of them, and follows the bank's account from
    /// its first height; each must say what the bank was told.
    pub(crate) fn ask_again(&self, told: &[Answered], round: usize, context: &str) {
        let told: Vec<&Answered> = told.iter().filter(|t| t.answer.is_final()).collect();
        runtime().block_on(async {
            let client = Client::connect(self.config.clone()).await;
            let client = client.expect("the node is up");
            let names: Vec<Lookup> = told.iter().map(|told| told.name()).collect();
            let found = client.lookup_all(&names).await.expect("answered");
            for (told, found) in told.iter().zip(found) {
                let name = told.name();
                let found = found.unwrap_or_else(|| panic!("{context}: {name:?} is lost"));
                let found = (found.height, found.outcome.code);
                assert_eq!(found, result(told), "{context}: {name:?}");
            }
            for told in told.iter().skip(round % PROVE_EVERY).step_by(PROVE_EVERY) {
                let name = told.name();
                let receipt = client.prove(&self.keys, &told.envelope).await;
                let receipt =
                    receipt.unwrap_or_else(|error| panic!("{context}: {name:?}: {error}"));
                let receipt = receipt.unwrap_or_else(|| panic!("{context}: {name:?} has no proof"));
                let proven = (receipt.height, receipt.outcome.code);
                assert_eq!(proven, result(told), "{context}: {name:?}");
            }
            if let Some(last) = told.iter().map(|told| told.answer.height).max() {
                let fed = follow(&client, last, context).await;
                compare(&fed, &told, context);
            }
            client.close().await;
        });
    }
}

fn result(told: &Answered) -> (Height, ResultCode) {
    (told.answer.height, told.answer.outcome.code)
}

/// What the feed of the bank's account gives from height 1 to `last`.
async fn follow(client: &Client, last: Height, context: &str) -> Results {
    let mut feed = client.follow(account(), Height(1));
    let mut results = Results::new();
    loop {
        let item = feed.next().await;
        match item.unwrap_or_else(|error| panic!("{context}: {error}")) {
            FollowItem::Entry {
                height,
                outcome,
                envelope,
                ..
            } if outcome.flags.0 & OutcomeFlags::DUPLICATE == 0 => {
                let name = Lookup::of(&envelope);
                let before = results.insert(name, (height, outcome.code));
                assert_eq!(before, None, "{context}: {name:?} is there twice");
            }
            FollowItem::Through { height } if height >= last => return results,
            _ => {}
        }
    }
}

/// Everything that was told is in `results`, as it was told.
fn compare(results: &Results, told: &[&Answered], context: &str) {
    for told in told {
        let name = told.name();
        assert_eq!(
            results.get(&name),
            Some(&result(told)),
            "{context}: {name:?}"
        );
    }
}

/// Compares the books with the log of a node that has stopped.
pub(crate) fn compare_with_log(dir: &Path, told: &[Answered], context: &str) {
    let genesis = folder::genesis(dir).hash();
    let options = StoreOptions::new(dir.join("data").join(LOG_FOLDER), genesis.0);
    let (reader, _) = Store::open_read_only(Arc::new(RealIo::new()), options).expect("a log");
    let mut results = Results::new();
    for block in History::new(&reader, Sequence::FIRST, Height(1)) {
        let block = block.unwrap_or_else(|error| panic!("{context}: {error}"));
        let all = block.batches.iter().flat_map(|b| envelopes(b.envelopes()));
        for (envelope, outcome) in all.zip(&block.record.results) {
            let ours = Transfer::of(&envelope.body).debit() == account();
            if ours && outcome.flags.0 & OutcomeFlags::DUPLICATE == 0 {
                let (name, result) = (Lookup::of(envelope), (block.record.height, outcome.code));
                let before = results.insert(name, result);
                assert_eq!(before, None, "{context}: {name:?} is in the log twice");
            }
        }
    }
    let told: Vec<&Answered> = told.iter().filter(|t| t.answer.is_final()).collect();
    compare(&results, &told, context);
}
