//! The program files that a process runs: where their code lies in its memory, how their stacks are
//! walked, and what its functions are called.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::time::{Duration, Instant};

use addr2line::Loader;
use framehop::x86_64::UnwinderX86_64;
use framehop::{ExplicitModuleSectionInfo, Module, Unwinder as _};
use object::read::{ReadCache, ReadRef};
use object::{Object as _, ObjectSection as _, ObjectSegment as _, SegmentFlags};

use crate::profile::Frame;

/// What the kernel maps into every process for calls that need no kernel.
const VDSO: &str = "[vdso]";
/// Shortest and longest time between two looks at a process's memory map, for code that is in no
/// known file: it may have been loaded since, or be made at run time.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(10);
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(1);
/// Largest image of the kernel's that is read from memory.
const VDSO_BYTES_MAX: u64 = 1 << 20;

/// A point in the code of a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Place {
    /// In a file, by the file's own addresses.
    Image { index: usize, address: u64 },
    /// In the kernel.
    Kernel,
    /// In no file that is known.
    Unknown,
}

/// The files of a process, as far as they were needed.
pub(crate) struct Images {
    pid: u32,
    all: Vec<Image>,
    /// Of those that are mapped now.
    mapped: Vec<(Range<u64>, usize)>,
    mappings: Vec<Mapping>,
    unwinder: UnwinderX86_64<Vec<u8>>,
    looked: Option<Instant>,
    look_interval: Duration,
}

/// A file's code in the memory of the process.
struct Image {
    /// Its name without its folder.
    name: String,
    /// What is added to the file's own addresses.
    bias: u64,
    names: Option<Loader>,
}

impl Images {
    /// Looks at the memory map of a process.
    pub(crate) fn new(pid: u32) -> Self {
        let mut images = Self {
            pid,
            all: Vec::new(),
            mapped: Vec::new(),
            mappings: Vec::new(),
            unwinder: UnwinderX86_64::new(),
            looked: None,
            look_interval: LOOK_INTERVAL_MIN,
        };
        images.look();
        images
    }

    pub(crate) fn unwinder(&self) -> &UnwinderX86_64<Vec<u8>> {
        &self.unwinder
    }

    /// Whether code of a known file is at an address, after another look at the memory map where
    /// that may help.
    pub(crate) fn knows(&mut self, address: u64) -> bool {
        if self.image_at(address).is_some() {
            return true;
        }
        let is_due = self
            .looked
            .is_none_or(|at| at.elapsed() >= self.look_interval);
        is_due && self.look() && self.image_at(address).is_some()
    }

    /// The place of an address.
    pub(crate) fn place(&self, address: u64) -> Place {
        self.image_at(address).map_or(Place::Unknown, |index| {
            let address = address.wrapping_sub(self.all[index].bias);
            Place::Image { index, address }
        })
    }

    /// The functions of a place, the caller before what was inlined into it.
    pub(crate) fn frames(&self, place: &Place) -> Vec<Frame> {
        match place {
            Place::Kernel => vec![Frame::named("[kernel]")],
            Place::Unknown => vec![Frame::named("[unknown]")],
            Place::Image { index, address } => self.all[*index].frames(*address),
        }
    }

    fn image_at(&self, address: u64) -> Option<usize> {
        let found = self
            .mapped
            .iter()
            .find(|(range, _)| range.contains(&address));
        found.map(|(_, index)| *index)
    }

    /// Reads the memory map; whether anything is new. Nothing is once the process has ended.
    fn look(&mut self) -> bool {
        self.looked = Some(Instant::now());
        let text = fs::read_to_string(format!("/proc/{}/maps", self.pid)).unwrap_or_default();
        let mappings: Vec<_> = text.lines().filter_map(Mapping::parse).collect();
        if mappings.is_empty() || mappings == self.mappings {
            self.look_interval = (self.look_interval * 2).min(LOOK_INTERVAL_MAX);
            return false;
        }
        self.look_interval = LOOK_INTERVAL_MIN;
        // Another program may have taken the place of the first: what has gone is no way to walk.
        let gone = self.mappings.iter().filter(|old| !mappings.contains(old));
        let gone: Vec<_> = gone.map(|mapping| mapping.range.clone()).collect();
        for range in &gone {
            self.unwinder.remove_module(range.start);
        }
        self.mapped.retain(|(range, _)| !gone.contains(range));
        let new = mappings.iter().filter(|new| !self.mappings.contains(new));
        for mapping in new.cloned().collect::<Vec<_>>() {
            self.load(&mapping);
        }
        self.mappings = mappings;
        true
    }

