//! The bytes on a QUIC stream between a member and a validator.
