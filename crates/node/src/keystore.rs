//! Key files: member and validator secrets in the age format, refused when others can read them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use clearway_crypto::certificate::ValidatorSecret;
use clearway_crypto::keys::{KeyError, SigningKey};
use clearway_types::genesis::{GenesisValidator, HexBytes};
use clearway_types::hex;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// Scrypt work factor of new files: 2^18 rounds, 256 MiB and about a second.
pub const WORK_LOG_N: u8 = 18;
/// Largest work factor that is tried: 2^20, so that a foreign file cannot ask for all memory.
pub const WORK_LOG_N_MAX: u8 = 20;
/// Longest key file, bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 16 << 10;
/// Variable that holds the passphrase where nobody can type it.
pub const PASSPHRASE_VARIABLE: &str = "CLEARWAY_PASSPHRASE";

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

    /// This validator's row of a genesis.
    #[must_use]
    pub fn genesis_row(&self, name: &str, address: &str) -> GenesisValidator {
        GenesisValidator {
            name: name.to_owned(),
            address: address.to_owned(),
            public_key: HexBytes(self.connection.public_key()),
            bls_public_key: HexBytes(self.vote.public_key()),
            bls_proof: HexBytes(self.vote.prove_possession()),
        }
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

/// Writes a new key file, readable by its owner alone, and its public half beside it.
///
/// # Errors
/// When the file exists already (keys are never overwritten) or cannot be written.
pub fn save(path: &Path, keys: &Keys, protection: &Protection) -> Result<(), KeyFileError> {
    let at = |source| KeyFileError::Io {
        path: path.into(),
        source,
    };
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
            Zeroizing::new(sealed.map_err(|error| at(std::io::Error::other(error)))?)
        }
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(at)?;
    }
    write_private(path, content.as_bytes()).map_err(at)?;
    let public = toml::to_string(&keys.public()).expect("texts are always TOML");
    std::fs::write(public_path(path), public).map_err(at)
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
    let text = std::fs::read_to_string(&path).map_err(|source| KeyFileError::Io {
        path: path.clone(),
        source,
    })?;
    toml::from_str(&text).map_err(|error| KeyFileError::Content {
        path,
        message: error.message().to_owned(),
    })
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
    let at = |source| KeyFileError::Io {
        path: path.into(),
        source,
    };
    let meta = std::fs::metadata(path).map_err(at)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = meta.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Permissions {
                path: path.into(),
                mode,
            });
        }
    }
    if meta.len() > KEY_FILE_BYTES_MAX {
        return Err(KeyFileError::TooLong { path: path.into() });
    }
    std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(at)
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weak(passphrase: &str) -> Protection {
        Protection::Passphrase {
            passphrase: passphrase.to_owned().into(),
            work_log_n: 2,
        }
    }

    fn unlock(passphrase: &str) -> Unlock {
        Unlock {
            passphrase: Some(passphrase.to_owned().into()),
            insecure_plaintext: false,
        }
    }

    #[test]
    fn keys_come_back_from_both_forms_with_the_same_public_half() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for (row, kind) in [KeyKind::Member, KeyKind::Validator]
            .into_iter()
            .enumerate()
        {
            let keys = Keys::generate(kind).expect("randomness");
            let sealed = dir.path().join(format!("{row}.age"));
            save(&sealed, &keys, &weak("open")).expect("written");
            let again = load(&sealed, &unlock("open")).expect("opened");
            assert_eq!(again.public(), keys.public());
            assert_eq!(load_public(&sealed).expect("beside it"), keys.public());
            assert!(check_file(&sealed).expect("private"));

            let plain = dir.path().join(format!("{row}.insecure-plaintext"));
            save(&plain, &keys, &Protection::InsecurePlaintext).expect("written");
            let insecure = Unlock {
                passphrase: None,
                insecure_plaintext: true,
            };
            assert_eq!(
                load(&plain, &insecure).expect("read").public(),
                keys.public()
            );
            assert!(!check_file(&plain).expect("private"));
        }
    }

    #[test]
    fn each_bad_key_file_is_refused_for_its_reason() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let sealed = dir.path().join("a.age");
        let keys = Keys::generate(KeyKind::Member).expect("randomness");
        save(&sealed, &keys, &weak("open")).expect("written");
        let armored = std::fs::read_to_string(&sealed).expect("read");
        let plain = keys.to_text();
        let insecure = || Unlock {
            passphrase: None,
            insecure_plaintext: true,
        };
        let half = &armored[..armored.len() / 2];
        let rows: [(&str, &str, Unlock, &str); 8] = [
            ("wrong", &armored, unlock("other"), "check the passphrase"),
            ("none", &armored, Unlock::default(), "CLEARWAY_PASSPHRASE"),
            ("cut", half, unlock("open"), "restore a backup"),
            ("plain", &plain, Unlock::default(), "--insecure-plaintext"),
            ("empty", "", insecure(), "missing field"),
            (
                "format",
                &plain.replace("format = 1", "format = 2"),
                insecure(),
                "format 2 is unknown",
            ),
            (
                "kind",
                &plain.replace("member", "validator"),
                insecure(),
                "`vote_secret` does not fit",
            ),
            (
                "seed",
                &plain.replace("seed = \"", "seed = \"0"),
                insecure(),
                "64 hexadecimal digits",
            ),
        ];
        for (name, content, unlock, expected) in rows {
            let path = dir.path().join(name);
            write_private(&path, content.as_bytes()).expect("written");
            let error = load(&path, &unlock).expect_err(name).to_string();
            assert!(
                error.contains(expected),
                "{name}: {error:?} lacks {expected:?}"
            );
        }
        let error = load_validator(&sealed, &unlock("open")).expect_err("a member key");
        assert!(
            error.to_string().contains("a validator key is needed"),
            "{error}"
        );
        let error = save(&sealed, &keys, &weak("open")).expect_err("never overwritten");
        assert!(matches!(error, KeyFileError::Io { .. }), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_helps() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("a.age");
        let keys = Keys::generate(KeyKind::Member).expect("randomness");
        save(&path, &keys, &weak("open")).expect("written");
        for (mode, refused) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).expect("changed");
            let result = load(&path, &unlock("open"));
            assert_eq!(result.is_err(), refused, "{mode:04o}");
            if let Err(error) = result {
                assert!(error.to_string().contains("chmod 600"), "{error}");
            }
        }
    }
}
