//! Damage: every byte cut, every byte flipped, files missing, swapped or of another version.
//! At or below the watermark the answer is a typed error and untouched files; above it the tail
//! is cut; a wrong record is never served.

use std::path::{Path, PathBuf};

use clearway_store::limits::FORMAT_VERSION;
use clearway_store::testing::MemoryIo;
use clearway_store::{Damage, SegmentNumber, Sequence, StoreError};

use crate::support::{DIR, Item, append, assert_prefix, filled, items, open};

const PAGE_BYTES: usize = 4096;
const SEGMENT_BYTES: usize = 8192;

/// Where a record lies, by the layout rules of FORMAT.md.
#[derive(Clone, Copy, Debug)]
struct Extent {
    segment: u64,
    start: usize,
    end: usize,
}

fn extents(items: &[Item]) -> Vec<Extent> {
    let mut segment = 1;
    let mut at = PAGE_BYTES;
    items
        .iter()
        .map(|item| {
            let bytes = 96 + item.payload.len().next_multiple_of(8);
            if at + bytes > SEGMENT_BYTES {
                segment += 1;
                at = PAGE_BYTES;
            }
            let start = at;
            at += bytes;
            Extent {
                segment,
                start,
                end: at,
            }
        })
        .collect()
}

/// A store of three segments whose last ones are above the watermark.
struct Sample {
    io: MemoryIo,
    items: Vec<Item>,
    extents: Vec<Extent>,
    watermark: usize,
    segments: Vec<PathBuf>,
}

fn sample(seed: u64) -> Sample {
    // Five records of at most 800 bytes each fit the third segment; the watermark leaves two.
    let mut items = items(seed, 40, 700);
    let first = extents(&items)
        .iter()
        .position(|extent| extent.segment == 3);
    items.truncate(first.expect("40 records fill two segments") + 5);
    let extents = extents(&items);
    let last = extents.last().expect("items").segment;
    let watermark = items.len() - 2;
    assert_eq!(last, 3, "seed {seed}");
    let io = filled(&items[..watermark], 4);
    let (mut writer, ..) = open(&io).expect("whole");
    append(&mut writer, &items[watermark..]).expect("memory does not fail");
    drop(writer);
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|suffix| suffix == "seg");
    let segments: Vec<PathBuf> = io.files().into_keys().filter(is_segment).collect();
    assert_eq!(segments.len() as u64, last);
    Sample {
        io,
        items,
        extents,
        watermark,
        segments,
    }
}

/// What opening a damaged sample must answer.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Records(usize),
    Corrupt {
        segment: u64,
        from: usize,
        to: usize,
    },
}

impl Sample {
    /// The answer for a damaged segment: by the first record that differs from the original.
    fn expected(&self, segment: u64, damaged: &[u8]) -> Expected {
        let index = usize::try_from(segment - 1).expect("small");
        let original = &self.io.files()[&self.segments[index]];
        if original[..PAGE_BYTES] != damaged[..PAGE_BYTES] {
            return Expected::Corrupt {
                segment,
                from: 0,
                to: PAGE_BYTES,
            };
        }
        let sealed = segment < self.segments.len() as u64;
        let hit = self.extents.iter().position(|extent| {
            let range = extent.start..extent.end;
            extent.segment == segment && original[range.clone()] != damaged[range]
        });
        match hit {
            None => Expected::Records(self.items.len()),
            Some(record) if record >= self.watermark && !sealed => Expected::Records(record),
            Some(record) => {
                let Extent { start, end, .. } = self.extents[record];
                Expected::Corrupt {
                    segment,
                    from: start,
                    to: end,
                }
            }
        }
    }

    /// Damages a segment in a copy, opens the copy, and compares with what must come out.
    fn check(&self, segment: u64, context: &str, damage: impl FnOnce(&mut Vec<u8>)) {
        let path = &self.segments[usize::try_from(segment - 1).expect("small")];
        let io = MemoryIo::from_files(self.io.files());
        io.damage(path, damage);
        let before = io.files();
        let expected = self.expected(segment, &before[path]);
        match (open(&io), expected) {
            (Ok((_, reader, recovery)), Expected::Records(count)) => {
                assert_eq!(recovery.durable.0, count as u64, "{context}");
                let scanned: Vec<_> = reader.scan(Sequence::FIRST).collect();
                assert_eq!(scanned.len(), count, "{context}");
                for (record, item) in scanned.into_iter().zip(&self.items) {
                    let record = record.unwrap_or_else(|error| panic!("{context}: {error}"));
                    assert_eq!(&record.payload[..], &item.payload[..], "{context}");
                    assert_eq!(record.digest, item.digest, "{context}");
                }
            }
            (
                Err(StoreError::Corrupt {
                    segment: found,
                    offset,
                    ..
                }),
                Expected::Corrupt { segment, from, to },
            ) => {
                assert_eq!(found, SegmentNumber(segment), "{context}");
                let offset = usize::try_from(offset).expect("small");
                assert!(
                    (from..to).contains(&offset),
                    "{context}: {offset} in {from}..{to}"
                );
                assert_eq!(io.files(), before, "{context}: a damaged store was changed");
            }
            (Ok((.., recovery)), expected) => {
                panic!("{context}: {recovery:?} instead of {expected:?}")
            }
            (Err(error), expected) => panic!("{context}: {error} instead of {expected:?}"),
        }
    }
}