    /// Takes in a file. One that cannot be read or understood has its name alone.
    fn load(&mut self, mapping: &Mapping) {
        let (tables, names) = match mapping.path.as_str() {
            VDSO => (
                mapping.memory(self.pid).and_then(|b| tables(&*b, mapping)),
                None,
            ),
            _ => mapping.file(self.pid).map_or((None, None), |path| {
                let file = File::open(&path).map(ReadCache::new).ok();
                let tables = file.and_then(|file| tables(&file, mapping));
                (tables, Loader::new(&path).ok())
            }),
        };
        let name = mapping.path.rsplit('/').next().unwrap_or_default();
        let name = name.trim_matches(['[', ']']).to_owned();
        let bias = tables.as_ref().map(|(bias, _)| *bias);
        if let Some((bias, sections)) = tables {
            let module = Module::new(name.clone(), mapping.range.clone(), bias, sections);
            self.unwinder.add_module(module);
        }
        self.mapped.push((mapping.range.clone(), self.all.len()));
        self.all.push(Image {
            name,
            bias: bias.unwrap_or(mapping.range.start),
            names: names.filter(|_| bias.is_some()),
        });
    }
}

impl Image {
    fn frames(&self, address: u64) -> Vec<Frame> {
        let mut frames = self.told(address).unwrap_or_default();
        let symbol = self.names.as_ref().and_then(|n| n.find_symbol(address));
        match (symbol.map(readable), frames.first_mut()) {
            // Line tables know functions by their last name alone, the table of symbols knows those
            // that were not inlined by their path.
            (Some(symbol), Some(first)) => first.function = symbol,
            (Some(symbol), None) => frames.push(Frame::named(&symbol)),
            (None, Some(_)) => {}
            (None, None) => frames.push(Frame::named(&format!("[{}]", self.name))),
        }
        frames
    }

    /// What the line tables say; they have it from the inside out.
    fn told(&self, address: u64) -> Option<Vec<Frame>> {
        let mut found = self.names.as_ref()?.find_frames(address).ok()?;
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = found.next() {
            let Some(function) = &frame.function else {
                continue;
            };
            let place = frame.location.as_ref();
            frames.push(Frame {
                function: readable(&function.raw_name().ok()?),
                file: place.and_then(|place| place.file).map(str::to_owned),
                line: place.and_then(|place| place.line).unwrap_or(0),
            });
        }
        frames.reverse();
        Some(frames)
    }
}

/// A function's name without the hash that makes it unique.
fn readable(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}

/// What is added to a file's own addresses where this part of it is mapped, and what the walk of
/// stacks needs of it.
fn tables<'a, R: ReadRef<'a>>(
    file: R,
    mapping: &Mapping,
) -> Option<(u64, ExplicitModuleSectionInfo<Vec<u8>>)> {
    let object = object::File::parse(file).ok()?;
    let bias = bias(&object, mapping)?;
    let range = |name: &str| {
        let section = object.section_by_name(name)?;
        Some(section.address()..section.address().checked_add(section.size())?)
    };
    let data = |name: &str| {
        let section = object.section_by_name(name)?;
        section.data().ok().map(<[u8]>::to_vec)
    };
    let sections = ExplicitModuleSectionInfo {
        base_svma: 0,
        text_svma: range(".text"),
        got_svma: range(".got"),
        eh_frame_svma: range(".eh_frame"),
        eh_frame: data(".eh_frame"),
        eh_frame_hdr_svma: range(".eh_frame_hdr"),
        eh_frame_hdr: data(".eh_frame_hdr"),
        ..ExplicitModuleSectionInfo::default()
    };
    Some((bias, sections))
}

fn bias<'a, R: ReadRef<'a>>(object: &object::File<'a, R>, mapping: &Mapping) -> Option<u64> {
    let is_code = |flags| matches!(flags, SegmentFlags::Elf { p_flags } if p_flags & EXECUTED != 0);
    let mut segments = object.segments().filter(|segment| is_code(segment.flags()));
    let segment = segments.find(|segment| {
        let (start, bytes) = segment.file_range();
        // A mapping begins at a page's border, its segment maybe behind it.
        let pages = start & !(PAGE_BYTES - 1)..start.saturating_add(bytes);
        pages.contains(&mapping.offset)
    })?;
    let (start, _) = segment.file_range();
    let mapped_at = mapping.range.start.wrapping_sub(mapping.offset);
    let at = mapped_at.wrapping_add(start);
    Some(at.wrapping_sub(segment.address()))
}

