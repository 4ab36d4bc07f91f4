//! An entry of the outbox: an envelope whose end is not known, as its file holds it, and what a
//! damaged file still says.

use std::path::{Path, PathBuf};

use clearway_crypto::hash::sha256;
use clearway_types::envelope::{ENVELOPE_BYTES, Envelope};
use clearway_types::hex;
use clearway_types::limits::TTL_S_MAX;
use clearway_types::units::{Digest, ParticipantId, TransferId};
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::failure::{Failure, Kind};

/// Slack for a wrong clock on the machine that wrote the file.
const MARGIN_S: u64 = 24 * 3600;
/// Age of a file after which the envelope in it is over, whichever it was.
pub(crate) const AGE_S: u64 = TTL_S_MAX as u64 + MARGIN_S;
/// Name and version of an entry's format.
const SCHEMA: &str = "clearway/outbox/2";
/// Where the digits of an envelope name its signer.
const SIGNER_DIGITS: std::ops::Range<usize> = 2 * 112..2 * 116;

/// An envelope whose end is not known.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// Hash of its cluster's genesis.
    pub(crate) genesis: Digest,
    /// As it was signed.
    pub(crate) envelope: Envelope,
}

/// An entry in its file; the envelope's bytes count, the other fields are for people.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    schema: String,
    id: String,
    signer: u32,
    expires_at: u32,
    genesis: String,
    envelope: String,
    /// SHA-256 of genesis and envelope: a damaged end would make a living envelope look over.
    checksum: String,
}

impl Entry {
    pub(crate) fn id(&self) -> TransferId {
        self.envelope.body.id
    }

    fn checksum(&self) -> String {
        sha256(&[&self.genesis.0, self.envelope.as_bytes()]).to_string()
    }

    pub(super) fn to_text(self) -> Result<String, Failure> {
        let body = &self.envelope.body;
        let stored = Stored {
            schema: SCHEMA.to_owned(),
            id: body.id.to_string(),
            signer: body.signer().0,
            expires_at: body.expires_at().0,
            genesis: self.genesis.to_string(),
            envelope: hex::encode(self.envelope.as_bytes()),
            checksum: self.checksum(),
        };
        Ok(serde_json::to_string_pretty(&stored)? + "\n")
    }

    pub(super) fn of_text(text: &str) -> Option<Self> {
        let stored: Stored = serde_json::from_str(text).ok()?;
        let bytes = hex::decode_array::<ENVELOPE_BYTES>(&stored.envelope)?;
        let envelope = Envelope::read_from_bytes(&bytes).ok()?;
        let genesis = hex::decode_array(&stored.genesis).map(Digest)?;
        let entry = Self { genesis, envelope };
        let whole = stored.checksum == entry.checksum();
        let same = stored.schema == SCHEMA && stored.id == envelope.body.id.to_string();
        (whole && same).then_some(entry)
    }
}

/// Why an entry cannot be had.
#[derive(Debug)]
pub(crate) enum EntryError {
    /// What was in the file may have moved money, or may still, and it does not say what that was.
    Damaged(Damaged),
    /// The file is whole, and the entry in it is another one than its name says.
    Misnamed(PathBuf, TransferId),
    /// It cannot be read.
    Unread(Failure),
}

/// A file of the outbox whose content is not what was signed.
#[derive(Clone, Debug)]
pub(crate) struct Damaged {
    pub(super) path: PathBuf,
    flaw: Flaw,
    /// Whose envelope it was; nothing where its text does not say that any more.
    pub(super) owner: Option<Owner>,
    /// The arguments of commands to be typed.
    again: String,
}

/// How that shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flaw {
    /// It is no entry.
    NoEntry,
    /// It is a whole one, and the key in the slot that its envelope names has not signed that.
    Unsigned { signer: ParticipantId, slot: usize },
}

/// Who signed an envelope, and for which cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owner {
    pub(super) signer: ParticipantId,
    /// Hash of the cluster's genesis.
    pub(super) genesis: Digest,
}

impl Damaged {
    /// The file with this text, and the arguments of commands that ask about it.
    pub(super) fn new(path: &Path, text: &str, flaw: Flaw, again: &str) -> Self {
        let mut damaged = Self {
            path: path.to_owned(),
            flaw,
            owner: None,
            again: again.to_owned(),
        };
        damaged.owner = damaged.id().and_then(|id| Owner::of(text, id));
        damaged
    }

    /// The identifier that the file's name gives.
    pub(crate) fn id(&self) -> Option<TransferId> {
        let name = self.path.file_stem()?.to_str()?;
        hex::decode_array(name).map(TransferId)
    }

    /// Whose it says that it is, as far as [`Damaged::failure`] does not.
    pub(super) fn names(&self, Owner { signer, genesis }: Owner) -> String {
        match self.flaw {
            Flaw::NoEntry => {
                format!(", and names participant {signer} and the cluster of {genesis}")
            }
            Flaw::Unsigned { .. } => format!(", for the cluster of {genesis}"),
        }
    }

