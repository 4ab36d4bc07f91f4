//! `clearway member add|set|suspend|resume|key|end-key|list`: participants of a cluster, signed by
//! an operator.
//!
//! PARTICIPANT_SET carries the whole record, so each command asks the node for the participant
//! first, changes what it names, shows the difference and sends the rest as it was.

use std::path::PathBuf;

use clearway_client::Draft;
use clearway_node::keystore;
use clearway_types::account::{Participant, Role};
use clearway_types::genesis::{bic_shape, lei_shape};
use clearway_types::hex;
use clearway_types::limits::KEY_LAG_MAX;
use clearway_types::units::{Height, ParticipantId};
use serde::Serialize;

use crate::commands::confirm::{Change, Confirm};
use crate::commands::connect::Connect;
use crate::commands::roster::Known as _;
use crate::commands::send::{Order, Signed};
use crate::failure::{Failure, Kind};
use crate::notation::text;
use crate::ui::{self, Output};

/// Participants
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Register a participant with its first key
    Add(Add),
    /// Change role, sponsor, LEI or BIC of a participant; what is not named stays
    Set(Set),
    /// Suspend a participant: it signs nothing until it is resumed
    Suspend(Target),
    /// Lift a suspension
    Resume(Target),
    /// Put a key into a slot of a participant
    Key(Key),
    /// End the key in a slot of a participant, 256 heights later
    EndKey(EndKey),
    /// List the participants, their keys and since when these are valid
    List(List),
}

#[derive(clap::Args, Debug)]
pub(crate) struct Add {
    /// Participant number
    number: u32,
    #[command(flatten)]
    fields: Fields,
    /// Key file of the new participant; its public half is enough
    #[arg(long, value_name = "FILE")]
    member_key: PathBuf,
    #[command(flatten)]
    signed: Signed,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Set {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    fields: Fields,
}

/// A registered participant.
#[derive(clap::Args, Debug)]
pub(crate) struct Target {
    /// Participant number
    number: u32,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    signed: Signed,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Key {
    #[command(flatten)]
    target: Target,
    /// Key slot to fill: empty, or its key has ended
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=3))]
    key_slot: u8,
    /// Key file of the participant; its public half is enough
    #[arg(long, value_name = "FILE")]
    member_key: PathBuf,
    /// First height at which the key is valid; as soon as the rules allow without it
    #[arg(long, default_value_t = 0)]
    valid_from: u64,
}

#[derive(clap::Args, Debug)]
pub(crate) struct EndKey {
    #[command(flatten)]
    target: Target,
    /// Key slot whose key ends
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=3))]
    key_slot: u8,
}

#[derive(clap::Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    output: Output,
}

/// What PARTICIPANT_SET carries beside a key; what is not named stays as it is.
#[derive(clap::Args, Debug)]
struct Fields {
    /// What it may do
    #[arg(long, value_enum)]
    role: Option<RoleArg>,
    /// Participant who may open accounts for it; 0 for operators only
    #[arg(long)]
    sponsor: Option<u32>,
    /// ISO 17442 identifier; empty for none
    #[arg(long)]
    lei: Option<String>,
    /// ISO 9362 identifier; empty for none
    #[arg(long)]
    bic: Option<String>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum RoleArg {
    /// Owns accounts and signs payments
    Member,
    /// Runs the cluster
    Operator,
    /// Reads everything, moves nothing
    Auditor,
}

impl RoleArg {
    fn role(self) -> Role {
        match self {
            Self::Member => Role::Member,
            Self::Operator => Role::Operator,
            Self::Auditor => Role::Auditor,
        }
    }
}

impl Fields {
    /// Looks at what is given before anything is asked or sent.
    fn check(&self) -> Result<(), Failure> {
        let given = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        if given(&self.lei).is_some_and(|lei| !lei_shape(&lei)) {
            return Err(Failure::usage(
                "--lei has 18 capitals or digits and 2 check digits",
            ));
        }
        if let Some(lei) = given(&self.lei).filter(|lei| !lei_checks(lei)) {
            let message = format!(
                "the check digits of --lei {lei} do not fit the rest of it: a character is wrong"
            );
            return Err(Failure::usage(message));
        }
        if given(&self.bic).is_some_and(|bic| !bic_shape(&bic)) {
            return Err(Failure::usage("--bic has 8 or 11 capitals or digits"));
        }
        Ok(())
    }

