// SPDX-License-Identifier: Apache-2.0
//! The inverse by counting.

use crate::scan;

/// The pairs of each target: where they begin, then the pairs themselves, those of a target in ascending order. A pair
/// whose target is outside `0..targets` has none.
///
/// ```
/// let (first, pairs) = patina3d_core::inverse::pairs_of_targets(&[2, 0, -1, 2], 3);
/// assert_eq!(first, [0, 1, 1, 3]);
/// assert_eq!(pairs, [1, 0, 3]);
/// ```
pub fn pairs_of_targets(targets_of_pairs: &[i64], targets: usize) -> (Vec<u64>, Vec<u64>) {
    let target_of = |target: i64| usize::try_from(target).ok().filter(|&target| target < targets);
    let mut counts = vec![0_u64; targets];
    for target in targets_of_pairs.iter().filter_map(|&target| target_of(target)) {
        counts[target] += 1;
    }
    let first = scan::exclusive(&counts, 1);
    let mut next = first.clone();
    let mut pairs = vec![0; first[targets] as usize];
    for (pair, &target) in targets_of_pairs.iter().enumerate() {
        if let Some(target) = target_of(target) {
            pairs[next[target] as usize] = pair as u64;
            next[target] += 1;
        }
    }
    (first, pairs)
}
