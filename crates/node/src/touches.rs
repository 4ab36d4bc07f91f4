//! Which accounts an executed envelope names, and which of them it touched.

use clearway_types::code::{Outcome, OutcomeFlags};
use clearway_types::control::{AccountOpen, LedgerDefine, LimitSet};
use clearway_types::envelope::{Body, Envelope};
use clearway_types::kind::{Kind, Layout};
use clearway_types::transfer::Transfer;
use clearway_types::units::AccountId;

/// The accounts that a body names.
pub(crate) fn accounts(body: &Body) -> [Option<AccountId>; 2] {
    let one = |account: u64| [Some(AccountId(account)), None];
    match Kind::from_u8(body.kind).map(|kind| kind.row().layout) {
        Some(Layout::Transfer) => {
            let transfer = Transfer::of(body);
            [Some(transfer.debit()), Some(transfer.credit())]
        }
        Some(Layout::AccountOpen) => one(AccountOpen::of(body).account.get()),
        Some(Layout::LimitSet) => one(LimitSet::of(body).account.get()),
        Some(Layout::LedgerDefine) => one(LedgerDefine::of(body).issuer_account.get()),
        Some(Layout::ParticipantSet | Layout::KeyRotate) | None => [None, None],
    }
}

/// Whether an envelope belongs into the feed of an account: it names the account, and it was
/// applied or its owner signed it. What a stranger was refused has touched nothing, nor has the
/// second execution of what was executed before.
pub(crate) fn touches(account: AccountId, envelope: &Envelope, outcome: Outcome) -> bool {
    let body = &envelope.body;
    let named = accounts(body).contains(&Some(account));
    let duplicate = outcome.flags.0 & OutcomeFlags::DUPLICATE != 0;
    named && !duplicate && (outcome.code.applied() || body.signer() == account.owner())
}

#[cfg(test)]
mod tests {
    use clearway_types::code::ResultCode::{self, *};
    use clearway_types::envelope::{ENVELOPE_BYTES, envelopes};
    use clearway_types::units::ParticipantId;

    use super::*;

    fn account(owner: u32) -> AccountId {
        AccountId::new(ParticipantId(owner), 1)
    }

    /// An envelope of a kind with account 2.1 at `first` and 3.1 at `second`, by byte offsets.
    fn envelope(kind: Kind, signer: u32, first: usize, second: Option<usize>) -> Envelope {
        let mut bytes = [0; ENVELOPE_BYTES];
        bytes[124] = kind as u8;
        bytes[112..116].copy_from_slice(&signer.to_le_bytes());
        for (at, owner) in [(Some(first), 2), (second, 3)] {
            if let Some(at) = at {
                bytes[at..at + 8].copy_from_slice(&account(owner).0.to_le_bytes());
            }
        }
        envelopes(&bytes)[0]
    }

    fn touched(envelope: &Envelope, code: ResultCode) -> [bool; 2] {
        [2, 3].map(|owner| touches(account(owner), envelope, Outcome::new(code)))
    }

    #[test]
    fn every_kind_touches_the_accounts_that_it_names_and_no_others() {
        let rows = [
            (Kind::Transfer, 16, Some(24), [true, true]),
            (Kind::Hold, 16, Some(24), [true, true]),
            (Kind::Post, 16, Some(24), [true, true]),
            (Kind::Void, 16, Some(24), [true, true]),
            (Kind::Return, 16, Some(24), [true, true]),
            (Kind::Issue, 16, Some(24), [true, true]),
            (Kind::Redeem, 16, Some(24), [true, true]),
            (Kind::AccountOpen, 16, Some(24), [true, false]),
            (Kind::AccountSet, 16, Some(24), [true, false]),
            (Kind::LimitSet, 16, Some(24), [true, false]),
            (Kind::LedgerDefine, 40, Some(16), [true, false]),
            (Kind::ParticipantSet, 16, Some(24), [false, false]),
            (Kind::KeyRotate, 16, Some(24), [false, false]),
        ];
        for (kind, first, second, expected) in rows {
            let envelope = envelope(kind, 9, first, second);
            assert_eq!(touched(&envelope, Settled), expected, "{kind:?}");
            let other = touches(account(4), &envelope, Outcome::new(Settled));
            assert!(!other, "{kind:?}");
        }
    }

    #[test]
    fn a_refusal_touches_its_signers_account_alone_and_a_copy_none() {
        for (signer, expected) in [(2, [true, false]), (3, [false, true]), (9, [false, false])] {
            let refused = envelope(Kind::Transfer, signer, 16, Some(24));
            assert_eq!(
                touched(&refused, NotAuthorised),
                expected,
                "signed by {signer}"
            );
        }
        let copy = envelope(Kind::Transfer, 2, 16, Some(24));
        assert!(!touches(account(2), &copy, Outcome::duplicate_of(Settled)));
    }
}
