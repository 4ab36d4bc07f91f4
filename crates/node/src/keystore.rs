//! Key files: member and validator secrets in the age format, refused when others can read them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use clearway_crypto::keys::{KeyError, SigningKey};
use clearway_crypto::validators::ValidatorSecret;
use clearway_types::genesis::{GenesisValidator, HexBytes};
use clearway_types::hex;
use clearway_types::units::ValidatorNumber;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::publish::publish;

/// Scrypt work factor of new files: 2^18 rounds, 256 MiB and about a second.
pub const WORK_LOG_N: u8 = 18;
/// Largest work factor that is tried: 2^20, so that a foreign file cannot ask for all memory.
pub const WORK_LOG_N_MAX: u8 = 20;
/// Longest key file, bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 16 << 10;
/// Variable that holds the passphrase where nobody can type it.
pub const PASSPHRASE_VARIABLE: &str = "CLEARWAY_PASSPHRASE";

#[cfg(test)]
mod tests;

const ARMOR: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

/// The secrets of one file.
#[derive(Debug)]
pub enum Keys {
    /// A member's or operator's signing key.
    Member(SigningKey),
    /// What a validator needs.
    Validator(ValidatorKeys),
}

/// A validator's two secrets.
#[derive(Debug)]
pub struct ValidatorKeys {
    /// Ed25519 key of its connections.
    pub connection: SigningKey,
    /// BLS12-381 key of its votes.
    pub vote: ValidatorSecret,
}

/// The public half of a key file; lies beside it with the ending `.pub`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKeys {
    /// `member` or `validator`.
    pub kind: KeyKind,
    /// Ed25519 public key.
    pub public_key: HexBytes<32>,
    /// BLS12-381 G2 public key; validators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bls_public_key: Option<HexBytes<96>>,
    /// Proof that the BLS secret is held; validators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bls_proof: Option<HexBytes<48>>,
}

/// What a key file is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// Signs envelopes and authenticates a member's connections.
    Member,
    /// Votes and answers connections.
    Validator,
}

impl std::fmt::Display for KeyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Member => "member",
            Self::Validator => "validator",
        })
    }
}

/// How a new file is protected.
pub enum Protection {
    /// age with scrypt.
    Passphrase {
        /// The passphrase.
        passphrase: SecretString,
        /// log2 of scrypt's rounds; [`WORK_LOG_N`] but in tests.
        work_log_n: u8,
    },
    /// Not at all: tests and demonstrations.
    InsecurePlaintext,
}

impl Protection {
    /// A passphrase with the ordinary work factor.
    #[must_use]
    pub fn passphrase(passphrase: SecretString) -> Self {
        Self::Passphrase {
            passphrase,
            work_log_n: WORK_LOG_N,
        }
    }
}

/// What the reader may use to open a file.
#[derive(Default)]
pub struct Unlock {
    /// Passphrase of an age file.
    pub passphrase: Option<SecretString>,
    /// Whether a file in plain text is accepted.
    pub insecure_plaintext: bool,
}

impl Unlock {
    /// The passphrase of the environment, if there is one.
    #[must_use]
    pub fn from_environment(insecure_plaintext: bool) -> Self {
        Self {
            passphrase: std::env::var(PASSPHRASE_VARIABLE).ok().map(Into::into),
            insecure_plaintext,
        }
    }
}

