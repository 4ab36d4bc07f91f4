//! The switches that all commands that sign have in common.

use clearway_types::units::TransferId;

use crate::commands::outbox::OutboxArg;
use crate::notation::parse_id;

/// What all commands that sign have in common.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(
    after_help = "Before anything is sent, the envelope is written to the outbox and its \
identifier to standard error: with --json as one line with the schema clearway/sending/1. Exit \
codes: 0, it is FINAL and did what it is for; 1, it moved nothing and never will; 3, the node \
runs another genesis, the proof contradicts the answer, or the identifier stands for another \
instruction or waits in the outbox for another cluster; 6, the end is not known, a copy was \
refused and may be executed still, or it is FINAL and could not be told or proved: the message \
says which, and which commands ask again; 7, nothing was sent: type the same command again"
)]
pub(crate) struct Sending {
    /// Own identifier, 32 hexadecimal digits ending in 00: the same command with the same
    /// identifier moves money once
    #[arg(long, value_name = "ID", value_parser = parse_own_id)]
    pub(super) id: Option<TransferId>,
    /// Sign and show, but send nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) outbox: OutboxArg,
}

/// An identifier for an envelope that stands alone: its last byte is the position in a chain.
fn parse_own_id(text: &str) -> Result<TransferId, String> {
    let id = parse_id(text)?;
    match id.chain_position() == 0 && id != TransferId::ZERO {
        true => Ok(id),
        false => Err(format!(
            "`{text}` cannot name an envelope of its own; end it in 00, and not all zeros"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_identifiers_stand_alone() {
        assert!(parse_own_id("0123456789abcdef0123456789abcd00").is_ok());
        for text in [
            "",
            "01",
            &"0".repeat(32),
            &"f".repeat(32),
            "0123456789abcdef0123456789abcd01",
        ] {
            assert!(parse_own_id(text).is_err(), "{text}");
        }
    }
}
