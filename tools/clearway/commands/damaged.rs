//! What can still be said of a damaged outbox file: its name gives the identifier, its age bounds
//! the envelope's end. An entry whose signature fails counts as damaged.

use std::time::{Duration, SystemTime};

use clearway_client::Named;
use clearway_types::units::{ParticipantId, TransferId, UnixSeconds};
use clearway_types::wire::query::Lookup;

use crate::commands::connect::{Session, quoted};
use crate::commands::entry::{AGE_S, Damaged, Owner};
use crate::failure::Failure;
use crate::ui;

/// An end that no clock reaches.
pub(super) const NO_END: UnixSeconds = UnixSeconds(u32::MAX);

/// The latest end of an envelope whose entry was `written` before it was sent: no cluster takes one
/// that ends more than MAX_TTL later. Cluster time is held against it; [`NO_END`] until this
/// machine's clock, `now`, has passed it too.
fn latest_end(written: SystemTime, now: SystemTime) -> UnixSeconds {
    let life = Duration::from_secs(AGE_S);
    let Some(end) = written.checked_add(life).filter(|end| *end < now) else {
        return NO_END;
    };
    let since = end.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.ok().and_then(|since| since.as_secs().try_into().ok());
    seconds.map_or(NO_END, UnixSeconds)
}

impl Session {
    /// Whom to ask about the envelope of a damaged entry at this cluster: who signed it, as far as
    /// its text says that; its identifier is all that is left otherwise.
    ///
    /// # Errors
    /// For one of another cluster: this one knows nothing of it.
    pub(super) fn signer_of(&self, damaged: &Damaged) -> Result<ParticipantId, Failure> {
        match damaged.owner {
            Some(owner) if owner.genesis != self.genesis_hash => Err(self.open_end(damaged)),
            Some(owner) => Ok(owner.signer),
            None => Ok(self.participant()),
        }
    }

    /// The name of an envelope whose entry is damaged, with the latest end that it can have: where
    /// the file does not say that it is this member's at this cluster, its age says nothing of what
    /// is asked about here.
    pub(super) fn named(&self, name: Lookup, damaged: &Damaged) -> Named {
        let is_own = self.is_own(damaged) && name.signer == self.participant();
        let written = std::fs::symlink_metadata(&damaged.path).and_then(|meta| meta.modified());
        let expires_at = match written {
            Ok(written) if is_own => latest_end(written, SystemTime::now()),
            _ => NO_END,
        };
        Named { name, expires_at }
    }

    /// Whether a damaged entry says that it is of this member at this cluster.
    pub(super) fn is_own(&self, damaged: &Damaged) -> bool {
        damaged.owner == Some(self.owned_by(self.participant()))
    }

    /// Whether a damaged entry says that it is of another signer than this one, or cluster.
    pub(super) fn is_of_another(&self, damaged: &Damaged, signer: ParticipantId) -> bool {
        damaged
            .owner
            .is_some_and(|owner| owner != self.owned_by(signer))
    }

    /// A signer at this cluster.
    fn owned_by(&self, signer: ParticipantId) -> Owner {
        let genesis = self.genesis_hash;
        Owner { signer, genesis }
    }

    /// Why the end of a damaged entry is not known, and what to do by hand.
    pub(super) fn open_end(&self, damaged: &Damaged) -> Failure {
        let (Some(owner), Some(id)) = (damaged.owner, damaged.id()) else {
            return damaged.into();
        };
        let (Owner { signer, genesis }, hours) = (owner, AGE_S / 3600);
        if genesis != self.genesis_hash {
            let what = damaged.names(owner);
            let remedy = format!(
                "look it up at that cluster, with `clearway lookup {id} --signer {signer}`, its \
                 own genesis file and a key of it, and remove the file once you know its end"
            );
            return damaged.failure(&what, &remedy);
        }
        if signer == self.participant() {
            let remedy = format!(
                "the log has no end of it: `clearway resend {id} {}` puts the file aside once it \
                 is {hours} hours old, which no envelope gets",
                self.again()
            );
            return damaged.failure(&damaged.names(owner), &remedy);
        }
        let what = format!(", and names participant {signer}");
        let remedy = format!(
            "`clearway resend {id} --as {signer} --outbox {}` with the key of that participant \
             tells its end where the log has it, and puts the file aside once it is {hours} hours \
             old",
            quoted(self.outbox.folder())
        );
        damaged.failure(&what, &remedy)
    }

    /// Puts a damaged entry aside whose end is told, and says where it is. Where that cannot be
    /// done the end is told once more: no reason not to tell it now.
    pub(super) fn put_aside(&self, id: TransferId) {
        ui::note(&match self.outbox.put_aside(id) {
            Ok(place) => format!("the damaged entry is put aside: {}", place.display()),
            Err(failure) => format!("{id} stays in the outbox: {failure}"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_entry_ends_a_day_after_any_envelope_would_by_both_clocks() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let end = 1_000_000 + 3600 + 24 * 3600;
        let over = UnixSeconds(1_090_000);
        // This machine's clock, and the latest end.
        let rows = [
            (0, NO_END),
            (end, NO_END),
            (end + 1, over),
            (u64::MAX >> 8, over),
        ];
        for (now, expected) in rows {
            let found = latest_end(at(1_000_000), at(now));
            assert_eq!(found, expected, "at {now}");
        }
        // A time that no record can hold is none.
        assert_eq!(latest_end(at(1 << 40), at(1 << 41)), NO_END);
    }
}
