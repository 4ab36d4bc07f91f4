//! The canonical codec of variable-length records: little-endian, no padding, no second spelling.

/// A record's bytes do not decode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("record ends at byte {offset}, inside a field: the bytes were cut")]
    Short {
        /// Where the field starts.
        offset: usize,
    },
    /// There are bytes after the last field.
    #[error("{excess} bytes follow the record's last field: not a canonical record")]
    Trailing {
        /// How many.
        excess: usize,
    },
    /// The record is of another version of the protocol.
    #[error(
        "record of protocol version {found}, this program speaks version {supported}: use a \
         program of that version"
    )]
    Protocol {
        /// The record's version.
        found: u32,
        /// This program's.
        supported: u32,
    },
    /// A field holds a value that the format does not allow.
    #[error("field `{field}` holds a value that this version does not know")]
    Invalid {
        /// Name of the field.
        field: &'static str,
    },
    /// An event that a later version of the rules has.
    #[error("event {number} is not one that this version knows: a newer one wrote it")]
    UnknownEvent {
        /// Its number.
        number: u8,
    },
}

/// Reads fields one after the other.
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when fewer are left.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let short = DecodeError::Short {
            offset: self.offset,
        };
        let end = self.offset.checked_add(len).ok_or(short)?;
        let field = self.bytes.get(self.offset..end).ok_or(short)?;
        self.offset = end;
        Ok(field)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self
            .bytes(N)?
            .try_into()
            .expect("`bytes` gives the length asked for"))
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// The next u16.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when fewer than 2 bytes are left.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// The next u32.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when fewer than 4 bytes are left.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// The next u64.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when fewer than 8 bytes are left.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The next u128.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when fewer than 16 bytes are left.
    pub fn u128(&mut self) -> Result<u128, DecodeError> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    /// The next i128.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when fewer than 16 bytes are left.
    pub fn i128(&mut self) -> Result<i128, DecodeError> {
        Ok(i128::from_le_bytes(self.array()?))
    }

    /// The next byte as yes or no; `field` is named where it is neither 0 nor 1.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end, [`DecodeError::Invalid`] for any other byte.
    pub fn flag(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Invalid { field }),
        }
    }

    /// The next digest.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when fewer than 32 bytes are left.
    pub fn digest(&mut self) -> Result<crate::units::Digest, DecodeError> {
        Ok(crate::units::Digest(self.array()?))
    }

    /// A count of items of at least `item_bytes` each: refused before anything is allocated when
    /// the bytes cannot hold them.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when the items cannot fit.
    pub fn count(&mut self, item_bytes: usize) -> Result<usize, DecodeError> {
        let offset = self.offset;
        let count = self.u32()? as usize;
        match count.checked_mul(item_bytes) {
            Some(len) if len <= self.left().len() => Ok(count),
            _ => Err(DecodeError::Short { offset }),
        }
    }

    /// What has not been read; the offset never passes the end.
    fn left(&self) -> &[u8] {
        &self.bytes[self.offset..]
    }

    /// Whether all has been read.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.left().is_empty()
    }

    /// Ends the record.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] when bytes are left.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.left().len() {
            0 => Ok(()),
            excess => Err(DecodeError::Trailing { excess }),
        }
    }
}

/// Writes what [`Reader`] reads, one field after the other: into memory, or into a hash.
pub trait Writer {
    /// Adds bytes as they are.
    fn bytes(&mut self, bytes: &[u8]);

    /// Adds a byte.
    fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    /// Adds a u16.
    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    /// Adds a u32.
    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    /// Adds a u64.
    fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    /// Adds a u128.
    fn u128(&mut self, value: u128) {
        self.bytes(&value.to_le_bytes());
    }

    /// Adds an i128.
    fn i128(&mut self, value: i128) {
        self.bytes(&value.to_le_bytes());
    }

    /// Adds yes or no, a byte.
    fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// Adds a digest.
    fn digest(&mut self, digest: crate::units::Digest) {
        self.bytes(&digest.0);
    }

    /// Adds the count of a list, a u32.
    ///
    /// # Panics
    /// For 2^32 items and more: lists are bounded far below that where they are made.
    fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("lists are bounded far below 2^32"));
    }
}

impl Writer for Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Writer for blake3::Hasher {
    fn bytes(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Digest;

    #[test]
    fn a_reader_reads_what_a_writer_wrote() {
        let mut out = Vec::new();
        out.u8(1);
        out.u16(2);
        out.u32(3);
        out.u64(4);
        out.u128(5);
        out.i128(-6);
        out.flag(true);
        out.flag(false);
        out.digest(Digest([7; 32]));
        out.count(2);
        out.bytes(b"ab");
        let mut reader = Reader::new(&out);
        assert_eq!((reader.u8(), reader.u16()), (Ok(1), Ok(2)));
        assert_eq!((reader.u32(), reader.u64()), (Ok(3), Ok(4)));
        assert_eq!((reader.u128(), reader.i128()), (Ok(5), Ok(-6)));
        assert_eq!((reader.flag("a"), reader.flag("b")), (Ok(true), Ok(false)));
        assert_eq!(reader.digest(), Ok(Digest([7; 32])));
        assert_eq!((reader.count(1), reader.array()), (Ok(2), Ok(*b"ab")));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn a_flag_is_0_or_1() {
        let refused = Err(DecodeError::Invalid { field: "name" });
        assert_eq!(Reader::new(&[2]).flag("name"), refused);
    }

    #[test]
    fn cut_and_overlong_records_are_told_apart() {
        let mut reader = Reader::new(&[1, 0, 0]);
        assert_eq!(reader.u16(), Ok(1));
        assert_eq!(reader.u16(), Err(DecodeError::Short { offset: 2 }));
        assert_eq!(reader.finish(), Err(DecodeError::Trailing { excess: 1 }));
    }

    #[test]
    fn a_count_that_cannot_fit_is_refused_before_allocation() {
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0xff, 0]);
        assert_eq!(reader.count(192), Err(DecodeError::Short { offset: 0 }));
    }
}
