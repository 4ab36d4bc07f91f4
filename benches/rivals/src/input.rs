//! The signatures of one row, read from the file that `clearway bench verify` writes.

use std::error::Error;

/// Signatures, cut into batches of one length.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub(crate) batch_len: usize,
    /// Whether the keys are known before the signatures come.
    pub(crate) keys_known: bool,
    pub(crate) keys: Vec<[u8; 32]>,
    pub(crate) signatures: Vec<[u8; 64]>,
    pub(crate) messages: Vec<Vec<u8>>,
    /// The verdicts.
    pub(crate) expected: Vec<bool>,
}

/// One batch of them.
pub(crate) struct Batch<'a> {
    pub(crate) keys: &'a [[u8; 32]],
    pub(crate) signatures: &'a [[u8; 64]],
    pub(crate) messages: &'a [&'a [u8]],
}

impl Input {
    /// Reads what `BATCH_LEN known|fresh PATH` names: key, signature, verdict, length and bytes of
    /// the message, one signature after the other.
    pub(crate) fn read(request: &str) -> Result<Self, Box<dyn Error>> {
        let mut words = request.splitn(3, ' ');
        let mut word = || words.next().ok_or("an input is BATCH_LEN known|fresh PATH");
        let mut input = Self {
            batch_len: word()?.parse()?,
            keys_known: word()? == "known",
            ..Self::default()
        };
        if input.batch_len == 0 {
            return Err("a batch has at least one signature".into());
        }
        let bytes = std::fs::read(word()?)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            input.keys.push(take(&mut rest)?);
            input.signatures.push(take(&mut rest)?);
            let [valid] = take(&mut rest)?;
            input.expected.push(valid == 1);
            let len = usize::from(u16::from_le_bytes(take(&mut rest)?));
            let message = rest.split_off(..len).ok_or("the input is cut off")?;
            input.messages.push(message.to_vec());
        }
        Ok(input)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Box<dyn Error>> {
    let (taken, after) = rest.split_first_chunk().ok_or("the input is cut off")?;
    *rest = after;
    Ok(*taken)
}
