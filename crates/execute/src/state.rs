//! The list of tables, and the whole state made of them.

use std::io;

use clearway_types::domain::DomainTag;
use clearway_types::genesis::{Genesis, Rules};
use clearway_types::units::{AccountId, Digest, Height, TransferId};

use crate::clock::Clock;
use crate::error::{ExecuteError, InvariantViolation};
use crate::state_root;
use crate::tables::accounts::Accounts;
use crate::tables::approvals::Approvals;
use crate::tables::codec::{Sink, Source};
use crate::tables::currencies::Currencies;
use crate::tables::debit_limits::DebitLimits;
use crate::tables::holds::{Hold, Holds};
use crate::tables::ids::Ids;
use crate::tables::participants::Participants;
use crate::tables::{Table, part};

/// Ends the tables of a snapshot; no part has this number.
const NO_PART: u8 = 0;

/// Makes the state of its tables: what must be done to each is a loop over the list.
macro_rules! tables {
    ($($table:ident: $type:ty,)+) => {
        /// Everything that execution knows.
        pub(crate) struct State {
            pub(crate) rules: Rules,
            pub(crate) genesis: Digest,
            pub(crate) tag: DomainTag,
            pub(crate) clock: Clock,
            pub(crate) exec_head: Digest,
            $(pub(crate) $table: $type,)+
        }

        /// All tables at one moment, untouched by later changes.
        pub(crate) struct Frozen {
            $($table: Option<<$type as Table>::Frozen>,)+
        }

        /// The numbers of the parts.
        const PARTS: &[u8] = &[$(<$type as Table>::PART,)+];

        impl State {
            /// A state with nothing in its tables.
            pub(crate) fn new(genesis: &Genesis, clock: Clock) -> Self {
                let hash = genesis.hash();
                Self {
                    rules: genesis.rules.clone(),
                    genesis: hash,
                    tag: DomainTag::new(hash),
                    clock,
                    exec_head: hash,
                    $($table: <$type as Table>::empty(clock),)+
                }
            }

            /// From here on changes can be taken back.
            pub(crate) fn begin(&mut self) {
                $(Table::begin(&mut self.$table);)+
            }

            /// Keeps the changes since [`State::begin`].
            pub(crate) fn commit(&mut self) {
                $(Table::commit(&mut self.$table);)+
            }

            /// Takes back the changes since [`State::begin`].
            pub(crate) fn roll_back(&mut self) {
                $(Table::roll_back(&mut self.$table);)+
            }

            /// Forgets what is over at `second`.
            pub(crate) fn forget(&mut self, second: u32) {
                $(Table::forget(&mut self.$table, second);)+
            }

            /// Takes in what the block at `height` changed.
            pub(crate) fn end_block(&mut self, height: Height) {
                $(Table::end_block(&mut self.$table, height);)+
            }

            /// The state root: one hash over everything that can change a later result.
            pub(crate) fn root(&mut self) -> Digest {
                let mut parts = state_root::NO_PARTS;
                $(if let Some(part) = Table::root(&mut self.$table) {
                    parts[usize::from(<$type as Table>::PART)] = part;
                })+
                state_root::root_of(&parts, self.clock)
            }

            /// The tables as they are now.
            pub(crate) fn freeze(&self) -> Frozen {
                Frozen {
                    $($table: Table::freeze(&self.$table),)+
                }
            }

            /// Reads what [`Frozen::write`] wrote.
            pub(crate) fn read(&mut self, from: &mut Source<'_>) -> Result<(), ExecuteError> {
                let mut part = from.u8()?;
                $(if part == <$type as Table>::PART {
                    self.$table = <$type as Table>::read(from)?;
                    part = from.u8()?;
                })+
                match part {
                    NO_PART => Ok(()),
                    _ => Err(ExecuteError::Snapshot { field: "part" }),
                }
            }

            /// Checks what each table promises by itself.
            pub(crate) fn check_tables(&self) -> Result<(), InvariantViolation> {
                $(Table::check(&self.$table)?;)+
                Ok(())
            }

            /// What is wrong with the undo of each table.
            #[cfg(test)]
            fn undo_faults() -> Vec<String> {
                [$(crate::tables::tests::undo_faults::<$type>(stringify!($table)),)+].concat()
            }
        }

        impl Frozen {
            /// Writes each table that holds something: number of its part, then its bytes.
            pub(crate) fn write(&self, to: &mut Sink<'_>) -> io::Result<()> {
                $(if let Some(frozen) = &self.$table {
                    to.put(&[<$type as Table>::PART])?;
                    <$type as Table>::write(frozen, to)?;
                })+
                to.put(&[NO_PART])
            }
        }
    };
}

// The order is that of a snapshot, and the one in which the full scan looks.
tables! {
    participants: Participants,
    currencies: Currencies,
    approvals: Approvals,
    accounts: Accounts,
    holds: Holds,
    debit_limits: DebitLimits,
    ids: Ids,
}

const _: () = assert!(
    numbered_right(PARTS),
    "each part has a number of its own, 1 to 31"
);

const fn numbered_right(mut parts: &[u8]) -> bool {
    let mut taken = 0u32;
    while let [part, rest @ ..] = parts {
        if *part == NO_PART || *part > part::MAX || taken & (1 << *part) != 0 {
            return false;
        }
        taken |= 1 << *part;
        parts = rest;
    }
    true
}

impl State {
    /// The second by which every envelope that was signed by now has ended: none is executed that
    /// ends more than MAX_TTL after its execution. Until then an identifier that is answered now
    /// stays taken, or another envelope with it, that was signed before the answer and ends later
    /// than the answered one, would move the money again.
    pub(crate) fn envelopes_end(&self) -> u32 {
        self.clock.second().saturating_add(self.rules.ttl_s_max)
    }

    /// The second from which what settles now can no longer be returned.
    pub(crate) fn return_window_ends(&self) -> u32 {
        self.clock
            .second()
            .saturating_add(self.rules.return_window_s)
    }

    /// A hold by its payer and identifier.
    pub(crate) fn hold_of(&self, debit: AccountId, id: TransferId) -> Option<Hold> {
        self.holds.get((debit.owner(), id)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_list_takes_back_what_a_chain_did() {
        assert_eq!(State::undo_faults(), Vec::<String>::new());
    }

    #[test]
    fn a_number_of_a_part_that_is_taken_or_too_large_is_found() {
        assert!(numbered_right(&[1, 2, 31]));
        for parts in [[1, 2, 1], [1, 0, 2], [1, 32, 2]] {
            assert!(!numbered_right(&parts), "{parts:?}");
        }
    }
}
