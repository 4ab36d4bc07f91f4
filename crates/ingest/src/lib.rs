//! Stop 1: QUIC streams become frames; receipts go back to the members.
