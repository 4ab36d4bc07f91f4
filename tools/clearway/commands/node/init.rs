//! `clearway node init DIR`: keys, genesis and configuration of a cluster of one node.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clearway_crypto::keys::SigningKey;
use clearway_node::config::{self, NodeConfig};
use clearway_node::genesis_file;
use clearway_node::keystore::{self, Keys, Protection, ValidatorKeys};
use clearway_node::publish;
use clearway_types::account::Role;
use clearway_types::amount::parse_minor;
use clearway_types::genesis::{
    Genesis, GenesisAccount, GenesisLedger, GenesisParticipant, HexBytes, Rules,
};
use clearway_types::limits::WALL_TIME_MS_END;
use clearway_types::units::{AccountId, LedgerId, ParticipantId, TimeMs};
use serde::Serialize;

use crate::commands::passphrase;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::signals::{self, Leftover};
use crate::ui::{self, Output};

/// Decimal places of the first ledger.
const EXPONENT: u8 = 2;
/// The operator, who is the issuer too.
const OPERATOR: ParticipantId = ParticipantId(1);

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder to fill; must not hold a genesis yet
    dir: PathBuf,
    /// Name of the cluster
    #[arg(long, default_value = "clearway")]
    name: String,
    /// Member banks, each with a key file and an account
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=1000))]
    members: u32,
    /// ISO 4217 code of the first ledger, or an asset name: 1 to 8 capitals or digits
    #[arg(long, default_value = "EUR")]
    currency: String,
    /// Number of the first ledger
    #[arg(long, default_value_t = 978)]
    ledger: u32,
    /// Opening balance of each member's account
    #[arg(long, default_value = "1000000.00")]
    balance: String,
    /// UDP address of the members' door
    #[arg(long, default_value = "127.0.0.1:7400")]
    listen: SocketAddr,
    /// TCP address of metrics and health, loopback only
    #[arg(long, default_value = "127.0.0.1:7401")]
    admin_listen: SocketAddr,
    /// Write key files without a passphrase: tests and demonstrations only
    #[arg(long)]
    insecure_plaintext: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Made {
    dir: PathBuf,
    genesis_hash: String,
    config: PathBuf,
    genesis: PathBuf,
    validator_key: PathBuf,
    operator_key: PathBuf,
    member_keys: Vec<PathBuf>,
    accounts: Vec<String>,
    /// Whether the keys are as they are, without a passphrase.
    #[serde(skip)]
    plaintext: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let config = node_config(args)?;
    let cluster = Cluster::generate(args)?;
    let layout = Layout::of(args);
    layout.check_new()?;
    let protection = passphrase::protection(&layout.validator_key(), args.insecure_plaintext)?;
    layout.write(&cluster, &config, &protection)?;
    let genesis = &cluster.genesis;
    let members = genesis.participants.iter().map(|one| one.id);
    let made = Made {
        dir: args.dir.clone(),
        genesis_hash: genesis.hash().to_string(),
        config: layout.config(),
        genesis: layout.genesis(),
        validator_key: layout.validator_key(),
        operator_key: layout.key_of(OPERATOR),
        member_keys: members
            .filter(|id| *id != OPERATOR)
            .map(|id| layout.key_of(id))
            .collect(),
        accounts: genesis.accounts.iter().map(|a| a.id.to_string()).collect(),
        plaintext: args.insecure_plaintext,
    };
    args.output.result("node-init", &made, || shown(&made))
}

/// The configuration, checked as the node will check it.
fn node_config(args: &Args) -> Result<NodeConfig, Failure> {
    let config = NodeConfig {
        keys: Layout::of(args).inside(&Layout::of(args).validator_key()),
        insecure_plaintext_keys: args.insecure_plaintext,
        listen: args.listen,
        admin_listen: args.admin_listen,
        ..NodeConfig::default()
    };
    for (flag, address) in [
        ("--listen", args.listen),
        ("--admin-listen", args.admin_listen),
    ] {
        if address.port() == 0 {
            return Err(Failure::usage(format!(
                "{flag} {address}: nobody would find port 0; give the port to listen on"
            )));
        }
    }
    config::parse(&config::example(&config), [], &[]).or_fail(Kind::Usage)?;
    Ok(config)
}

/// The secrets of a new cluster and the genesis that fits them.
struct Cluster {
    validator: Keys,
    /// Of the operator and the members, in the order of their numbers.
    participants: Vec<(ParticipantId, Keys)>,
    genesis: Genesis,
}