    /// Writes what is named into a record.
    fn write(&self, participant: &mut Participant) {
        if let Some(role) = self.role {
            participant.role = role.role();
        }
        if let Some(sponsor) = self.sponsor {
            participant.sponsor = ParticipantId(sponsor);
        }
        if let Some(lei) = &self.lei {
            participant.lei = padded(lei);
        }
        if let Some(bic) = &self.bic {
            participant.bic = padded(bic);
        }
    }
}

/// Whether the check digits of an identifier fit the rest of it, by ISO 7064 MOD 97-10: where one
/// character is mistyped or two are exchanged they do not. No rule of the ledger asks this.
fn lei_checks(lei: &str) -> bool {
    let mut digits = lei.chars().map(|letter| letter.to_digit(36));
    let remainder = digits.try_fold(0, |remainder, digit| {
        let digit = digit?;
        // A capital stands for 10 to 35.
        let shift = if digit < 10 { 10 } else { 100 };
        Some((remainder * shift + digit) % 97)
    });
    remainder == Some(1)
}

/// Text in a zero-padded field; its shape has been checked.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    field[..text.len()].copy_from_slice(text.as_bytes());
    field
}

/// The record that makes a participant so, keys left as they are.
fn draft(participant: &Participant) -> Draft {
    Draft::participant_set(participant.id, participant.role, participant.suspended)
        .sponsor(participant.sponsor)
        .lei_bic(participant.lei, participant.bic)
}

/// A participant as people and scripts see it.
#[derive(Serialize)]
struct Shown {
    id: u32,
    role: Role,
    suspended: bool,
    sponsor: u32,
    lei: String,
    bic: String,
    keys: Vec<ShownKey>,
}

#[derive(Serialize)]
struct ShownKey {
    slot: usize,
    public_key: String,
    valid_from: u64,
    /// First height at which it is not valid any more; none for no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_to: Option<u64>,
}

impl Shown {
    fn of(participant: &Participant) -> Self {
        let keys = participant.keys.iter().enumerate();
        let keys = keys.filter_map(|(slot, key)| {
            let key = (*key)?;
            Some(ShownKey {
                slot,
                public_key: hex::encode(&key.public_key),
                valid_from: key.valid_from.0,
                valid_to: Some(key.valid_to.0).filter(|height| *height != u64::MAX),
            })
        });
        Self {
            id: participant.id.0,
            role: participant.role,
            suspended: participant.suspended,
            sponsor: participant.sponsor.0,
            lei: text(&participant.lei),
            bic: text(&participant.bic),
            keys: keys.collect(),
        }
    }

    /// The fields of the record by name.
    fn fields(&self) -> [(&'static str, String); 5] {
        [
            ("role", format!("{:?}", self.role).to_lowercase()),
            (
                "suspended",
                if self.suspended { "yes" } else { "no" }.into(),
            ),
            ("sponsor", self.sponsor.to_string()),
            ("LEI", or_none(&self.lei)),
            ("BIC", or_none(&self.bic)),
        ]
    }
}

fn or_none(text: &str) -> String {
    match text {
        "" => "none".to_owned(),
        text => text.to_owned(),
    }
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Add(args) => add(args),
        Command::Set(args) => {
            args.fields.check()?;
            change(&args.target, |after| args.fields.write(after), None)
        }
        Command::Suspend(target) => change(target, |after| after.suspended = true, None),
        Command::Resume(target) => change(target, |after| after.suspended = false, None),
        Command::Key(args) => {
            let key = keystore::load_public_member(&args.member_key)?;
            let new = (args.key_slot, Some((key, args.valid_from)));
            change(&args.target, |_| (), Some(new))
        }
        Command::EndKey(args) => change(&args.target, |_| (), Some((args.key_slot, None))),
        Command::List(args) => list(args),
    }
}

fn add(args: &Add) -> Result<(), Failure> {
    args.fields.check()?;
    let key = keystore::load_public_member(&args.member_key)?;
    args.signed.send(false, |session| {
        let registered = session.roster()?.known(args.number).is_ok();
        let mut participant = Participant::new(ParticipantId(args.number), Role::Member);
        args.fields.write(&mut participant);
        let draft = draft(&participant).participant_key(0, key, Height(0));
        let refused = registered.then(|| {
            let message = format!("participant {} is registered already", args.number);
            let remedy = "change it with `clearway member set`, or choose another number";
            Failure::new(Kind::Failed, message).remedy(remedy)
        });
        Ok(Order::unless(draft, refused))
    })
}

/// A slot, and the key that it gets from a height on, or none to end the one that it has.
type KeyChange = (u8, Option<([u8; 32], u64)>);

