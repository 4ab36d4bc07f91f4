//! A table of questions, asked before and after every kind of restart: each has the same answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clearway_client::{Client, ClientConfig, ClusterKeys, Draft, Follow, Signer};
use clearway_harness::{NodeProcess, folder, free_door};
use clearway_node::{CHECKPOINT_FOLDER, LOG_FOLDER};
use clearway_types::amount::Amount;
use clearway_types::envelope::Envelope;
use clearway_types::units::{AccountId, Height, LedgerId, ParticipantId, TransferId};
use clearway_types::wire::query::{FollowItem, Lookup};
use tempfile::{TempDir, tempdir};

use crate::bank::runtime;
use crate::program;

/// Longest life of an envelope, and how long a payment can be returned: after that, a checkpoint
/// needs nothing of the log before it. Seconds.
const LIFE_S: u32 = 4;

/// A way in which a node ends, and what becomes of its files before it starts again.
struct Restart {
    name: &'static str,
    end: fn(&mut NodeProcess),
    meddle: fn(&Path),
}

const RESTARTS: [Restart; 6] = [
    Restart {
        name: "a stop",
        end: NodeProcess::stop,
        meddle: |_| {},
    },
    Restart {
        name: "a kill",
        end: NodeProcess::kill,
        meddle: |_| {},
    },
    Restart {
        name: "a stop, and the newest checkpoint is damaged",
        end: NodeProcess::stop,
        meddle: |data| {
            let newest = checkpoints(data).pop().expect("a checkpoint").1;
            let mut bytes = fs::read(&newest).expect("readable");
            bytes[200] ^= 1;
            fs::write(&newest, bytes).expect("writable");
        },
    },
    Restart {
        name: "a kill, and there is no checkpoint",
        end: NodeProcess::kill,
        meddle: |data| fs::remove_dir_all(data.join(CHECKPOINT_FOLDER)).expect("it is there"),
    },
    Restart {
        name: "a kill, and there is no index",
        end: NodeProcess::kill,
        meddle: |data| each_index(data, |path| fs::remove_file(path).expect("removed")),
    },
    Restart {
        name: "a stop, and every index is damaged",
        end: NodeProcess::stop,
        meddle: |data| {
            each_index(data, |path| {
                let mut bytes = fs::read(path).expect("readable");
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                fs::write(path, bytes).expect("writable");
            });
        },
    },
];

/// Heights and files of the checkpoints, oldest first.
fn checkpoints(data: &Path) -> Vec<(u64, PathBuf)> {
    let Ok(entries) = fs::read_dir(data.join(CHECKPOINT_FOLDER)) else {
        return Vec::new();
    };
    let height = |path: &Path| {
        let stem = path.file_stem()?.to_str()?;
        stem.strip_prefix("checkpoint-")?.parse().ok()
    };
    let found = entries.map(|entry| entry.expect("readable").path());
    let mut found: Vec<_> = found
        .filter_map(|path| Some((height(&path)?, path)))
        .collect();
    found.sort();
    found
}

fn each_index(data: &Path, change: impl Fn(&Path)) {
    let mut count = 0;
    for entry in fs::read_dir(data.join(LOG_FOLDER)).expect("a log") {
        let path = entry.expect("readable").path();
        if path
            .extension()
            .is_some_and(|suffix| suffix == "blk" || suffix == "idx")
        {
            change(&path);
            count += 1;
        }
    }
    assert!(count >= 2, "a sealed segment has two indexes");
}

/// A cluster of one node, its members 2 and 3, and what they sent.
struct Town {
    dir: TempDir,
    door: String,
    ledger: LedgerId,
    payer: Signer,
    payee: Signer,
    sent: Vec<Envelope>,
    /// Highest height that anything was answered at.
    height: Height,
}

fn account(owner: u32) -> AccountId {
    AccountId::new(ParticipantId(owner), 1)
}

