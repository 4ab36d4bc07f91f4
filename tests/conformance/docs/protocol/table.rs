//! Tables of records: every row is held to the bytes of a sample or to the type's own layout.

use std::fmt::Write as _;

/// A table in Markdown.
pub(super) fn rows(head: &[&str], cells: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in cells {
        assert_eq!(row.len(), head.len(), "{row:?}");
        let row = row.join(" | ");
        writeln!(table, "| {row} |").expect("memory takes text");
    }
    table
}

/// A field of a record: name, bytes in the sample, meaning; and its size where that differs from
/// sample to sample.
pub(super) struct Field {
    name: &'static str,
    bytes: Vec<u8>,
    meaning: &'static str,
    size: Option<&'static str>,
}

/// A field of a fixed size.
pub(super) fn field(name: &'static str, bytes: impl AsRef<[u8]>, meaning: &'static str) -> Field {
    let bytes = bytes.as_ref().to_vec();
    Field {
        name,
        bytes,
        meaning,
        size: None,
    }
}

/// A field whose size depends on what is in it.
pub(super) fn varying(
    name: &'static str,
    size: &'static str,
    bytes: impl AsRef<[u8]>,
    meaning: &'static str,
) -> Field {
    Field {
        size: Some(size),
        ..field(name, bytes, meaning)
    }
}

/// The table of a record whose fields, one after another, are exactly `sample`.
pub(super) fn record(sample: &[u8], fields: &[Field]) -> String {
    let (mut at, mut is_fixed) = (0, true);
    let cells = fields.iter().map(|field| {
        let end = at + field.bytes.len();
        assert_eq!(
            sample.get(at..end),
            Some(&field.bytes[..]),
            "`{}` at {at}",
            field.name
        );
        let offset = if is_fixed {
            at.to_string()
        } else {
            String::new()
        };
        let size = field
            .size
            .map_or(field.bytes.len().to_string(), str::to_owned);
        is_fixed &= field.size.is_none();
        at = end;
        vec![
            offset,
            size,
            format!("`{}`", field.name),
            field.meaning.to_owned(),
        ]
    });
    let table = rows(
        &["offset", "bytes", "field", "meaning"],
        cells.collect::<Vec<_>>(),
    );
    assert_eq!(
        at,
        sample.len(),
        "the sample has more fields than the table"
    );
    table
}

/// Fields of a type with a fixed layout: name, offset, size, meaning. Those without a meaning are
/// told elsewhere.
pub(super) fn laid_out(
    type_name: &str,
    type_bytes: usize,
    fields: &[(&str, usize, usize, &str)],
) -> String {
    let mut at = 0;
    for (name, offset, size, _) in fields {
        assert_eq!(
            *offset, at,
            "{type_name}: a field before `{name}` is missing or moved"
        );
        at += size;
    }
    assert_eq!(at, type_bytes, "{type_name}: the last fields are missing");
    let told = fields
        .iter()
        .filter(|(_, _, _, meaning)| !meaning.is_empty());
    let cells = told.map(|(name, offset, size, meaning)| {
        vec![
            offset.to_string(),
            size.to_string(),
            format!("`{name}`"),
            (*meaning).to_owned(),
        ]
    });
    rows(&["offset", "bytes", "field", "meaning"], cells)
}

/// The table of a type by its own offsets. Of a body, whose rows that all bodies have stand in a
/// table of their own: its fields up to the signer, then those behind its end.
macro_rules! layout {
    (body $type:ident {
        $($field:ident: $meaning:literal,)+; $($last:ident: $told:literal,)+
    }) => {
        layout!($type {
            id: "",
            $($field: $meaning,)+
            signer: "",
            expires_at: "",
            $($last: $told,)+
            kind: "",
            version: "",
            flags: "",
        })
    };
    ($type:ident { $($field:ident: $meaning:literal,)+ }) => {{
        let sample = <$type as zerocopy::FromZeros>::new_zeroed();
        let fields = [$((
            stringify!($field),
            std::mem::offset_of!($type, $field),
            size_of_val(&sample.$field),
            $meaning,
        )),+];
        $crate::docs::protocol::table::laid_out(stringify!($type), size_of::<$type>(), &fields)
    }};
}
pub(super) use layout;

/// A part of what is hashed or signed: its name, and its bytes in a sample.
pub(super) type Part<'a> = (&'a str, &'a [u8]);

/// Parts side by side, by their names and by their bytes. One without a name stands for itself.
pub(super) fn joined(parts: &[Part<'_>]) -> (String, Vec<u8>) {
    let names = parts.iter().map(|(name, bytes)| match (*name, *bytes) {
        ("", [byte]) => format!("`{byte:02x}`"),
        ("", text) => {
            assert!(text.is_ascii(), "bytes that are no text need a name");
            format!("\"{}\"", String::from_utf8_lossy(text))
        }
        (name, _) => name.to_owned(),
    });
    let bytes = parts.iter().flat_map(|(_, bytes)| bytes.iter().copied());
    (names.collect::<Vec<_>>().join(", "), bytes.collect())
}

/// The names of parts whose bytes are exactly this record.
pub(super) fn held(record: &[u8], parts: &[Part<'_>]) -> String {
    let (text, bytes) = joined(parts);
    assert_eq!(bytes, record, "{text}");
    text
}

/// A list: its count, then its items.
pub(super) fn counted(count: usize, items: &[u8]) -> Vec<u8> {
    let count = u32::try_from(count).expect("short").to_le_bytes();
    [&count[..], items].concat()
}