/// What is wrong with a key file, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("key file {path}: {source}; check the path, or make keys with `clearway keys new`")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file of that name is there already.
    #[error("{path} exists already and keys are never overwritten; choose another name")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The name is that of a public half.
    #[error("{path} would be its own public half; end the name of a key file in .age")]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// It is a folder, a pipe or a device.
    #[error("{path} is no key file: it is no regular file; check the path")]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// Others than its owner may read it.
    #[error("key file {path} is open to others (mode {mode:04o}); run `chmod 600 {path}`")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is longer than any key file.
    #[error("{path} is no key file: it is longer than {KEY_FILE_BYTES_MAX} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It is encrypted and there is no passphrase.
    #[error("key file {path} is encrypted; set {PASSPHRASE_VARIABLE} or answer the prompt")]
    PassphraseMissing {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase does not open it, or its bytes are damaged.
    #[error("key file {path} does not open: {message}; check the passphrase or restore a backup")]
    Locked {
        /// The file.
        path: PathBuf,
        /// What the age format says.
        message: String,
    },
    /// It is in plain text and that was not allowed.
    #[error(
        "key file {path} is not encrypted; protect it with a passphrase, or accept it with \
         --insecure-plaintext (`insecure_plaintext_keys = true` for a node)"
    )]
    Plaintext {
        /// The file.
        path: PathBuf,
    },
    /// The content is no key record.
    #[error("key file {path}: {message}; restore it from a backup")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A key of another kind.
    #[error("key file {path} holds a {found} key, a {expected} key is needed here")]
    Kind {
        /// The file.
        path: PathBuf,
        /// Its kind.
        found: KeyKind,
        /// The kind needed.
        expected: KeyKind,
    },
    /// No new key could be made.
    #[error(transparent)]
    Make(#[from] KeyError),
}

/// The encrypted record.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretRecord {
    format: u32,
    kind: KeyKind,
    seed: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vote_secret: Option<String>,
}

impl Drop for SecretRecord {
    fn drop(&mut self) {
        self.seed.zeroize();
        self.vote_secret.zeroize();
    }
}

impl ValidatorKeys {
    /// New keys from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self {
            connection: SigningKey::generate()?,
            vote: ValidatorSecret::generate(&mut rand::rng()),
        })
    }

    /// Its row of a genesis whose only validator it is.
    #[must_use]
    pub fn genesis_row(&self, name: &str, members_address: &str) -> GenesisValidator {
        GenesisValidator::new(
            ValidatorNumber(1),
            name.to_owned(),
            members_address.to_owned(),
            self.connection.public_key(),
            self.vote.public_key(),
            self.vote.prove_possession(),
        )
    }
}

impl Keys {
    /// New keys of a kind.
    ///
    /// # Errors
    /// [`KeyFileError::Make`].
    pub fn generate(kind: KeyKind) -> Result<Self, KeyFileError> {
        Ok(match kind {
            KeyKind::Member => Self::Member(SigningKey::generate()?),
            KeyKind::Validator => Self::Validator(ValidatorKeys::generate()?),
        })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKeys {
        match self {
            Self::Member(key) => PublicKeys {
                kind: KeyKind::Member,
                public_key: HexBytes(key.public_key()),
                bls_public_key: None,
                bls_proof: None,
            },
            Self::Validator(keys) => PublicKeys {
                kind: KeyKind::Validator,
                public_key: HexBytes(keys.connection.public_key()),
                bls_public_key: Some(HexBytes(keys.vote.public_key())),
                bls_proof: Some(HexBytes(keys.vote.prove_possession())),
            },
        }
    }

    fn to_text(&self) -> Zeroizing<String> {
        let seed = |key: &SigningKey| hex::encode(key.seed().as_ref());
        let record = match self {
            Self::Member(key) => SecretRecord {
                format: 1,
                kind: KeyKind::Member,
                seed: seed(key),
                vote_secret: None,
            },
            Self::Validator(keys) => SecretRecord {
                format: 1,
                kind: KeyKind::Validator,
                seed: seed(&keys.connection),
                vote_secret: Some(hex::encode(keys.vote.to_bytes().as_ref())),
            },
        };
        Zeroizing::new(toml::to_string(&record).expect("texts and numbers are always TOML"))
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let record: SecretRecord =
            toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if record.format != 1 {
            return Err(format!("format {} is unknown, 1 is known", record.format));
        }
        let bytes = |text: &str, what: &str| {
            hex::decode_array::<32>(text)
                .map(Zeroizing::new)
                .ok_or_else(|| format!("`{what}` is not 64 hexadecimal digits"))
        };
        let key = SigningKey::from_seed(&*bytes(&record.seed, "seed")?);
        match (record.kind, &record.vote_secret) {
            (KeyKind::Member, None) => Ok(Self::Member(key)),
            (KeyKind::Validator, Some(secret)) => {
                let vote = ValidatorSecret::from_bytes(&*bytes(secret, "vote_secret")?)
                    .map_err(|error| error.to_string())?;
                Ok(Self::Validator(ValidatorKeys {
                    connection: key,
                    vote,
                }))
            }
            (kind, _) => Err(format!("`vote_secret` does not fit kind `{kind}`")),
        }
    }
}

/// Writes a new key file, readable by its owner alone, and its public half beside it: both or none.
///
/// # Errors
/// When one of them exists already (keys are never overwritten), the name leaves no room for the
/// public half, or they cannot be written.
pub fn save(path: &Path, keys: &Keys, protection: &Protection) -> Result<(), KeyFileError> {
    check_new(path)?;
    let text = keys.to_text();
    let content = match protection {
        Protection::InsecurePlaintext => text,
        Protection::Passphrase {
            passphrase,
            work_log_n,
        } => {
            let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
            recipient.set_work_factor(*work_log_n);
            let sealed = age::encrypt_and_armor(&recipient, text.as_bytes());
            let sealed = sealed.map_err(|error| io_at(path)(std::io::Error::other(error)))?;
            Zeroizing::new(sealed)
        }
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io_at(folder))?;
    }
    let public = toml::to_string(&keys.public()).expect("texts are always TOML");
    let secret = NewFile::write(path, content.as_bytes(), 0o600)?;
    let beside = NewFile::write(&public_path(path), public.as_bytes(), 0o644)?;
    secret.publish()?;
    beside.publish().inspect_err(|_| {
        // Nobody has used it yet: a secret without its public half would be half a key.
        let _ = std::fs::remove_file(path);
    })
}

