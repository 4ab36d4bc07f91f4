//! The table of settings: name, bounds, how a value is put in and shown, what it is for.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::de::DeValue;

use super::{ConfigError, NodeConfig, Origin};

/// A value as it was given, not yet of the setting's type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Given {
    /// A TOML string, or the text of a variable or flag.
    Text(String),
    /// A TOML integer.
    Number(i64),
    /// A TOML boolean.
    Switch(bool),
    /// Anything else: no setting has such a type.
    Other,
}

impl Given {
    pub(super) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Boolean(switch) => Self::Switch(*switch),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .map_or(Self::Other, Self::Number),
            _ => Self::Other,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn switch(&self) -> Option<bool> {
        match self {
            Self::Switch(switch) => Some(*switch),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// Why a value does not fit its setting.
pub(super) enum Fault {
    /// Another type.
    Type(&'static str),
    /// Out of range.
    Range {
        /// The value.
        value: i64,
        /// Smallest allowed.
        min: i64,
        /// Largest allowed.
        max: i64,
    },
}

impl Fault {
    pub(super) fn at(self, key: &'static str, origin: &Origin) -> ConfigError {
        let origin = origin.clone();
        match self {
            Self::Type(expected) => ConfigError::Type {
                key,
                origin,
                expected,
            },
            Self::Range { value, min, max } => ConfigError::Range {
                key,
                origin,
                value,
                min,
                max,
            },
        }
    }
}

/// One setting.
pub struct Setting {
    /// Its name in the file, with its group.
    pub key: &'static str,
    /// What it is for, with unit and bounds.
    pub help: &'static str,
    pub(super) put: fn(&mut NodeConfig, &Given) -> Result<(), Fault>,
    /// Its value as TOML.
    pub show: fn(&NodeConfig) -> String,
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn within(given: &Given, min: i64, max: i64) -> Result<i64, Fault> {
    let value = given.number().ok_or(Fault::Type("a whole number"))?;
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(Fault::Range { value, min, max })
    }
}

macro_rules! number {
    ($key:literal, $($field:ident).+, $ty:ty, $min:expr, $max:expr, $help:literal) => {
        Setting {
            key: $key,
            help: concat!($help, " (", stringify!($min), " to ", stringify!($max), ")"),
            put: |config, given| {
                const { assert!($max <= <$ty>::MAX as i128) };
                let value = within(given, $min, $max)?;
                config.$($field).+ = <$ty>::try_from(value).expect("the range fits the type");
                Ok(())
            },
            show: |config| config.$($field).+.to_string(),
        }
    };
}

macro_rules! switch {
    ($key:literal, $($field:ident).+, $help:literal) => {
        Setting {
            key: $key,
            help: $help,
            put: |config, given| {
                config.$($field).+ = given.switch().ok_or(Fault::Type("true or false"))?;
                Ok(())
            },
            show: |config| config.$($field).+.to_string(),
        }
    };
}

macro_rules! path {
    ($key:literal, $($field:ident).+, $help:literal) => {
        Setting {
            key: $key,
            help: $help,
            put: |config, given| {
                let text = given.text().filter(|text| !text.is_empty());
                config.$($field).+ = PathBuf::from(text.ok_or(Fault::Type("a path in quotes"))?);
                Ok(())
            },
            show: |config| quoted(&config.$($field).+.to_string_lossy()),
        }
    };
}

macro_rules! text {
    ($key:literal, $($field:ident).+, $help:literal) => {
        Setting {
            key: $key,
            help: $help,
            put: |config, given| {
                let text = given.text().filter(|text| !text.is_empty());
                config.$($field).+ = text.ok_or(Fault::Type("a text in quotes"))?.to_owned();
                Ok(())
            },
            show: |config| quoted(&config.$($field).+),
        }
    };
}

fn address(given: &Given) -> Result<SocketAddr, Fault> {
    given
        .text()
        .and_then(|text| text.parse().ok())
        .ok_or(Fault::Type(
            "an address with port such as \"127.0.0.1:7400\"",
        ))
}

fn put_admin_listen(config: &mut NodeConfig, given: &Given) -> Result<(), Fault> {
    let address = address(given)?;
    if !address.ip().is_loopback() {
        return Err(Fault::Type(
            "a loopback address; put a proxy with access control in front to reach it from afar",
        ));
    }
    config.admin_listen = address;
    Ok(())
}

/// Every setting, groups together.
pub const SETTINGS: &[Setting] = &[
    path!(
        "data_dir",
        data_dir,
        "Folder of log, checkpoints and engine journal."
    ),
    path!("genesis", genesis, "Genesis file."),
    path!("keys", keys, "Validator key file."),
    switch!(
        "insecure_plaintext_keys",
        insecure_plaintext_keys,
        "Accept a key file without a passphrase: tests and demonstrations only."
    ),
    Setting {
        key: "listen",
        help: "UDP address of the members' QUIC door.",
        put: |config, given| {
            config.listen = address(given)?;
            Ok(())
        },
        show: |config| quoted(&config.listen.to_string()),
    },
    Setting {
        key: "admin_listen",
        help: "TCP address of /metrics, /livez and /readyz; loopback only.",
        put: put_admin_listen,
        show: |config| quoted(&config.admin_listen.to_string()),
    },
    number!(
        "verify_workers",
        verify_workers,
        u32,
        0,
        256,
        "Threads that verify signatures; 0 chooses by the number of cores"
    ),
    text!(
        "backend",
        backend,
        "Backend that verifies signatures: auto, gpu, gpu:N or a name of `clearway verify \
         --list-backends`."
    ),
    text!(
        "hash_backend",
        hash_backend,
        "Who hashes envelopes and Merkle trees: cpu (sha_ni_x2 where the processor has it, else \
         sha2; both can be named, and asm), gpu (large numbers) or gpu:all."
    ),
    switch!(
        "allow_software_adapter",
        allow_software_adapter,
        "Whether backend gpu may be a driver that computes on the processor: tests only."
    ),
    switch!("pin_threads", pin_threads, "Pin stage threads to cores."),
    text!(
        "log",
        log,
        "Filter of the log: info, or for example info,clearway_order=debug,commonware=info."
    ),
    number!(
        "door.connections_max",
        door.connections_max,
        u32,
        1,
        65_536,
        "Connections in all"
    ),
    number!(
        "door.connections_per_member_max",
        door.connections_per_member_max,
        u32,
        1,
        65_536,
        "Connections of one member; the next takes the place of its oldest idle one"
    ),
    number!(
        "door.streams_per_connection_max",
        door.streams_per_connection_max,
        u32,
        1,
        4096,
        "Open streams of one connection"
    ),
    number!(
        "door.stream_window_bytes",
        door.stream_window_bytes,
        u32,
        16_384,
        67_108_864,
        "Receive window of one stream, bytes"
    ),
    number!(
        "door.connection_window_bytes",
        door.connection_window_bytes,
        u32,
        16_384,
        268_435_456,
        "Receive window of one connection, bytes"
    ),
    number!(
        "door.udp_payload_bytes_max",
        door.udp_payload_bytes_max,
        u16,
        1200,
        65_527,
        "Largest UDP payload, bytes; above 1452 on loopback and jumbo frames only"
    ),
    number!(
        "door.idle_ms",
        door.idle_ms,
        u32,
        1000,
        600_000,
        "A silent connection is closed after this, milliseconds"
    ),
    number!(
        "door.frame_fill_ms",
        door.frame_fill_ms,
        u32,
        100,
        600_000,
        "A stream that keeps the door waiting longer for a frame, and is slower than \
         door.fill_bytes_per_s_min, is reset, milliseconds"
    ),
    number!(
        "door.fill_bytes_per_s_min",
        door.fill_bytes_per_s_min,
        u32,
        1,
        1_073_741_824,
        "Slowest pace of a stream that is waited for beyond door.frame_fill_ms, bytes a second"
    ),
    number!(
        "door.handshakes_per_address_max",
        door.handshakes_per_address_max,
        u32,
        1,
        384,
        "Handshakes under way from one address (IPv4, or IPv6 /64); the next takes the place of \
         its oldest"
    ),
    number!(
        "door.member_rate_max",
        door.member_rate_max,
        u32,
        0,
        100_000_000,
        "Signatures a second that one member may send; 0 for no bound"
    ),
    number!(
        "door.question_cores",
        door.question_cores,
        u32,
        0,
        256,
        "Cores that questions and feeds may keep busy, on Linux; 0 for half of them"
    ),
    number!(
        "order.pace_ms",
        order.pace_ms,
        u32,
        0,
        1000,
        "Shortest time between two proposals, milliseconds"
    ),
    number!(
        "order.heartbeat_ms",
        order.heartbeat_ms,
        u32,
        10,
        350,
        "An empty block is proposed after this long without work, milliseconds"
    ),
    number!(
        "store.segment_bytes",
        store.segment_bytes,
        u64,
        16_777_216,
        4_294_967_296,
        "Bytes of one log segment"
    ),
    number!(
        "store.checkpoint_blocks",
        store.checkpoint_blocks,
        u32,
        0,
        1_000_000,
        "Blocks between two checkpoints of the state; 0 for none but at stop"
    ),
];
