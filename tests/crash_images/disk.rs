//! The disk of a recorded run: what is safe, what is on its way, and what a crash leaves of both.
//!
//! The model is the one that the store is built for (its `FORMAT.md`, "What the disk is trusted
//! with"), and a little harsher: what was written before a sync began is safe once it has ended
//! well, and the names in a folder once the folder was synced. Of everything else each sector of
//! 512 bytes arrives or not, in any order; a length is the old or the new one or one between; and
//! of the changes of names in a folder the first few arrive, in each folder as many as chance
//! decides.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clearway_harness::record::{Event, Subject};
use clearway_load::random::Random;

use crate::content::{Content, pieces};

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Entry {
    Folder,
    /// A file, by its place in [`Disk::files`].
    File(usize),
}

type Names = BTreeMap<PathBuf, Entry>;

/// Which syncs do nothing, though they answer well: by name, and whether it is a folder's.
pub(crate) type Deaf = fn(&str, bool) -> bool;

/// A disk at one moment of a run.
#[derive(Clone)]
pub(crate) struct Disk {
    files: Vec<File>,
    /// Files by the number that the record knows them by.
    numbers: HashMap<u64, usize>,
    names: Names,
    safe_names: Names,
    /// Changes of names that are not safe, with the time of each.
    changes: Vec<(u64, Change)>,
    /// Syncs that have begun, and when.
    syncs: HashMap<String, (Synced, u64)>,
    /// Counts events.
    now: u64,
    /// When a sync was left out for the last time.
    left_out: Option<u64>,
    deaf: Deaf,
}

#[derive(Clone, Default)]
struct File {
    safe: Content,
    live: Content,
    pending: Vec<Pending>,
}

#[derive(Clone)]
struct Pending {
    time: u64,
    write: Write,
    /// Whether it is safe by itself, without a later sync.
    safe: bool,
}