    /// What is wrong, and what to do about it.
    pub(super) fn failure(&self, what: &str, remedy: &str) -> Failure {
        let path = self.path.display();
        let (message, remedy) = match self.flaw {
            Flaw::NoEntry => {
                let message = format!("{path} is no outbox entry of this version");
                (message, remedy.to_owned())
            }
            Flaw::Unsigned { signer, slot } => (
                format!(
                    "{path} holds an envelope that the key in slot {slot} of participant {signer} \
                     has not signed"
                ),
                format!("it was changed, or that slot has taken another key since; {remedy}"),
            ),
        };
        Failure::new(Kind::Failed, message + what).remedy(remedy)
    }
}

impl Owner {
    /// As far as the text of an entry with this identifier still says it, and nowhere otherwise.
    fn of(text: &str, id: TransferId) -> Option<Self> {
        if word(text, "id")? != id.to_string() {
            return None;
        }
        let (number, _) = value(text, "signer")?.split_once([',', '}', '\n'])?;
        let signer = ParticipantId(number.trim().parse().ok()?);
        let genesis = hex::decode_array(word(text, "genesis")?).map(Digest)?;
        // The envelope says it once more, as far as that is there.
        let digits = value(text, "envelope").and_then(|rest| rest.strip_prefix('"'));
        let bytes = digits.and_then(|digits| hex::decode_array(digits.get(SIGNER_DIGITS)?));
        let same = bytes.is_none_or(|bytes| u32::from_le_bytes(bytes) == signer.0);
        same.then_some(Self { signer, genesis })
    }
}

/// What follows the name of a field that stands there once.
fn value<'a>(text: &'a str, field: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("\"{field}\":"))?;
    (!rest.contains(&format!("\"{field}\""))).then(|| rest.trim_start())
}

/// A field's text between its quotation marks.
fn word<'a>(text: &'a str, field: &str) -> Option<&'a str> {
    let (word, _) = value(text, field)?.strip_prefix('"')?.split_once('"')?;
    Some(word)
}

impl From<Failure> for EntryError {
    fn from(failure: Failure) -> Self {
        Self::Unread(failure)
    }
}

impl From<EntryError> for Failure {
    fn from(error: EntryError) -> Self {
        match error {
            EntryError::Unread(failure) => failure,
            EntryError::Misnamed(path, id) => misnamed(&path, id),
            EntryError::Damaged(damaged) => Self::from(&damaged),
        }
    }
}

impl From<&Damaged> for Failure {
    fn from(damaged: &Damaged) -> Self {
        let again = &damaged.again;
        match (damaged.id(), damaged.owner) {
            (None, _) => damaged.failure("", "move the file to another folder"),
            (Some(id), Some(Owner { signer, genesis })) => {
                let what = damaged.names(Owner { signer, genesis });
                let remedy = format!(
                    "at that cluster `clearway resend {id} {again}` tells its end where the log \
                     has it and, with a key of that participant, puts the file aside once it is {} \
                     hours old, which no envelope gets",
                    AGE_S / 3600
                );
                damaged.failure(&what, &remedy)
            }
            (Some(id), None) => {
                let remedy = format!(
                    "look the identifier up as each participant who may have signed it, with \
                     `clearway lookup {id} --signer N {again}`, at its own cluster, and remove the \
                     file once you know its end"
                );
                let what = match damaged.flaw {
                    Flaw::NoEntry => ", and does not say any more who signed it for which cluster",
                    Flaw::Unsigned { .. } => ", and does not say for certain who has",
                };
                damaged.failure(what, &remedy)
            }
        }
    }
}

fn misnamed(path: &Path, id: TransferId) -> Failure {
    let name = format!("{id}.json");
    let remedy = match path.with_file_name(&name).exists() {
        true => format!("{name} is there too: move this one to another folder"),
        false => format!("rename it back to {name}"),
    };
    let message = format!("{} holds the entry of {id}", path.display());
    Failure::new(Kind::Failed, message).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_text_names_its_owner_only_where_nothing_speaks_against_it() {
        let mut envelope = Envelope::read_from_bytes(&[7; ENVELOPE_BYTES]).expect("any bytes");
        envelope.body.signer = 12.into();
        let genesis = Digest([9; 32]);
        let (entry, id) = (Entry { genesis, envelope }, envelope.body.id);
        let whole = entry.to_text().expect("text");
        let digits = whole.find("\"envelope\": \"").expect("a field") + 13;
        let mut other = whole.clone();
        let signer = digits + SIGNER_DIGITS.start;
        other.replace_range(signer..signer + 2, "0d");
        let until = |field| whole.find(&format!("\"{field}\"")).expect("a field");
        let signer = ParticipantId(12);
        let owner = Some(Owner { signer, genesis });
        // The text, and whom it names.
        let rows = [
            (&whole[..], owner),
            (&whole.replace("outbox/2", "outbox/9"), owner),
            (&whole[..until("envelope")], owner),
            (&whole[..digits + 100], owner),
            (&whole[..until("envelope") - 6], None),
            (&whole[..until("expires_at")], None),
            (&whole.replace("\"signer\": 12", "\"signer\": 1"), None),
            (&whole.replace("\"signer\": 12", "\"signer\": x"), None),
            (&whole.replace("\"signer\"", "\"sogner\""), None),
            (
                &whole.replace("\"genesis\": \"09", "\"genesis\": \"x9"),
                None,
            ),
            (&whole.replace("\"id\": \"07", "\"id\": \"08"), None),
            (&other, None),
            (&whole.repeat(2), None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(Owner::of(text, id), expected, "{text}");
        }
    }
}
