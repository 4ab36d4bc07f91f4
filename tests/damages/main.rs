//! One damage at a time to the data folder of a node that was stopped in order: `replay` and
//! `inspect integrity` find it or show the whole history, a node refuses it or goes on from the
//! whole history, and nobody panics, hangs or fails without a word.
//!
//! `CLEARWAY_DAMAGES` sets how many are tried, `CLEARWAY_SEED` which.

mod damage;
mod run;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clearway_harness::setting;
use clearway_load::random::Random;
use tempfile::{TempDir, tempdir};

use crate::damage::{Damage, GROUPS};
use crate::run::{Told, node, pay, program, tell};

/// Damages of a usual test run; each costs about a second.
const DAMAGES_DEFAULT: u64 = 40;

/// A data folder that nothing has happened to yet, and what is in it.
struct Sound {
    dir: TempDir,
    /// By path below the folder: the bytes.
    files: BTreeMap<PathBuf, Vec<u8>>,
    height: u64,
    exec_head: String,
    records: u64,
}

impl Sound {
    /// A node runs, is paid through, and is stopped.
    fn make() -> Self {
        let dir = tempdir().expect("a temporary folder");
        pay(dir.path());
        let replayed = replay(dir.path(), &[]);
        let json = replayed.json().expect("a sound folder replays");
        assert_eq!(replayed.code, Some(0), "{}", replayed.stderr);
        let number = |field: &serde_json::Value| field.as_u64().expect("a number");
        let mut sound = Self {
            files: BTreeMap::new(),
            height: number(&json["height"]),
            exec_head: json["exec_head"].as_str().expect("a text").to_owned(),
            records: number(&json["log_end"]["records"]),
            dir,
        };
        let end = &json["log_end"];
        assert_eq!(end["records_above_watermark"], 0, "{json}");
        assert!(end["watermark_slot_damaged"].is_null() && end["tail"].is_null());
        let mut folders = vec![sound.dir.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("listed") {
                let path = entry.expect("listed").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(sound.dir.path()).expect("below it");
                let bytes = std::fs::read(&path).expect("read");
                sound.files.insert(name.to_path_buf(), bytes);
            }
        }
        sound
    }

    /// A copy of the folder.
    fn copy(&self) -> TempDir {
        let dir = tempdir().expect("a temporary folder");
        for (name, bytes) in &self.files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
            std::fs::write(&path, bytes).expect("written");
            // Key files that others may read are refused.
            let from = std::fs::metadata(self.dir.path().join(name)).expect("there");
            std::fs::set_permissions(&path, from.permissions()).expect("set");
        }
        dir
    }
}

fn replay(dir: &Path, more: &[&str]) -> Told {
    let call = ["replay", "data", "--genesis", "genesis.toml", "--json"];
    tell(program(dir).args(call).args(more))
}

/// Damages a copy and looks at it with every command; answers what is wrong.
fn check(sound: &Sound, damage: &Damage) -> Result<&'static str, String> {
    let dir = sound.copy();
    damage.strike(dir.path());
    let replayed = replay(dir.path(), &[]);
    replayed.in_order("replay")?;
    if replayed.code == Some(0) {
        let json = replayed.json().ok_or("replay prints no JSON")?;
        if json["height"] != sound.height || json["exec_head"] != sound.exec_head {
            return Err(format!(
                "replay is ok at {} of {}",
                json["height"], sound.height
            ));
        }
    }
    let integrity = [
        "inspect",
        "integrity",
        "data",
        "--genesis",
        "genesis.toml",
        "--json",
    ];
    let integrity = tell(program(dir.path()).args(integrity));
    integrity.in_order("integrity")?;
    if integrity.code == Some(0) {
        let json = integrity.json().ok_or("integrity prints no JSON")?;
        if json["records"] != sound.records || json["intact"] != true {
            return Err(format!(
                "intact with {} of {}",
                json["records"], sound.records
            ));
        }
    }
    let (told, height) = node(dir.path());
    told.in_order("node")?;
    let Some(height) = height else {
        return match told.code {
            Some(0) => Err("the node ends well without having run".to_owned()),
            _ => Ok(outcome(&replayed, false)),
        };
    };
    if height < sound.height {
        return Err(format!("a node ran at {height} of {}", sound.height));
    }
    if told.code != Some(0) {
        return Err(format!(
            "a node that ran ends with {:?}: {}",
            told.code, told.stderr
        ));
    }
    let until = sound.height.to_string();
    let again = replay(dir.path(), &["--to", &until]);
    match again.json() {
        Some(json) if again.code == Some(0) && json["exec_head"] == sound.exec_head => {
            Ok(outcome(&replayed, true))
        }
        _ => Err(format!(
            "after a node ran, replay: {:?}: {}",
            again.code, again.stderr
        )),
    }
}

