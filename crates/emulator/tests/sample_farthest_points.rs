// SPDX-License-Identifier: Apache-2.0
//! What `cuda.rs` and `sample_farthest_points.h` both assume, and kernels against the CPU: the same choices.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use patina3d_core::Device;
use patina3d_core::geometry::Scalar;
use patina3d_core::launch::Params;
use patina3d_ops::sample_farthest_points::{self as sampling, Inputs, Outputs, SampleFarthestPointsParams};
use support::{ORDERS, Random, emulated, tensor, tensor_mut};

#[test]
fn the_params_have_one_layout() {
    let layout = patina3d_emulator::layout(SampleFarthestPointsParams::NAME).unwrap();
    let rust: Vec<_> =
        SampleFarthestPointsParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}

/// Three clouds of `p` points, from which up to `k` are chosen.
struct Problem<T> {
    points: Vec<T>,
    lengths: [i64; 3],
    counts: [i64; 3],
    start: [i64; 3],
    p: usize,
    d: usize,
    k: usize,
}

impl<T: Scalar> Problem<T> {
    /// Half of the points are anywhere, half on a lattice; one is not finite.
    fn new(random: &mut Random, p: usize, d: usize, k: usize) -> Self {
        let mut points = random.numbers::<T>(3 * p * d, -1.0, 1.0);
        for value in &mut points[p * d / 2..] {
            *value = T::of((value.to_f64() * 3.0).round());
        }
        points[p * d / 3] = random.pick(&[T::INFINITY, T::of(f64::NAN)]);
        let (p_most, k_most) = (p as i64, k as i64);
        Self {
            points,
            lengths: [p_most, p_most - 37, 2],
            counts: [k_most, k_most - 1, k_most],
            start: [p_most - 1, 5, 0],
            p,
            d,
            k,
        }
    }

    fn choose(&self, device: Device) -> Vec<i64> {
        let x = Inputs {
            points: tensor(&self.points, &[3, self.p, self.d], device),
            lengths: Some(tensor(&self.lengths, &[3], device)),
            counts: Some(tensor(&self.counts, &[3], device)),
            start: Some(tensor(&self.start, &[3], device)),
            k: self.k,
        };
        let mut idx = vec![i64::MIN; 3 * self.k];
        // Nobody clears scratch memory.
        let bytes = sampling::scratch_bytes(&x, sampling::check(&x).unwrap());
        let mut memory = vec![0xAA_u8; bytes + 16];
        let at = memory.as_ptr().align_offset(16);
        let memory = &mut memory[at..at + bytes];
        let mut out =
            Outputs { idx: tensor_mut(&mut idx, &[3, self.k], device), scratch: tensor_mut(memory, &[bytes], device) };
        sampling::forward(&x, &mut out).unwrap();
        idx
    }
}

fn kernels_choose_what_the_cpu_chooses<T: Scalar>() {
    let mut random = Random(11);
    for (p, d, k) in [(40, 3, 70), (700, 2, 60), (1100, 3, 20), (4500, 3, 9), (4500, 5, 9), (8300, 3, 6), (8300, 1, 6)]
    {
        let problem = Problem::<T>::new(&mut random, p, d, k);
        let want = problem.choose(Device::SERIAL);
        for order in ORDERS {
            assert_eq!(problem.choose(emulated(order)), want, "{p} points, {d} axes, {order:?}");
        }
    }
}

#[test]
fn kernels_choose_what_the_cpu_chooses_in_float32() {
    kernels_choose_what_the_cpu_chooses::<f32>();
}

#[test]
fn kernels_choose_what_the_cpu_chooses_in_float64() {
    kernels_choose_what_the_cpu_chooses::<f64>();
}
