//! From training to a container, and what the container leaves behind.
//!
//! # Contract
//! A training's difference is taken in units of 2^-24 between the adapter as it was loaded and the adapter as it is, so that nothing but
//! training is in it. A container carries the largest values only (section 14.2 of docs/PROTOCOL.md); a [`Residual`] keeps what was left out
//! or rounded off, to the last unit, for the next one. Every container goes through the decoder that peers use before anybody sees it.
//!
//! # What it does not protect against
//! A container that is well made and worthless: the gate judges that.

use ed25519_dalek::SigningKey;
use pol_core::{
    delta::{Change, Checked, CheckedDelta, Claims, Context, DeltaError, EncodeError, encode},
    state::{Shape, VALUE_LIMIT, ValuesError},
};

use crate::adapter::{Adapter, AdapterError};

/// An old residual fades: of every 20 units 19 stay.
const KEPT_OF_20: i64 = 19;

/// Why there is no container.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The training has diverged.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// There is nothing to publish: the training changed too little.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Our own container is refused: our fault.
    #[error("our own delta is refused: {0}")]
    Refused(#[from] DeltaError),
    /// Two adapters of different shapes: our fault.
    #[error("adapters of different shapes: {0:?} and {1:?}")]
    Shape(Box<Shape>, Box<Shape>),
    /// Our own container is none of kind 0: our fault.
    #[error("our own delta is of another kind")]
    Kind,
}

/// What training changed, in units, flat order.
///
/// # Errors
/// [`UpdateError::Shape`], [`UpdateError::Adapter`] when a value is not finite or 64.0 and beyond.
pub fn difference(start: &Adapter, trained: &Adapter) -> Result<Vec<i32>, UpdateError> {
    if start.shape() != trained.shape() {
        return Err(UpdateError::Shape(Box::new(*start.shape()), Box::new(*trained.shape())));
    }
    // Both below 2^30.
    let pairs = start.to_units()?.into_iter().zip(trained.to_units()?);
    Ok(pairs.map(|(start, trained)| trained.wrapping_sub(start)).collect())
}

/// The largest of a change (units, flat order) as a signed container, decoded again as peers will.
///
/// # Errors
/// [`UpdateError::Encode`]: there is too little of it; [`UpdateError::Refused`].
pub fn encode_change(context: &Context, claims: &Claims, key: &SigningKey, change: &[i32]) -> Result<CheckedDelta, UpdateError> {
    match encode(context, claims, change)?.sign(key).check(context)? {
        Checked::Delta(delta) => Ok(delta),
        Checked::Merge(_) | Checked::Void(_) => Err(UpdateError::Kind),
    }
}

/// Error feedback: what was trained and is in no container yet, in units, flat order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Residual {
    shape: Shape,
    units: Vec<i32>,
}

impl Residual {
    /// Nothing.
    pub fn new(shape: Shape) -> Self {
        Self { shape, units: vec![0; shape.value_count() as usize] }
    }

    /// One that was kept.
    ///
    /// # Errors
    /// [`ValuesError`]: it is not of this shape.
    pub fn from_units(shape: Shape, units: Vec<i32>) -> Result<Self, ValuesError> {
        let expected = shape.value_count() as usize;
        if units.len() != expected {
            return Err(ValuesError::Length { found: units.len(), expected });
        }
        match units.iter().zip(0_u32..).find(|(unit, _)| unit.unsigned_abs() >= VALUE_LIMIT.unsigned_abs()) {
            Some((value, index)) => Err(ValuesError::Bound { index, value: *value }),
            None => Ok(Self { shape, units }),
        }
    }

    /// The units, to be kept.
    pub fn units(&self) -> &[i32] {
        &self.units
    }

    /// Fades by a twentieth (towards zero), then takes a training's difference up.
    ///
    /// # Errors
    /// [`ValuesError::Length`]: the difference is not of this shape.
    pub fn add(&mut self, difference: &[i32]) -> Result<(), ValuesError> {
        if difference.len() != self.units.len() {
            return Err(ValuesError::Length { found: difference.len(), expected: self.units.len() });
        }
        for (unit, new) in self.units.iter_mut().zip(difference) {
            *unit = bounded(i64::from(*unit) * KEPT_OF_20 / 20 + i64::from(*new));
        }
        Ok(())
    }

    /// The largest of it as a signed container, decoded again as peers will.
    ///
    /// # Errors
    /// [`UpdateError::Encode`]: there is too little of it; [`UpdateError::Refused`].
    pub fn encode(&self, context: &Context, claims: &Claims, key: &SigningKey) -> Result<CheckedDelta, UpdateError> {
        encode_change(context, claims, key, &self.units)
    }

    /// The same but for these flat indices, which are zero.
    pub(crate) fn without(&self, indices: &[u32]) -> Self {
        let mut rest = self.clone();
        for index in indices {
            if let Some(unit) = rest.units.get_mut(*index as usize) {
                *unit = 0;
            }
        }
        rest
    }

    /// Takes out what a container carried and the chain has added.
    pub fn subtract(&mut self, change: &Change) {
        self.put(change.iter().map(|(index, value)| (index, -i64::from(value))));
    }

    /// Puts back what was taken out, when the chain has gone back.
    pub fn give_back(&mut self, change: &Change) {
        self.put(change.iter().map(|(index, value)| (index, i64::from(value))));
    }

    fn put(&mut self, values: impl Iterator<Item = (u32, i64)>) {
        for (index, value) in values {
            if let Some(unit) = self.units.get_mut(index as usize) {
                *unit = bounded(i64::from(*unit) + value);
            }
        }
    }
}

fn bounded(units: i64) -> i32 {
    let most = i64::from(VALUE_LIMIT) - 1;
    i32::try_from(units.clamp(-most, most)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