fn outcome(replayed: &Told, ran: bool) -> &'static str {
    match (replayed.code == Some(0), ran) {
        (true, true) => "harmless",
        (true, false) => "replays, and no node starts on it",
        (false, true) => "found by replay, and a node goes on from all of it",
        (false, false) => "found by both",
    }
}

#[test]
fn damage_is_found_or_harms_nothing() {
    let (damages, seed) = (
        setting("CLEARWAY_DAMAGES", DAMAGES_DEFAULT),
        setting("CLEARWAY_SEED", 1),
    );
    println!("seed {seed}, {damages} damages");
    let sound = Sound::make();
    let mut random = Random::new(seed);
    let mut outcomes: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    for number in 0..damages {
        let damage = Damage::draw(&sound.files, &mut random);
        match check(&sound, &damage) {
            Ok(outcome) => *outcomes.entry((damage.group, outcome)).or_default() += 1,
            Err(error) => {
                println!("seed {seed}, number {number}: {damage}: {error}");
                wrong.push(format!("{damage}: {error}"));
            }
        }
    }
    for ((group, outcome), count) in &outcomes {
        println!("{count:5} {group}: {outcome}");
    }
    assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    let met = |group: &str| outcomes.keys().any(|(name, _)| *name == group);
    let missed: Vec<_> = GROUPS.iter().filter(|group| !met(group.name)).collect();
    assert!(
        damages < 40 || missed.is_empty(),
        "never damaged: {missed:?}"
    );
}

#[test]
fn a_damaged_newest_watermark_slot_hides_nothing_and_is_named() {
    let sound = Sound::make();
    let dir = sound.copy();
    let path = dir.path().join("data/log/watermark");
    let mut bytes = std::fs::read(&path).expect("read");
    let generation = |slot: usize| {
        let at = slot * 4096 + 16;
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
    };
    let newest = usize::from(generation(1) > generation(0));
    bytes[newest * 4096 + 24] ^= 1;
    std::fs::write(&path, bytes).expect("written");

    let replayed = replay(dir.path(), &[]);
    assert_eq!(replayed.code, Some(0), "{}", replayed.stderr);
    let json = replayed.json().expect("JSON");
    assert_eq!(json["height"], sound.height);
    assert_eq!(json["exec_head"], sound.exec_head);
    let end = &json["log_end"];
    assert!(end["records_above_watermark"].as_u64() > Some(0), "{end}");
    let named = format!("slot {newest} (byte {} of `watermark`)", newest * 4096);
    assert_eq!(end["watermark_slot_damaged"], named);
    let text = ["replay", "data", "--genesis", "genesis.toml"];
    let text = tell(program(dir.path()).args(text)).stdout;
    let above = end["records_above_watermark"].to_string();
    let said = format!("the log ends here, {above} records above the mark");
    assert!(text.contains(&said), "{text}");
    assert!(text.contains(&format!("{named} is DAMAGED")), "{text}");

    let integrity = ["inspect", "integrity", "data", "--genesis", "genesis.toml"];
    let integrity = tell(program(dir.path()).args(integrity));
    assert_eq!(integrity.code, Some(3), "{}", integrity.stdout);
    assert!(integrity.stderr.contains(&named), "{}", integrity.stderr);

    let (told, height) = node(dir.path());
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(height >= Some(sound.height), "{height:?}");
    let integrity = ["inspect", "integrity", "data", "--genesis", "genesis.toml"];
    let healed = tell(program(dir.path()).args(integrity));
    assert_eq!(healed.code, Some(0), "{}", healed.stderr);
}

#[test]
fn a_watermark_file_from_an_old_copy_hides_nothing() {
    let sound = Sound::make();
    let dir = sound.copy();
    let path = dir.path().join("data/log/watermark");
    let old = std::fs::read(&path).expect("read");
    // The node goes on for a while; then the old file is put back.
    pay(dir.path());
    let later = replay(dir.path(), &[]).json().expect("JSON");
    std::fs::write(&path, old).expect("written");
    let replayed = replay(dir.path(), &[]);
    assert_eq!(replayed.code, Some(0), "{}", replayed.stderr);
    let json = replayed.json().expect("JSON");
    for figure in ["height", "exec_head", "envelopes", "balances_root"] {
        assert_eq!(json[figure], later[figure], "{figure}");
    }
    let above = json["log_end"]["records_above_watermark"].as_u64();
    assert!(above > Some(3), "{json}");
    let (told, height) = node(dir.path());
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(height >= later["height"].as_u64(), "{height:?}");
}
