//! A record: the changes of one chunk in 64 bytes (section 14.1). Positions are Elias-Fano coded: low parts, then a unary part.

use super::{
    elias_fano,
    error::{DeltaError, ScaleFault},
    fp16,
    profile::{MAX_POSITIONS, Profile, RECORD_BYTES},
};
use crate::state::CHUNK_VALUES;

pub(super) type Bytes = [u8; RECORD_BYTES];

const F16_VALUES_AT: usize = elias_fano::F16X20_BYTES;
const Q2_SCALE_AT: usize = elias_fano::Q2X48_BYTES;
const Q2_CODES_AT: usize = Q2_SCALE_AT + 2;
/// The lower bit of each of the 48 codes, which are the last 12 bytes.
const ALL_CODES: u128 = 0x5555_5555_5555_5555_5555_5555;
const _: () = assert!(Q2_CODES_AT + 12 == RECORD_BYTES);

/// One decoded record, on the stack. Only the first `len` places mean something.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    positions: [u16; MAX_POSITIONS],
    values: [i32; MAX_POSITIONS],
    len: usize,
}

impl Record {
    pub(super) const EMPTY: Self = Self { positions: [0; MAX_POSITIONS], values: [0; MAX_POSITIONS], len: 0 };

    /// Decodes a record that [`check`] accepted.
    pub(super) fn read(&mut self, profile: Profile, record: &Bytes) {
        match profile {
            Profile::F16x20 => {
                copy(&mut self.positions, &elias_fano::read_f16x20(record).positions);
                for (value, bits) in self.values.iter_mut().zip(f16_values(record)) {
                    *value = narrow(fp16::to_units(bits).unwrap_or(0));
                }
            }
            Profile::Q2x48 => {
                copy(&mut self.positions, &elias_fano::read_q2x48(record).positions);
                let levels = scaled_levels(fp16::to_units(q2_scale(record)).unwrap_or(0)).map(narrow);
                for (value, code) in self.values.iter_mut().zip(q2_codes(record)) {
                    *value = levels.get(code).copied().unwrap_or(0);
                }
            }
        }
        self.len = profile.positions();
    }

    /// (position, value) by increasing position.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u16, i32)> {
        self.positions.iter().copied().zip(self.values.iter().copied()).take(self.len)
    }

    /// Place `i` as (position, value).
    pub(super) fn get(&self, i: usize) -> Option<(u16, i32)> {
        if i >= self.len {
            return None;
        }
        Some((*self.positions.get(i)?, *self.values.get(i)?))
    }
}

/// Checks everything section 14.1 asks of a record of a chunk of `length` values.
pub(super) fn check(profile: Profile, record: &Bytes, chunk: u32, length: u32) -> Result<(), DeltaError> {
    match profile {
        Profile::F16x20 => {
            elias_fano::read_f16x20(record).check(chunk, length)?;
            let accepted = f16_values(record).fold(true, |all, bits| all & fp16::is_value(bits));
            if accepted {
                return Ok(());
            }
            let bits = f16_values(record).find(|bits| !fp16::is_value(*bits)).unwrap_or(0);
            Err(DeltaError::Value { chunk, bits, fault: fp16::value_fault(bits) })
        }
        Profile::Q2x48 => {
            elias_fano::read_q2x48(record).check(chunk, length)?;
            check_scale(record).map_err(|fault| DeltaError::Scale { chunk, bits: q2_scale(record), fault })
        }
    }
}

fn check_scale(record: &Bytes) -> Result<(), ScaleFault> {
    let scale = fp16::scale(q2_scale(record))?;
    let limit = i64::from(fp16::MAGNITUDE_LIMIT);
    // Codes 0 and 3 double the scale: their two bits are equal. All 48 are compared at once.
    let codes = record.last_chunk().map_or(0, |last| u128::from_le_bytes(*last)) >> 32;
    let single = (codes ^ codes >> 1) & ALL_CODES;
    // Below 32.0 no code can reach 64.0.
    if scale >= limit || (single != ALL_CODES && scale >= limit >> 1) {
        return Err(ScaleFault::TooLarge);
    }
    if single == 0 { Err(ScaleFault::NotLeast) } else { Ok(()) }
}

