//! The configuration: TOML file, then `CLEARWAY_*` variables, then flags; unknown keys are
//! errors, unknown variables are warned of.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

mod settings;
#[cfg(test)]
mod tests;
mod variables;

pub use settings::{Given, SETTINGS, Setting};
pub use variables::{DOCUMENTED, environment};

/// Longest configuration file, bytes: a hundred times the longest sensible one.
pub const CONFIG_BYTES_MAX: usize = 256 << 10;

/// Everything that one node needs to know beside its genesis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeConfig {
    /// Folder of log, checkpoints and engine journal; created when missing.
    pub data_dir: PathBuf,
    /// Genesis file.
    pub genesis: PathBuf,
    /// Validator key file.
    pub keys: PathBuf,
    /// Whether the key file may be plain text: tests and demonstrations only.
    pub insecure_plaintext_keys: bool,
    /// UDP address of the members' QUIC door.
    pub listen: SocketAddr,
    /// TCP address of `/metrics`, `/livez`, `/readyz`; loopback only.
    pub admin_listen: SocketAddr,
    /// Threads that verify signatures; 0 for one on each core that the other stages leave free.
    pub verify_workers: u32,
    /// Backend that verifies signatures: `auto` or a name from `clearway verify --list-backends`.
    pub backend: String,
    /// Who hashes envelopes and Merkle trees: `cpu` or one of its hashers by name, `gpu` (large
    /// numbers) or `gpu:all`.
    pub hash_backend: String,
    /// Whether a GPU driver that computes on the processor may be the backend.
    pub allow_software_adapter: bool,
    /// Whether stage threads are pinned to cores.
    pub pin_threads: bool,
    /// Filter of the log, as [`crate::log::directives`] reads it.
    pub log: String,
    /// Bounds of the QUIC door.
    pub door: DoorConfig,
    /// Pace of the ordering engine.
    pub order: OrderPace,
    /// Sizes of the block store.
    pub store: StoreSizes,
}

/// Bounds of the QUIC door.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DoorConfig {
    /// Connections in all.
    pub connections_max: u32,
    /// Connections of one member.
    pub connections_per_member_max: u32,
    /// Open streams of one connection.
    pub streams_per_connection_max: u32,
    /// Receive window of one stream, bytes.
    pub stream_window_bytes: u32,
    /// Receive window of one connection, bytes.
    pub connection_window_bytes: u32,
    /// Largest UDP payload accepted and sent, bytes; above 1452 for loopback and jumbo frames only.
    pub udp_payload_bytes_max: u16,
    /// A silent connection is closed after this, milliseconds.
    pub idle_ms: u32,
    /// A stream may keep the door waiting so long for a frame, milliseconds, and longer only while
    /// it brings bytes at `fill_bytes_per_s_min`.
    pub frame_fill_ms: u32,
    /// Slowest pace of a stream that is waited for beyond `frame_fill_ms`, bytes a second.
    pub fill_bytes_per_s_min: u32,
    /// Handshakes under way from one address; the next takes the place of its oldest.
    pub handshakes_per_address_max: u32,
    /// Signatures a second that one member may send; 0 for no bound.
    pub member_rate_max: u32,
    /// Cores that questions and feeds may keep busy; 0 for half of them.
    pub question_cores: u32,
}

impl DoorConfig {
    /// Of this many cores, those that questions and feeds may keep busy.
    #[must_use]
    pub fn question_cores_of(&self, cores: usize) -> usize {
        match self.question_cores {
            0 => (cores / 2).max(1),
            some => cores.min(some as usize),
        }
    }
}

/// Pace of the ordering engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderPace {
    /// Shortest time between two proposals, milliseconds.
    pub pace_ms: u32,
    /// An empty block is proposed after this long without work, milliseconds.
    pub heartbeat_ms: u32,
}

/// Sizes of the block store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreSizes {
    /// Bytes of one log segment.
    pub segment_bytes: u64,
    /// Blocks between two checkpoints of the state; 0 for none but at stop.
    pub checkpoint_blocks: u32,
}

