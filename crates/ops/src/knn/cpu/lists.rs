// SPDX-License-Identifier: Apache-2.0
//! The best candidates of a query.

use patina3d_core::geometry::lesser;

use super::{GROUP, Number};

/// The best candidates so far, as keys in the order (distance, index).
pub(super) trait List<T: Number> {
    /// For the best K of those below `worst`.
    fn new(k: usize, worst: T) -> Self;
    /// Whether a bound on the K-th distance pays: most candidates come before the list is good.
    const NEEDS_BOUND: bool;
    /// Takes distances of different points; the K-th least of them is never below the K-th distance of all points.
    fn bound(&mut self, distances: &[T; GROUP]);
    /// Only candidates below this distance matter.
    fn worst(&self) -> T;
    /// Only candidates before this key matter.
    fn last(&self) -> T::Key;
    /// Takes a candidate whose distance is at most `worst`; says whether `worst` may have changed.
    fn offer(&mut self, key: T::Key) -> bool;
    /// At most K keys in order.
    fn finish(self) -> Vec<T::Key>;
}

/// The best `SIZE` >= K candidates, sorted; open slots hold a key that is behind all others.
pub(super) struct Sorted<T: Number, const SIZE: usize> {
    keys: [T::Key; SIZE],
    worst: T,
    k: usize,
}

impl<T: Number, const SIZE: usize> List<T> for Sorted<T, SIZE> {
    fn new(k: usize, worst: T) -> Self {
        Self { keys: [T::key(T::INFINITY, u32::MAX); SIZE], worst, k }
    }

    const NEEDS_BOUND: bool = SIZE > 1;

    #[inline(always)]
    fn bound(&mut self, distances: &[T; GROUP]) {
        // Twice SIZE bins are enough for a tight bound, and quicker to sort.
        let bins = 2 * SIZE;
        let mut sorted = Self::new(self.k, T::INFINITY);
        for bin in 0..bins {
            let least = (bin..GROUP)
                .step_by(bins)
                .fold(T::INFINITY, |least, i| if distances[i] < least { distances[i] } else { least });
            sorted.offer(T::key(least, 0));
        }
        // A candidate must be strictly below `worst`, and the K-th may lie on the bound.
        self.worst = lesser(sorted.worst.next_up(), self.worst);
    }

    #[inline(always)]
    fn worst(&self) -> T {
        self.worst
    }

    #[inline(always)]
    fn last(&self) -> T::Key {
        self.keys[(self.k - 1) % SIZE]
    }

    /// Each slot keeps its key, or takes its left neighbour's or the candidate: no branch, and no slot waits for another.
    #[inline(always)]
    fn offer(&mut self, key: T::Key) -> bool {
        let old = self.keys;
        for slot in 1..SIZE {
            self.keys[slot] = old[slot].min(key).max(old[slot - 1]);
        }
        self.keys[0] = old[0].min(key);
        let last = T::distance(self.keys[(self.k - 1) % SIZE]);
        let stricter = last < self.worst;
        self.worst = if stricter { last } else { self.worst };
        stricter
    }

    fn finish(self) -> Vec<T::Key> {
        let open = T::key(T::INFINITY, u32::MAX);
        self.keys.into_iter().filter(|&key| key != open).take(self.k).collect()
    }
}

/// Up to twice K candidates in any order; when there are so many, the best K are selected.
pub(super) struct Selection<T: Number> {
    keys: Vec<T::Key>,
    last: T::Key,
    k: usize,
}

impl<T: Number> List<T> for Selection<T> {
    fn new(k: usize, worst: T) -> Self {
        Self { keys: Vec::new(), last: T::key(worst, u32::MAX), k }
    }

    const NEEDS_BOUND: bool = false;

    fn bound(&mut self, _: &[T; GROUP]) {}

    #[inline(always)]
    fn worst(&self) -> T {
        T::distance(self.last)
    }

    #[inline(always)]
    fn last(&self) -> T::Key {
        self.last
    }

    #[inline(always)]
    fn offer(&mut self, key: T::Key) -> bool {
        if key >= self.last {
            return false;
        }
        self.keys.push(key);
        let full = self.keys.len() == 2 * self.k;
        if full {
            let (_, &mut last, _) = self.keys.select_nth_unstable(self.k - 1);
            self.last = last;
            self.keys.truncate(self.k);
        }
        full
    }

    fn finish(mut self) -> Vec<T::Key> {
        self.keys.sort_unstable();
        self.keys.truncate(self.k);
        self.keys
    }
}
