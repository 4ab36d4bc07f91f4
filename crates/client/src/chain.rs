//! Where a slab may be cut: never inside a linked chain.

use crate::slab::Slab;

impl Slab {
    /// Cuts it into slabs of at most `len_max` envelopes, each ending where a chain ends.
    ///
    /// A chain longer than `len_max` is cut all the same: no node takes it.
    ///
    /// # Panics
    /// For `len_max` 0.
    #[must_use]
    pub fn split_at_chains(&self, len_max: usize) -> Vec<Self> {
        assert!(len_max > 0, "a run has room for an envelope");
        let mut runs = Vec::with_capacity(self.len().div_ceil(len_max));
        let mut from = 0;
        while self.len() - from > len_max {
            let head = self.chain_head(from + len_max);
            let to = if head <= from { from + len_max } else { head };
            runs.push(self.slice(from, to));
            from = to;
        }
        if from < self.len() {
            runs.push(self.slice(from, self.len()));
        }
        runs
    }

    /// Position of the head of the chain that `position` stands in; `position` itself for a head or
    /// an envelope on its own.
    #[must_use]
    pub fn chain_head(&self, position: usize) -> usize {
        let linked = |at: &usize| self.envelope(*at).body.flags().linked();
        let end_of_chain_before = (0..position).rev().find(|at| !linked(at));
        end_of_chain_before.map_or(0, |end| end + 1)
    }
}

#[cfg(test)]
mod tests {
    use clearway_types::envelope::Envelope;
    use clearway_types::flags::Flags;
    use zerocopy::little_endian::U16;
    use zerocopy::{FromZeros, IntoBytes};

    use super::*;

    /// `L` is an envelope linked to the next one, `.` ends a chain or stands alone.
    fn slab(text: &str) -> Slab {
        let envelopes = text.chars().map(|c| {
            let mut envelope = Envelope::new_zeroed();
            envelope.body.flags = U16::new(Flags::new(0, c == 'L').0);
            envelope
        });
        let envelopes: Vec<Envelope> = envelopes.collect();
        Slab::hinted(envelopes.as_bytes())
    }

    #[test]
    fn runs_end_where_chains_end() {
        let rows: [(&str, usize, &[usize]); 8] = [
            ("", 4, &[]),
            ("....", 4, &[4]),
            (".....", 4, &[4, 1]),
            ("..LL.", 4, &[2, 3]),
            ("...L.", 4, &[3, 2]),
            ("LLL..", 4, &[4, 1]),
            ("LLLL.", 4, &[4, 1]),
            (".L.L.L.", 2, &[1, 2, 2, 2]),
        ];
        for (text, len_max, lens) in rows {
            let runs = slab(text).split_at_chains(len_max);
            let found: Vec<usize> = runs.iter().map(Slab::len).collect();
            assert_eq!(found, lens, "{text}");
        }
    }

    #[test]
    fn the_head_of_a_chain_is_found_from_any_member() {
        let slab = slab("..LL.L.");
        let heads: Vec<usize> = (0..7).map(|i| slab.chain_head(i)).collect();
        assert_eq!(heads, [0, 1, 2, 2, 2, 5, 5]);
    }
}
