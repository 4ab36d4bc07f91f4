//! The bounds that are rules of the cluster, or that several crates share, each with the sum that
//! justifies it; other bounds of one crate stand beside their use.

/// Envelopes on one submit stream: 8,192 x 192 B = 1.5 MiB, what one frame slab may take.
pub const STREAM_ENVELOPES_MAX: usize = 8192;
/// Envelopes in one lane batch: a full stream fits, so a linked chain is never split.
pub const BATCH_ENVELOPES_MAX: usize = 8192;
/// Batches of one lane that a manifest may add.
pub const LANE_STEP_MAX: usize = 16;
/// Bytes of envelopes that one manifest may name: 8 MiB, 43,690 envelopes, 0.15 s at 300 k/s.
pub const BLOCK_BYTES_MAX: usize = 8 << 20;
/// Batches of a lane past its final tip that a validator keeps: bounds memory to 96 MiB of
/// envelopes and 16 MiB of hints a lane.
pub const LANE_WINDOW: usize = 64;
/// Members of a linked chain; the position is one byte and a chain stays within one frame.
pub const CHAIN_LEN_MAX: usize = 64;
/// Validators of a cluster; the signer bitmap of a certificate has one bit each.
pub const VALIDATORS_MAX: usize = 128;
/// Heights that a block's named results may lag behind it: about 0.3 s at 200 blocks a second.
pub const EXEC_LAG_MAX: u64 = 64;
/// Heights after which a key change takes effect, and for which batches in flight stay valid.
pub const KEY_LAG_MAX: u64 = 256;
/// Blocks between two state roots; about half a second at load.
pub const ROOT_INTERVAL: u64 = 32;
/// Milliseconds since 1970 from which on a clock is not believed: the year 2100. Cluster time never
/// falls, and ends of envelopes are 32-bit seconds, up to 2106: a block of that time would be the
/// cluster's last.
pub const WALL_TIME_MS_END: u64 = 4_102_444_800_000;
/// A manifest's time may be this far ahead of the local clock, milliseconds.
pub const CLOCK_AHEAD_MS_MAX: u64 = 500;
/// Default of the genesis value MAX_TTL, seconds: `expires_at` minus cluster time at execution.
pub const TTL_S_DEFAULT: u32 = 60;
/// Upper bound of the genesis value MAX_TTL: an hour of live ids at 7 k/s fills the table.
pub const TTL_S_MAX: u32 = 3600;
/// Default of the genesis value RETURN_WINDOW, seconds from settlement.
pub const RETURN_WINDOW_S_DEFAULT: u32 = 60;
/// Live identifiers over all members: 24 M x 80 B = 1.9 GB, 400 k/s for 60 s.
pub const LIVE_IDS_MAX: usize = 24_000_000;
/// Longest time-out of a hold, seconds: 30 days.
pub const HOLD_TIMEOUT_S_MAX: u32 = 30 * 86_400;
/// Open holds of one member.
pub const HOLDS_PER_MEMBER_MAX: usize = 65_536;
/// Holds that one block may expire, so that a block's work is bounded.
pub const EXPIRE_PER_BLOCK_MAX: usize = 4096;
/// Approvals that may wait for further operators.
pub const APPROVALS_MAX: usize = 1024;
/// How long an approval waits for further operators, seconds of cluster time: a day.
pub const APPROVAL_S: u32 = 86_400;
/// Accounts of a cluster: 16 M x 128 B = 2 GiB.
pub const ACCOUNTS_MAX: usize = 16 << 20;
/// Registered participants.
pub const PARTICIPANTS_MAX: usize = 65_536;
/// Defined ledgers.
pub const LEDGERS_MAX: usize = 1024;
/// Net debit limits.
pub const LIMITS_MAX: usize = 1 << 20;
/// Decimal places of a minor unit: 10^18 fits u64.
pub const EXPONENT_MAX: u8 = 18;
/// Encoded bytes of a manifest: header and 128 lanes x 16 references of 52 B stay below.
pub const MANIFEST_BYTES_MAX: usize = 128 << 10;
/// Envelopes that one lookup stream may ask for: 1,024 x 20 B fit the smallest stream window.
pub const LOOKUPS_MAX: usize = 1024;
/// Digests of a receipt's Merkle path: a block names at most 43,690 envelopes and as many again.
pub const PROOF_PATH_MAX: usize = 32;
/// Heights between a receipt and the manifest that names its result: results lag at most
/// `EXEC_LAG_MAX`, and a manifest may name a later height than the first that would do.
pub const PROOF_LINKS_MAX: usize = 256;
/// Manifests between the one that names the result and the one with a certificate.
pub const PROOF_MANIFESTS_MAX: usize = 256;
/// Bytes of any answer but a submit's or a feed's: room for a proof over small manifests.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
