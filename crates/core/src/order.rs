// SPDX-License-Identifier: Apache-2.0
//! An order in which rows are taken, and pieces of it whose rows different threads may write.

use std::marker::PhantomData;

use crate::geometry::Scalar;
use crate::tree::spatial_order;

/// Each number below a count, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order(Vec<u32>);

impl Order {
    /// The points of a cloud, of `d` coordinates, so that neighbours are together: every `group` of them fill a small box.
    /// Points that are not finite are the last. With more than one thread it is to be called inside a pool.
    ///
    /// # Panics
    ///
    /// From 2^32 - 1 points on.
    pub fn spatial<T: Scalar>(points: &[T], d: usize, group: usize, threads: usize) -> Self {
        assert!(points.len() / d < u32::MAX as usize, "fewer than 2^32 - 1 points");
        let mut order = spatial_order(points, d, group, threads);
        if order.len() < points.len() / d {
            let finite = |point: &[T]| point.iter().all(|value| value.is_finite());
            order.extend(
                (0..).zip(points.chunks_exact(d)).filter(|(_, point)| !finite(point)).map(|(number, _)| number),
            );
        }
        Self(order)
    }

    /// The numbers.
    pub fn numbers(&self) -> &[u32] {
        &self.0
    }

    /// Cuts the order into pieces of `size` numbers, and with it the rows of `values`, as many as there are numbers.
    ///
    /// # Panics
    ///
    /// If `values` are not rows of one size.
    pub fn rows<'a, T>(&'a self, size: usize, values: &'a mut [T]) -> impl Iterator<Item = RowsMut<'a, T>> {
        let width = values.len() / self.0.len().max(1);
        assert_eq!(width * self.0.len(), values.len(), "as many rows as numbers");
        let first = values.as_mut_ptr();
        self.0.chunks(size.max(1)).map(move |members| RowsMut { first, width, members, borrow: PhantomData })
    }
}

/// Some rows of a slice, which nobody else holds.
#[derive(Debug)]
pub struct RowsMut<'a, T> {
    first: *mut T,
    width: usize,
    members: &'a [u32],
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: it is an exclusive borrow of the rows of its members: no other piece of the order has one of them.
#[expect(unsafe_code, reason = "raw pointers are not Send by themselves")]
unsafe impl<T: Send> Send for RowsMut<'_, T> {}

impl<T> RowsMut<'_, T> {
    /// The numbers of the rows.
    pub fn members(&self) -> &[u32] {
        self.members
    }

    /// The row of the member at this place.
    pub fn row(&mut self, place: usize) -> &mut [T] {
        let row = self.members[place] as usize;
        // SAFETY: members are numbers of an `Order`, so below the number of rows that `Order::rows` asserted, and each is in
        // one piece alone; this borrows that piece exclusively.
        #[expect(unsafe_code, reason = "rows of a piece are not contiguous")]
        unsafe {
            std::slice::from_raw_parts_mut(self.first.add(row * self.width), self.width)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_there_once_and_those_not_finite_are_the_last() {
        let mut points: Vec<f32> = (0..300_u16).map(|i| f32::from(i * 7919 % 300)).collect();
        (points[3], points[100], points[299]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
        let order = Order::spatial(&points, 3, 8, 1);
        assert_eq!(order.numbers()[97..], [1, 33, 99]);
        let mut sorted = order.numbers().to_vec();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..100));
    }

    #[test]
    fn pieces_write_the_rows_of_their_numbers() {
        let points = [5.0_f64, 1.0, 4.0, 2.0, 3.0];
        let order = Order::spatial(&points, 1, 1, 1);
        let mut values = [0; 10];
        let mut place = 0;
        for mut rows in order.rows(2, &mut values) {
            for i in 0..rows.members().len() {
                rows.row(i).fill(place);
                place += 1;
            }
        }
        assert_eq!(values, [4, 4, 0, 0, 3, 3, 1, 1, 2, 2]);
    }

    #[test]
    #[should_panic(expected = "as many rows as numbers")]
    fn rows_must_fit() {
        let _ = Order::spatial(&[1.0_f32, 2.0], 1, 1, 1).rows(1, &mut [0; 3]).count();
    }
}