impl Cluster {
    fn generate(args: &Args) -> Result<Self, Failure> {
        let balance = parse_minor(&args.balance, EXPONENT).or_fail(Kind::Usage)?;
        let validator = ValidatorKeys::generate()?;
        let row = validator.genesis_row("validator-1", &args.listen.to_string());
        let mut cluster = Self {
            validator: Keys::Validator(validator),
            participants: Vec::new(),
            genesis: Genesis {
                name: args.name.clone(),
                time: now()?,
                rules: Rules::default(),
                validators: vec![row],
                participants: Vec::new(),
                ledgers: vec![GenesisLedger {
                    id: LedgerId(args.ledger),
                    code: args.currency.clone(),
                    exponent: EXPONENT,
                    issuer: OPERATOR,
                    issuer_account: AccountId::new(OPERATOR, 1),
                }],
                accounts: Vec::new(),
            },
        };
        for number in 0..=args.members {
            let id = ParticipantId(OPERATOR.0 + number);
            let key = SigningKey::generate()?;
            cluster.genesis.participants.push(participant(id, &key));
            cluster.participants.push((id, Keys::Member(key)));
            if id != OPERATOR {
                cluster.genesis.accounts.push(GenesisAccount {
                    id: AccountId::new(id, 1),
                    ledger: LedgerId(args.ledger),
                    balance,
                    credit_line: 0,
                });
            }
        }
        cluster.genesis.check().or_fail(Kind::Usage)?;
        Ok(cluster)
    }
}

/// Where everything of a cluster lies.
struct Layout {
    dir: PathBuf,
    ending: &'static str,
    member_count: u32,
}

impl Layout {
    fn of(args: &Args) -> Self {
        Self {
            dir: args.dir.clone(),
            ending: match args.insecure_plaintext {
                true => "insecure-plaintext",
                false => "age",
            },
            member_count: args.members,
        }
    }

    fn key(&self, name: &str) -> PathBuf {
        let file = format!("{name}.{}", self.ending);
        self.dir.join("keys").join(file)
    }

    fn validator_key(&self) -> PathBuf {
        self.key("validator")
    }

    fn key_of(&self, id: ParticipantId) -> PathBuf {
        match id {
            OPERATOR => self.key("operator"),
            id => self.key(&format!("member-{id}")),
        }
    }

    fn config(&self) -> PathBuf {
        self.dir.join("node.toml")
    }

    fn genesis(&self) -> PathBuf {
        self.dir.join("genesis.toml")
    }

    /// The path as seen from the folder.
    fn inside(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.dir).unwrap_or(path).to_path_buf()
    }

    /// Every file, the genesis last: what has one is a whole cluster.
    fn files(&self) -> Vec<PathBuf> {
        let numbers = 0..=self.member_count;
        let members = numbers.map(|number| self.key_of(ParticipantId(OPERATOR.0 + number)));
        let secrets = members.chain([self.validator_key()]);
        let halves = secrets.flat_map(|secret| [keystore::public_path(&secret), secret]);
        halves.chain([self.config(), self.genesis()]).collect()
    }

    /// Nothing is overwritten: the first file that is there already is named.
    fn check_new(&self) -> Result<(), Failure> {
        let all = [self.genesis()].into_iter().chain(self.files());
        let mut taken = all.filter(|path| std::fs::symlink_metadata(path).is_ok());
        match taken.next() {
            None => Ok(()),
            Some(path) => Err(Failure::new(
                Kind::Failed,
                format!(
                    "{} exists already and nothing is overwritten: choose another folder, or move \
                     it away",
                    path.display()
                ),
            )),
        }
    }

    /// Writes everything under another name, then puts each file in its place; when that fails
    /// nothing is left.
    fn write(
        &self,
        cluster: &Cluster,
        config: &NodeConfig,
        protection: &Protection,
    ) -> Result<(), Failure> {
        let mut placing = Placing::begin(&self.dir)?;
        let part = Self {
            dir: placing.part.clone(),
            ..*self
        };
        keystore::save(&part.validator_key(), &cluster.validator, protection)?;
        for (id, keys) in &cluster.participants {
            keystore::save(&part.key_of(*id), keys, protection)?;
        }
        std::fs::write(part.config(), config::example(config))?;
        genesis_file::save(&part.genesis(), &cluster.genesis)?;
        // A signal finds all of it in place, or none.
        signals::undivided(|| {
            let from = part.files();
            let mut pairs = from.iter().zip(self.files());
            let placed = pairs.try_for_each(|(from, to)| placing.place(from, to));
            match placed {
                Ok(()) => placing.done = true,
                Err(_) => placing.take_back(),
            }
            placed
        })
    }
}

