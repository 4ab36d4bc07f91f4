//! Where a run of envelopes may be cut: never inside a linked chain.

use clearway_types::envelope::Envelope;

/// Cuts `envelopes` into runs of at most `len_max`, each ending where a chain ends.
///
/// A chain longer than `len_max` is cut all the same: no node takes it.
///
/// # Panics
/// For `len_max` 0.
#[must_use]
pub fn split_at_chains(envelopes: &[Envelope], len_max: usize) -> Vec<&[Envelope]> {
    assert!(len_max > 0, "a run has room for an envelope");
    let mut runs = Vec::with_capacity(envelopes.len().div_ceil(len_max));
    let mut rest = envelopes;
    while rest.len() > len_max {
        let head = chain_head(rest, len_max);
        let len = if head == 0 { len_max } else { head };
        let (run, left) = rest.split_at(len);
        runs.push(run);
        rest = left;
    }
    if !rest.is_empty() {
        runs.push(rest);
    }
    runs
}

/// Position of the head of the chain that `position` stands in; `position` itself for a head or an
/// envelope on its own.
#[must_use]
pub fn chain_head(envelopes: &[Envelope], position: usize) -> usize {
    envelopes[..position]
        .iter()
        .rposition(|before| !before.body.flags().linked())
        .map_or(0, |end_of_chain_before| end_of_chain_before + 1)
}

#[cfg(test)]
mod tests {
    use clearway_types::flags::Flags;
    use zerocopy::FromZeros;
    use zerocopy::little_endian::U16;

    use super::*;

    /// `L` is an envelope linked to the next one, `.` ends a chain or stands alone.
    fn envelopes(text: &str) -> Vec<Envelope> {
        text.chars()
            .map(|c| {
                let mut envelope = Envelope::new_zeroed();
                envelope.body.flags = U16::new(Flags::new(0, c == 'L').0);
                envelope
            })
            .collect()
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
            let envelopes = envelopes(text);
            let runs = split_at_chains(&envelopes, len_max);
            let found: Vec<usize> = runs.iter().map(|run| run.len()).collect();
            assert_eq!(found, lens, "{text}");
        }
    }

    #[test]
    fn the_head_of_a_chain_is_found_from_any_member() {
        let envelopes = envelopes("..LL.L.");
        let heads: Vec<usize> = (0..7).map(|i| chain_head(&envelopes, i)).collect();
        assert_eq!(heads, [0, 1, 2, 2, 2, 5, 5]);
    }
}