#[test]
fn a_tail_lost_from_any_byte_is_cut_above_the_watermark_and_reported_below() {
    let sample = sample(31);
    for segment in 1..=sample.segments.len() as u64 {
        for from in 0..SEGMENT_BYTES {
            sample.check(segment, &format!("zero from {from}"), |bytes| {
                bytes[from..].fill(0)
            });
        }
    }
}

#[test]
fn any_flipped_byte_is_cut_above_the_watermark_and_reported_below() {
    let sample = sample(32);
    for segment in 1..=sample.segments.len() as u64 {
        for at in 0..SEGMENT_BYTES {
            let mask = [0x01, 0x80, 0xff][at % 3];
            let context = format!("segment {segment} byte {at} mask {mask:#x}");
            sample.check(segment, &context, |bytes| bytes[at] ^= mask);
        }
    }
}

#[test]
fn any_flipped_bit_of_a_header_is_found() {
    let sample = sample(33);
    let last = sample.segments.len() as u64;
    let records = [
        0,
        sample.watermark - 1,
        sample.watermark,
        sample.items.len() - 1,
    ];
    for extent in records.map(|record| sample.extents[record]) {
        for bit in 0..96 * 8 {
            let context = format!("{extent:?} bit {bit}");
            sample.check(extent.segment, &context, |bytes| {
                bytes[extent.start + bit / 8] ^= 1 << (bit % 8);
            });
        }
    }
    for bit in 0..128 * 8 {
        sample.check(last, &format!("head bit {bit}"), |bytes| {
            bytes[bit / 8] ^= 1 << (bit % 8)
        });
    }
}

#[test]
fn noise_in_the_unused_end_of_a_sealed_segment_is_found_by_a_full_check() {
    let sample = sample(34);
    let io = MemoryIo::from_files(sample.io.files());
    io.damage(&sample.segments[0], |bytes| bytes[SEGMENT_BYTES - 1] = 1);
    let (_, reader, _) = open(&io).expect("no record is touched");
    let error = reader.verify_all().expect_err("the slack is not zero");
    let expected = Damage::Slack;
    assert!(
        matches!(error, StoreError::Corrupt { damage, .. } if damage == expected),
        "{error}"
    );
}

#[test]
fn a_sealed_segment_above_the_watermark_is_whole_or_damaged_never_cut() {
    // One commit, then three segments of records without one: sealed ones were synced all the same.
    let items = items(43, 20, 700);
    let extents = extents(&items);
    let io = filled(&items[..1], 1);
    let (mut writer, ..) = open(&io).expect("whole");
    append(&mut writer, &items[1..]).expect("memory does not fail");
    drop(writer);
    for (record, extent) in extents
        .iter()
        .enumerate()
        .filter(|(_, extent)| extent.segment == 2)
    {
        let path = Path::new(DIR).join(format!(
            "{:020}.seg",
            extents
                .iter()
                .position(|other| other.segment == 2)
                .expect("a second one")
                + 1
        ));
        let io = MemoryIo::from_files(io.files());
        io.damage(&path, |bytes| bytes[extent.start..extent.end].fill(0));
        let before = io.files();
        let error = open(&io).expect_err("sealed and damaged");
        let named = matches!(&error, StoreError::Corrupt { segment, offset, .. }
            if segment.0 == 2 && *offset == extent.start as u64);
        assert!(named, "record {record}: {error}");
        assert_eq!(io.files(), before);
    }
}

#[test]
fn a_file_cut_or_grown_by_somebody_else_is_reported_with_both_lengths() {
    let sample = sample(35);
    for segment in 0..sample.segments.len() {
        for len_bytes in [0, 1, 4095, 4096, 4097, 8191, 8193, 16384] {
            let io = MemoryIo::from_files(sample.io.files());
            io.damage(&sample.segments[segment], |bytes| {
                bytes.resize(len_bytes, 0)
            });
            let before = io.files();
            let error = open(&io).expect_err("wrong length");
            let StoreError::Corrupt {
                segment: number,
                damage,
                ..
            } = error
            else {
                panic!("{error}")
            };
            assert_eq!(number.0, segment as u64 + 1);
            let found = len_bytes as u64;
            let lengths = matches!(damage, Damage::Length { found: f, .. } if f == found);
            assert!(lengths, "{damage}");
            assert_eq!(io.files(), before);
        }
    }
}