/// Files on their way to their names; dropped before the end, it takes back what it placed.
struct Placing {
    part: PathBuf,
    placed: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    done: bool,
    /// Dropped last: a signal meanwhile removes what is left.
    _leftovers: (Option<Leftover>, Leftover),
}

impl Placing {
    fn begin(dir: &Path) -> Result<Self, Failure> {
        let part = dir.join(format!(".init-{}.part", std::process::id()));
        let leftovers = match dir.exists() {
            // What was there before stays.
            true => None,
            false => Some(Leftover::folder(dir)?),
        };
        let mut placing = Self {
            _leftovers: (leftovers, Leftover::new(&part)?),
            part,
            placed: Vec::new(),
            folders: Vec::new(),
            done: false,
        };
        placing.make_folder(dir)?;
        // What a process of the same number left behind was never used.
        let _ = std::fs::remove_dir_all(&placing.part);
        std::fs::create_dir(&placing.part).map_err(|error| at(dir, error))?;
        Ok(placing)
    }

    fn make_folder(&mut self, folder: &Path) -> Result<(), Failure> {
        if !folder.exists() {
            std::fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
            self.folders.push(folder.into());
        }
        Ok(())
    }

    fn place(&mut self, from: &Path, to: PathBuf) -> Result<(), Failure> {
        if let Some(folder) = to.parent() {
            self.make_folder(folder)?;
        }
        publish(from, &to).map_err(|error| at(&to, error))?;
        self.placed.push(to);
        Ok(())
    }

    fn take_back(&mut self) {
        // What cannot be removed is named by the next run.
        for path in self.placed.drain(..) {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Placing {
    fn drop(&mut self) {
        // What cannot be removed is named by the next run.
        let _ = std::fs::remove_dir_all(&self.part);
        if self.done {
            return;
        }
        self.take_back();
        for folder in self.folders.iter().rev() {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

fn at(path: &Path, error: std::io::Error) -> Failure {
    let message = format!(
        "{}: {error}; check the path and its permissions",
        path.display()
    );
    Failure::new(Kind::Failed, message)
}

fn shown(made: &Made) -> String {
    let mut text = ui::rows([
        ("genesis", made.genesis.display().to_string()),
        ("genesis hash", made.genesis_hash.clone()),
        ("configuration", made.config.display().to_string()),
        ("validator key", made.validator_key.display().to_string()),
        ("operator key", made.operator_key.display().to_string()),
        ("member keys", made.member_keys.len().to_string()),
        ("accounts", made.accounts.join(" ")),
    ]);
    let config = made.config.display();
    text.push_str(&format!("\n\nNext: clearway node run --config {config}"));
    // With one member there is nobody to pay.
    if let [key, _, ..] = &made.member_keys[..] {
        let (genesis, key) = (made.genesis.display(), key.display());
        let plaintext = match made.plaintext {
            true => " --insecure-plaintext",
            false => "",
        };
        text.push_str(&format!(
            "\nThen pay, as member 2:\n  export CLEARWAY_GENESIS={genesis} CLEARWAY_KEY={key}\n  \
             clearway pay 2.1 3.1 1.00{plaintext}"
        ));
    }
    text
}

fn participant(id: ParticipantId, key: &SigningKey) -> GenesisParticipant {
    let (role, sponsor) = match id {
        OPERATOR => (Role::Operator, ParticipantId(0)),
        _ => (Role::Member, OPERATOR),
    };
    GenesisParticipant {
        id,
        role,
        sponsor,
        lei: String::new(),
        bic: String::new(),
        public_key: HexBytes(key.public_key()),
    }
}

/// Whether the system's clock shows a time that a node takes for true.
pub(crate) fn check_clock() -> Result<(), Failure> {
    now().map(drop)
}

/// The system's clock.
pub(crate) fn now() -> Result<TimeMs, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let ms = since.and_then(|since| u64::try_from(since.as_millis()).ok());
    let ms = ms.filter(|ms| *ms < WALL_TIME_MS_END).ok_or_else(|| {
        let message = "the system clock stands before 1970 or after 2099: set it, then try again";
        Failure::new(Kind::Failed, message)
    })?;
    Ok(TimeMs(ms))
}
