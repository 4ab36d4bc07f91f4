//! `clearway inspect`: a node's log, read without touching it, and the metrics page's own list.

mod metrics;

use std::collections::BTreeMap;

use clearway_store::history::{History, StoredBlock};
use clearway_store::{RecordKind, Sequence};
use clearway_types::code::Outcome;
use clearway_types::envelope::{Envelope, envelopes};
use clearway_types::event::Event;
use clearway_types::genesis::Genesis;
use clearway_types::units::{Height, ParticipantId, TransferId};
use serde::Serialize;

use crate::commands::instruction::Instruction;
use crate::commands::log::{LogArgs, LogEnd, history_failure, store_failure};
use crate::failure::{Failure, Kind};
use crate::notation::parse_id;
use crate::ui::{self, Output};

/// The log of a stopped or running node, and the figures it shows
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// One block: manifest, certificate, roots, results
    Block(BlockArgs),
    /// One envelope and what became of it
    Tx(TxArgs),
    /// How far the log is and what lies in it
    State(Plain),
    /// Read every record again and check headers, chain and checksums
    Integrity(Plain),
    /// Every figure of the metrics page: name, kind, labels, series, meaning
    Metrics(metrics::Args),
}

#[derive(clap::Args, Debug)]
pub(crate) struct Plain {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Args, Debug)]
pub(crate) struct BlockArgs {
    #[command(flatten)]
    log: LogArgs,
    /// Height of the block; the genesis, which is no block, has height 0
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    height: u64,
    /// Also list its envelopes with their results
    #[arg(long)]
    envelopes: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Args, Debug)]
pub(crate) struct TxArgs {
    #[command(flatten)]
    log: LogArgs,
    /// Participant number of the signer
    #[arg(long)]
    signer: u32,
    /// Identifier, 32 hexadecimal digits
    #[arg(long, value_parser = parse_id)]
    id: TransferId,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Block(args) => block(args),
        Command::Tx(args) => tx(args),
        Command::State(args) => state(args),
        Command::Integrity(args) => integrity(args),
        Command::Metrics(args) => metrics::run(args),
    }
}

/// An envelope as people and scripts see it; amounts in JSON are text.
#[derive(Serialize)]
struct EnvelopeView {
    height: u64,
    index: usize,
    id: String,
    signer: u32,
    #[serde(flatten)]
    instruction: Instruction,
    code: String,
    flags: u16,
}

impl EnvelopeView {
    fn of(genesis: &Genesis, block: &StoredBlock, index: usize, envelope: &Envelope) -> Self {
        let body = &envelope.body;
        let instruction = Instruction::of(body, &genesis.ledgers);
        let outcome = block.record.results.get(index);
        Self {
            height: block.record.height.0,
            index,
            id: body.id.to_string(),
            signer: body.signer().0,
            instruction,
            code: outcome.map_or_else(String::new, |outcome| outcome.code.to_string()),
            flags: outcome.map_or(0, |outcome| outcome.flags.0),
        }
    }

    fn cells(&self) -> Vec<String> {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let Instruction {
            kind,
            from,
            to,
            currency,
            what,
            ..
        } = &self.instruction;
        let amount = self.instruction.amount_text().unwrap_or_default();
        vec![
            self.index.to_string(),
            self.id.clone(),
            kind.clone(),
            text(from),
            text(to),
            amount.to_owned(),
            text(currency),
            text(what),
            self.code.clone(),
        ]
    }
}

const ENVELOPE_HEAD: [&str; 9] = [
    "index#", "id", "kind", "from", "to", "amount#", "currency", "what", "result",
];

/// Every envelope of a block with its position.
fn each_envelope(genesis: &Genesis, block: &StoredBlock) -> Vec<EnvelopeView> {
    let mut views = Vec::new();
    for batch in &block.batches {
        for envelope in envelopes(batch.envelopes()) {
            views.push(EnvelopeView::of(genesis, block, views.len(), envelope));
        }
    }
    views
}