impl Default for NodeConfig {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            data_dir: "data".into(),
            genesis: "genesis.toml".into(),
            keys: "keys/validator.age".into(),
            insecure_plaintext_keys: false,
            listen: loopback(7400),
            admin_listen: loopback(7401),
            verify_workers: 0,
            backend: "auto".into(),
            hash_backend: "cpu".into(),
            allow_software_adapter: false,
            pin_threads: false,
            log: "info".into(),
            door: DoorConfig {
                connections_max: 2000,
                connections_per_member_max: 8,
                streams_per_connection_max: 32,
                stream_window_bytes: 256 << 10,
                connection_window_bytes: 1 << 20,
                udp_payload_bytes_max: 1452,
                idle_ms: 10_000,
                frame_fill_ms: 10_000,
                fill_bytes_per_s_min: 4096,
                handshakes_per_address_max: 128,
                member_rate_max: 0,
                question_cores: 0,
            },
            order: OrderPace {
                pace_ms: clearway_order::VIEW_PACE_MS,
                heartbeat_ms: clearway_order::HEARTBEAT_MS,
            },
            store: StoreSizes {
                segment_bytes: 64 << 20,
                checkpoint_blocks: 4096,
            },
        }
    }
}

/// Where the value of a setting comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Built in.
    Default,
    /// A preset that the file, a variable or a flag chose.
    Preset(&'static str),
    /// A line of the configuration file, from 1.
    File {
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::File { line } => write!(f, "file line {line}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// What is wrong with a configuration, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is too long to be a configuration.
    #[error("configuration has {bytes} bytes; at most {CONFIG_BYTES_MAX} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The file is not TOML.
    #[error("configuration line {line}: {message}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// No setting has this name.
    #[error("{origin}: no setting `{key}`; did you mean `{nearest}`?")]
    UnknownKey {
        /// The name.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// The setting with the most similar name.
        nearest: &'static str,
    },
    /// No preset has this name.
    #[error("{origin}: no preset `{name}`; choose one of {PRESET_NAMES}")]
    UnknownPreset {
        /// The name.
        name: String,
        /// Where it stands.
        origin: Origin,
    },
    /// The value has another type.
    #[error("{origin}: `{key}` must be {expected}")]
    Type {
        /// The setting.
        key: &'static str,
        /// Where it stands.
        origin: Origin,
        /// What it must be.
        expected: &'static str,
    },
    /// The value is out of range.
    #[error("{origin}: `{key}` must lie between {min} and {max}, not {value}")]
    Range {
        /// The setting.
        key: &'static str,
        /// Where it stands.
        origin: Origin,
        /// The value given.
        value: i64,
        /// Smallest allowed.
        min: i64,
        /// Largest allowed.
        max: i64,
    },
    /// The value of a variable is no text.
    #[error("variable {variable} is not valid UTF-8; set it again, or take it out")]
    VariableNotText {
        /// Its name.
        variable: String,
    },
    /// Two settings contradict each other.
    #[error("`{first}` and `{second}` contradict each other: {help}")]
    Conflict {
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// What to do.
        help: &'static str,
    },
}

impl ConfigError {
    /// Whether it is about the file, and not about a variable or a flag beside it.
    #[must_use]
    pub fn is_of_file(&self) -> bool {
        match self {
            Self::Read { .. } | Self::TooLong { .. } | Self::Syntax { .. } => true,
            _ => matches!(self.origin(), Some(Origin::File { .. })),
        }
    }

    /// Whether it is about a flag: what was typed, and no file or variable.
    #[must_use]
    pub fn is_of_flag(&self) -> bool {
        matches!(self.origin(), Some(Origin::Flag))
    }

    /// Where the one value stands that it is about.
    fn origin(&self) -> Option<&Origin> {
        match self {
            Self::UnknownKey { origin, .. }
            | Self::UnknownPreset { origin, .. }
            | Self::Type { origin, .. }
            | Self::Range { origin, .. } => Some(origin),
            Self::Read { .. }
            | Self::TooLong { .. }
            | Self::Syntax { .. }
            | Self::VariableNotText { .. }
            | Self::Conflict { .. } => None,
        }
    }
}

const PRESET_NAMES: &str = "laptop, server, bench";

type Edit = fn(&mut NodeConfig);

/// Named starting points: what each changes in the defaults.
const PRESETS: [(&str, Edit); 3] = [
    ("laptop", |_| {}),
    ("server", |config| {
        config.pin_threads = true;
        config.door.connection_window_bytes = 4 << 20;
        config.door.stream_window_bytes = 1 << 20;
        config.store.segment_bytes = 256 << 20;
    }),
    ("bench", |config| {
        config.door.connection_window_bytes = 8 << 20;
        config.door.stream_window_bytes = 2 << 20;
        config.door.connections_per_member_max = 64;
        config.log = "warn".into();
    }),
];

/// A configuration and where each of its values comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// The values.
    pub config: NodeConfig,
    /// Where those that are not built in come from, by setting.
    pub origins: BTreeMap<&'static str, Origin>,
    /// What the operator should know: variables that look like settings and are
    /// none.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// Where the value of `setting` comes from.
    #[must_use]
    pub fn origin(&self, setting: &Setting) -> Origin {
        self.origins
            .get(setting.key)
            .cloned()
            .unwrap_or(Origin::Default)
    }
}

/// Reads `file`, if any. Then `variables` (only those that start with `CLEARWAY_` matter), then
/// `flags` as (setting, value). Paths in the file and in flags are relative to the file's folder,
/// paths in variables to the working directory: a variable means the same to every command.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: &[(String, String)],
) -> Result<Loaded, ConfigError> {
    let text = match file {
        None => String::new(),
        Some(path) => crate::read::text(path).map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })?,
    };
    let mut loaded = parse(&text, variables, flags)?;
    let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
    let config = &mut loaded.config;
    for (key, path) in [
        ("data_dir", &mut config.data_dir),
        ("genesis", &mut config.genesis),
        ("keys", &mut config.keys),
    ] {
        if !matches!(loaded.origins.get(key), Some(Origin::Variable(_))) {
            *path = folder.join(&*path);
        }
    }
    Ok(loaded)
}

