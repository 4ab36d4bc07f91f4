//! The environment: which variables are settings, which are for other programs or for other parts
//! of this one, and which are nobody's.

use super::{Assignment, ConfigError, Given, Origin, SETTINGS};

/// What every variable of Clearway starts with.
const PREFIX: &str = "CLEARWAY_";

/// `CLEARWAY_*` variables that are documented and are no settings: each means the same to every
/// command, and a node leaves them alone.
pub const DOCUMENTED: [&str; 4] = [
    "CLEARWAY_CONFIG",
    "CLEARWAY_GENESIS",
    "CLEARWAY_KEY",
    "CLEARWAY_PASSPHRASE",
];

/// Variables of builds and tests.
const OF_BUILDS: [&str; 4] = [
    "CLEARWAY_COMMIT",
    "CLEARWAY_PYTHON",
    "CLEARWAY_REQUIRE",
    "CLEARWAY_TEST_DATA",
];

/// The variables of this process that can be Clearway's; all others are left unread, whatever bytes
/// they hold.
///
/// # Errors
/// A setting's value that is no text.
pub fn environment() -> Result<Vec<(String, String)>, ConfigError> {
    let mut found = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        match value.into_string() {
            Ok(value) => found.push((name.to_owned(), value)),
            Err(_) if setting(name).is_some() => {
                let variable = name.to_owned();
                return Err(ConfigError::VariableNotText { variable });
            }
            // The parser of the setting says what is wrong with it.
            Err(_) => {}
        }
    }
    Ok(found)
}

/// `CLEARWAY_DOOR_IDLE_MS` sets `door.idle_ms`; a variable without a value sets nothing. Gives a
/// line for each variable that is nobody's: it is not read, which the operator should know.
pub(super) fn read(
    variables: impl IntoIterator<Item = (String, String)>,
    given: &mut Vec<Assignment>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, value) in variables {
        if !name.starts_with(PREFIX) || value.is_empty() {
            continue;
        }
        if let Some(key) = setting(&name) {
            given.push(Assignment {
                key: key.to_owned(),
                value: Given::Text(value),
                origin: Origin::Variable(name),
            });
        } else if !is_documented(&name) && !is_of_kubernetes(&name, &value) {
            let nearest = nearest(&name);
            warnings.push(format!(
                "variable {name} is not read, Clearway has none of this name; did you mean \
                 {nearest}?"
            ));
        }
    }
    warnings
}

/// The setting that a variable sets.
fn setting(name: &str) -> Option<&'static str> {
    let flat = name.strip_prefix(PREFIX)?;
    let keys = SETTINGS.iter().map(|setting| setting.key);
    keys.chain(["preset"]).find(|key| variable(key) == flat)
}

/// The variable of a setting, without the prefix.
fn variable(key: &str) -> String {
    key.replace('.', "_").to_ascii_uppercase()
}

fn is_documented(name: &str) -> bool {
    DOCUMENTED.contains(&name) || OF_BUILDS.contains(&name)
}

/// Kubernetes tells every container of a service called `clearway`, or `clearway-something`, where
/// that service is: `CLEARWAY_SERVICE_HOST`, `CLEARWAY_PORT=tcp://10.0.0.7:7400`,
/// `CLEARWAY_PORT_7400_TCP_ADDR` and so on (kubernetes.io, Service, "Environment variables").
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let address = || {
        let protocol = value.split("://").next().unwrap_or_default();
        matches!(protocol, "tcp" | "udp" | "sctp") && value.contains("://")
    };
    let port_part = || {
        let (_, rest) = name.split_once("_PORT_")?;
        let (number, rest) = rest.split_once('_')?;
        let mut words = rest.split('_');
        let protocol = matches!(words.next()?, "TCP" | "UDP" | "SCTP");
        let what = words.next();
        let known = matches!(what, None | Some("PROTO" | "PORT" | "ADDR"));
        (number.parse::<u16>().is_ok() && protocol && known && words.next().is_none()).then_some(())
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && address())
        || port_part().is_some()
}

/// The variable whose name is the most similar.
fn nearest(name: &str) -> String {
    let settings = SETTINGS.iter().map(|setting| variable(setting.key));
    let settings = settings.map(|flat| format!("{PREFIX}{flat}"));
    let documented = DOCUMENTED.iter().map(|&name| name.to_owned());
    let nearest = settings
        .chain(documented)
        .min_by_key(|known| edits(known, name));
    nearest.expect("there are settings")
}

/// How many letters have to be put in, taken out or changed to make `b` of `a`.
pub(super) fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(name: &str, value: &str) -> Vec<String> {
        let loaded = super::super::parse("", [(name.to_owned(), value.to_owned())], &[]);
        loaded.expect("no variable stops a node").warnings
    }

    #[test]
    fn documented_variables_and_those_of_kubernetes_are_left_alone() {
        for (name, value) in [
            ("CLEARWAY_KEY", "keys/member-2.age"),
            ("CLEARWAY_GENESIS", "g.toml"),
            ("CLEARWAY_PASSPHRASE", "right"),
            ("CLEARWAY_CONFIG", "node.toml"),
            ("CLEARWAY_COMMIT", "0093add"),
            ("CLEARWAY_SERVICE_HOST", "10.0.0.7"),
            ("CLEARWAY_SERVICE_PORT", "7400"),
            ("CLEARWAY_SERVICE_PORT_DOOR", "7400"),
            ("CLEARWAY_PORT", "tcp://10.0.0.7:7400"),
            ("CLEARWAY_PORT", "udp://10.0.0.7:7400"),
            ("CLEARWAY_PORT_7400_UDP", "udp://10.0.0.7:7400"),
            ("CLEARWAY_PORT_7400_TCP_PROTO", "tcp"),
            ("CLEARWAY_PORT_7400_TCP_PORT", "7400"),
            ("CLEARWAY_PORT_7400_TCP_ADDR", "10.0.0.7"),
            ("CLEARWAY_LOG_SERVICE_HOST", "10.0.0.8"),
            ("CLEARWAY_LOG", ""),
            ("OTHER", "\u{fffd}"),
        ] {
            assert_eq!(warnings(name, value), [""; 0], "{name}={value}");
        }
    }

    #[test]
    fn a_variable_that_is_nobodys_is_named_with_the_nearest_one() {
        for (name, nearest) in [
            ("CLEARWAY_LISTN", "CLEARWAY_LISTEN?"),
            ("CLEARWAY_DATADIR", "CLEARWAY_DATA_DIR?"),
            ("CLEARWAY_PASPHRASE", "CLEARWAY_PASSPHRASE?"),
            ("CLEARWAY_KEYSS", "CLEARWAY_KEYS?"),
            ("CLEARWAY_PORT", "CLEARWAY_"),
            ("CLEARWAY_PORT_7400_SMTP", "CLEARWAY_"),
            ("CLEARWAY_", "CLEARWAY_"),
        ] {
            let lines = warnings(name, "7400");
            assert_eq!(lines.len(), 1, "{name}: {lines:?}");
            assert!(lines[0].contains(name), "{lines:?}");
            assert!(lines[0].contains(nearest), "{lines:?} lacks {nearest}");
        }
    }

    #[test]
    fn similar_names_are_few_edits_apart() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("listen", "listn", 1),
            ("idle", "idel", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edits(a, b), expected, "{a} {b}");
            assert_eq!(edits(b, a), expected, "{b} {a}");
        }
    }
}