#[derive(Serialize)]
struct BlockView {
    height: u64,
    digest: String,
    parent: String,
    time_ms: u64,
    leader: u32,
    state_height: u64,
    batches: usize,
    envelope_count: usize,
    certificate_view: Option<u64>,
    signers: Vec<usize>,
    receipts_root: String,
    state_root: Option<String>,
    exec_head: String,
    /// How often execution did what by itself.
    events: BTreeMap<&'static str, usize>,
    duplicates: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    envelopes: Option<Vec<EnvelopeView>>,
}

fn block(args: &BlockArgs) -> Result<(), Failure> {
    let genesis = args.log.genesis()?;
    let (reader, _) = args.log.open(&genesis)?;
    let first = History::new(&reader, Sequence::FIRST, Height(args.height)).next();
    let Some(block) = first.transpose().map_err(history_failure)? else {
        let message = format!(
            "block {} is not in the log: `clearway inspect state` says how far it is",
            args.height
        );
        return Err(Failure::new(Kind::NotFound, message));
    };
    let (manifest, record) = (&block.manifest.manifest, &block.record);
    let certificate = record.certificate.as_ref();
    let view = BlockView {
        height: record.height.0,
        digest: block.manifest.digest.to_string(),
        parent: manifest.parent.to_string(),
        time_ms: manifest.time.0,
        leader: manifest.leader.0,
        state_height: manifest.state_height.0,
        batches: manifest.batches.len(),
        envelope_count: manifest.envelope_count(),
        certificate_view: certificate.map(|certificate| certificate.view),
        signers: certificate.map_or_else(Vec::new, |c| c.signer_indexes().collect()),
        receipts_root: record.receipts_root.to_string(),
        state_root: record.state_root.map(|root| root.to_string()),
        exec_head: record.exec_head.to_string(),
        events: counted(&record.events),
        duplicates: record.duplicates.len(),
        envelopes: args.envelopes.then(|| each_envelope(&genesis, &block)),
    };
    args.output.result("block", &view, || shown_block(&view))
}

fn counted(events: &[Event]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        *counts.entry(event.name()).or_default() += 1;
    }
    counts
}

fn shown_block(view: &BlockView) -> String {
    let signers: Vec<String> = view.signers.iter().map(usize::to_string).collect();
    let events = view.events.iter();
    let events: Vec<String> = events
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let events = match events.is_empty() {
        true => "none".to_owned(),
        false => events.join(", "),
    };
    let mut text = ui::rows([
        ("height", view.height.to_string()),
        ("digest", view.digest.clone()),
        ("parent", view.parent.clone()),
        ("time", format!("{} ms", view.time_ms)),
        ("leader", view.leader.to_string()),
        ("names results of", view.state_height.to_string()),
        ("batches", view.batches.to_string()),
        ("envelopes", view.envelope_count.to_string()),
        ("certificate signers", signers.join(" ")),
        ("receipts root", view.receipts_root.clone()),
        (
            "state root",
            view.state_root.clone().unwrap_or_else(|| "not due".into()),
        ),
        ("execution head", view.exec_head.clone()),
        ("events", events),
        ("repeated", view.duplicates.to_string()),
    ]);
    if let Some(list) = &view.envelopes {
        text.push_str("\n\n");
        text.push_str(&ui::table(
            &ENVELOPE_HEAD,
            list.iter().map(EnvelopeView::cells),
        ));
    }
    text
}

