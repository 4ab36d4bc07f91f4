//! The members' side of the door: sign, submit, await receipts, check proofs.
