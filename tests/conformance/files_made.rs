//! Commands that make files: everything is checked first, nothing is overwritten, and a command
//! that fails leaves nothing behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::tempdir;

use crate::program::run;

/// Every path below a folder with the bytes of its files.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.insert(path.clone(), Vec::new());
            found.extend(tree(&path));
        } else {
            let bytes = std::fs::read(&path).expect("read");
            found.insert(path, bytes);
        }
    }
    found
}

/// `node init n` with further arguments.
fn init<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["node", "init", "n", "--insecure-plaintext"];
    all.extend(more);
    all
}

#[test]
fn an_init_that_is_refused_leaves_nothing_and_the_next_one_succeeds() {
    let rows: [(&[&str], i32, &str); 11] = [
        (&["--currency", "euro"], 2, "1 to 8 capitals or digits"),
        (&["--currency", ""], 2, "1 to 8 capitals or digits"),
        (&["--ledger", "0"], 2, "ledger 0 is zero"),
        (&["--balance", "1.001"], 2, "decimal"),
        (&["--balance", "-1"], 2, "unexpected argument"),
        (&["--balance", "x"], 2, "x"),
        (
            &["--balance", "184467440737095516.15"],
            2,
            "account 3.1: `balance` is out of range",
        ),
        (&["--listen", "127.0.0.1:0"], 2, "port 0"),
        (&["--admin-listen", "127.0.0.1:0"], 2, "port 0"),
        (&["--admin-listen", "0.0.0.0:7401"], 2, "loopback"),
        (&["--admin-listen", "192.0.2.1:7401"], 2, "loopback"),
    ];
    for (more, code, expected) in rows {
        let dir = tempdir().expect("a temporary folder");
        let refused = run(dir.path(), &init(more)).expect(code);
        let said = refused.said();
        assert!(said.contains(expected), "{more:?}: {said} lacks {expected}");
        assert!(
            tree(dir.path()).is_empty(),
            "{more:?}: {:?}",
            tree(dir.path())
        );
        run(dir.path(), &init(&[])).expect(0);
    }
}

#[test]
fn an_init_overwrites_nothing() {
    let made = {
        let dir = tempdir().expect("a temporary folder");
        run(dir.path(), &init(&[])).expect(0);
        let all = tree(dir.path());
        let relative = all.into_keys().filter(|path| path.is_file());
        let names = relative.map(|path| path.strip_prefix(dir.path()).expect("below").into());
        names.collect::<Vec<PathBuf>>()
    };
    assert_eq!(
        made.len(),
        2 + 2 * 4,
        "genesis, configuration, four keys: {made:?}"
    );
    for name in made {
        let dir = tempdir().expect("a temporary folder");
        let path = dir.path().join(&name);
        std::fs::create_dir_all(path.parent().expect("below")).expect("made");
        std::fs::write(&path, "somebody's").expect("written");
        let before = tree(dir.path());
        let refused = run(dir.path(), &init(&[])).expect(1);
        let said = refused.said();
        assert!(said.contains("nothing is overwritten"), "{name:?}: {said}");
        assert_eq!(tree(dir.path()), before, "{name:?}");
    }
}

#[test]
fn a_key_is_never_overwritten_by_another_or_by_its_own_public_half() {
    let dir = tempdir().expect("a temporary folder");
    let new = |name: &str, code: i32| {
        let arguments: &[&str] = match name.ends_with(".insecure-plaintext") {
            true => &["keys", "new", name, "--insecure-plaintext"],
            false => &["keys", "new", name],
        };
        run(dir.path(), arguments).expect(code).said()
    };
    new("alice.insecure-plaintext", 0);
    let before = tree(dir.path());
    for (name, expected) in [
        ("alice.insecure-plaintext", "exists already"),
        ("alice.pub", "its own public half"),
        ("alice.age", "alice.pub exists already"),
        ("alice", "alice.pub exists already"),
    ] {
        let said = new(name, 1);
        assert!(said.contains(expected), "{name}: {said} lacks {expected}");
        assert_eq!(tree(dir.path()), before, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn keys_are_listed_beside_strays() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let dir = tempdir().expect("a temporary folder");
    let keys = dir.path().join("keys");
    for name in ["a", "open"] {
        let path = format!("keys/{name}.insecure-plaintext");
        run(dir.path(), &["keys", "new", &path, "--insecure-plaintext"]).expect(0);
    }
    let open = keys.join("open.insecure-plaintext");
    std::fs::set_permissions(open, std::fs::Permissions::from_mode(0o644)).expect("changed");
    let private = |name: &str, bytes: &[u8]| {
        let path = keys.join(name);
        std::fs::write(&path, bytes).expect("written");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("changed");
    };
    private("stray.age", b"no key");
    private("bytes.age", &[0xff; 40]);
    private("long.age", &[b'x'; 20_000]);
    std::fs::create_dir(keys.join("folder.age")).expect("made");
    symlink("nowhere", keys.join("dangling.age")).expect("linked");
    let listed = run(dir.path(), &["keys", "list", "--json"]).expect(0);
    let rows = listed.json("keys")["result"].clone();
    let rows = rows.as_array().expect("a list");
    assert_eq!(rows.len(), 7, "{}", listed.stdout);
    for row in rows {
        let path = row["path"].as_str().expect("text");
        let good = path == "keys/a.insecure-plaintext";
        assert_eq!(row["public_key"].is_string(), good, "{row}");
        assert_eq!(row["problem"].is_string(), !good, "{row}");
    }
    assert!(listed.said().contains("chmod 600"), "{}", listed.said());
    let text = run(dir.path(), &["keys", "list"]).expect(0).stdout;
    assert_eq!(text.lines().count(), 8, "{text}");
    let none = run(dir.path(), &["keys", "list", "nowhere"]).expect(5);
    assert!(none.said().contains("nowhere"), "{}", none.said());
}
