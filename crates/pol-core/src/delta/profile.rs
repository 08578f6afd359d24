//! The two record layouts, one of which a chain chooses at genesis (section 14.1).

/// Bytes of a record in both profiles.
pub const RECORD_BYTES: usize = 64;
/// Positions of the larger record.
pub(crate) const MAX_POSITIONS: usize = 48;

/// How a record of 64 bytes spends its space. Fixed for a chain by genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// 20 positions with an FP16 value each.
    F16x20,
    /// 48 positions with a two-bit code each and one FP16 scale.
    Q2x48,
}

impl Profile {
    /// Byte in a container's header and in the canonical genesis (section 2.1).
    pub const fn byte(self) -> u8 {
        match self {
            Self::F16x20 => 1,
            Self::Q2x48 => 2,
        }
    }

    /// The profile of a byte, `None` for any byte but 1 and 2.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::F16x20),
            2 => Some(Self::Q2x48),
            _ => None,
        }
    }

    /// Positions in a record.
    pub const fn positions(self) -> usize {
        match self {
            Self::F16x20 => 20,
            Self::Q2x48 => 48,
        }
    }
}
