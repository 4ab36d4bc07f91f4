//! The words of Clearway: envelopes, transfers, batches, blocks, result codes and their bytes.