/// Whether a key file may be made under this name.
///
/// # Errors
/// When it or its public half exists already, or both would be one file.
pub fn check_new(path: &Path) -> Result<(), KeyFileError> {
    let public = public_path(path);
    if public == path || path.file_name().is_none() {
        return Err(KeyFileError::Name { path: path.into() });
    }
    let exists = |path: &&PathBuf| std::fs::symlink_metadata(path).is_ok();
    match [&path.to_path_buf(), &public].into_iter().find(exists) {
        Some(path) => Err(KeyFileError::Exists { path: path.clone() }),
        None => Ok(()),
    }
}

/// A file that is complete under another name, and takes its own when it is published.
struct NewFile {
    part: PathBuf,
    path: PathBuf,
}

impl NewFile {
    fn write(path: &Path, content: &[u8], mode: u32) -> Result<Self, KeyFileError> {
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}.part", std::process::id()));
        let new = Self {
            part: path.with_file_name(name),
            path: path.into(),
        };
        // What a process of the same number left behind was never published.
        let _ = std::fs::remove_file(&new.part);
        write_new(&new.part, content, mode).map_err(io_at(path))?;
        Ok(new)
    }

    /// Takes its name, unless somebody has it: nothing is ever overwritten.
    fn publish(&self) -> Result<(), KeyFileError> {
        publish(&self.part, &self.path).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => KeyFileError::Exists {
                path: self.path.clone(),
            },
            _ => io_at(&self.path)(source),
        })
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // A published file has no such name any more, as a rule.
        let _ = std::fs::remove_file(&self.part);
    }
}

/// An error of the system, with the file that it is about.
fn io_at(path: &Path) -> impl Fn(std::io::Error) -> KeyFileError {
    move |source| KeyFileError::Io {
        path: path.into(),
        source,
    }
}

/// Where the public half of a key file lies.
#[must_use]
pub fn public_path(path: &Path) -> PathBuf {
    path.with_extension("pub")
}

