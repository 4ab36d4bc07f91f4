//! `clearway keys new|list|check|rotate`: key files, protected by a passphrase.

use std::path::PathBuf;

use clearway_crypto::keys::register_check;
use clearway_node::keystore::{self, KeyFileError, KeyKind, Keys, PublicKeys};
use clearway_types::hex;
use serde::Serialize;

use crate::commands::passphrase::{protection, unlock};
use crate::failure::{Failure, Kind};
use crate::ui::{self, Output};

mod rotate;

/// Key files
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Make a new key file and its public half
    New(New),
    /// List the key files of a folder
    List(List),
    /// Open a key file and check it
    Check(Check),
    /// Put a new key into one of the member's own slots, signed by a live key
    Rotate(rotate::Args),
}

#[derive(clap::Args, Debug)]
pub(crate) struct New {
    /// Key file to make, for example keys/bank-7.age
    path: PathBuf,
    /// What the key is for
    #[arg(long, value_enum, default_value = "member")]
    kind: KindArg,
    /// Do not encrypt: tests and demonstrations only; the name must end in .insecure-plaintext
    #[arg(long)]
    insecure_plaintext: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Args, Debug)]
pub(crate) struct List {
    /// Folder
    #[arg(default_value = "keys")]
    folder: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Check {
    /// Key file
    path: PathBuf,
    /// Accept a file that is not encrypted
    #[arg(long)]
    insecure_plaintext: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum KindArg {
    /// Signs payments and control records
    Member,
    /// Votes and answers connections
    Validator,
}

#[derive(Serialize)]
struct Shown {
    path: PathBuf,
    encrypted: bool,
    #[serde(flatten)]
    public: PublicKeys,
}

impl Shown {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            ("file", self.path.display().to_string()),
            ("kind", self.public.kind.to_string()),
            (
                "encrypted",
                if self.encrypted { "yes" } else { "NO" }.to_owned(),
            ),
            ("public key", hex::encode(&self.public.public_key.0)),
        ];
        if let Some(key) = &self.public.bls_public_key {
            rows.push(("vote key", hex::encode(&key.0)));
        }
        if let Some(proof) = &self.public.bls_proof {
            rows.push(("vote key proof", hex::encode(&proof.0)));
        }
        rows
    }
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::New(args) => new(args),
        Command::List(args) => list(args),
        Command::Check(args) => check(args),
        Command::Rotate(args) => rotate::run(args),
    }
}

fn new(args: &New) -> Result<(), Failure> {
    keystore::check_new(&args.path)?;
    let protection = protection(&args.path, args.insecure_plaintext)?;
    let kind = match args.kind {
        KindArg::Member => KeyKind::Member,
        KindArg::Validator => KeyKind::Validator,
    };
    let keys = Keys::generate(kind)?;
    keystore::save(&args.path, &keys, &protection)?;
    let shown = Shown {
        path: args.path.clone(),
        encrypted: !args.insecure_plaintext,
        public: keys.public(),
    };
    args.output.result("key", &shown, || ui::rows(shown.rows()))
}

/// A row of the list: a key, or what is wrong with the file.
#[derive(Serialize)]
#[serde(untagged)]
enum Listed {
    Key(Box<Shown>),
    Bad { path: PathBuf, problem: String },
}

impl Listed {
    fn of(path: PathBuf) -> Self {
        let read = || {
            let encrypted = keystore::check_file(&path)?;
            Ok::<_, KeyFileError>((encrypted, keystore::load_public(&path)?))
        };
        match read() {
            Ok((encrypted, public)) => Self::Key(Box::new(Shown {
                path,
                encrypted,
                public,
            })),
            Err(error) => Self::Bad {
                path,
                problem: error.to_string(),
            },
        }
    }

    fn row(&self) -> Vec<String> {
        match self {
            Self::Key(shown) => vec![
                shown.path.display().to_string(),
                shown.public.kind.to_string(),
                if shown.encrypted { "yes" } else { "NO" }.to_owned(),
                hex::encode(&shown.public.public_key.0),
            ],
            Self::Bad { path, .. } => {
                let dash = || "-".to_owned();
                let why = "not usable, see below".to_owned();
                vec![path.display().to_string(), dash(), dash(), why]
            }
        }
    }
}

/// Lists every file that could be a key; one that is none, or is open to others, hides no other.
fn list(args: &List) -> Result<(), Failure> {
    let folder = std::fs::read_dir(&args.folder).map_err(|error| {
        let message = format!(
            "{}: {error}; name the folder of the key files",
            args.folder.display()
        );
        Failure::of_file(&error, message)
    })?;
    let mut paths = Vec::new();
    for entry in folder {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("age" | "insecure-plaintext")) {
            paths.push(path);
        }
    }
    paths.sort();
    let found: Vec<Listed> = paths.into_iter().map(Listed::of).collect();
    args.output.result("keys", &found, || {
        let rows = found.iter().map(Listed::row);
        ui::table(&["file", "kind", "encrypted", "public key"], rows)
    })?;
    for listed in &found {
        if let Listed::Bad { problem, .. } = listed {
            ui::note(problem);
        }
    }
    Ok(())
}

fn check(args: &Check) -> Result<(), Failure> {
    let unlock = unlock(&args.path, args.insecure_plaintext)?;
    let encrypted = keystore::check_file(&args.path)?;
    let public = keystore::load(&args.path, &unlock)?.public();
    register_check(&public.public_key.0)?;
    if keystore::load_public(&args.path)? != public {
        let name = keystore::public_path(&args.path);
        let message = format!(
            "{} is not the public half of {}; restore both from the same backup",
            name.display(),
            args.path.display()
        );
        return Err(Failure::new(Kind::Mismatch, message));
    }
    let shown = Shown {
        path: args.path.clone(),
        encrypted,
        public,
    };
    args.output.result("key", &shown, || ui::rows(shown.rows()))
}