/// [`load`] for text that is in memory; paths stay as they are written.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse(
    text: &str,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: &[(String, String)],
) -> Result<Loaded, ConfigError> {
    let mut given = Vec::new();
    read_file(text, &mut given)?;
    let from_file = given.len();
    let warnings = variables::read(variables, &mut given);
    given[from_file..].sort_by(|a, b| a.key.cmp(&b.key));
    for (key, value) in flags {
        given.push(Assignment {
            key: key.clone(),
            value: Given::Text(value.clone()),
            origin: Origin::Flag,
        });
    }
    let mut loaded = Loaded {
        config: NodeConfig::default(),
        origins: BTreeMap::new(),
        warnings,
    };
    apply_preset(&given, &mut loaded)?;
    for assignment in given.iter().filter(|a| a.key != "preset") {
        apply(assignment, &mut loaded)?;
    }
    check(&loaded.config)?;
    Ok(loaded)
}

struct Assignment {
    key: String,
    value: Given,
    origin: Origin,
}

fn read_file(text: &str, given: &mut Vec<Assignment>) -> Result<(), ConfigError> {
    if text.len() > CONFIG_BYTES_MAX {
        return Err(ConfigError::TooLong { bytes: text.len() });
    }
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    for (key, value) in table.get_ref() {
        let line = line_of(text, key.span().start);
        let name = key.get_ref();
        match value.get_ref() {
            DeValue::Table(group) => {
                for (inner, value) in group {
                    given.push(Assignment {
                        key: format!("{name}.{}", inner.get_ref()),
                        value: Given::from_toml(value.get_ref()),
                        origin: Origin::File {
                            line: line_of(text, inner.span().start),
                        },
                    });
                }
            }
            value => given.push(Assignment {
                key: name.to_string(),
                value: Given::from_toml(value),
                origin: Origin::File { line },
            }),
        }
    }
    Ok(())
}

