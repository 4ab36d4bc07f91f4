//! Cuts what has arrived into frames that never end inside a linked chain.

use std::ops::Range;

use clearway_types::envelope::Envelope;
use clearway_types::limits::CHAIN_LEN_MAX;

/// A part of a slab, by position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    /// Goes on to verification.
    Keep(Range<usize>),
    /// A chain that no block could settle: too long, or open at the end of its stream.
    Broken(Range<usize>),
}

/// Walks along a stream slab by slab; remembers a chain that is broken beyond a slab's end.
#[derive(Debug, Default)]
pub(crate) struct ChainCutter {
    in_broken_chain: bool,
}

impl ChainCutter {
    /// Whether a slab with these envelopes may end here: its last chain is complete, or so long
    /// that it is broken anyway.
    pub(crate) fn may_end(&self, slab: &[Envelope]) -> bool {
        let open_len = slab
            .iter()
            .rev()
            .take_while(|e| e.body.flags().linked())
            .count();
        let whole_slab_is_open = open_len == slab.len();
        open_len == 0 || open_len >= CHAIN_LEN_MAX || (self.in_broken_chain && whole_slab_is_open)
    }

    /// The parts of a slab, in order. `last` says that the stream ends with it.
    pub(crate) fn cut(&mut self, slab: &[Envelope], last: bool) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(1);
        let mut chain_start = 0;
        for (index, envelope) in slab.iter().enumerate() {
            if envelope.body.flags().linked() {
                continue;
            }
            let chain = chain_start..index + 1;
            let broken = self.in_broken_chain || chain.len() > CHAIN_LEN_MAX;
            self.in_broken_chain = false;
            chain_start = chain.end;
            push(&mut pieces, chain, broken);
        }
        if chain_start < slab.len() {
            self.in_broken_chain = !last;
            push(&mut pieces, chain_start..slab.len(), true);
        }
        pieces
    }
}

/// Appends a part, as one with the part before it where both are of a kind.
fn push(pieces: &mut Vec<Piece>, range: Range<usize>, broken: bool) {
    match pieces.last_mut() {
        Some(Piece::Keep(last)) if !broken => last.end = range.end,
        Some(Piece::Broken(last)) if broken => last.end = range.end,
        _ if broken => pieces.push(Piece::Broken(range)),
        _ => pieces.push(Piece::Keep(range)),
    }
}

#[cfg(test)]
mod tests {
    use clearway_types::flags::Flags;
    use zerocopy::FromZeros;
    use zerocopy::little_endian::U16;

    use super::*;

    /// `L` is an envelope linked to the next one, `.` ends a chain or stands alone; `(n)` before a
    /// letter repeats it.
    fn slab(text: &str) -> Vec<Envelope> {
        let mut slab = Vec::new();
        let mut repeat = 0;
        for c in text.chars() {
            if let Some(digit) = c.to_digit(10) {
                repeat = repeat * 10 + digit as usize;
                continue;
            }
            let mut envelope = Envelope::new_zeroed();
            envelope.body.flags = U16::new(Flags::new(0, c == 'L').0);
            slab.extend(std::iter::repeat_n(envelope, repeat.max(1)));
            repeat = 0;
        }
        slab
    }

    #[test]
    fn chains_stay_whole_and_broken_ones_leave_whole() {
        use Piece::{Broken, Keep};
        let rows: [(&str, bool, Vec<Piece>); 9] = [
            ("...", true, vec![Keep(0..3)]),
            (".LL.", true, vec![Keep(0..4)]),
            (".LL", true, vec![Keep(0..1), Broken(1..3)]),
            ("L", true, vec![Broken(0..1)]),
            ("63L.", true, vec![Keep(0..64)]),
            ("64L.", true, vec![Broken(0..65)]),
            (
                ".64L..",
                true,
                vec![Keep(0..1), Broken(1..66), Keep(66..67)],
            ),
            ("64L.64L.", true, vec![Broken(0..130)]),
            ("", true, vec![]),
        ];
        for (text, last, expected) in rows {
            let pieces = ChainCutter::default().cut(&slab(text), last);
            assert_eq!(pieces, expected, "{text}");
        }
    }

    #[test]
    fn a_chain_broken_beyond_the_end_of_a_slab_takes_its_tail_along() {
        use Piece::{Broken, Keep};
        let mut cutter = ChainCutter::default();
        let first = slab("..64L");
        assert!(cutter.may_end(&first));
        assert_eq!(cutter.cut(&first, false), [Keep(0..2), Broken(2..66)]);
        assert!(cutter.may_end(&slab("LL")), "all of it is broken already");
        assert_eq!(cutter.cut(&slab("LL"), false), [Broken(0..2)]);
        assert_eq!(cutter.cut(&slab("L..L."), true), [Broken(0..2), Keep(2..5)]);
    }

    #[test]
    fn a_slab_may_end_behind_a_chain_only() {
        let rows = [
            ("..", true),
            (".L", false),
            ("63L", false),
            ("64L", true),
            ("", true),
        ];
        for (text, expected) in rows {
            let found = ChainCutter::default().may_end(&slab(text));
            assert_eq!(found, expected, "{text}");
        }
    }
}