fn tx(args: &TxArgs) -> Result<(), Failure> {
    let genesis = args.log.genesis()?;
    let (reader, _) = args.log.open(&genesis)?;
    let signer = ParticipantId(args.signer);
    let mut found: Option<TxView> = None;
    for block in History::new(&reader, Sequence::FIRST, Height(1)) {
        let block = block.map_err(history_failure)?;
        let mut index = 0;
        for batch in &block.batches {
            for envelope in envelopes(batch.envelopes()) {
                if envelope.body.id == args.id && envelope.body.signer() == signer {
                    let outcome = block.record.results.get(index).copied();
                    let rank = outcome.map_or(0, Outcome::rank);
                    let view = EnvelopeView::of(&genesis, &block, index, envelope);
                    found = Some(match found {
                        Some(found) => found.and(rank, view),
                        None => TxView::new(rank, view),
                    });
                }
                index += 1;
            }
        }
    }
    let found = found.ok_or_else(|| {
        let message = format!("no envelope {} of signer {signer} is in the log", args.id);
        Failure::new(Kind::NotFound, message)
    })?;
    args.output.result("envelope", &found, || found.shown())
}

/// Heights of other envelopes with the same name that are named.
const OTHERS_MAX: usize = 100;

/// The envelope that counts under a name, and where the log has others.
#[derive(Serialize)]
struct TxView {
    #[serde(flatten)]
    envelope: EnvelopeView,
    /// How many envelopes with this signer and identifier the log has.
    log_count: u64,
    /// Heights of the others, at most OTHERS_MAX.
    other_heights: Vec<u64>,
    /// See [`Outcome::rank`].
    #[serde(skip)]
    rank: u8,
}

impl TxView {
    fn new(rank: u8, envelope: EnvelopeView) -> Self {
        Self {
            envelope,
            log_count: 1,
            other_heights: Vec::new(),
            rank,
        }
    }

    /// With a further envelope, of the same block or a later one.
    fn and(mut self, rank: u8, envelope: EnvelopeView) -> Self {
        let counts = rank > self.rank || rank == self.rank && rank > 0;
        let other = match counts {
            true => {
                self.rank = rank;
                std::mem::replace(&mut self.envelope, envelope)
            }
            false => envelope,
        };
        if self.other_heights.len() < OTHERS_MAX {
            self.other_heights.push(other.height);
            self.other_heights.sort_unstable();
        }
        self.log_count += 1;
        self
    }

    fn shown(&self) -> String {
        let mut text = format!("height {}\n", self.envelope.height);
        text.push_str(&ui::table(&ENVELOPE_HEAD, [self.envelope.cells()]));
        if self.log_count > 1 {
            let heights: Vec<String> = self.other_heights.iter().map(u64::to_string).collect();
            let more = match self.log_count > 1 + heights.len() as u64 {
                true => ", ...",
                false => "",
            };
            text.push_str(&format!(
                "\n\nThe log has {} envelopes with this signer and identifier: this is what \
                 `lookup` tells; the others are at heights {}{more}",
                self.log_count,
                heights.join(", ")
            ));
        }
        text
    }
}

#[derive(Serialize)]
struct StateView {
    #[serde(flatten)]
    log_end: LogEnd,
    batches: u64,
    manifests: u64,
    blocks: u64,
    payload_bytes: u64,
    height: u64,
    exec_head: String,
    last_state_root: Option<String>,
    last_state_root_height: u64,
}

fn state(args: &Plain) -> Result<(), Failure> {
    let genesis = args.log.genesis()?;
    let (reader, log_end) = args.log.open(&genesis)?;
    let mut view = StateView {
        log_end,
        batches: 0,
        manifests: 0,
        blocks: 0,
        payload_bytes: 0,
        height: 0,
        exec_head: genesis.hash().to_string(),
        last_state_root: None,
        last_state_root_height: 0,
    };
    for record in reader.scan(Sequence::FIRST) {
        let record = record.map_err(store_failure)?;
        view.payload_bytes += record.payload.len() as u64;
        match record.kind {
            RecordKind::Batch => view.batches += 1,
            RecordKind::Manifest => view.manifests += 1,
            RecordKind::Final => {
                let decoded = clearway_types::final_record::FinalRecord::decode(&record.payload);
                let decoded = decoded.map_err(|error| Failure::new(Kind::Mismatch, error))?;
                view.blocks += 1;
                view.height = decoded.height.0;
                view.exec_head = decoded.exec_head.to_string();
                if let Some(root) = decoded.state_root {
                    view.last_state_root = Some(root.to_string());
                    view.last_state_root_height = decoded.height.0;
                }
            }
        }
    }
    args.output.result("log-state", &view, || {
        let [end, watermark] = view.log_end.rows();
        ui::rows([
            ("records", view.log_end.records.to_string()),
            ("batches", view.batches.to_string()),
            ("manifests", view.manifests.to_string()),
            ("blocks", view.blocks.to_string()),
            ("payload bytes", view.payload_bytes.to_string()),
            ("height", view.height.to_string()),
            ("execution head", view.exec_head.clone()),
            (
                "state root",
                view.last_state_root
                    .clone()
                    .unwrap_or_else(|| "none yet".into()),
            ),
            (
                "state root of height",
                view.last_state_root_height.to_string(),
            ),
            end,
            watermark,
        ])
    })
}

