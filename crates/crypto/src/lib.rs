//! The proofs: the validity rule, the gate and its backends, Merkle trees, certificates, keys.
