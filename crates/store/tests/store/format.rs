//! The fields on disk lie at the offsets of FORMAT.md.

use std::path::Path;
use std::sync::Arc;

use clearway_store::testing::MemoryIo;
use clearway_store::{BlockIo, RecordKind, write_checkpoint};

use crate::support::{DIR, Every20, GENESIS, open};

/// Three records over two segments, an index of the first, a checkpoint.
fn sample() -> MemoryIo {
    let io = MemoryIo::new();
    let (mut writer, reader, _) = open(&io).expect("a new store");
    let batch: Vec<u8> = (0..2000_u32).map(|at| at.to_le_bytes()[0]).collect();
    writer
        .append(RecordKind::Batch, [0xb1; 32], &[&batch])
        .expect("memory does not fail");
    writer.commit().expect("memory does not fail");
    writer
        .append(RecordKind::Manifest, [0xb2; 32], &[b"manifest"])
        .expect("memory");
    writer
        .append(RecordKind::Final, [0xb3; 32], &[&batch])
        .expect("memory does not fail");
    writer.commit().expect("memory does not fail");
    reader.index_sealed(&Every20).expect("memory does not fail");
    let shared: Arc<dyn BlockIo> = Arc::new(io.clone());
    write_checkpoint(&shared, Path::new(DIR), GENESIS, 42, &mut |sink| {
        sink.write_all(b"state")
    })
    .expect("memory does not fail");
    io
}

#[test]
fn fields_lie_where_the_format_page_says() {
    let files = sample().files();
    let file = |name: &str| &files[&Path::new(DIR).join(name)];
    let segment = file("00000000000000000001.seg");
    let number = |bytes: &[u8], at: usize| {
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
    };
    assert_eq!(&segment[..8], b"CWSEGMNT");
    assert_eq!(segment[8..12], 5_u32.to_le_bytes());
    assert_eq!([16, 24, 32].map(|at| number(segment, at)), [1, 1, 8192]);
    assert_eq!(segment[40..72], GENESIS);
    assert_eq!(
        segment[124..128],
        crc32fast::hash(&segment[..124]).to_le_bytes()
    );
    assert!(segment[128..4096].iter().all(|&byte| byte == 0));

    let record = &segment[4096..];
    assert_eq!(&record[..4], b"CWRC");
    assert_eq!(record[4..8], [1, 0, 1, 0]);
    assert_eq!(record[8..12], 2000_u32.to_le_bytes());
    assert_eq!(
        record[12..16],
        crc32fast::hash(&record[96..2096]).to_le_bytes()
    );
    assert_eq!(number(record, 16), 1);
    assert_eq!(
        record[24..56],
        segment[72..104],
        "the first record names the head's link"
    );
    assert_eq!(record[56..88], [0xb1; 32]);
    assert_eq!(record[92..96], crc32fast::hash(&record[..92]).to_le_bytes());
    let mut hashed = b"clearway store record v1".to_vec();
    hashed.extend_from_slice(&record[..92]);
    let second = &record[2096..];
    assert_eq!(second[24..56], *blake3::hash(&hashed).as_bytes());

    let watermark = file("watermark");
    assert_eq!(watermark.len(), 8192);
    // The opening wrote generation 1, the commits 2 and 3: the newest is odd, in slot B.
    let slot = &watermark[4096..];
    assert_eq!(&slot[..8], b"CWWATERM");
    assert_eq!([16, 24, 32].map(|at| number(slot, at)), [3, 3, 2]);
    assert_eq!(number(slot, 40), 4096 + 96 + 2000);
    assert_eq!(number(watermark, 16), 2);

    let index = file("00000000000000000001.idx");
    assert_eq!(&index[..8], b"CWINDEX\0");
    assert_eq!([16, 24].map(|at| number(index, at)), [1, 100]);
    assert_eq!(index.len(), 128 + 4096);
    let page = &index[128..];
    assert!(page[100 * 32..4092].iter().all(|&byte| byte == 0));
    let segment_hash = &index[40..72];
    let covered = [segment_hash, &0_u64.to_le_bytes(), &page[..4092]].concat();
    assert_eq!(page[4092..], crc32fast::hash(&covered).to_le_bytes());

    let checkpoint = file("checkpoint-00000000000000000042.ckp");
    assert_eq!(number(checkpoint, 16), 42);
    assert_eq!(&checkpoint[128..133], b"state");
    assert_eq!(&checkpoint[133..141], b"CWCHKEND");
    assert_eq!(
        checkpoint[149..181],
        *blake3::hash(&checkpoint[..133]).as_bytes()
    );
}
