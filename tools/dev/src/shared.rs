//! Sources of `tools/load` that the checks share, without what that crate depends on.

#[path = "../../load/src/digest.rs"]
#[allow(
    unreachable_pub,
    reason = "the digest of `clearway bench compare`, public there"
)]
pub(crate) mod digest;
#[path = "../../load/src/distinct.rs"]
#[allow(
    unreachable_pub,
    reason = "the reader of `clearway bench compare`, public there"
)]
pub(crate) mod distinct;
#[path = "../../load/src/sums.rs"]
#[allow(
    unreachable_pub,
    reason = "the sums of `clearway bench compare`, public there"
)]
pub(crate) mod sums;

// Of the digest, whose source stands elsewhere.
use sha2 as _;
