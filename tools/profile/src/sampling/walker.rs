//! Walks a copied stack from its leaf to its root, by the unwind tables of the program files.

use framehop::Unwinder as _;
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64};

use crate::sampling::images::{Images, Place};
use crate::sampling::rings::Sample;

/// Frames of a stack that are looked at: beyond stands a recursion, not a reason.
const FRAMES_MAX: usize = 512;

/// What is kept between walks.
pub(crate) struct Walker {
    cache: CacheX86_64,
    from_leaf: Vec<Place>,
}

impl Walker {
    pub(crate) fn new() -> Self {
        Self {
            cache: CacheX86_64::new(),
            from_leaf: Vec::new(),
        }
    }

    /// Walks one; whether the root was reached.
    pub(crate) fn walk(&mut self, images: &mut Images, sample: &Sample<'_>) -> bool {
        self.from_leaf.clear();
        if sample.is_in_kernel {
            self.from_leaf.push(Place::Kernel);
        }
        let Some([ip, sp, bp]) = sample.registers else {
            return true;
        };
        images.knows(ip);
        let mut read = |address: u64| {
            let at = address.checked_sub(sp).ok_or(())?;
            let at = usize::try_from(at).map_err(drop)?;
            let word = sample.stack.get(at..).ok_or(())?.first_chunk().ok_or(())?;
            Ok(u64::from_le_bytes(*word))
        };
        let registers = UnwindRegsX86_64::new(ip, sp, bp);
        let unwinder = images.unwinder();
        let mut frames = unwinder.iter_frames(ip, registers, &mut self.cache, &mut read);
        while self.from_leaf.len() < FRAMES_MAX {
            match frames.next() {
                Ok(Some(frame)) => {
                    let place = images.place(frame.address_for_lookup());
                    self.from_leaf.push(place);
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    }

    /// The stack that was walked last, from its leaf.
    pub(crate) fn stack(&self) -> &[Place] {
        &self.from_leaf
    }
}
