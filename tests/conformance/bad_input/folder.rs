//! A folder with a cluster that does not run, for what the program does by itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clearway_harness::NodeProcess;
use tempfile::{TempDir, tempdir};

use crate::bad_input::desk::told_by;
use crate::bad_input::{Bad, Counter, Row};
use crate::program::{program, run, run_briefly};

/// Opens the encrypted key file of the folder.
pub(crate) const PASSPHRASE: (&str, &str) = ("CLEARWAY_PASSPHRASE", "right");

/// Two clusters, one with a small log, and an encrypted key.
pub(crate) struct Folder {
    dir: TempDir,
}

impl Folder {
    /// Makes them; the first cluster's node runs for a moment and leaves a payment.
    pub(crate) fn open() -> Self {
        let dir = tempdir().expect("a temporary folder");
        for cluster in [".", "other"] {
            run(
                dir.path(),
                &["node", "init", cluster, "--insecure-plaintext"],
            )
            .expect(0);
        }
        run_briefly(dir.path(), &[PASSPHRASE], &["keys", "new", "keys/bank.age"]).expect(0);
        rewrite(dir.path(), "node.toml", "node.toml", |text| {
            text.replace("segment_bytes = 67108864", "segment_bytes = 16777216")
        });
        let config = Path::new("node.toml");
        let mut node = NodeProcess::start(program(dir.path()), config, "127.0.0.1:0");
        let pay = ["pay", "2.1", "3.1", "1.00", "--insecure-plaintext"];
        let key = ["--key", "keys/member-2.insecure-plaintext"];
        let server = ["--server", node.door()];
        run(dir.path(), &[&pay[..], &key, &server].concat()).expect(0);
        node.stop();
        Self { dir }
    }

    /// Puts a row's files there and runs its command: it fails as it should, and every file and
    /// folder is what it was.
    pub(crate) fn check(&self, row: &Row) -> Result<(), String> {
        let Bad::Command {
            arrange,
            variables,
            call,
        } = row.bad
        else {
            panic!("no node runs here");
        };
        assert!(matches!(row.counter, Counter::NoNode), "no node runs here");
        arrange(self.dir.path());
        let before = files(self.dir.path());
        let arguments: Vec<&str> = call.split_whitespace().collect();
        let run = run_briefly(self.dir.path(), variables, &arguments);
        row.judge(&told_by(&run))?;
        let after = files(self.dir.path());
        match before == after {
            true => Ok(()),
            false => Err(format!("{before:?} became {after:?}")),
        }
    }
}

/// Name, length and time of the last write of everything in a folder.
fn files(dir: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("listed") {
            let path = entry.expect("listed").path();
            let about = std::fs::symlink_metadata(&path).expect("it is there");
            if about.is_dir() {
                folders.push(path.clone());
            }
            let written = about.modified().expect("the file system keeps it");
            found.insert(path, (about.len(), written));
        }
    }
    found
}

/// Needs no files but those of the folder.
pub(crate) fn as_it_is(_: &Path) {}

/// Writes a file.
pub(crate) fn write(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    std::fs::write(dir.join(name), content).expect("written");
}

/// Writes `to` as a changed copy of the text file `from`.
pub(crate) fn rewrite(dir: &Path, from: &str, to: &str, edit: impl FnOnce(&str) -> String) {
    let before = std::fs::read_to_string(dir.join(from)).expect("read");
    let after = edit(&before);
    assert_ne!(before, after, "{from} is changed");
    write(dir, to, after);
}