#[derive(Clone)]
enum Write {
    Bytes { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

#[derive(Clone)]
enum Change {
    Add(PathBuf, Entry),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

#[derive(Clone)]
enum Synced {
    File(usize),
    Folder(PathBuf),
}

/// Files and folders that a crash left.
pub(crate) struct Image {
    entries: BTreeMap<PathBuf, Option<Content>>,
}

impl Disk {
    /// The files in a folder, all of them safe.
    pub(crate) fn of(root: &Path) -> io::Result<Self> {
        let mut disk = Self {
            files: Vec::new(),
            numbers: HashMap::new(),
            names: Names::new(),
            safe_names: Names::new(),
            changes: Vec::new(),
            syncs: HashMap::new(),
            now: 0,
            left_out: None,
            deaf: |_, _| false,
        };
        for (path, metadata) in walk(root)? {
            let name = path.strip_prefix(root).expect("below the root").to_owned();
            let entry = if metadata.is_dir() {
                Entry::Folder
            } else {
                let content = Content::of(&fs::read(&path)?);
                disk.numbers.insert(metadata.ino(), disk.files.len());
                disk.files.push(File {
                    safe: content.clone(),
                    live: content,
                    pending: Vec::new(),
                });
                Entry::File(disk.files.len() - 1)
            };
            disk.names.insert(name, entry);
        }
        disk.safe_names = disk.names.clone();
        Ok(disk)
    }

    /// The same disk, which from now on answers these syncs without doing them.
    pub(crate) fn deaf_to(mut self, deaf: Deaf) -> Self {
        self.deaf = deaf;
        self
    }

    /// One event later.
    pub(crate) fn apply(&mut self, event: &Event) {
        self.now += 1;
        match event {
            Event::Create { file, path } => {
                let entry = Entry::File(self.files.len());
                self.numbers.insert(*file, self.files.len());
                self.files.push(File::default());
                self.change(Change::Add(path.clone(), entry));
            }
            Event::Open { file, path } => {
                let known = self.numbers.get(file).map(|&file| Entry::File(file));
                assert_eq!(known.as_ref(), self.names.get(path), "{}", path.display());
            }
            Event::Write {
                file,
                offset,
                bytes,
                synced,
            } => {
                let file = self.numbers[file];
                let safe = *synced && self.hears(&self.name_of(file), false);
                let (offset, bytes) = (*offset, bytes.clone());
                self.write(file, Write::Bytes { offset, bytes }, safe);
            }
            Event::Resize { file, length } => {
                self.write(self.numbers[file], Write::Length(*length), false);
            }
            Event::Syncing { token, subject } => {
                let (name, synced) = match subject {
                    Subject::File(file) => {
                        let file = self.numbers[file];
                        (self.name_of(file), Synced::File(file))
                    }
                    Subject::Dir(path) => (text(path), Synced::Folder(path.clone())),
                };
                if self.hears(&name, matches!(synced, Synced::Folder(_))) {
                    self.syncs.insert(token.clone(), (synced, self.now));
                }
            }
            Event::Synced { token } => match self.syncs.remove(token) {
                Some((Synced::File(file), begun)) => self.files[file].make_safe(begun),
                Some((Synced::Folder(path), begun)) => self.make_names_safe(&path, begun),
                None => {}
            },
            Event::Rename { from, to } => self.change(Change::Rename(from.clone(), to.clone())),
            Event::Remove { path } => self.change(Change::Remove(path.clone())),
            Event::MakeDir { path } => self.change(Change::Add(path.clone(), Entry::Folder)),
        }
    }

    /// Whether a sync was left out in the last `events` events.
    pub(crate) fn left_out_within(&self, events: u64) -> bool {
        self.left_out.is_some_and(|time| self.now - time < events)
    }

    fn hears(&mut self, name: &str, folder: bool) -> bool {
        let deaf = (self.deaf)(name, folder);
        if deaf {
            self.left_out = Some(self.now);
        }
        !deaf
    }

    /// What SIGKILL leaves: everything.
    pub(crate) fn live(&self) -> Image {
        self.image(&self.names, &mut |file| file.live.clone())
    }

    /// What a power cut can leave.
    pub(crate) fn cut(&self, random: &mut Random) -> Image {
        let mut names = self.safe_names.clone();
        let mut left = BTreeMap::new();
        for (_, change) in &self.changes {
            let folder = change.folder().to_owned();
            *left.entry(folder).or_insert(0) += 1;
        }
        left.values_mut()
            .for_each(|count| *count = random.below(*count + 1));
        for (_, change) in &self.changes {
            let left = left.get_mut(change.folder()).expect("counted above");
            if *left > 0 {
                *left -= 1;
                change.apply(&mut names);
            }
        }
        self.image(&names, &mut |file| file.cut(random))
    }

    /// What a power cut leaves at least: what was synced, and nothing else.
    pub(crate) fn bare(&self) -> Image {
        self.image(&self.safe_names, &mut File::bare)
    }

    fn image(&self, names: &Names, content: &mut dyn FnMut(&File) -> Content) -> Image {
        let mut entries = BTreeMap::new();
        for (path, entry) in names {
            // A folder that is lost takes with it what is in it; its name sorts before theirs.
            let parent = path.parent().unwrap_or(Path::new(""));
            if parent != Path::new("") && !entries.contains_key(parent) {
                continue;
            }
            let content = match entry {
                Entry::Folder => None,
                Entry::File(file) => Some(content(&self.files[*file])),
            };
            entries.insert(path.clone(), content);
        }
        Image { entries }
    }

    fn write(&mut self, file: usize, write: Write, safe: bool) {
        let time = self.now;
        let file = &mut self.files[file];
        write.apply(&mut file.live);
        file.pending.push(Pending { time, write, safe });
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push((self.now, change));
    }

    fn make_names_safe(&mut self, folder: &Path, begun: u64) {
        let safe_names = &mut self.safe_names;
        self.changes.retain(|(time, change)| {
            let safe = *time <= begun && change.folder() == folder;
            if safe {
                change.apply(safe_names);
            }
            !safe
        });
    }

    /// The file's name now; empty for one that was removed.
    fn name_of(&self, file: usize) -> String {
        let mut names = self.names.iter();
        let named = names.find(|(_, entry)| **entry == Entry::File(file));
        named.map(|(path, _)| text(path)).unwrap_or_default()
    }
}

impl File {
    fn make_safe(&mut self, begun: u64) {
        let later = self.pending.partition_point(|change| change.time <= begun);
        let safe = &mut self.safe;
        self.pending
            .drain(..later)
            .for_each(|change| change.write.apply(safe));
    }

    fn bare(&self) -> Content {
        let mut content = self.safe.clone();
        let safe = self.pending.iter().filter(|change| change.safe);
        safe.for_each(|change| change.write.apply(&mut content));
        content
    }

    /// What is safe, and of the rest each sector with a chance that differs from cut to cut, so
    /// that "nearly all" and "nearly nothing" come up too.
    fn cut(&self, random: &mut Random) -> Content {
        let mut content = self.safe.clone();
        let chance = random.below(9);
        for change in &self.pending {
            let mut arrives = || change.safe || random.below(8) < chance;
            match &change.write {
                Write::Bytes { offset, bytes } => pieces(*offset, bytes)
                    .filter(|_| arrives())
                    .for_each(|(at, piece)| content.write(at, piece)),
                Write::Length(length) if arrives() => content.resize(*length),
                Write::Length(_) => {}
            }
        }
        // The new length can be there before the bytes are.
        if random.below(2) == 0 && content.length() < self.live.length() {
            content.resize(self.live.length());
        }
        content
    }
}

impl Write {
    fn apply(&self, content: &mut Content) {
        match self {
            Self::Bytes { offset, bytes } => content.write(*offset, bytes),
            Self::Length(length) => content.resize(*length),
        }
    }
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(path, entry) => drop(names.insert(path.clone(), *entry)),
            Self::Remove(path) => drop(names.remove(path)),
            Self::Rename(from, to) => {
                // Nothing to rename where the name that came before was lost with its folder.
                if let Some(entry) = names.remove(from) {
                    names.insert(to.clone(), entry);
                }
            }
        }
    }

    /// The folder whose sync makes it safe. Nothing here is renamed from folder to folder.
    fn folder(&self) -> &Path {
        let (Self::Add(path, _) | Self::Remove(path) | Self::Rename(path, _)) = self;
        path.parent().unwrap_or(Path::new(""))
    }
}

impl Image {
    /// Makes the files and folders.
    pub(crate) fn save(&self, root: &Path) -> io::Result<()> {
        for (path, content) in &self.entries {
            match content {
                None => fs::create_dir(root.join(path))?,
                Some(content) => content.save(&root.join(path))?,
            }
        }
        Ok(())
    }

    /// The first name that stands for something else in the folder.
    pub(crate) fn difference(&self, root: &Path) -> io::Result<Option<PathBuf>> {
        let mut there = BTreeMap::new();
        for (path, metadata) in walk(root)? {
            let content = match metadata.is_dir() {
                true => None,
                false => Some(fs::read(&path)?),
            };
            let name = path.strip_prefix(root).expect("below the root");
            there.insert(name.to_owned(), content);
        }
        let mut names = self.entries.keys().chain(there.keys());
        Ok(names
            .find(|name| {
                let modelled = self.entries.get(*name);
                let modelled = modelled.map(|entry| entry.as_ref().map(Content::to_vec));
                modelled.as_ref() != there.get(*name)
            })
            .cloned())
    }
}

/// Everything below a folder.
fn walk(root: &Path) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        if metadata.is_dir() {
            found.extend(walk(&path)?);
        }
        found.push((path, metadata));
    }
    Ok(found)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
