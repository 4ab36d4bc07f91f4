//! What the integration tests share: temporary nodes, keys, clients, seeds.
