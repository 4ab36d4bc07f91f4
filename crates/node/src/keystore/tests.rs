//! Key files: both forms, each way in which one can be wrong, and that none is overwritten.

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
        let public = keys.public();
        assert_eq!(load_public(&sealed).expect("beside it"), public);
        match load_public_member(&sealed) {
            Ok(key) => assert_eq!((kind, key), (KeyKind::Member, public.public_key.0)),
            Err(error) => {
                let words = format!("{row}.pub holds a {kind} key, a member key is needed");
                assert_eq!(kind, KeyKind::Validator);
                assert!(error.to_string().contains(&words), "{error}");
            }
        }
        assert!(check_file(&sealed).expect("private"));

        let plain = dir.path().join(format!("{row}-plain.insecure-plaintext"));
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
        write_new(&path, content.as_bytes(), 0o600).expect("written");
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
    assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
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

#[test]
fn a_key_is_made_whole_or_not_at_all_and_nothing_is_overwritten() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let keys = Keys::generate(KeyKind::Member).expect("randomness");
    let files = || {
        let all = std::fs::read_dir(dir.path()).expect("a folder");
        let read = all.map(|entry| {
            let path = entry.expect("an entry").path();
            (path.clone(), std::fs::read(path).expect("read"))
        });
        read.collect::<std::collections::BTreeMap<_, _>>()
    };
    let at = |name: &str| dir.path().join(name);
    let make = |name: &str| save(&at(name), &keys, &Protection::InsecurePlaintext);
    make("alice.age").expect("new");
    std::fs::write(at("bob.pub"), "somebody's").expect("written");
    std::fs::create_dir(at("carol.age")).expect("made");
    std::fs::remove_dir(at("carol.age")).expect("removed");
    let before = files();
    for (name, expected) in [
        ("alice.age", "alice.age exists"),
        ("alice.pub", "its own public half"),
        // The public half of another file of the same stem.
        ("alice.insecure-plaintext", "alice.pub exists"),
        ("alice", "alice.pub exists"),
        ("bob.age", "bob.pub exists"),
        ("bob.pub", "its own public half"),
        ("..", "its own public half"),
    ] {
        let error = make(name).expect_err(name).to_string();
        assert!(error.contains(expected), "{name}: {error} lacks {expected}");
        assert_eq!(files(), before, "{name}");
    }
    // Where the public half cannot be published the secret goes too.
    let secret = NewFile::write(&at("dave.age"), b"s", 0o600).expect("written");
    std::fs::write(at("dave.age"), "another's").expect("written");
    let error = secret.publish().expect_err("taken meanwhile");
    assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
    drop(secret);
    let left = files();
    assert_eq!(left[&at("dave.age")], b"another's");
    assert_eq!(left.len(), before.len() + 1, "no part is left behind");
}