impl Town {
    fn new() -> Self {
        let dir = tempdir().expect("a temporary folder");
        folder::init(program(dir.path()));
        folder::set_rules(dir.path(), |rules| {
            rules.ttl_s_max = LIFE_S;
            rules.return_window_s = LIFE_S;
        });
        let genesis = folder::genesis(dir.path());
        let signer = |participant| {
            let identity = folder::identity(dir.path(), participant);
            let signer = Signer::new(identity, genesis.hash()).expect("randomness");
            signer.with_ttl(Duration::from_secs(LIFE_S.into()))
        };
        Self {
            door: free_door(),
            ledger: genesis.ledgers[0].id,
            payer: signer(2),
            payee: signer(3),
            sent: Vec::new(),
            height: Height(0),
            dir,
        }
    }

    fn start(&self) -> NodeProcess {
        let mut program = program(self.dir.path());
        program
            .env("CLEARWAY_STORE_CHECKPOINT_BLOCKS", "4")
            .env("CLEARWAY_STORE_SEGMENT_BYTES", (16 << 20).to_string());
        NodeProcess::start(program, Path::new("node.toml"), &self.door)
    }

    async fn client(&self, participant: u32) -> Client {
        let identity = folder::identity(self.dir.path(), participant);
        let server = folder::server(&folder::genesis(self.dir.path()), &self.door);
        let config = ClientConfig::new(identity, vec![server]);
        Client::connect(config).await.expect("the node is up")
    }

    async fn send(&mut self, client: &Client, signer: u32, drafts: &[Draft]) -> Vec<Envelope> {
        let signer = match signer {
            2 => &self.payer,
            _ => &self.payee,
        };
        let envelopes: Vec<_> = drafts.iter().map(|draft| signer.sign(*draft)).collect();
        let answers = client.submit(&envelopes).await.expect("answered");
        let last = answers.iter().map(|answer| answer.height).max();
        self.height = self.height.max(last.expect("some were sent"));
        let answered = envelopes.iter().zip(answers.iter());
        let executed = answered.filter(|(_, answer)| answer.is_final());
        self.sent.extend(executed.map(|(envelope, _)| *envelope));
        envelopes
    }

    /// Some of everything that leaves a trace in the log.
    async fn live(&mut self) {
        let (payer, payee) = (self.client(2).await, self.client(3).await);
        let amount = |minor| Amount::new(minor, self.ledger);
        let (one, two, much) = (amount(1), amount(2), amount(u64::MAX / 2));
        let (from, to) = (account(2), account(3));
        let pay = Draft::transfer(from, to, two);
        let drafts = [
            pay,
            pay,
            Draft::transfer(from, to, much),
            Draft::transfer(to, from, one),
            Draft::hold(from, to, two, 1),
            Draft::hold(from, to, two, 600),
            Draft::hold(from, to, two, 600),
        ];
        let sent = self.send(&payer, 2, &drafts).await;
        let ends = [
            Draft::post(sent[5].body.id, from, to, one),
            Draft::void(sent[6].body.id, from, to, self.ledger),
        ];
        self.send(&payer, 2, &ends).await;
        let back = Draft::give_back(sent[0].body.id, to, from, one);
        self.send(&payee, 3, &[back]).await;
        // The same bytes again: a second place in the log, the first one counts.
        payer.submit(&sent[..2]).await.expect("answered");
        payer.close().await;
        payee.close().await;
    }

    /// Fills a segment, so that it is sealed and indexed.
    async fn fill_a_segment(&mut self) {
        let client = self.client(2).await;
        let pay = Draft::transfer(account(2), account(3), Amount::new(1, self.ledger));
        let before = self.sent.len();
        for _ in 0..12 {
            self.send(&client, 2, &vec![pay; 8000]).await;
        }
        // Few of them are asked for again.
        let kept: Vec<_> = self.sent.drain(before..).step_by(4000).collect();
        self.sent.extend(kept);
        client.close().await;
    }

    /// Waits until nothing of what was sent can come again, the holds are over, and a checkpoint
    /// stands that starts behind all of it.
    async fn outlive(&mut self) {
        let client = self.client(2).await;
        let now = client.status().await.expect("answered").time.0;
        let until = now + 1000 * u64::from(2 * LIFE_S);
        let data = self.dir.path().join("data");
        let mut feed = client.follow(account(2), self.height);
        let mut over = None;
        loop {
            let height = next_height(&mut feed).await;
            let time = client.status().await.expect("answered").time.0;
            if time < until {
                continue;
            }
            let over = *over.get_or_insert(height);
            let newest = checkpoints(&data).pop().map_or(0, |(height, _)| height);
            if newest > over.0 {
                self.height = height;
                break;
            }
        }
        client.close().await;
    }