#[test]
fn any_flipped_byte_of_the_watermark_costs_no_record() {
    let sample = sample(36);
    let path = Path::new(DIR).join("watermark");
    for at in 0..SEGMENT_BYTES {
        let io = MemoryIo::from_files(sample.io.files());
        io.damage(&path, |bytes| bytes[at] ^= 0x40);
        let (_, reader, recovery) = open(&io).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!(recovery.durable.0, sample.items.len() as u64, "{at}");
        let slot = (at % PAGE_BYTES < 128).then_some((at / PAGE_BYTES) as u64);
        let damaged = recovery.watermark_slot_damaged.map(|slot| slot.index);
        assert_eq!(damaged, slot, "{at}");
        if at % 64 == 0 {
            assert_prefix(&reader, &sample.items, "watermark");
        }
    }
}

#[test]
fn small_files_lost_or_damaged_are_named() {
    type Check = fn(&StoreError) -> bool;
    let identity_lost: Check = |error| matches!(error, StoreError::IdentityLost { .. });
    let watermark_lost: Check = |error| matches!(error, StoreError::WatermarkLost { .. });
    let rows: [(&str, Option<usize>, Check); 7] = [
        ("identity", None, identity_lost),
        ("identity", Some(0), identity_lost),
        ("identity", Some(127), identity_lost),
        ("watermark", None, watermark_lost),
        ("watermark", Some(0), watermark_lost),
        ("watermark", Some(4096), watermark_lost),
        ("watermark", Some(8191), watermark_lost),
    ];
    let sample = sample(37);
    for (name, cut_to, check) in rows {
        let path = Path::new(DIR).join(name);
        let mut files = sample.io.files();
        match cut_to {
            None => drop(files.remove(&path)),
            Some(len) => files.get_mut(&path).expect("there").truncate(len),
        }
        let io = MemoryIo::from_files(files.clone());
        let error = open(&io).expect_err("lost");
        assert!(check(&error), "{name} {cut_to:?}: {error}");
        assert_eq!(io.files(), files, "{name} {cut_to:?}");
    }
    let io = MemoryIo::from_files(sample.io.files());
    io.damage(&Path::new(DIR).join("watermark"), |bytes| bytes.push(7));
    open(&io).expect("both slots are whole");
    for at in 0..128 {
        let io = MemoryIo::from_files(sample.io.files());
        io.damage(&Path::new(DIR).join("identity"), |bytes| bytes[at] ^= 2);
        assert!(identity_lost(&open(&io).expect_err("damaged")), "byte {at}");
    }
    let io = MemoryIo::from_files(sample.io.files());
    io.damage(&Path::new(DIR).join("watermark"), |bytes| {
        bytes[20] ^= 1;
        bytes[PAGE_BYTES + 20] ^= 1;
    });
    assert!(watermark_lost(&open(&io).expect_err("both slots")));
}

#[test]
fn missing_segments_are_named() {
    let sample = sample(38);
    for missing in 0..sample.segments.len() {
        let mut files = sample.io.files();
        files.remove(&sample.segments[missing]);
        let io = MemoryIo::from_files(files.clone());
        let error = open(&io).expect_err("a segment is gone");
        let named = matches!(&error, StoreError::MissingSegment { segment, .. }
            if segment.0 == missing as u64 + 1);
        assert!(named, "{missing}: {error}");
        assert_eq!(io.files(), files);
    }
    let mut files = sample.io.files();
    sample
        .segments
        .iter()
        .for_each(|path| drop(files.remove(path)));
    let error = open(&MemoryIo::from_files(files)).expect_err("all segments are gone");
    let first = SegmentNumber(1);
    assert!(matches!(error, StoreError::MissingSegment { segment, .. } if segment == first));
}

