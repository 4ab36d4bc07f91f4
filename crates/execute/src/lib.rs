//! Stop 4: the deterministic multi-currency ledger.
