//! Bytes of tables in snapshots: little-endian, a list is a u64 count and its records.

use std::io::{self, Read, Write};

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use crate::error::ExecuteError;
use crate::tables::slots::Pages;

/// Bytes gathered before they are written.
const PIECE_BYTES: usize = 64 << 10;

/// Writes fields, in pieces of about 64 KiB.
pub(crate) struct Sink<'a> {
    to: &'a mut dyn Write,
    out: Vec<u8>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(to: &'a mut dyn Write) -> Self {
        let out = Vec::new();
        Self { to, out }
    }

    /// Adds bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put_with(|out| out.extend_from_slice(bytes))
    }

    /// Adds what `encode` appends.
    pub(crate) fn put_with(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        encode(&mut self.out);
        if self.out.len() >= PIECE_BYTES {
            self.to.write_all(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    /// Adds the count of a list.
    pub(crate) fn count(&mut self, count: usize) -> io::Result<()> {
        self.put(&(count as u64).to_le_bytes())
    }

    /// Adds records in slot order.
    pub(crate) fn records<T>(&mut self, pages: &Pages<T>) -> io::Result<()>
    where
        T: IntoBytes + Immutable + Copy + FromZeros,
    {
        self.count(pages.len())?;
        for record in pages.iter() {
            self.put(record.as_bytes())?;
        }
        Ok(())
    }

    /// Writes what is left.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.to.write_all(&self.out)
    }
}

/// Reads fields; never allocates for what has not been read yet.
pub(crate) struct Source<'a> {
    from: &'a mut dyn Read,
}

impl<'a> Source<'a> {
    pub(crate) fn new(from: &'a mut dyn Read) -> Self {
        Self { from }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ExecuteError> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, ExecuteError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ExecuteError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, ExecuteError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn u128(&mut self) -> Result<u128, ExecuteError> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    /// The count of a list with at most `max` records.
    pub(crate) fn count(&mut self, max: usize, field: &'static str) -> Result<usize, ExecuteError> {
        match usize::try_from(self.u64()?) {
            Ok(count) if count <= max => Ok(count),
            _ => Err(ExecuteError::Snapshot { field }),
        }
    }

    /// Records in slot order.
    pub(crate) fn records<T>(
        &mut self,
        max: usize,
        field: &'static str,
    ) -> Result<Pages<T>, ExecuteError>
    where
        T: Copy + FromZeros + FromBytes + IntoBytes,
    {
        let mut pages = Pages::new();
        for _ in 0..self.count(max, field)? {
            let mut record = T::new_zeroed();
            self.from.read_exact(record.as_mut_bytes())?;
            pages.push(record);
        }
        Ok(pages)
    }

    /// Nothing may follow.
    pub(crate) fn end(self) -> Result<(), ExecuteError> {
        match self.from.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(ExecuteError::Snapshot { field: "end" }),
        }
    }
}
