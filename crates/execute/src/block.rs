//! How one block moves the state: its envelopes one after the other, linked ones all or none.

use clearway_types::batch::{Batch, EnvelopeDigests};
use clearway_types::code::{Outcome, ResultCode};
use clearway_types::envelope::{Body, Envelope};
use clearway_types::event::Event;
use clearway_types::kind::Kind;
use clearway_types::messages::Duplicate;
use clearway_types::transfer::Transfer;
use clearway_types::units::{AccountId, Height};

use crate::chains::{self, Group};
use crate::checks::{Admission, Context, admit};
use crate::clock::Clock;
use crate::effect::Effect;
use crate::events;
use crate::kinds;
use crate::state::State;
use crate::tables::accounts::AHEAD;
use crate::tables::ids::Entry;

/// Results of the block under way.
#[derive(Default)]
pub(crate) struct Results {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) duplicates: Vec<Duplicate>,
}

impl Results {
    fn push(&mut self, outcome: Outcome, first: Option<Height>) {
        let index = u32::try_from(self.outcomes.len()).expect("BLOCK_BYTES_MAX bounds a block");
        if let Some(height) = first {
            self.duplicates.push(Duplicate { index, height });
        }
        self.outcomes.push(outcome);
    }
}

/// One envelope on its way through execution.
#[derive(Clone, Copy)]
struct Member<'a> {
    envelope: &'a Envelope,
    digests: &'a EnvelopeDigests,
}

impl State {
    /// Sets the clock, forgets what is over, does what is due by itself.
    pub(crate) fn begin_block(&mut self, clock: Clock) -> Vec<Event> {
        assert_eq!(
            clock.height,
            self.clock.height.next(),
            "blocks come in height order"
        );
        assert!(clock.time >= self.clock.time, "cluster time never falls");
        self.clock = clock;
        self.forget(clock.second());
        events::all(self)
    }

    /// Executes all envelopes of one batch.
    pub(crate) fn execute_batch(&mut self, batch: &Batch, results: &mut Results) {
        let version = batch.header.directory_height;
        let directory_fresh = self.participants.fresh(version, self.clock.height);
        let envelopes: Vec<&Envelope> = batch.envelopes().collect();
        assert_eq!(
            envelopes.len(),
            batch.digests.len(),
            "each envelope has its digests"
        );
        let (mut envelopes, mut digests) = (&envelopes[..], &batch.digests[..]);
        let mut untouched = envelopes;
        while !envelopes.is_empty() {
            if envelopes.len() <= untouched.len() {
                untouched = self.touch_accounts(envelopes);
            }
            let group = chains::group(envelopes);
            let (members, rest) = envelopes.split_at(group.len);
            let (member_digests, rest_digests) = digests.split_at(group.len);
            let members = members.iter().zip(member_digests);
            let mut members = members.map(|(envelope, digests)| Member { envelope, digests });
            match (group.len, members.next()) {
                (1, Some(member)) => self.execute_one(member, group, directory_fresh, results),
                (_, first) => {
                    let members: Vec<_> = first.into_iter().chain(members).collect();
                    self.execute_chain(&members, group, directory_fresh, results);
                }
            }
            (envelopes, digests) = (rest, rest_digests);
        }
    }

