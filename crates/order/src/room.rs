//! What ordering asks about the disk under the engine's journal.
//!
//! The engine writes to its journal in each view and ends when it cannot. So it is stopped in good
//! order before that, and started again from its journal once there is room: the stage keeps all
//! that was taken in meanwhile.

/// The disk under the engine's journal. The implementation holds some room back, so that a view
/// that was begun can be finished.
pub trait JournalRoom: Send + Sync {
    /// Whether the next view may be written: asked before each, so it must be cheap.
    fn has_room(&self) -> bool;

    /// Whether a journal that could not be written was out of room, and not out of order.
    fn ran_out(&self) -> bool;

    /// Whether a journal that was stopped for want of room may go on; asked again and again, and
    /// once before the first view.
    fn has_room_again(&self) -> bool;
}

/// A disk that is never full, for simulations.
#[derive(Clone, Copy, Debug, Default)]
pub struct AmpleRoom;

impl JournalRoom for AmpleRoom {
    fn has_room(&self) -> bool {
        true
    }

    fn ran_out(&self) -> bool {
        false
    }

    fn has_room_again(&self) -> bool {
        true
    }
}