    /// The table: every question as text, with its answer.
    async fn answers(&self) -> BTreeMap<String, String> {
        let keys = ClusterKeys::from_genesis(&folder::genesis(self.dir.path())).expect("keys");
        let mut table = BTreeMap::new();
        let unknown = Lookup {
            signer: ParticipantId(2),
            id: TransferId([0xee; 16]),
        };
        for asker in [1, 2, 3] {
            let client = self.client(asker).await;
            let mut names: Vec<Lookup> = self.sent.iter().map(Lookup::of).collect();
            names.extend((asker == 2).then_some(unknown));
            let found = client.lookup_all(&names).await.expect("answered");
            for (name, found) in names.iter().zip(found) {
                let expected = *name != unknown;
                assert_eq!(found.is_some(), expected, "{asker} asks for {name:?}");
                table.insert(
                    format!("{asker}: look-up of {name:?}"),
                    format!("{found:?}"),
                );
            }
            for envelope in &self.sent {
                let receipt = client.prove(&keys, envelope).await.expect("proven");
                let name = Lookup::of(envelope);
                table.insert(
                    format!("{asker}: proof of {name:?}"),
                    format!("{receipt:?}"),
                );
            }
            for owner in [2, 3] {
                if asker != 1 && asker != owner {
                    continue;
                }
                let shown = client.account(account(owner)).await.expect("answered");
                let shown = shown.expect("it exists").account;
                let row = format!("{asker}: account of {owner}");
                table.insert(row, format!("{:?}", figures(&shown)));
                for from in [1, self.height.0 / 2, self.height.0] {
                    let items = feed(&client, owner, Height(from), self.height).await;
                    let row = format!("{asker}: feed of {owner} from {from} to {}", self.height);
                    table.insert(row, items);
                }
            }
            let status = client.status().await.expect("answered");
            assert!(status.height >= self.height, "the height never falls");
            table.insert(format!("{asker}: cluster"), format!("{}", status.genesis));
            client.close().await;
        }
        table
    }
}

fn figures(account: &clearway_types::account::Account) -> [u128; 4] {
    [
        account.debits_posted.get(),
        account.credits_posted.get(),
        account.debits_pending.get(),
        account.credits_pending.get(),
    ]
}

/// The next height through which a feed has come.
async fn next_height(feed: &mut Follow) -> Height {
    loop {
        if let FollowItem::Through { height } = feed.next().await.expect("the feed goes on") {
            return height;
        }
    }
}

/// All of a feed from one height to another, as a count and a hash of its items.
async fn feed(client: &Client, owner: u32, from: Height, to: Height) -> String {
    let mut feed = client.follow(account(owner), from);
    let (mut bytes, mut count, mut ended) = (Vec::new(), 0, 0);
    loop {
        let item = feed.next().await.expect("the feed goes on");
        match item {
            FollowItem::Through { height } if height >= to => break,
            FollowItem::Entry { height, .. } | FollowItem::Event { height, .. } if height <= to => {
                count += 1;
                ended += u32::from(matches!(item, FollowItem::Event { .. }));
                item.encode(&mut bytes);
            }
            _ => {}
        }
    }
    let hash = clearway_crypto::hash::sha256(&[&bytes]);
    format!("{count} items, {ended} events, {hash}")
}

#[test]
fn every_question_has_the_same_answer_before_and_after_every_kind_of_restart() {
    let mut town = Town::new();
    let mut node = town.start();
    runtime().block_on(async {
        town.live().await;
        town.fill_a_segment().await;
        town.live().await;
    });
    for restart in RESTARTS {
        let before = runtime().block_on(async {
            town.outlive().await;
            town.answers().await
        });
        (restart.end)(&mut node);
        (restart.meddle)(&town.dir.path().join("data"));
        node = town.start();
        let after = runtime().block_on(town.answers());
        for (question, answer) in &before {
            let again = after.get(question);
            assert_eq!(again, Some(answer), "after {}: {question}", restart.name);
        }
        assert_eq!(before.len(), after.len(), "after {}", restart.name);
        runtime().block_on(town.live());
    }
    node.stop();
}