/// The last preset named wins; whatever is set by itself stands above it.
fn apply_preset(given: &[Assignment], loaded: &mut Loaded) -> Result<(), ConfigError> {
    let Some(chosen) = given.iter().rfind(|a| a.key == "preset") else {
        return Ok(());
    };
    let name = chosen.value.text().ok_or(ConfigError::Type {
        key: "preset",
        origin: chosen.origin.clone(),
        expected: "a name in quotes",
    })?;
    let (name, edit) = PRESETS
        .iter()
        .find(|(preset, _)| *preset == name)
        .ok_or_else(|| ConfigError::UnknownPreset {
            name: name.to_owned(),
            origin: chosen.origin.clone(),
        })?;
    let before = loaded.config.clone();
    edit(&mut loaded.config);
    for setting in SETTINGS {
        if (setting.show)(&before) != (setting.show)(&loaded.config) {
            loaded.origins.insert(setting.key, Origin::Preset(name));
        }
    }
    Ok(())
}

fn apply(assignment: &Assignment, loaded: &mut Loaded) -> Result<(), ConfigError> {
    let Some(setting) = SETTINGS.iter().find(|s| s.key == assignment.key) else {
        return Err(ConfigError::UnknownKey {
            key: assignment.key.clone(),
            origin: assignment.origin.clone(),
            nearest: nearest(&assignment.key),
        });
    };
    (setting.put)(&mut loaded.config, &assignment.value)
        .map_err(|fault| fault.at(setting.key, &assignment.origin))?;
    loaded
        .origins
        .insert(setting.key, assignment.origin.clone());
    Ok(())
}

/// What no single setting can get wrong.
fn check(config: &NodeConfig) -> Result<(), ConfigError> {
    if config.door.stream_window_bytes > config.door.connection_window_bytes {
        return Err(ConfigError::Conflict {
            first: "door.stream_window_bytes",
            second: "door.connection_window_bytes",
            help: "one stream cannot have more room than its connection",
        });
    }
    if config.door.connections_per_member_max > config.door.connections_max {
        return Err(ConfigError::Conflict {
            first: "door.connections_per_member_max",
            second: "door.connections_max",
            help: "one member cannot have more connections than all together",
        });
    }
    if config.order.pace_ms >= config.order.heartbeat_ms {
        return Err(ConfigError::Conflict {
            first: "order.pace_ms",
            second: "order.heartbeat_ms",
            help: "the heartbeat must be slower than the pace",
        });
    }
    Ok(())
}

/// Line of a byte position, from 1.
pub(crate) fn line_of(text: &str, byte: usize) -> usize {
    let end = byte.min(text.len());
    1 + text.as_bytes()[..end]
        .iter()
        .filter(|b| **b == b'\n')
        .count()
}

/// The setting with the most similar name.
fn nearest(key: &str) -> &'static str {
    let keys = SETTINGS.iter().map(|setting| setting.key);
    let nearest = keys.min_by_key(|known| variables::edits(known, key));
    nearest.expect("there are settings")
}

/// The text of a configuration file with every setting and what it is for.
#[must_use]
pub fn example(config: &NodeConfig) -> String {
    let mut out = String::from("# Clearway node; every setting with its value.\n");
    let mut group = "";
    for setting in SETTINGS {
        let (section, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if section != group {
            group = section;
            out.push_str(&format!("\n[{group}]\n"));
        }
        out.push_str(&format!("# {}\n", setting.help));
        out.push_str(&format!("{name} = {}\n", (setting.show)(config)));
    }
    out
}

/// Feeds arbitrary bytes to the reader; it must answer with a configuration or a typed error.
pub fn fuzz_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(loaded) = parse(text, [], &[]) {
        let shown = example(&loaded.config);
        let again = parse(&shown, [], &[]).expect("what is shown can be read");
        assert_eq!(
            again.config, loaded.config,
            "what is shown is what was read"
        );
    }
}
