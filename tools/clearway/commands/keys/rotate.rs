//! `clearway keys rotate`: a new key in one of the member's own slots, proved by its holder.

use std::path::{Path, PathBuf};

use clearway_client::Draft;
use clearway_node::keystore;
use clearway_types::account::{KeyEntry, Participant};
use clearway_types::domain::DomainTag;
use clearway_types::limits::KEY_LAG_MAX;
use clearway_types::units::{Height, ParticipantId};
use clearway_types::wire::roster::RosterView;

use crate::commands::connect::Session;
use crate::commands::outbox::folder_beside;
use crate::commands::passphrase::unlock;
use crate::commands::roster::Known as _;
use crate::commands::send::{Order, Signed};
use crate::failure::{Failure, Kind};
use crate::ui;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Key file of the new key, made with `clearway keys new`; its secret proves that it is held
    new_key: PathBuf,
    /// Slot that gets it; the first that is empty or whose key has ended without it
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=3))]
    new_slot: Option<u8>,
    #[command(flatten)]
    signed: Signed,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let unlock = unlock(&args.new_key, args.signed.connect.insecure_plaintext())?;
    let key = keystore::load_member(&args.new_key, &unlock)?;
    args.signed.send(false, |session| {
        let signer = session.participant();
        let roster = session.roster()?;
        let (participant, height) = (roster.known(signer.0)?, roster.height);
        let held = slot_of(participant, &key.public_key(), height);
        let slot = match args.new_slot.or(held) {
            Some(slot) => slot,
            None => free_slot(participant, height)?,
        };
        let refused = held_already(&roster, signer, &key.public_key());
        let refused = refused.or_else(|| taken(participant, slot, height));
        if refused.is_none() {
            let used = session.signer.identity().slot();
            ui::note(&format!(
                "key slot {slot} of participant {signer}: valid {KEY_LAG_MAX} heights after it is \
                 answered; sign with it by --key {} --slot {slot} --as {signer}. The key in slot \
                 {used} stays valid until an operator ends it: \
                 `clearway member end-key {signer} --key-slot {used}`",
                args.new_key.display()
            ));
            tell_waiting(session, &args.new_key)?;
        }
        let tag = DomainTag::new(session.genesis_hash);
        let draft = Draft::key_rotate(ParticipantId(signer.0), slot, &key, tag);
        Ok(Order::unless(draft, refused))
    })
}

/// Says which envelopes wait under the key that signs now: the new one has another outbox, unless
/// a folder is named.
fn tell_waiting(session: &Session, new_key: &Path) -> Result<(), Failure> {
    let new = match &session.sending.outbox.folder {
        Some(_) => String::new(),
        None => {
            let folder = folder_beside(new_key);
            format!(
                "; the new key has an outbox of its own, {}",
                folder.display()
            )
        }
    };
    let own = session.sending.id.map(|id| session.outbox.path(id));
    let mut waiting = session.outbox.names()?;
    waiting.retain(|path| Some(path) != own.as_ref());
    if waiting.is_empty() {
        return Ok(());
    }
    ui::note(&format!(
        "the end of {} in {} is not known{new}. Before the old key ends, and to be told what \
         became of them: `clearway resend {}`",
        match waiting.len() {
            1 => "one envelope".to_owned(),
            count => format!("{count} envelopes"),
        },
        session.outbox.folder().display(),
        session.again()
    ));
    Ok(())
}

/// Whether a slot can take a key at `height`.
fn is_free(participant: &Participant, slot: u8, height: Height) -> bool {
    let key = participant.keys[usize::from(slot)];
    key.is_none_or(|key| key.valid_to <= height)
}

/// The slot in which a participant holds a key that has not ended.
fn slot_of(participant: &Participant, public_key: &[u8; 32], height: Height) -> Option<u8> {
    let live = |key: &KeyEntry| key.public_key == *public_key && key.valid_to > height;
    let mut slots = (0u8..).zip(&participant.keys);
    let held = slots.find(|(_, key)| key.as_ref().is_some_and(live));
    held.map(|(slot, _)| slot)
}

/// A key that is in use already would take a second slot, and replace nothing. Of another
/// participant it would sign for both.
fn held_already(
    roster: &RosterView,
    signer: ParticipantId,
    public_key: &[u8; 32],
) -> Option<Failure> {
    let mut held = roster.participants.iter().filter_map(|participant| {
        let slot = slot_of(participant, public_key, roster.height)?;
        Some((slot, participant.id))
    });
    let (slot, holder) = held.next()?;
    let message = format!("slot {slot} of participant {holder} holds this key already");
    let remedy = match holder == signer {
        true => format!("sign with it by --slot {slot}; `clearway keys new` makes another one"),
        false => "make a new one with `clearway keys new`".to_owned(),
    };
    Some(Failure::new(Kind::Failed, message).remedy(remedy))
}

fn taken(participant: &Participant, slot: u8, height: Height) -> Option<Failure> {
    let message = || {
        format!(
            "slot {slot} of participant {} holds a key that has not ended: take another slot, or \
             have an operator end it with `clearway member end-key`",
            participant.id
        )
    };
    (!is_free(participant, slot, height)).then(|| Failure::new(Kind::Failed, message()))
}

fn free_slot(participant: &Participant, height: Height) -> Result<u8, Failure> {
    let free = (0..4u8).find(|slot| is_free(participant, *slot, height));
    free.ok_or_else(|| {
        let message = format!(
            "all four slots of participant {} hold keys that have not ended: have an operator end \
             one with `clearway member end-key`",
            participant.id
        );
        Failure::new(Kind::Failed, message)
    })
}
