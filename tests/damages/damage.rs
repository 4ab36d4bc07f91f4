//! Damages that are drawn: which file, and what happens to its bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use clearway_load::random::Random;

/// Files of one kind, and how many of the damages they get.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    weight: u64,
    has: fn(&str) -> bool,
}

pub(crate) const GROUPS: &[Group] = &[
    Group {
        name: "segment",
        weight: 3,
        has: |path| path.ends_with(".seg"),
    },
    Group {
        name: "watermark",
        weight: 3,
        has: |path| path.ends_with("watermark"),
    },
    Group {
        name: "identity",
        weight: 1,
        has: |path| path.ends_with("identity"),
    },
    Group {
        name: "checkpoint",
        weight: 2,
        has: |path| path.ends_with(".ckp"),
    },
    Group {
        name: "engine",
        weight: 2,
        has: |path| path.starts_with("data/engine/"),
    },
    Group {
        name: "prepared",
        weight: 1,
        has: |path| path.ends_with("next.prepared"),
    },
    Group {
        name: "lock",
        weight: 1,
        has: |path| path.ends_with("LOCK") || path.ends_with(".hold"),
    },
];

/// What happens to the bytes of a file.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Flip {
        at: usize,
        bit: u8,
    },
    Cut {
        to: usize,
    },
    Zero {
        at: usize,
        count: usize,
    },
    Noise {
        at: usize,
        seed: u64,
        count: usize,
    },
    Delete,
    Extend {
        seed: u64,
        count: usize,
    },
    Copy {
        from: usize,
        at: usize,
        count: usize,
    },
    Shift {
        at: usize,
    },
}

/// One damage.
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    pub(crate) group: &'static str,
    file: PathBuf,
    kind: Kind,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {}", self.kind, self.file.display())
    }
}

impl Damage {
    /// Draws a file and a damage; most hit what the file holds and not the zeros after it.
    pub(crate) fn draw(files: &BTreeMap<PathBuf, Vec<u8>>, random: &mut Random) -> Self {
        let (group, file) = loop {
            let group = draw_group(random);
            let has = |path: &&PathBuf| (group.has)(&path.to_string_lossy().replace('\\', "/"));
            let of_group: Vec<&PathBuf> = files.keys().filter(has).collect();
            if !of_group.is_empty() {
                let place = below(random, of_group.len());
                break (group.name, of_group[place].clone());
            }
        };
        let bytes = &files[&file];
        let used = bytes
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        let kind = draw_kind(bytes.len(), used, random);
        Self { group, file, kind }
    }

    /// Does it to the file below `dir`.
    pub(crate) fn strike(&self, dir: &Path) {
        let path = dir.join(&self.file);
        if matches!(self.kind, Kind::Delete) {
            std::fs::remove_file(path).expect("it was there");
            return;
        }
        let mut bytes = std::fs::read(&path).expect("read");
        self.kind.change(&mut bytes);
        std::fs::write(&path, bytes).expect("written");
    }
}

impl Kind {
    fn change(self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        let until = |at: usize, count: usize| at.min(len)..(at + count).min(len);
        match self {
            Self::Flip { at, bit } => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Cut { to } => bytes.truncate(to),
            Self::Zero { at, count } => bytes[until(at, count)].fill(0),
            Self::Noise { at, seed, count } => {
                let mut random = Random::new(seed);
                for byte in &mut bytes[until(at, count)] {
                    [*byte, ..] = random.next_u64().to_le_bytes();
                }
            }
            Self::Extend { seed, count } => {
                let mut random = Random::new(seed);
                bytes.extend((0..count).map(|_| random.next_u64().to_le_bytes()[0]));
            }
            Self::Copy { from, at, count } => {
                let count = count.min(len.saturating_sub(from.max(at)));
                if count > 0 {
                    bytes.copy_within(from..from + count, at);
                }
            }
            Self::Shift { at } if at < len => {
                bytes.splice(at..at, [0; 8]);
                bytes.truncate(len);
            }
            Self::Shift { .. } | Self::Delete => {}
        }
    }
}

fn draw_group(random: &mut Random) -> &'static Group {
    let total: u64 = GROUPS.iter().map(|group| group.weight).sum();
    let mut drawn = random.below(total);
    for group in GROUPS {
        match drawn.checked_sub(group.weight) {
            Some(rest) => drawn = rest,
            None => return group,
        }
    }
    unreachable!("below the sum of all weights")
}

fn draw_kind(len: usize, used: usize, random: &mut Random) -> Kind {
    let at = match random.below(10) {
        0 => below(random, len.max(1)),
        _ => below(random, used.max(1)),
    };
    let seed = random.next_u64();
    match random.below(11) {
        0..=3 => Kind::Flip {
            at,
            bit: u8::try_from(random.below(8)).expect("a bit"),
        },
        4 => {
            let lengths = [
                0,
                1,
                4095,
                4096,
                used.saturating_sub(1),
                used / 2,
                len.saturating_sub(1),
                at,
            ];
            Kind::Cut {
                to: lengths[below(random, lengths.len())],
            }
        }
        5 => Kind::Zero {
            at,
            count: [1, 8, 96, 512, 4096][below(random, 5)],
        },
        6 => Kind::Noise {
            at,
            seed,
            count: [1, 32, 512][below(random, 3)],
        },
        7 => Kind::Delete,
        8 => Kind::Extend {
            seed,
            count: [1, 4096, 100_000][below(random, 3)],
        },
        9 => Kind::Copy {
            from: below(random, used.max(1)),
            at,
            count: 8 + below(random, 92),
        },
        _ => Kind::Shift { at },
    }
}

fn below(random: &mut Random, bound: usize) -> usize {
    let drawn = random.below(bound as u64);
    usize::try_from(drawn).expect("below a usize")
}