    /// Brings the accounts of the next envelopes into the cache; gives the envelopes after those.
    fn touch_accounts<'a, 'b>(&self, envelopes: &'a [&'b Envelope]) -> &'a [&'b Envelope] {
        let (next, rest) = envelopes.split_at(envelopes.len().min(AHEAD));
        // In kinds that move no money these bytes say something else: at worst the wrong account.
        let transfers = next.iter().map(|envelope| Transfer::of(&envelope.body));
        self.accounts
            .touch(transfers.map(|transfer| [transfer.debit(), transfer.credit()]));
        rest
    }

    fn execute_one(
        &mut self,
        member: Member<'_>,
        group: Group,
        directory_fresh: bool,
        results: &mut Results,
    ) {
        let context = Context {
            directory_fresh,
            chain_broken: group.broken,
            id_count: 1,
        };
        let body = &member.envelope.body;
        let (outcome, first) = match admit(self, body, member.digests, context) {
            Admission::Again(code, height) => (Outcome::duplicate_of(code), Some(height)),
            Admission::Refused(outcome) => (outcome, None),
            Admission::Fresh(kind) => {
                let result = kinds::apply(self, kind, body);
                let outcome = Outcome::new(result.err().unwrap_or(ResultCode::Settled));
                self.remember(body, member.digests, outcome);
                (outcome, None)
            }
        };
        results.push(outcome, first);
    }

    fn execute_chain(
        &mut self,
        members: &[Member<'_>],
        group: Group,
        directory_fresh: bool,
        results: &mut Results,
    ) {
        let context = Context {
            directory_fresh,
            chain_broken: group.broken,
            id_count: members.len(),
        };
        let admissions: Vec<_> = members
            .iter()
            .map(|member| admit(self, &member.envelope.body, member.digests, context))
            .collect();
        let fresh: Option<Vec<Kind>> = admissions
            .iter()
            .map(|admission| match admission {
                Admission::Fresh(kind) => Some(*kind),
                _ => None,
            })
            .collect();
        let outcomes = match fresh {
            Some(kinds) => self.apply_all_or_none(members, &kinds),
            None => {
                let found: Vec<_> = admissions.iter().map(found_at).collect();
                chains::failed(&found)
            }
        };
        for ((member, admission), outcome) in members.iter().zip(&admissions).zip(outcomes) {
            let first = match admission {
                Admission::Again(_, height) => Some(*height),
                _ => None,
            };
            if matches!(admission, Admission::Fresh(_)) {
                self.remember(&member.envelope.body, member.digests, outcome);
            }
            results.push(outcome, first);
        }
    }

    /// Applies members one after the other; at the first that fails, takes all of them back.
    fn apply_all_or_none(&mut self, members: &[Member<'_>], kinds: &[Kind]) -> Vec<Outcome> {
        self.begin();
        for (index, (member, kind)) in members.iter().zip(kinds).enumerate() {
            if let Err(code) = kinds::apply(self, *kind, &member.envelope.body) {
                self.roll_back();
                let mut found = vec![None; members.len()];
                found[index] = Some(Outcome::new(code));
                return chains::failed(&found);
            }
        }
        self.commit();
        vec![Outcome::new(ResultCode::Settled); members.len()]
    }

    /// Puts a result into the id table, where it belongs there.
    pub(crate) fn remember(&mut self, body: &Body, digests: &EnvelopeDigests, outcome: Outcome) {
        if !outcome.remembered() {
            return;
        }
        let height = self.clock.height;
        let mut entry = Entry {
            id: body.id,
            digest: digests.body,
            height,
            debit: AccountId(0),
            credit: AccountId(0),
            amount: 0,
            returned: 0,
            signer: body.signer(),
            code: outcome.code.as_u16(),
        };
        let mut until = self.envelopes_end();
        match kinds::effect(body, outcome) {
            Effect::Nothing => {}
            Effect::Paid(paid) => {
                (entry.debit, entry.credit) = (paid.debit, paid.credit);
                entry.amount = paid.amount;
                until = until.max(self.return_window_ends());
            }
            Effect::GivesBack(back) => {
                if let Some(at) = self.ids.payment(back.payer, back.id) {
                    self.ids.note_return(at, back.amount, height);
                }
            }
        }
        self.ids.insert(until, entry, height);
    }
}

/// What the common checks have against a member.
fn found_at(admission: &Admission) -> Option<Outcome> {
    match admission {
        Admission::Fresh(_) => None,
        Admission::Again(code, _) => Some(Outcome::duplicate_of(*code)),
        Admission::Refused(outcome) => Some(*outcome),
    }
}
