//! `clearway member add|set|suspend|list`: participants of a cluster, signed by an operator.

use std::path::PathBuf;

use clearway_client::Draft;
use clearway_node::{genesis_file, keystore};
use clearway_types::account::Role;
use clearway_types::genesis::{bic_shape, lei_shape};
use clearway_types::hex;
use clearway_types::units::{Height, ParticipantId};
use serde::Serialize;

use crate::commands::connect::Connect;
use crate::failure::Failure;
use crate::ui::{self, Output};

/// Participants
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Register a participant with its first key
    Add(Add),
    /// Change role, sponsor, LEI and BIC of a participant; keys stay
    Set(Set),
    /// Suspend a participant: it signs nothing until it is set again
    Suspend(Suspend),
    /// List the participants of a genesis file
    List(List),
}

#[derive(clap::Args, Debug)]
pub(crate) struct Add {
    #[command(flatten)]
    record: Record,
    /// Key file of the new participant; its public half is enough
    #[arg(long, value_name = "FILE")]
    member_key: PathBuf,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Set {
    #[command(flatten)]
    record: Record,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Suspend {
    #[command(flatten)]
    record: Record,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Args, Debug)]
pub(crate) struct List {
    /// Genesis file
    #[arg(long, value_name = "FILE", default_value = "genesis.toml")]
    genesis: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// What PARTICIPANT_SET carries beside a key.
#[derive(clap::Args, Debug)]
struct Record {
    /// Participant number
    number: u32,
    /// What it may do
    #[arg(long, value_enum, default_value = "member")]
    role: RoleArg,
    /// Participant who may open accounts for it; 0 for operators only
    #[arg(long, default_value_t = 0)]
    sponsor: u32,
    /// ISO 17442 identifier
    #[arg(long, default_value = "")]
    lei: String,
    /// ISO 9362 identifier
    #[arg(long, default_value = "")]
    bic: String,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum RoleArg {
    /// Owns accounts and signs payments
    Member,
    /// Runs the cluster
    Operator,
    /// Reads everything, moves nothing
    Auditor,
}

impl Record {
    fn draft(&self, suspended: bool) -> Result<Draft, Failure> {
        let role = match self.role {
            RoleArg::Member => Role::Member,
            RoleArg::Operator => Role::Operator,
            RoleArg::Auditor => Role::Auditor,
        };
        if !self.lei.is_empty() && !lei_shape(&self.lei) {
            return Err(Failure::usage(
                "--lei has 18 capitals or digits and 2 check digits",
            ));
        }
        if !self.bic.is_empty() && !bic_shape(&self.bic) {
            return Err(Failure::usage("--bic has 8 or 11 capitals or digits"));
        }
        let (mut lei, mut bic) = ([0; 20], [0; 11]);
        lei[..self.lei.len()].copy_from_slice(self.lei.as_bytes());
        bic[..self.bic.len()].copy_from_slice(self.bic.as_bytes());
        Ok(
            Draft::participant_set(ParticipantId(self.number), role, suspended)
                .sponsor(ParticipantId(self.sponsor))
                .lei_bic(lei, bic),
        )
    }
}

#[derive(Serialize)]
struct Shown {
    id: u32,
    role: Role,
    sponsor: u32,
    lei: String,
    bic: String,
    public_key: String,
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Add(args) => {
            let key = keystore::load_public(&args.member_key)?.public_key.0;
            let draft = args.record.draft(false)?.participant_key(0, key, Height(0));
            args.connect.open()?.submit(draft, false, args.output)
        }
        Command::Set(args) => {
            let draft = args.record.draft(false)?;
            args.connect.open()?.submit(draft, false, args.output)
        }
        Command::Suspend(args) => {
            let draft = args.record.draft(true)?;
            args.connect.open()?.submit(draft, false, args.output)
        }
        Command::List(args) => list(args),
    }
}

fn list(args: &List) -> Result<(), Failure> {
    let genesis = genesis_file::load(&args.genesis)?;
    let shown: Vec<Shown> = genesis
        .participants
        .iter()
        .map(|participant| Shown {
            id: participant.id.0,
            role: participant.role,
            sponsor: participant.sponsor.0,
            lei: participant.lei.clone(),
            bic: participant.bic.clone(),
            public_key: hex::encode(&participant.public_key.0),
        })
        .collect();
    args.output.result("members", &shown, || {
        let rows = shown.iter().map(|shown| {
            vec![
                shown.id.to_string(),
                format!("{:?}", shown.role).to_lowercase(),
                shown.sponsor.to_string(),
                shown.bic.clone(),
                shown.public_key.clone(),
            ]
        });
        ui::table(&["id#", "role", "sponsor#", "bic", "public key"], rows)
    })
}
