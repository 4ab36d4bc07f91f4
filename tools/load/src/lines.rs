//! A table's bytes, checked line by line: no quote may run over the end of its line and take rows
//! with it, and what is passed over is counted.

use std::io::{self, BufRead, Read};

/// Most bytes of a line: a row of a payment file has some dozens.
const LINE_BYTES_MAX: u64 = 1 << 20;
const MARK_UTF8: &[u8] = b"\xef\xbb\xbf";
const MARKS_UTF16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// What is wrong with a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LineFault {
    /// A quote that its line does not close would take the rows after it into one field.
    #[error("a quote is opened here and not closed on the same line; close it or leave it out")]
    OpenQuote,
    /// Text between a closing quote and the next comma.
    #[error("text follows a closing quote; write a quote inside quotes twice")]
    AfterQuote,
    /// A line without an end.
    #[error("the line has more than {LINE_BYTES_MAX} bytes; end each row with a line feed")]
    TooLong,
    /// Two bytes a letter.
    #[error("the file is UTF-16; save it as UTF-8")]
    Utf16,
}

/// How a fault travels through the table's reader.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {fault}")]
struct AtLine {
    line: u64,
    fault: LineFault,
}

impl LineFault {
    /// The fault and its line, if this is one that [`Lines`] found.
    pub(crate) fn of(error: &io::Error) -> Option<(u64, Self)> {
        let found: &AtLine = error.get_ref()?.downcast_ref()?;
        Some((found.line, found.fault))
    }
}

/// Gives the bytes of another reader on, without a byte order mark, a line at a time.
pub(crate) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    given: usize,
    number: u64,
    empty_count: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            given: 0,
            number: 0,
            empty_count: 0,
        }
    }

    /// Lines so far without a byte in them.
    pub(crate) fn empty_count(&self) -> u64 {
        self.empty_count
    }

    fn next_line(&mut self) -> io::Result<()> {
        self.line.clear();
        self.given = 0;
        let mut input = (&mut self.input).take(LINE_BYTES_MAX + 1);
        if input.read_until(b'\n', &mut self.line)? == 0 {
            return Ok(());
        }
        self.number += 1;
        let line = self.number;
        self.check().map_err(|fault| {
            self.line.clear();
            io::Error::new(io::ErrorKind::InvalidData, AtLine { line, fault })
        })
    }

    fn check(&mut self) -> Result<(), LineFault> {
        if self.number == 1 {
            if MARKS_UTF16.iter().any(|mark| self.line.starts_with(mark)) {
                return Err(LineFault::Utf16);
            }
            if self.line.starts_with(MARK_UTF8) {
                self.line.drain(..MARK_UTF8.len());
            }
        }
        if self.line.len() as u64 > LINE_BYTES_MAX {
            return Err(LineFault::TooLong);
        }
        let empty = self.line.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        self.empty_count += u64::from(empty);
        match self.line.contains(&b'"') {
            true => check_quotes(&self.line),
            false => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.line.len() {
            self.next_line()?;
        }
        let left = &self.line[self.given..];
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.given += count;
        Ok(count)
    }
}

/// A quote at the start of a field must be closed before the line ends, and then a comma or the
/// end follows. A quote elsewhere is a letter like others, as the table's reader takes it.
fn check_quotes(line: &[u8]) -> Result<(), LineFault> {
    let mut quoted = false;
    let mut at_start = true;
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let ends_line = matches!(byte, b'\n' | b'\r');
        if !quoted {
            quoted = at_start && byte == b'"';
            at_start = ends_line || byte == b',';
            continue;
        }
        if ends_line {
            return Err(LineFault::OpenQuote);
        }
        if byte != b'"' || bytes.next_if_eq(&b'"').is_some() {
            continue;
        }
        quoted = false;
        if !matches!(bytes.peek(), None | Some(b',' | b'\n' | b'\r')) {
            return Err(LineFault::AfterQuote);
        }
    }
    match quoted {
        true => Err(LineFault::OpenQuote),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that come through, or the fault; and how many lines were empty.
    struct Through {
        bytes: Result<Vec<u8>, Option<(u64, LineFault)>>,
        empty_count: u64,
    }

    fn read(bytes: &[u8]) -> Through {
        let mut lines = Lines::new(bytes);
        let mut text = Vec::new();
        let read = lines.read_to_end(&mut text);
        Through {
            bytes: read.map(|_| text).map_err(|error| LineFault::of(&error)),
            empty_count: lines.empty_count(),
        }
    }

    #[test]
    fn whole_lines_pass_as_they_are_and_empty_ones_are_counted() {
        let rows: [(&[u8], &[u8], u64); 8] = [
            (b"", b"", 0),
            (b"a,b\n1,2", b"a,b\n1,2", 0),
            (b"a\r\n\r\n1\r\n\n", b"a\r\n\r\n1\r\n\n", 2),
            (b"\xef\xbb\xbfa,b\n", b"a,b\n", 0),
            (
                b"\"a\",\"say \"\"b\"\"\"\n",
                b"\"a\",\"say \"\"b\"\"\"\n",
                0,
            ),
            (b"3\" pipe,x\"y\n", b"3\" pipe,x\"y\n", 0),
            (b"\"\",\"\"\r\n", b"\"\",\"\"\r\n", 0),
            (b"caf\xe9,\x00\n", b"caf\xe9,\x00\n", 0),
        ];
        for (bytes, expected, empty) in rows {
            let through = read(bytes);
            assert_eq!(through.bytes, Ok(expected.to_vec()));
            assert_eq!(through.empty_count, empty, "{bytes:?}");
        }
    }

    #[test]
    fn lines_that_may_hide_others_are_named() {
        let long = [b"a\n".to_vec(), vec![b'1'; 1 << 21]].concat();
        let rows: [(&[u8], u64, LineFault); 9] = [
            (b"a\n1,\"x\n2,y\n", 2, LineFault::OpenQuote),
            (b"a\n\"x\r\n", 2, LineFault::OpenQuote),
            (b"a\n\"x\ry\"\n", 2, LineFault::OpenQuote),
            (b"\"x", 1, LineFault::OpenQuote),
            (b"\"x\"\"\n\"\n", 1, LineFault::OpenQuote),
            (b"a\n\n\"x\"y\n", 3, LineFault::AfterQuote),
            (b"\"x\" ,y\n", 1, LineFault::AfterQuote),
            (b"\xff\xfea\0\n\0", 1, LineFault::Utf16),
            (&long, 2, LineFault::TooLong),
        ];
        for (bytes, line, fault) in rows {
            assert_eq!(read(bytes).bytes, Err(Some((line, fault))));
        }
    }
}
