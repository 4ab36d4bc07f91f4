//! The page of the protocol: prose around tables that are taken from the types, their constants and
//! samples of their bytes.

pub(crate) mod genesis;
mod records;
mod table;
mod wire;

use clearway_types::code::{ResultCode, Trace};
use clearway_types::domain::SIGNED_BYTES;
use clearway_types::envelope::{BODY_BYTES, ENVELOPE_BYTES, VERSION};
use clearway_types::flags::Flags;
use clearway_types::kind::{Chain, Kind};
use clearway_types::limits::{
    ANSWER_BYTES_MAX, CHAIN_LEN_MAX, HOLD_TIMEOUT_S_MAX, KEY_LAG_MAX, MANIFEST_BYTES_MAX,
    PROOF_LINKS_MAX, PROOF_MANIFESTS_MAX, PROOF_PATH_MAX,
};
use clearway_types::manifest::PROTOCOL_VERSION;
use clearway_types::transfer::AMOUNT_REMAINING;
use clearway_types::wire::proof::PROOF_VERSION;
use clearway_types::wire::query::VIEW_LIMITS_MAX;
use clearway_types::wire::{ALPN, WIRE_VERSION};
use table::rows;

/// The prose, with a name in double braces where a table or a constant goes.
const PROSE: &str = include_str!("protocol/PROTOCOL.in.md");
/// Nobody reads a longer page.
const PAGE_LINES_MAX: usize = 540;

#[test]
fn the_page_of_the_protocol_is_what_the_code_says() {
    let mut page = PROSE.to_owned();
    let tables = [envelopes(), genesis::all(), records::all(), wire::all()];
    for (name, value) in constants().into_iter().chain(tables.into_iter().flatten()) {
        let mark = format!("{{{{{name}}}}}");
        assert!(page.contains(&mark), "the prose has no {mark}");
        page = page.replace(&mark, value.trim_end());
    }
    let open = page.lines().find(|line| line.contains("{{"));
    assert_eq!(open, None, "nothing is known by that name");
    super::page("deploy/PROTOCOL.md", &page);
    let lines = page.lines().count();
    assert!(lines <= PAGE_LINES_MAX, "{lines} lines: too long");
}

type Named = (&'static str, String);

fn constants() -> Vec<Named> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("ASCII");
    vec![
        ("PROTOCOL_VERSION", PROTOCOL_VERSION.to_string()),
        ("SCHEMA_VERSION", VERSION.to_string()),
        ("WIRE_VERSION", WIRE_VERSION.to_string()),
        ("PROOF_VERSION", PROOF_VERSION.to_string()),
        ("KEY_LAG_MAX", KEY_LAG_MAX.to_string()),
        ("ENVELOPE_BYTES", ENVELOPE_BYTES.to_string()),
        ("BODY_BYTES", BODY_BYTES.to_string()),
        ("SIGNED_BYTES", SIGNED_BYTES.to_string()),
        ("CHAIN_LEN_MAX", CHAIN_LEN_MAX.to_string()),
        ("HOLD_TIMEOUT_S_MAX", HOLD_TIMEOUT_S_MAX.to_string()),
        ("AMOUNT_REMAINING", "2⁶⁴ - 1".to_owned()),
        ("PROOF_PATH_MAX", PROOF_PATH_MAX.to_string()),
        ("PROOF_LINKS_MAX", PROOF_LINKS_MAX.to_string()),
        ("PROOF_MANIFESTS_MAX", PROOF_MANIFESTS_MAX.to_string()),
        ("MANIFEST_BYTES_MAX", MANIFEST_BYTES_MAX.to_string()),
        ("ANSWER_BYTES_MAX", ANSWER_BYTES_MAX.to_string()),
        ("ALPN", text(ALPN)),
        ("VIEW_LIMITS_MAX", VIEW_LIMITS_MAX.to_string()),
    ]
}

fn envelopes() -> Vec<Named> {
    vec![("flags", flags()), ("kinds", kinds()), ("codes", codes())]
}

fn flags() -> String {
    let honoured = [
        (Flags::LINKED, "the next envelope belongs to the same chain"),
        (Flags::KEY_SLOT, "slot of the key that signed"),
    ];
    let refused = Flags::NOT_HONOURED.map(|(mask, _)| (mask, "zero"));
    let mut runs: Vec<(u32, u32, &str)> = Vec::new();
    for bit in 0..u16::BITS {
        let mut of_bit = honoured
            .iter()
            .chain(&refused)
            .filter(|(mask, _)| mask >> bit & 1 == 1);
        let (_, means) = of_bit.next().expect("each bit has a meaning");
        assert!(of_bit.next().is_none(), "and one alone");
        match runs.last_mut() {
            Some((_, last, same)) if same == means => *last = bit,
            _ => runs.push((bit, bit, means)),
        }
    }
    let cells = runs.into_iter().map(|(first, last, means)| {
        let bits = match first == last {
            true => first.to_string(),
            false => format!("{first} to {last}"),
        };
        vec![bits, means.to_owned()]
    });
    rows(&["bits", "meaning"], cells)
}

fn kinds() -> String {
    let cells = Kind::ALL.iter().map(|&kind| {
        let row = kind.row();
        let chain = match row.chain {
            Chain::Linked => "may",
            Chain::Alone => "alone",
        };
        let layout = format!("`{:?}`", row.layout);
        vec![
            format!("`{:02x}`", kind as u8),
            format!("{kind:?}"),
            layout,
            chain.to_owned(),
        ]
    });
    rows(&["kind", "name", "body", "in a chain"], cells)
}

/// Numbers of codes by what they leave behind. A range holds codes alone: a number in a gap of the
/// list is no code yet, and what it will leave behind is not known.
fn codes() -> String {
    let traces = [
        (Trace::Remembered, "used up: these and no others"),
        (
            Trace::Forgotten,
            "not: the same bytes are refused whenever they come",
        ),
        (
            Trace::MayPass,
            "not: another copy may be executed while the envelope lives",
        ),
        (
            Trace::Transient,
            "not: send the same bytes again a little later",
        ),
    ];
    let cells = traces.map(|(trace, means)| {
        let mut ranges: Vec<[u16; 2]> = Vec::new();
        for code in ResultCode::ALL.iter().filter(|code| code.trace() == trace) {
            let number = code.as_u16();
            match ranges.last_mut() {
                Some(range) if range[1] + 1 == number => range[1] = number,
                _ => ranges.push([number; 2]),
            }
        }
        let shown = ranges.iter().map(|[from, to]| match from == to {
            true => from.to_string(),
            false => format!("{from} to {to}"),
        });
        vec![shown.collect::<Vec<_>>().join(", "), means.to_owned()]
    });
    rows(&["codes", "identifier"], cells)
}

/// Every body has its envelope's length: what the tables of layouts rest on.
const _: () = assert!(BODY_BYTES + 64 == ENVELOPE_BYTES);
const _: () = assert!(AMOUNT_REMAINING == u64::MAX, "as the prose writes it");
const _: () = assert!(VERSION == 1 && WIRE_VERSION == 1, "as the tables have them");
