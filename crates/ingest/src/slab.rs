//! One frame's envelopes as they arrive, and the hints beside them where the stream has some.

use bytes::buf::Limit;
use bytes::{BufMut, Bytes, BytesMut};
use clearway_types::envelope::{ENVELOPE_BYTES, Envelope, envelopes};
use clearway_types::wire::{HINT_BYTES, HINTED_BYTES};

/// Items that a frame has room for before any have come. Once they are there it gets the room of
/// the whole frame, and they are copied over.
pub(crate) const FIRST_ROOM_LEN: usize = 32;
/// Bytes of that first room, in the stream that needs most: 14 KiB.
pub(crate) const FIRST_ROOM_BYTES: usize = ArrivingSlab::bytes(FIRST_ROOM_LEN, true);

/// Fills up with whole items of a submit stream; room for them is given as they come.
///
/// Envelopes lie one behind the other from here on to the disk. Those of a hinted stream come with
/// their hints between them, and are sorted out of a small buffer.
#[derive(Debug)]
pub(crate) struct ArrivingSlab {
    /// Items that it has room for.
    room_len: usize,
    envelopes: BytesMut,
    hinted: Option<Hinted>,
}

#[derive(Debug)]
struct Hinted {
    hints: BytesMut,
    /// Less than one item, between two reads.
    arriving: Vec<u8>,
}

impl ArrivingSlab {
    /// A slab without room.
    pub(crate) fn new(hinted: bool) -> Self {
        let hinted = hinted.then(|| Hinted {
            hints: BytesMut::new(),
            arriving: Vec::new(),
        });
        Self {
            room_len: 0,
            envelopes: BytesMut::new(),
            hinted,
        }
    }

    /// Items that it has room for.
    pub(crate) fn room_len(&self) -> usize {
        self.room_len
    }

    /// Makes room for `len` items in all.
    pub(crate) fn reserve(&mut self, len: usize) {
        let more = |buffer: &mut BytesMut, each: usize| {
            buffer.reserve((len * each).saturating_sub(buffer.len()));
        };
        more(&mut self.envelopes, ENVELOPE_BYTES);
        if let Some(hinted) = &mut self.hinted {
            more(&mut hinted.hints, HINT_BYTES);
            let arriving = &mut hinted.arriving;
            arriving.reserve_exact(arriving_bytes(len).saturating_sub(arriving.len()));
        }
        self.room_len = len;
    }

    /// Bytes that a slab of this many items takes.
    pub(crate) const fn bytes(len: usize, hinted: bool) -> usize {
        match hinted {
            true => len * HINTED_BYTES + arriving_bytes(len),
            false => len * ENVELOPE_BYTES,
        }
    }

    /// The envelopes that are whole.
    pub(crate) fn envelopes(&self) -> &[Envelope] {
        let whole = self.envelopes.len() / ENVELOPE_BYTES * ENVELOPE_BYTES;
        envelopes(&self.envelopes[..whole])
    }

    /// Where further bytes go, up to the end of item `want`; `None` when that many are there, or as
    /// many as there is room for.
    pub(crate) fn room(&mut self, want: usize) -> Option<Limit<&mut (dyn BufMut + Send)>> {
        let want = want.min(self.room_len);
        let (buffer, missing): (&mut (dyn BufMut + Send), usize) = match &mut self.hinted {
            None => {
                let missing = (want * ENVELOPE_BYTES).saturating_sub(self.envelopes.len());
                (&mut self.envelopes, missing)
            }
            Some(hinted) => {
                let items = want.saturating_sub(self.envelopes.len() / ENVELOPE_BYTES);
                let missing = (items * HINTED_BYTES).saturating_sub(hinted.arriving.len());
                let room = hinted.arriving.capacity() - hinted.arriving.len();
                (&mut hinted.arriving, missing.min(room))
            }
        };
        (missing > 0).then(|| buffer.limit(missing))
    }

