//! `clearway approvals`: records that wait for further operators.

use clearway_types::genesis::GenesisLedger;
use clearway_types::wire::roster::{ApprovalView, RosterView};
use serde::Serialize;

use crate::commands::connect::Connect;
use crate::commands::instruction::Instruction;
use crate::failure::{Failure, Kind};
use crate::ui::{self, Output};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    output: Output,
}

/// A waiting record as people and scripts see it.
#[derive(Serialize)]
struct Shown {
    content: String,
    kind: String,
    what: String,
    approved_by: Vec<u32>,
    approved_count: u32,
    needed: u32,
    until: u32,
}

#[derive(Serialize)]
struct Listed {
    height: u64,
    approvals: Vec<Shown>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let session = args.connect.open()?;
    let roster = session.roster()?;
    let Some(approvals) = &roster.approvals else {
        let message = "approvals are shown to operators and auditors: ask with such a key";
        return Err(Failure::new(Kind::Failed, message));
    };
    let listed = Listed {
        height: roster.height.0,
        approvals: approvals
            .iter()
            .map(|one| shown(&roster, &session.genesis.ledgers, one))
            .collect(),
    };
    args.output.result("approvals", &listed, || {
        if listed.approvals.is_empty() {
            return format!("nothing waits as of height {}", listed.height);
        }
        let rows = listed.approvals.iter().map(|shown| {
            let numbers: Vec<String> = shown.approved_by.iter().map(u32::to_string).collect();
            vec![
                shown.kind.clone(),
                shown.what.clone(),
                format!("{} of {}", shown.approved_count, shown.needed),
                numbers.join(" "),
                shown.until.to_string(),
            ]
        });
        let head = ["kind", "what", "approvals", "operators", "until (unix s)#"];
        format!("as of height {}\n{}", listed.height, ui::table(&head, rows))
    })
}

fn shown(roster: &RosterView, ledgers: &[GenesisLedger], approval: &ApprovalView) -> Shown {
    let instruction = approval.body.as_ref();
    let instruction = instruction.map(|body| Instruction::of(body, ledgers));
    let (kind, what) = match instruction {
        Some(Instruction { kind, what, .. }) => (kind, what.unwrap_or_default()),
        None => (
            "unknown".to_owned(),
            "approved before the node was started: the log has its content".to_owned(),
        ),
    };
    Shown {
        content: approval.content.to_string(),
        kind,
        what,
        approved_by: approval.operators.iter().map(|one| one.0).collect(),
        approved_count: approval.operator_count,
        needed: roster.operator_threshold,
        until: approval.until.0,
    }
}