#[test]
fn swapped_stale_or_foreign_segments_are_refused() {
    let sample = sample(39);
    let files = sample.io.files();
    let (first, second) = (&sample.segments[0], &sample.segments[1]);
    let mut swapped = files.clone();
    swapped.insert(first.clone(), files[second].clone());
    swapped.insert(second.clone(), files[first].clone());
    let mut doubled = files.clone();
    doubled.insert(second.clone(), files[first].clone());
    let mut renamed = files.clone();
    let moved = renamed.remove(second).expect("there");
    renamed.insert(Path::new(DIR).join("00000000000000000007.seg"), moved);
    // The same shape with other payloads: another history under the same genesis.
    let mut other_items = sample.items.clone();
    other_items.iter_mut().for_each(|item| item.digest[0] ^= 1);
    let other = filled(&other_items[..sample.watermark], 4).files();
    let mut grafted = files.clone();
    grafted.insert(first.clone(), other[first].clone());
    for (name, files) in [
        ("swapped", swapped),
        ("doubled", doubled),
        ("renamed", renamed),
        ("grafted", grafted),
    ] {
        let io = MemoryIo::from_files(files.clone());
        let error = open(&io).expect_err(name);
        assert!(
            matches!(error, StoreError::Corrupt { .. }),
            "{name}: {error}"
        );
        assert_eq!(io.files(), files, "{name}");
    }
}

#[test]
fn a_watermark_of_another_history_is_refused() {
    let sample = sample(40);
    let mut other_items = sample.items.clone();
    other_items.iter_mut().for_each(|item| item.digest[0] ^= 1);
    let other = filled(&other_items[..sample.watermark], 4).files();
    let path = Path::new(DIR).join("watermark");
    let mut files = sample.io.files();
    files.insert(path.clone(), other[&path].clone());
    let error = open(&MemoryIo::from_files(files)).expect_err("another history");
    let damage_is = matches!(
        error,
        StoreError::Corrupt {
            damage: Damage::Watermark,
            ..
        }
    );
    assert!(damage_is, "{error}");
}

#[test]
fn other_versions_are_refused_with_both_numbers() {
    let sample = sample(41);
    let rows = [
        (1, "written by Clearway 0.1.0 up to commit 544d670"),
        (2, "written by Clearway 0.1.0 up to commit f15248f"),
        (3, "written by Clearway 0.1.0 up to commit ec4df89"),
        (4, "written by Clearway 0.1.0 up to commit 0a1505d"),
        (9, "run the newer version"),
    ];
    let heads = [
        (Path::new(DIR).join("identity"), vec![0]),
        (Path::new(DIR).join("watermark"), vec![0, PAGE_BYTES]),
        (sample.segments[1].clone(), vec![0]),
    ];
    let cases = heads.iter().flat_map(|head| rows.map(|row| (head, row)));
    for ((path, offsets), (version, says)) in cases {
        let io = MemoryIo::from_files(sample.io.files());
        io.damage(path, |bytes| {
            for &at in offsets {
                bytes[at + 8..at + 12].copy_from_slice(&u32::to_le_bytes(version));
                let crc = crc32fast::hash(&bytes[at..at + 124]);
                bytes[at + 124..at + 128].copy_from_slice(&crc.to_le_bytes());
            }
        });
        let before = io.files();
        let error = open(&io).expect_err("another version");
        let both = match &error {
            StoreError::NewerFormat {
                found, supported, ..
            } => version > FORMAT_VERSION && (*found, *supported) == (version, FORMAT_VERSION),
            StoreError::OlderFormat {
                found, supported, ..
            } => version < FORMAT_VERSION && (*found, *supported) == (version, FORMAT_VERSION),
            _ => false,
        };
        assert!(both, "{}: {error}", path.display());
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(io.files(), before);
    }
}

#[test]
fn whole_records_that_do_not_belong_are_not_served() {
    let sample = sample(42);
    let (found, expected) = (Sequence(77), Sequence(2));
    let payload_bytes = 0x7fff_004d;
    let rows: [(usize, &[u8], Damage); 6] = [
        (4, &[77, 0], Damage::RecordVersion { found: 77 }),
        (6, &[77, 0], Damage::RecordKind { found: 77 }),
        (
            8,
            &[77, 0, 0xff, 0x7f],
            Damage::RecordExtent { payload_bytes },
        ),
        (16, &[77], Damage::RecordSequence { found, expected }),
        (24, &[0; 32], Damage::RecordChain),
        (88, &[1], Damage::RecordHeader),
    ];
    let extent = sample.extents[1];
    for (at, bytes, damage) in rows {
        let io = MemoryIo::from_files(sample.io.files());
        io.damage(&sample.segments[0], |segment| {
            let header = &mut segment[extent.start..extent.start + 96];
            header[at..at + bytes.len()].copy_from_slice(bytes);
            let crc = crc32fast::hash(&header[..92]);
            header[92..].copy_from_slice(&crc.to_le_bytes());
        });
        let error = open(&io).expect_err("not served");
        let named = matches!(&error, StoreError::Corrupt { offset, damage: found, .. }
            if *found == damage && *offset == extent.start as u64);
        assert!(named, "{damage}: {error}");
    }
}
