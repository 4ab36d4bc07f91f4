//! Stop 5: the durable block store: append-only segments, synced before anybody is told.