/// Writes a record of profile 1: strictly increasing positions below 4,096, values as FP16 bits.
pub(super) fn write_f16x20(positions: &[u16; 20], bits: &[u16; 20]) -> Bytes {
    let mut record = [0; RECORD_BYTES];
    elias_fano::write_f16x20(&mut record, positions);
    let (places, _) = record.split_at_mut(F16_VALUES_AT).1.as_chunks_mut::<2>();
    for (place, value) in places.iter_mut().zip(bits) {
        *place = value.to_le_bytes();
    }
    record
}

/// Writes a record of profile 2: strictly increasing positions below 4,096, the scale as FP16 bits, codes 0..=3.
pub(super) fn write_q2x48(positions: &[u16; 48], scale: u16, codes: &[u8; 48]) -> Bytes {
    let mut record = [0; RECORD_BYTES];
    elias_fano::write_q2x48(&mut record, positions);
    let (scale_place, code_places) = record.split_at_mut(Q2_SCALE_AT).1.split_at_mut(2);
    scale_place.copy_from_slice(&scale.to_le_bytes());
    for (place, four) in code_places.iter_mut().zip(codes.chunks(4)) {
        *place = four.iter().rev().fold(0, |byte, code| byte << 2 | (code & 3));
    }
    record
}

/// The record that holds exactly these (flat index, units) pairs of a chunk of `length` values, if there is one.
pub(super) fn exact(profile: Profile, group: &[(u32, i32)], chunk: u32, length: u32) -> Option<Bytes> {
    let record = match profile {
        Profile::F16x20 => {
            let group: &[_; 20] = group.try_into().ok()?;
            write_f16x20(&group.map(|(index, _)| position(index)), &group.map(|(_, value)| fp16::nearest_signed(value)))
        }
        Profile::Q2x48 => {
            let group: &[_; 48] = group.try_into().ok()?;
            let least = group.iter().map(|(_, value)| value.unsigned_abs()).min()?;
            let codes = group.map(|(_, value)| q2_code(value < 0, value.unsigned_abs() != least));
            write_q2x48(&group.map(|(index, _)| position(index)), fp16::nearest(u64::from(least), fp16::MAX_VALUE), &codes)
        }
    };
    check(profile, &record, chunk, length).ok()?;
    let mut read = Record::EMPTY;
    read.read(profile, &record);
    let same = read.entries().eq(group.iter().map(|(index, value)| (position(*index), *value)));
    same.then_some(record)
}

/// Place of a flat index in its chunk.
fn position(index: u32) -> u16 {
    u16::try_from(index % CHUNK_VALUES).unwrap_or(0)
}

fn f16_values(record: &Bytes) -> impl Iterator<Item = u16> {
    record.split_at(F16_VALUES_AT).1.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair))
}

fn q2_scale(record: &Bytes) -> u16 {
    record.split_at(Q2_SCALE_AT).1.first_chunk().map_or(0, |pair| u16::from_le_bytes(*pair))
}

fn q2_codes(record: &Bytes) -> impl Iterator<Item = usize> {
    record
        .split_at(Q2_CODES_AT)
        .1
        .iter()
        .flat_map(|byte| [0, 2, 4, 6].map(|shift: u32| usize::from(byte.wrapping_shr(shift) & 3)))
}

/// The code of a value: its sign, and whether it is two scales or one.
pub(super) const fn q2_code(negative: bool, twice: bool) -> u8 {
    match (negative, twice) {
        (true, true) => 0,
        (true, false) => 1,
        (false, false) => 2,
        (false, true) => 3,
    }
}

/// 0 = -2s, 1 = -s, 2 = +s, 3 = +2s.
const fn scaled_levels(scale: i64) -> [i64; 4] {
    let double = scale.wrapping_mul(2);
    [double.wrapping_neg(), scale.wrapping_neg(), scale, double]
}

/// Checked values are below 2^30; a level that no code uses may be larger and is never looked at.
fn narrow(units: i64) -> i32 {
    i32::try_from(units).unwrap_or(0)
}

fn copy<const K: usize>(to: &mut [u16; MAX_POSITIONS], from: &[u16; K]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
