//! How accounts, identifiers and padded text are written.

use clearway_types::units::{AccountId, ParticipantId, TransferId};

/// An account as people write it: owner's number, point, number with the owner (`7.1`), or the
/// whole number.
pub(crate) fn parse_account(text: &str) -> Result<AccountId, String> {
    let wrong = || format!("`{text}` is no account; write owner.number, for example 7.1");
    match text.split_once('.') {
        Some((owner, number)) => {
            let owner = owner.parse().map_err(|_| wrong())?;
            let number = number.parse().map_err(|_| wrong())?;
            Ok(AccountId::new(ParticipantId(owner), number))
        }
        None => match text.parse().map(AccountId) {
            // A forgotten point would name an account of nobody.
            Ok(id) if id.owner() != ParticipantId(0) => Ok(id),
            _ => Err(wrong()),
        },
    }
}

/// 32 hexadecimal digits as an identifier.
pub(crate) fn parse_id(text: &str) -> Result<TransferId, String> {
    clearway_types::hex::decode_array(text)
        .map(TransferId)
        .ok_or_else(|| format!("`{text}` is no identifier; write 32 hexadecimal digits"))
}

/// A zero-padded field as text; what is no text shows as such.
pub(crate) fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&field[..end.unwrap_or(field.len())]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_written_by_owner_and_number() {
        let id = AccountId::new(ParticipantId(7), 1);
        assert_eq!(parse_account("7.1"), Ok(id));
        assert_eq!(parse_account(&id.0.to_string()), Ok(id));
        assert_eq!(parse_account(&id.to_string()), Ok(id));
        for text in ["", "7", "7.", ".1", "7.1.1", "a.b", "-1", "4294967296.1"] {
            assert!(parse_account(text).is_err(), "{text}");
        }
    }
}