/// Asks for the participant, edits it, shows the difference, asks, and sends the whole record.
fn change(
    target: &Target,
    edit: impl FnOnce(&mut Participant),
    key: Option<KeyChange>,
) -> Result<(), Failure> {
    target.signed.send(false, |session| {
        let roster = session.roster()?;
        let before = roster.known(target.number)?;
        let mut after = before.clone();
        edit(&mut after);
        let mut changes = differences(before, &after);
        let mut draft = draft(&after);
        let ended = ends_already(before, key);
        if let Some((slot, new)) = key {
            changes.push(key_change(before, slot, new)?);
            let (public_key, valid_from) = new.unwrap_or(([0; 32], 0));
            draft = draft.participant_key(slot, public_key, Height(valid_from));
        }
        let so_already = || {
            let message = format!("participant {} is so already", target.number);
            Failure::new(Kind::Failed, message)
        };
        let refused = ended.or_else(|| changes.is_empty().then(so_already));
        if refused.is_none() {
            // A "no" is one to every copy: also to one that waits in the outbox.
            let what = format!("Participant {}:", target.number);
            target.confirm.ask(&what, &changes)?;
        }
        Ok(Order::unless(draft, refused))
    })
}

fn differences(before: &Participant, after: &Participant) -> Vec<Change> {
    let (before, after) = (Shown::of(before).fields(), Shown::of(after).fields());
    let pairs = before.into_iter().zip(after);
    let pairs = pairs.filter(|((_, before), (_, after))| before != after);
    pairs
        .map(|((field, before), (_, after))| Change {
            field,
            before,
            after,
        })
        .collect()
}

/// What happens to a slot; ending what is not there is an error here already.
fn key_change(
    before: &Participant,
    slot: u8,
    new: Option<([u8; 32], u64)>,
) -> Result<Change, Failure> {
    let old = before.keys[usize::from(slot)];
    let field = ["key slot 0", "key slot 1", "key slot 2", "key slot 3"][usize::from(slot)];
    let shown = |key: &[u8; 32]| hex::encode(key);
    if new.is_none() && old.is_none() {
        let message = format!("participant {} has no key in slot {slot}", before.id);
        return Err(Failure::new(Kind::NotFound, message));
    }
    Ok(Change {
        field,
        before: old.map_or("empty".to_owned(), |old| shown(&old.public_key)),
        after: new.map_or_else(
            || format!("ends {KEY_LAG_MAX} heights after this is answered"),
            |(key, _)| shown(&key),
        ),
    })
}

/// Why a key that is to be ended need not be: it ends already, and a further record would tell
/// another height.
fn ends_already(before: &Participant, key: Option<KeyChange>) -> Option<Failure> {
    let (slot, None) = key? else {
        return None;
    };
    let height = before.keys[usize::from(slot)]?.valid_to.0;
    let message = format!(
        "the key of participant {} in slot {slot} ends at height {height} already",
        before.id
    );
    (height != u64::MAX).then(|| Failure::new(Kind::Failed, message))
}

/// What `member list` tells.
#[derive(Serialize)]
struct Listed {
    height: u64,
    members: Vec<Shown>,
}

fn list(args: &List) -> Result<(), Failure> {
    let roster = args.connect.open()?.roster()?;
    let listed = Listed {
        height: roster.height.0,
        members: roster.participants.iter().map(Shown::of).collect(),
    };
    args.output.result("members", &listed, || {
        let rows = listed.members.iter().flat_map(|shown| {
            let [role, suspended, sponsor, lei, bic] = shown.fields().map(|(_, value)| value);
            let mut row = vec![shown.id.to_string(), role, suspended, sponsor, lei, bic];
            row.extend(shown.keys.first().map_or_else(no_key, key_cells));
            let further = shown.keys.iter().skip(1).map(|key| {
                let mut row = vec![String::new(); 6];
                row.extend(key_cells(key));
                row
            });
            [row].into_iter().chain(further).collect::<Vec<_>>()
        });
        let head = [
            "id#",
            "role",
            "suspended",
            "sponsor#",
            "LEI",
            "BIC",
            "slot#",
            "from#",
            "to#",
            "public key",
        ];
        format!("as of height {}\n{}", listed.height, ui::table(&head, rows))
    })
}

fn no_key() -> Vec<String> {
    vec![String::new(), String::new(), String::new(), "none".into()]
}

fn key_cells(key: &ShownKey) -> Vec<String> {
    vec![
        key.slot.to_string(),
        key.valid_from.to_string(),
        key.valid_to.map_or("-".into(), |height| height.to_string()),
        key.public_key.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_find_a_wrong_character_and_two_exchanged_ones() {
        let rows = [
            ("529900T8BM49AURSDO55", true),
            ("5493001KJTIIGC8Y1R12", true),
            ("529900T8BM49AURSDO54", false),
            ("529900T8BM49AURSDP55", false),
            ("259900T8BM49AURSDO55", false),
            ("529900T8BM49-URSDO55", false),
        ];
        for (lei, expected) in rows {
            assert_eq!(lei_checks(lei), expected, "{lei}");
        }
    }
}
