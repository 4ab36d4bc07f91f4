//! `clearway node init DIR`: keys, genesis and configuration of a cluster of one node.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clearway_crypto::keys::SigningKey;
use clearway_node::config::{self, NodeConfig};
use clearway_node::genesis_file;
use clearway_node::keystore::{self, KeyKind, Keys, Protection};
use clearway_types::account::Role;
use clearway_types::amount::parse_minor;
use clearway_types::genesis::{
    Genesis, GenesisAccount, GenesisLedger, GenesisParticipant, HexBytes, Rules,
};
use clearway_types::units::{AccountId, LedgerId, ParticipantId, TimeMs};
use serde::Serialize;

use crate::commands::keys;
use crate::failure::{Failure, Kind, OrFail as _};
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
    /// ISO 4217 code of the first ledger
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
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let genesis_path = args.dir.join("genesis.toml");
    if genesis_path.exists() {
        let message = format!(
            "{} exists already: choose another folder, a genesis is never overwritten",
            genesis_path.display()
        );
        return Err(Failure::new(Kind::Failed, message));
    }
    let ending = match args.insecure_plaintext {
        true => "insecure-plaintext",
        false => "age",
    };
    let key_path = |name: &str| args.dir.join("keys").join(format!("{name}.{ending}"));
    let validator_key = key_path("validator");
    let protection = keys::protection(&validator_key, args.insecure_plaintext)?;

    let validator = Keys::generate(KeyKind::Validator)?;
    save(&validator_key, &validator, &protection)?;
    let operator_key = key_path("operator");
    let operator = save_member(&operator_key, &protection)?;
    let mut participants = vec![participant(OPERATOR, Role::Operator, &operator)];
    let mut accounts = Vec::new();
    let mut member_keys = Vec::new();
    let balance = parse_minor(&args.balance, EXPONENT).or_fail(Kind::Usage)?;
    for number in 1..=args.members {
        let id = ParticipantId(OPERATOR.0 + number);
        let path = key_path(&format!("member-{id}"));
        let key = save_member(&path, &protection)?;
        participants.push(participant(id, Role::Member, &key));
        member_keys.push(path);
        accounts.push(GenesisAccount {
            id: AccountId::new(id, 1),
            ledger: LedgerId(args.ledger),
            balance,
            credit_line: 0,
        });
    }
    let Keys::Validator(validator) = &validator else {
        unreachable!("a validator key was made");
    };
    let genesis = Genesis {
        name: args.name.clone(),
        time: now()?,
        rules: Rules::default(),
        validators: vec![validator.genesis_row("validator-0", &args.listen.to_string())],
        participants,
        ledgers: vec![GenesisLedger {
            id: LedgerId(args.ledger),
            code: args.currency.clone(),
            exponent: EXPONENT,
            issuer: OPERATOR,
            issuer_account: AccountId::new(OPERATOR, 1),
        }],
        accounts,
    };
    genesis.check().or_fail(Kind::Usage)?;
    genesis_file::save(&genesis_path, &genesis)?;
    let config = write_config(args, &validator_key)?;
    let made = Made {
        dir: args.dir.clone(),
        genesis_hash: genesis.hash().to_string(),
        config,
        genesis: genesis_path,
        validator_key,
        operator_key,
        member_keys,
        accounts: genesis
            .accounts
            .iter()
            .map(|a| crate::cli::show_account(a.id))
            .collect(),
    };
    args.output.result("node-init", &made, || shown(&made))
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
    text.push_str(&format!(
        "\n\nNext: clearway node run --config {}",
        made.config.display()
    ));
    text
}

fn save(path: &Path, keys: &Keys, protection: &Protection) -> Result<(), Failure> {
    ui::note(&format!("key {}", path.display()));
    Ok(keystore::save(path, keys, protection)?)
}

fn save_member(path: &Path, protection: &Protection) -> Result<SigningKey, Failure> {
    let key = SigningKey::generate()?;
    let keys = Keys::Member(SigningKey::from_seed(&key.seed()));
    save(path, &keys, protection)?;
    Ok(key)
}

fn participant(id: ParticipantId, role: Role, key: &SigningKey) -> GenesisParticipant {
    GenesisParticipant {
        id,
        role,
        sponsor: if id == OPERATOR {
            ParticipantId(0)
        } else {
            OPERATOR
        },
        lei: String::new(),
        bic: String::new(),
        public_key: HexBytes(key.public_key()),
    }
}

fn write_config(args: &Args, validator_key: &Path) -> Result<PathBuf, Failure> {
    let inside = |path: &Path| path.strip_prefix(&args.dir).unwrap_or(path).to_path_buf();
    let config = NodeConfig {
        keys: inside(validator_key),
        insecure_plaintext_keys: args.insecure_plaintext,
        listen: args.listen,
        admin_listen: args.admin_listen,
        ..NodeConfig::default()
    };
    let path = args.dir.join("node.toml");
    std::fs::write(&path, config::example(&config))?;
    Ok(path)
}

/// The system's clock.
pub(crate) fn now() -> Result<TimeMs, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| {
        let message = "the system clock stands before 1970: set it, then try again";
        Failure::new(Kind::Failed, message)
    })?;
    let ms = u64::try_from(since.as_millis()).expect("milliseconds fit 64 bits for ages");
    Ok(TimeMs(ms))
}
