//! The caps on a change before any loss is measured (section 12, last bullet), exact in integers.

use std::collections::BTreeMap;

use super::change::{Change, square};
use crate::state::{Module, Shape};

/// Norms that set the cap, at most: a snapshot carries as many (section 13).
pub const NORM_WINDOW: usize = 64;
/// Norms that must be known before there is a cap.
const WARM_UP: usize = 8;
/// Layers from which the energy of a module is capped.
const MODULE_CAP_LAYERS: u32 = 8;

/// Why a change is over a cap. The author's fault; a validator abstains (section 12).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapError {
    /// The norm of the change is too large.
    #[error("norm: found {found}, expected at most {cap} (units)")]
    Norm {
        /// Norm of the change.
        found: u64,
        /// The cap.
        cap: u64,
    },
    /// One module carries more than a quarter of the energy.
    #[error("layer {} {:?}: energy {energy}, expected at most a quarter of {total}", module.layer, module.projection)]
    Module {
        /// The module.
        module: Module,
        /// Its sum of squares.
        energy: u128,
        /// The sum of squares of the whole change.
        total: u128,
    },
    /// The change reaches beyond the shape: it was checked against another one. Our fault.
    #[error("index {index}: not in the adapter")]
    Index {
        /// Flat index.
        index: u32,
    },
}

/// The largest norm allowed: 3 times the lower median of the last 64 of `added` (oldest first); `None` below 8 of them.
///
/// `added` holds the norms of the changes that were really added to the state on this branch of the chain (see
/// [`crate::state::Outcome::Added`]): accepted updates that were voids or added zero have no place in it. A void takes none out, for
/// what it returns from was added; a reorg does, with every change that it undoes. A node that starts from a snapshot finds them there.
pub fn norm_cap(added: &[u64]) -> Option<u64> {
    if added.len() < WARM_UP {
        return None;
    }
    let mut last: Vec<u64> = added.iter().rev().take(NORM_WINDOW).copied().collect();
    last.sort_unstable();
    lower_median(&last).map(|median| median.saturating_mul(3))
}

/// The lower median of a sorted list.
pub(crate) fn lower_median(sorted: &[u64]) -> Option<u64> {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

/// Checks a norm (see [`Change::norm`]) against the norms of the changes that were added, oldest first (see [`norm_cap`]).
///
/// # Errors
/// [`CapError::Norm`].
pub fn check_norm_cap(norm: u64, added: &[u64]) -> Result<(), CapError> {
    match norm_cap(added) {
        Some(cap) if norm > cap => Err(CapError::Norm { found: norm, cap }),
        _ => Ok(()),
    }
}

/// Checks that no module has more than 25 % of the sum of squares; nothing is asked of models below 8 layers.
///
/// # Errors
/// [`CapError::Module`] names the module with the most energy (ties: the first); [`CapError::Index`] a foreign shape.
pub fn check_module_cap(change: &Change, shape: &Shape) -> Result<(), CapError> {
    if shape.layers() < MODULE_CAP_LAYERS {
        return Ok(());
    }
    let mut energies: BTreeMap<Module, u128> = BTreeMap::new();
    let mut total = 0_u128;
    for (index, value) in change {
        let (module, _) = shape.module_of(index).ok_or(CapError::Index { index })?;
        let energy = u128::from(square(value));
        // At most 2^28 squares below 2^60.
        total = total.saturating_add(energy);
        let sum = energies.entry(module).or_default();
        *sum = sum.saturating_add(energy);
    }
    let most = energies.into_iter().rev().max_by_key(|(_, energy)| *energy);
    match most {
        Some((module, energy)) if energy.saturating_mul(4) > total => Err(CapError::Module { module, energy, total }),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use crate::{delta::SparseChange, state::Projection};

    #[test]
    fn there_is_no_norm_cap_before_eight_changes_were_added() {
        assert_eq!(norm_cap(&[1; 7]), None);
        assert_eq!(check_norm_cap(u64::MAX, &[1; 7]), Ok(()));
        assert_eq!(norm_cap(&[1; 8]), Some(3));
        assert_eq!(check_norm_cap(3, &[1; 8]), Ok(()));
        assert_eq!(check_norm_cap(4, &[1; 8]), Err(CapError::Norm { found: 4, cap: 3 }));
    }

    #[test]
    fn the_norm_cap_takes_the_lower_median_of_the_last_64() {
        assert_eq!(norm_cap(&[8, 7, 6, 5, 4, 3, 2, 1]), Some(12));
        assert_eq!(norm_cap(&[9, 8, 7, 6, 5, 4, 3, 2, 1]), Some(15));
        let mut norms = vec![1_000_000; 100];
        norms.extend([5; 64]);
        assert_eq!(norm_cap(&norms), Some(15));
        norms.truncate(100 + 31);
        assert_eq!(norm_cap(&norms), Some(3_000_000));
        norms.push(5);
        assert_eq!(norm_cap(&norms), Some(15));
        assert_eq!(norm_cap(&[u64::MAX; 8]), Some(u64::MAX));
    }

    fn change(list: &[(u32, i32)]) -> Change {
        SparseChange::new(list.to_vec()).unwrap().into()
    }

    #[test]
    fn a_module_may_hold_a_quarter_of_the_energy_and_no_more() {
        let shape = Shape::new(8, 4, 4, 4, 4).unwrap();
        // A of q in layers 0 to 3: one value of 2 each, a quarter of the energy each.
        let layer = 7 * 8 * 4;
        let even = [(0, 2), (layer, -2), (2 * layer, 2), (3 * layer, 2)];
        assert_eq!(check_module_cap(&change(&even), &shape), Ok(()));
        let mut uneven = even;
        uneven[1].1 = -3;
        let module = Module { layer: 1, projection: Projection::Q };
        assert_eq!(check_module_cap(&change(&uneven), &shape), Err(CapError::Module { module, energy: 9, total: 21 }));
        assert_eq!(check_module_cap(&change(&uneven), &Shape::new(7, 4, 4, 4, 4).unwrap()), Ok(()));
        assert_eq!(check_module_cap(&change(&[]), &shape), Ok(()));
    }

    #[test]
    fn both_factors_of_a_projection_count_together() {
        let shape = Shape::new(8, 4, 4, 4, 4).unwrap();
        let (layer, b) = (7 * 8 * 4, shape.a_count());
        // Spread over five modules; only A and B of layer 0's q together exceed a quarter.
        let list = [(0, 2), (layer, 2), (2 * layer, 2), (3 * layer, 2), (b, 2)];
        let module = Module { layer: 0, projection: Projection::Q };
        assert_eq!(check_module_cap(&change(&list), &shape), Err(CapError::Module { module, energy: 8, total: 20 }));
    }

    #[test]
    fn a_change_of_another_shape_is_our_mistake() {
        let shape = Shape::new(8, 4, 4, 4, 4).unwrap();
        let index = shape.value_count();
        assert_eq!(check_module_cap(&change(&[(index, 1)]), &shape), Err(CapError::Index { index }));
    }
}
