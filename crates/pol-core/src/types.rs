//! The 32-byte names of things, as types, so that an update id cannot stand where a model head belongs.
//!
//! All of them print as 64 lower-case hex digits and parse from exactly that (and nothing else).

use core::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

use crate::text::{self, HexError};

macro_rules! name32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// All bytes zero.
            pub const ZERO: Self = Self([0; 32]);

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// True when every byte is zero.
            pub fn is_zero(&self) -> bool {
                self.0 == [0; 32]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                text::write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            /// Parses exactly 64 lower-case hex digits, without prefix.
            fn from_str(s: &str) -> Result<Self, HexError> {
                text::lower_hex::<32>(stringify!($name), s).map(Self)
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }
    };
}

name32!(
    /// `H(container bytes)` of a PLD1 container (section 6). All zero: no update, the mark of an empty AI block.
    UpdateId
);
name32!(
    /// Name of a point in the model's history: `M_0 = genesis_id`, then one hash per accepted update (section 6).
    ModelHead
);
name32!(
    /// Merkle root of an integer model state (section 6.1).
    ResultRoot
);
name32!(
    /// Name of a chain (section 2.1).
    GenesisId
);
name32!(
    /// A root or hash of another protocol: beacon block root, execution block hash, domain, manifest hash.
    Hash32
);

impl From<GenesisId> for ModelHead {
    /// `M_0 = genesis_id`.
    fn from(id: GenesisId) -> Self {
        Self(id.0)
    }
}

/// SHA-256 over the concatenation of `parts`.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
