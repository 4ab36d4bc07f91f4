//! Why a frame or an envelope leaves before it is ordered; each reason has its counter.

use crate::code::ResultCode;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident => $code:ident;)+) => {
        /// An early way out; answered with height 0.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl DropReason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code that the member is answered.
            #[must_use]
            pub fn code(self) -> ResultCode {
                match self {
                    $(Self::$name => ResultCode::$code,)+
                }
            }

            /// What happened.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }

            /// The reason that stands for a refusal with this code, if one does.
            #[must_use]
            pub fn of(code: ResultCode) -> Option<Self> {
                match code {
                    // A key that is not there is as unknown as a signer who is not.
                    ResultCode::KeySlotEmpty => Some(Self::UnknownSigner),
                    _ => Self::ALL.iter().copied().find(|reason| reason.code() == code),
                }
            }

            /// Name of the reason in metrics.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

reasons! {
    /// The stream announced more envelopes than one stream may carry.
    Oversize => Oversize;
    /// The stream ended early, or its header is not a submit header.
    Malformed => Malformed;
    /// The signer is not registered, or its key slot is empty.
    UnknownSigner => SignerUnknown;
    /// The member is above its contracted rate.
    RateLimited => RateLimited;
    /// The signature does not verify.
    BadSignature => BadSignature;
    /// The envelope expired before it was verified.
    Expired => Expired;
    /// A chain is broken already inside its frame.
    ChainBroken => ChainBroken;
    /// The node is stopping.
    Stopping => Unavailable;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_leads_back_to_its_reason_and_an_empty_slot_to_the_unknown_signer() {
        for &reason in DropReason::ALL {
            assert_eq!(DropReason::of(reason.code()), Some(reason));
        }
        let empty = DropReason::of(ResultCode::KeySlotEmpty);
        assert_eq!(empty, Some(DropReason::UnknownSigner));
        assert_eq!(DropReason::of(ResultCode::VersionUnknown), None);
    }
}