    /// Sorts what has arrived; to be called after each read.
    pub(crate) fn settle(&mut self) {
        let Some(hinted) = &mut self.hinted else {
            return;
        };
        let (items, rest) = hinted.arriving.as_chunks::<HINTED_BYTES>();
        for item in items {
            let (envelope, hint) = item.split_at(ENVELOPE_BYTES);
            self.envelopes.extend_from_slice(envelope);
            hinted.hints.extend_from_slice(hint);
        }
        let sorted = hinted.arriving.len() - rest.len();
        hinted.arriving.drain(..sorted);
    }

    /// Envelopes and hints, which are as many or none.
    pub(crate) fn freeze(self) -> (Bytes, Bytes) {
        let hints = self.hinted.map(|hinted| hinted.hints.freeze());
        (self.envelopes.freeze(), hints.unwrap_or_default())
    }
}

/// Bytes of a hinted stream that are taken from the transport at once; no more than there will be.
const fn arriving_bytes(len: usize) -> usize {
    let all = len * HINTED_BYTES;
    if all < ARRIVING_BYTES_MAX {
        all
    } else {
        ARRIVING_BYTES_MAX
    }
}

const ARRIVING_BYTES_MAX: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Item `number`, as a hinted or a plain stream carries it.
    fn item(number: u8, hinted: bool) -> Vec<u8> {
        let hint = if hinted { HINT_BYTES } else { 0 };
        [vec![number; ENVELOPE_BYTES], vec![number ^ 0x80; hint]].concat()
    }

    #[test]
    fn items_are_sorted_however_their_bytes_arrive() {
        for hinted in [false, true] {
            for step in [1, 100, 223, 224, 225, 40_000] {
                let sent: Vec<u8> = (0..200).flat_map(|number| item(number, hinted)).collect();
                let mut slab = ArrivingSlab::new(hinted);
                assert!(slab.room(200).is_none(), "no room yet");
                let mut rest = &sent[..];
                while slab.envelopes().len() < 200 {
                    let Some(mut room) = slab.room(200) else {
                        slab.reserve((slab.room_len() * 3).clamp(7, 200));
                        continue;
                    };
                    let taken = step.min(room.remaining_mut()).min(rest.len());
                    assert!(taken > 0, "more is asked for than was sent");
                    room.put_slice(&rest[..taken]);
                    rest = &rest[taken..];
                    slab.settle();
                }
                assert!(rest.is_empty(), "step {step}");
                assert_eq!(slab.envelopes().len(), 200);
                let (envelopes, hints) = slab.freeze();
                let expected: Vec<u8> = (0..200).flat_map(|n| item(n, false)).collect();
                assert_eq!(envelopes, expected, "step {step}");
                let expected = if hinted { 200 * HINT_BYTES } else { 0 };
                assert_eq!(hints.len(), expected);
                for (number, hint) in hints.chunks(HINT_BYTES).enumerate() {
                    let byte = u8::try_from(number).expect("below 200") ^ 0x80;
                    assert_eq!(hint, [byte; HINT_BYTES], "step {step}");
                }
            }
        }
    }

    #[test]
    fn a_short_stream_takes_little_room() {
        assert_eq!(ArrivingSlab::bytes(1, true), 2 * HINTED_BYTES);
        assert_eq!(ArrivingSlab::bytes(1, false), ENVELOPE_BYTES);
        let most = 2048 * HINTED_BYTES + ARRIVING_BYTES_MAX;
        assert_eq!(ArrivingSlab::bytes(2048, true), most);
    }

    #[test]
    fn no_more_is_taken_than_was_asked_for() {
        for hinted in [false, true] {
            let mut slab = ArrivingSlab::new(hinted);
            slab.reserve(3);
            assert!(slab.room(0).is_none());
            let mut room = slab.room(1).expect("one is missing");
            let first = item(1, hinted);
            assert_eq!(room.remaining_mut(), first.len());
            room.put_slice(&first);
            slab.settle();
            assert!(slab.room(1).is_none());
            assert_eq!(
                slab.room(2).map(|room| room.remaining_mut()),
                Some(first.len())
            );
        }
    }
}