#[derive(Serialize)]
struct IntegrityView {
    #[serde(flatten)]
    log_end: LogEnd,
    payload_bytes: u64,
    intact: bool,
}

fn integrity(args: &Plain) -> Result<(), Failure> {
    let genesis = args.log.genesis()?;
    let (reader, log_end) = args.log.open(&genesis)?;
    let verified = reader.verify_all().map_err(store_failure)?;
    let damaged = log_end.watermark_slot_damaged.clone();
    let view = IntegrityView {
        intact: damaged.is_none() && log_end.check().is_ok(),
        payload_bytes: verified.payload_bytes,
        log_end,
    };
    args.output.result("integrity", &view, || {
        let [end, watermark] = view.log_end.rows();
        ui::rows([
            ("records", verified.record_count.to_string()),
            ("payload bytes", view.payload_bytes.to_string()),
            end,
            watermark,
            ("intact", if view.intact { "yes" } else { "NO" }.to_owned()),
        ])
    })?;
    view.log_end.check()?;
    match damaged {
        None => Ok(()),
        Some(slot) => Err(Failure::new(
            Kind::Mismatch,
            format!(
                "every record is whole, but of the watermark {slot} is damaged: a node that \
                 starts on this log keeps the records and writes the slot again"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use clearway_types::code::{OutcomeFlags, ResultCode};

    use super::*;

    #[test]
    fn of_several_envelopes_with_one_name_the_one_that_lookup_tells_is_shown() {
        let view = |height| EnvelopeView {
            height,
            index: 0,
            id: String::new(),
            signer: 2,
            instruction: Instruction::of(&zerocopy::FromZeros::new_zeroed(), &[]),
            code: String::new(),
            flags: 0,
        };
        let settled = Outcome::new(ResultCode::Settled);
        let again = Outcome::duplicate_of(ResultCode::Settled);
        let passing = Outcome::refused(ResultCode::SignerSuspended);
        assert_eq!(again.flags.0, OutcomeFlags::DUPLICATE);
        // What the log has from height 1 on, the height that is told, the others.
        let rows: [(&[Outcome], u64, &[u64]); 6] = [
            (&[settled], 1, &[]),
            (&[settled, again], 1, &[2]),
            (&[settled, again, settled, again], 3, &[1, 2, 4]),
            (&[passing, settled, passing], 2, &[1, 3]),
            (&[passing, again, again], 3, &[1, 2]),
            (&[passing, passing], 1, &[2]),
        ];
        for (log, height, others) in rows {
            let mut each = (1..).zip(log);
            let (first, outcome) = each.next().expect("one");
            let found = TxView::new(outcome.rank(), view(first));
            let found = each.fold(found, |found, (height, outcome)| {
                found.and(outcome.rank(), view(height))
            });
            assert_eq!(found.envelope.height, height, "{log:?}");
            assert_eq!(found.other_heights, others, "{log:?}");
            assert_eq!(found.log_count, log.len() as u64, "{log:?}");
            let shown = found.shown();
            assert_eq!(
                shown.contains("the others are at"),
                log.len() > 1,
                "{shown}"
            );
        }
    }
}
