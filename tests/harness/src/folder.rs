//! The folder of a cluster as `clearway node init` makes it: the program in it, its genesis and
//! its members.

use std::path::Path;
use std::process::{Command, Stdio};

use clearway_client::{Identity, Server};
use clearway_node::genesis_file;
use clearway_node::keystore::{self, Unlock};
use clearway_types::genesis::{Genesis, Rules};
use clearway_types::units::{ParticipantId, TimeMs};

/// The program at `path`, to be run in `dir` with none of the caller's settings.
#[must_use]
pub fn program(path: &str, dir: &Path) -> Command {
    let mut command = Command::new(path);
    // The node takes every CLEARWAY_* variable for a setting; those of the tests are not.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CLEARWAY_")) {
        command.env_remove(name);
    }
    command
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

/// Runs a command that must succeed.
///
/// # Panics
/// When it does not; its words are in the message.
pub fn succeed(command: &mut Command) {
    let output = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Makes a cluster of one node with unencrypted keys in the program's folder.
///
/// # Panics
/// When the program cannot.
pub fn init(mut program: Command) {
    succeed(program.args(["node", "init", ".", "--insecure-plaintext", "--json"]));
}

/// The genesis in a folder.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn genesis(dir: &Path) -> Genesis {
    genesis_file::load(&dir.join("genesis.toml")).expect("a genesis")
}

/// Changes the rules of a cluster that has not run yet.
///
/// # Panics
/// When the folder has no genesis that can be written.
pub fn set_rules(dir: &Path, change: impl FnOnce(&mut Rules)) {
    let mut genesis = genesis(dir);
    change(&mut genesis.rules);
    genesis_file::save(&dir.join("genesis.toml"), &genesis).expect("written");
}

/// Changes when a cluster that has not run yet begins.
///
/// # Panics
/// When the folder has no genesis that can be written.
pub fn set_time(dir: &Path, time: TimeMs) {
    let mut genesis = genesis(dir);
    genesis.time = time;
    genesis_file::save(&dir.join("genesis.toml"), &genesis).expect("written");
}

/// Who holds the first key of a participant; number 1 is the operator.
///
/// # Panics
/// When its key file is not there.
#[must_use]
pub fn identity(dir: &Path, participant: u32) -> Identity {
    identity_in(dir, participant, 0)
}

/// As [`identity`], claiming another key slot.
///
/// # Panics
/// When its key file is not there.
#[must_use]
pub fn identity_in(dir: &Path, participant: u32, slot: u8) -> Identity {
    let name = match participant {
        1 => "operator".to_owned(),
        number => format!("member-{number}"),
    };
    let path = dir.join(format!("keys/{name}.insecure-plaintext"));
    let key = keystore::load_member(&path, &Unlock::from_environment(true)).expect("a key file");
    Identity::new(key, ParticipantId(participant), slot)
}

/// The only validator of a genesis, at this door.
///
/// # Panics
/// When `door` is no address.
#[must_use]
pub fn server(genesis: &Genesis, door: &str) -> Server {
    Server {
        address: door.parse().expect("an address"),
        public_key: genesis.validators[0].public_key.0,
    }
}