/// Flag of a segment that holds code.
const EXECUTED: u32 = 1;
const PAGE_BYTES: u64 = 4096;

/// A line of a process's memory map that holds code.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Mapping {
    range: Range<u64>,
    offset: u64,
    path: String,
    /// Whether the file has been removed or replaced since.
    is_deleted: bool,
}

impl Mapping {
    /// As in: `7f12a0000000-7f12a0021000 r-xp 00001000 08:01 1234    /usr/lib/libc.so.6`
    fn parse(line: &str) -> Option<Self> {
        let mut rest = line;
        let mut word = || {
            let (word, after) = rest.split_once(' ')?;
            rest = after.trim_start();
            Some(word)
        };
        let (start, end) = word()?.split_once('-')?;
        let is_code = word()?.as_bytes().get(2) == Some(&b'x');
        let offset = u64::from_str_radix(word()?, 16).ok()?;
        let (_device, _inode) = (word()?, word()?);
        let deleted = rest.strip_suffix(" (deleted)");
        let path = deleted.unwrap_or(rest);
        let is_file = path.starts_with('/') || path == VDSO;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        (is_code && is_file).then_some(Self {
            range: hex(start)?..hex(end)?,
            offset,
            path: path.to_owned(),
            is_deleted: deleted.is_some(),
        })
    }

    /// Where the file can be read. The program itself can be even where it was replaced, as a build
    /// does; of another such file the path names something else. Paths are those of the process,
    /// which may be in a container.
    fn file(&self, pid: u32) -> Option<String> {
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let program = program.to_string_lossy();
        match program.trim_end_matches(" (deleted)") == self.path {
            true => Some(format!("/proc/{pid}/exe")),
            false if self.is_deleted => None,
            false => Some(format!("/proc/{pid}/root{}", self.path)),
        }
    }

    /// The bytes themselves.
    fn memory(&self, pid: u32) -> Option<Vec<u8>> {
        let bytes = (self.range.end - self.range.start).min(VDSO_BYTES_MAX);
        let mut memory = File::open(format!("/proc/{pid}/mem")).ok()?;
        memory.seek(SeekFrom::Start(self.range.start)).ok()?;
        let mut read = Vec::new();
        memory.take(bytes).read_to_end(&mut read).ok()?;
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_in_a_memory_map_and_data_is_not() {
        let rows = [
            (
                "1000-3000 r-xp 00001000 08:01 12       /usr/lib/libc.so.6",
                Some(("/usr/lib/libc.so.6", false)),
            ),
            (
                "1000-3000 r-xp 00001000 08:01 12       /a folder/program (deleted)",
                Some(("/a folder/program", true)),
            ),
            (
                "1000-3000 r-xp 00001000 00:00 0   [vdso]",
                Some((VDSO, false)),
            ),
            ("1000-3000 rw-p 00001000 08:01 12  /usr/lib/libc.so.6", None),
            ("1000-3000 r-xp 00001000 00:00 0 ", None),
            ("1000-3000 r-xp 00001000 00:00 0   [vsyscall]", None),
            ("nonsense", None),
        ];
        for (line, expected) in rows {
            let found = Mapping::parse(line);
            let shown = found.as_ref().map(|m| (m.path.as_str(), m.is_deleted));
            assert_eq!(shown, expected, "{line}");
            if let Some(mapping) = found {
                assert_eq!((mapping.range, mapping.offset), (0x1000..0x3000, 0x1000));
            }
        }
    }

    #[test]
    fn names_lose_their_hash_and_those_of_c_stay() {
        let rows = [
            ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
            ("memcpy", "memcpy"),
        ];
        for (symbol, expected) in rows {
            assert_eq!(readable(symbol), expected);
        }
    }

    #[test]
    fn the_own_program_is_loaded_and_its_functions_have_names_and_lines() {
        let mut images = Images::new(std::process::id());
        let here = names_lose_their_hash_and_those_of_c_stay as fn() as usize as u64;
        assert!(images.knows(here));
        let frames = images.frames(&images.place(here));
        let last = frames.last().expect("a frame");
        assert!(last.function.ends_with("those_of_c_stay"), "{frames:?}");
        assert!(
            last.file
                .as_ref()
                .is_some_and(|file| file.ends_with("images.rs"))
        );
        assert!(last.line > 0);
        assert_eq!(images.place(8), Place::Unknown);
        assert!(!images.knows(8));
    }
}