/// Reads the public half, which needs no passphrase.
///
/// # Errors
/// When it is missing or not what [`save`] wrote.
pub fn load_public(path: &Path) -> Result<PublicKeys, KeyFileError> {
    let path = public_path(path);
    let text = read_small(&path)?;
    toml::from_str(&text).map_err(|error| KeyFileError::Content {
        path,
        message: error.message().to_owned(),
    })
}

/// A member's public key, from its key file or the public half: no other key may sign for one.
///
/// # Errors
/// Those of [`load_public`], and [`KeyFileError::Kind`].
pub fn load_public_member(path: &Path) -> Result<[u8; 32], KeyFileError> {
    let public = load_public(path)?;
    match public.kind {
        KeyKind::Member => Ok(public.public_key.0),
        found @ KeyKind::Validator => Err(KeyFileError::Kind {
            path: public_path(path),
            found,
            expected: KeyKind::Member,
        }),
    }
}

/// Whether the file is encrypted; also checks that only its owner can read it.
///
/// # Errors
/// When it cannot be read or is open to others.
pub fn check_file(path: &Path) -> Result<bool, KeyFileError> {
    Ok(read_private(path)?.starts_with(ARMOR))
}

/// Opens a key file.
///
/// # Errors
/// Each way in which it can be wrong, with what to do.
pub fn load(path: &Path, unlock: &Unlock) -> Result<Keys, KeyFileError> {
    let content = read_private(path)?;
    let text = if content.starts_with(ARMOR) {
        let missing = || KeyFileError::PassphraseMissing { path: path.into() };
        let passphrase = unlock.passphrase.clone().ok_or_else(missing)?;
        let mut identity = age::scrypt::Identity::new(passphrase);
        identity.set_max_work_factor(WORK_LOG_N_MAX);
        let plain = age::decrypt(&identity, content.as_bytes());
        let plain = plain.map_err(|error| KeyFileError::Locked {
            path: path.into(),
            message: error.to_string(),
        })?;
        let plain = Zeroizing::new(plain);
        Zeroizing::new(String::from_utf8_lossy(&plain).into_owned())
    } else if unlock.insecure_plaintext {
        content
    } else {
        return Err(KeyFileError::Plaintext { path: path.into() });
    };
    Keys::from_text(&text).map_err(|message| KeyFileError::Content {
        path: path.into(),
        message,
    })
}

/// Opens a member's key file.
///
/// # Errors
/// Those of [`load`], and [`KeyFileError::Kind`].
pub fn load_member(path: &Path, unlock: &Unlock) -> Result<SigningKey, KeyFileError> {
    match load(path, unlock)? {
        Keys::Member(key) => Ok(key),
        Keys::Validator(_) => Err(KeyFileError::Kind {
            path: path.into(),
            found: KeyKind::Validator,
            expected: KeyKind::Member,
        }),
    }
}

/// Opens a validator's key file.
///
/// # Errors
/// Those of [`load`], and [`KeyFileError::Kind`].
pub fn load_validator(path: &Path, unlock: &Unlock) -> Result<ValidatorKeys, KeyFileError> {
    match load(path, unlock)? {
        Keys::Validator(keys) => Ok(keys),
        Keys::Member(_) => Err(KeyFileError::Kind {
            path: path.into(),
            found: KeyKind::Member,
            expected: KeyKind::Validator,
        }),
    }
}

fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let meta = std::fs::metadata(path).map_err(io_at(path))?;
        let mode = meta.permissions().mode() & 0o7777;
        if meta.is_file() && mode & 0o077 != 0 {
            return Err(KeyFileError::Permissions {
                path: path.into(),
                mode,
            });
        }
    }
    read_small(path)
}

/// Reads a file that is no longer than a key file; a pipe or a device would never end.
fn read_small(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let meta = std::fs::metadata(path).map_err(io_at(path))?;
    if !meta.is_file() {
        return Err(KeyFileError::NoFile { path: path.into() });
    }
    if meta.len() > KEY_FILE_BYTES_MAX {
        return Err(KeyFileError::TooLong { path: path.into() });
    }
    std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(io_at(path))
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(mode);
    }
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
