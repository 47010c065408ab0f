// SPDX-License-Identifier: Apache-2.0
//! The segmented reduction of the core: its kernels have the bits of its CPU path, in every order of threads and blocks.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use patina3d_core::geometry::Scalar;
use patina3d_core::launch::Params;
use patina3d_core::segments::{self, Reduction, Rows, Segments, SegmentsParams};
use patina3d_core::{Gpu, scan};
use support::{ORDERS, Random, Sparse, emulated_end, emulated_gpu, pointer};

const HOW: [Reduction; 3] = [Reduction::Sum, Reduction::Min, Reduction::Max];

/// A problem: numbers, the row of each entry, where segments begin, numbers of a row.
struct Problem<T> {
    values: Vec<T>,
    index: Option<Vec<i64>>,
    first: Vec<u64>,
    components: usize,
}

impl<T: Scalar> Problem<T> {
    fn new(sizes: &[usize], components: usize, indexed: bool, random: &mut Random) -> Self {
        let sizes: Vec<u64> = sizes.iter().map(|&size| size as u64).collect();
        let first = scan::exclusive(&sizes, 1);
        let entries = first[sizes.len()] as usize;
        let rows = if indexed { 100 } else { entries };
        let index = indexed.then(|| (0..entries).map(|_| (random.next() % rows as u64) as i64).collect());
        Self { values: random.numbers(rows * components, -1.0, 1.0), index, first, components }
    }

    fn on_cpu(&self, how: Reduction) -> Vec<T> {
        segments::reduce(how, &self.values, self.index.as_deref(), &self.first, self.components, 1).unwrap()
    }

    fn on_device(&mut self, gpu: Gpu, how: Reduction) -> Vec<T> {
        let segments = self.first.len() - 1;
        let entries = self.first[segments] as usize;
        let mut out = vec![T::of(9.0); segments * self.components];
        let mut scratch = vec![T::of(f64::NAN); segments::bytes(entries, self.components)];
        let rows = Rows {
            values: pointer(&mut self.values),
            index: self.index.as_mut().map(|index| pointer(index)),
            entries,
            components: self.components,
        };
        let (first, to, memory) = (pointer(&mut self.first), pointer(&mut out), pointer(&mut scratch));
        segments::launch::<T>(gpu, how, rows, first, segments, to, memory).unwrap();
        out
    }

    fn agrees(&mut self, what: &str) {
        for how in HOW {
            let expected = self.on_cpu(how);
            for order in ORDERS {
                let got = self.on_device(emulated_gpu(order), how);
                let same = got.iter().zip(&expected).all(|(a, b)| a.to_f64().to_bits() == b.to_f64().to_bits());
                assert!(same && got.len() == expected.len(), "{what}, {how:?}, {order:?}");
            }
        }
    }
}

#[test]
fn the_params_have_one_layout() {
    for (name, layout) in [(Segments::NAME, Segments::layout()), (SegmentsParams::NAME, SegmentsParams::layout())] {
        let rust: Vec<_> = layout.into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
        assert_eq!(patina3d_emulator::layout(name).unwrap(), rust);
    }
}

#[test]
fn segments_of_every_length_side_by_side() {
    let mut random = Random(3);
    let sizes = [0, 1, 2, 255, 256, 257, 258, 300, 511, 512, 513, 1000];
    for round in 0..10 {
        let sizes: Vec<usize> = (0..30).map(|_| random.pick(&sizes)).collect();
        for (components, indexed) in [(1, false), (3, true)] {
            let what = format!("round {round}, {components} components");
            Problem::<f32>::new(&sizes, components, indexed, &mut random).agrees(&what);
        }
        Problem::<f64>::new(&sizes, 2, false, &mut random).agrees(&format!("round {round}"));
    }
}

#[test]
fn no_segments_and_no_entries() {
    let mut random = Random(4);
    for sizes in [&[][..], &[0], &[0, 0, 0]] {
        Problem::<f32>::new(sizes, 2, false, &mut random).agrees("nothing");
    }
}

#[test]
fn one_segment_of_all_entries() {
    Problem::<f32>::new(&[100_000], 1, false, &mut Random(5)).agrees("one segment");
}

#[test]
fn a_segment_sums_up_alike_wherever_it_lies() {
    let mut random = Random(6);
    let alone = Problem::<f32>::new(&[1234], 1, false, &mut random);
    let expected = alone.on_cpu(Reduction::Sum)[0];
    for before in [1, 100, 255, 256, 999] {
        let mut beside = Problem::<f32>::new(&[before, 1234, 77], 1, false, &mut random);
        beside.values[before..before + 1234].copy_from_slice(&alone.values);
        let got = beside.on_device(emulated_gpu(ORDERS[2]), Reduction::Sum)[1];
        assert_eq!(got.to_bits(), expected.to_bits(), "after {before} entries");
    }
}

#[test]
fn what_is_not_finite_arrives() {
    let mut random = Random(7);
    let mut problem = Problem::<f64>::new(&[3, 600, 4], 1, false, &mut random);
    for (at, value) in [(1, f64::NAN), (400, f64::NAN), (604, f64::INFINITY), (605, f64::NEG_INFINITY)] {
        problem.values[at] = value;
    }
    for how in HOW {
        let got = problem.on_device(emulated_gpu(ORDERS[1]), how);
        assert!(got[0].is_nan() && got[1].is_nan(), "{how:?}");
        assert_eq!(got[2].to_bits() << 1, problem.on_cpu(how)[2].to_bits() << 1, "{how:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn more_entries_than_32_bits_can_number() {
    let count = (1 << 32) + 100;
    let (mut values, mut chunks) = (Sparse::<f32>::new(count), Sparse::<f32>::new(segments::bytes(count, 1)));
    let (mut first, mut out) = ([0, 3, count as u64], [9.0_f32; 2]);
    values.all_mut()[..3].copy_from_slice(&[1.0, 2.0, 4.0]);
    values.end(300).fill(0.5);
    emulated_end(ORDERS[0], 8);
    let rows = Rows { values: pointer(values.all_mut()), index: None, entries: count, components: 1 };
    let (first, to, memory) = (pointer(&mut first), pointer(&mut out), pointer(chunks.all_mut()));
    segments::launch::<f32>(Gpu::Emulated, Reduction::Sum, rows, first, 2, to, memory).unwrap();
    assert_eq!(out.map(f32::to_bits), [7.0_f32, 150.0].map(f32::to_bits));
}
