// SPDX-License-Identifier: Apache-2.0
//! Morton codes: the kernels have the bits of the CPU path.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use patina3d_core::DevicePtr;
use patina3d_core::geometry::Scalar;
use patina3d_core::launch::Params;
use patina3d_core::morton::{self, MortonParams, bits_per_axis, code};
use patina3d_core::sort::Key;
use support::{ORDERS, Random, emulated_gpu, pointer};

const SPECIAL: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e-30, 1e30, -3e38];

fn agrees<T: Scalar, C: Key, const D: usize>(random: &mut Random) {
    for scale in [1e-30, 1.0, 1e30] {
        let mut points: Vec<T> = random.numbers(D * 500, -1.5 * scale, 1.5 * scale);
        for _ in 0..100 {
            let at = (random.next() % points.len() as u64) as usize;
            points[at] = T::of(random.pick(&SPECIAL));
        }
        let low: [T; D] = std::array::from_fn(|_| T::of(random.uniform(-scale, 0.0)));
        let mut high: [T; D] = std::array::from_fn(|_| T::of(random.uniform(0.0, scale)));
        for flat in 0..=D {
            // Along the last axes.
            high[D - flat..].copy_from_slice(&low[D - flat..]);
            let mut bounds = [low, high].concat();
            let bits = bits_per_axis::<C>(D as u32);
            let expected: Vec<u64> = points
                .chunks_exact(D)
                .map(|point| code(std::array::from_fn(|axis| point[axis]), low, high, bits))
                .collect();
            let off_curve = 1 << (D as u32 * bits);
            assert!(expected.contains(&off_curve));
            assert!(flat == D || expected.iter().any(|&code| code > 0 && code + 1 < off_curve));
            for order in ORDERS {
                let mut codes = vec![C::default(); 500];
                let (from, bounds, to) = (pointer(&mut points), pointer(&mut bounds), pointer(&mut codes));
                morton::launch::<T, C>(emulated_gpu(order), from, bounds, D as u32, 500, to).unwrap();
                let codes: Vec<u64> = codes.into_iter().map(Key::wide).collect();
                assert_eq!(codes, expected, "{D} dimensions, {flat} flat, {bits} bits, scale {scale}, {order:?}");
            }
        }
    }
}

#[test]
fn the_params_have_one_layout() {
    let layout = patina3d_emulator::layout(MortonParams::NAME).unwrap();
    let rust: Vec<_> = MortonParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}

#[test]
fn codes_have_the_bits_of_the_cpu() {
    let mut random = Random(23);
    agrees::<f32, u32, 2>(&mut random);
    agrees::<f32, u32, 3>(&mut random);
    agrees::<f32, u64, 2>(&mut random);
    agrees::<f32, u64, 3>(&mut random);
    agrees::<f64, u32, 2>(&mut random);
    agrees::<f64, u32, 3>(&mut random);
    agrees::<f64, u64, 2>(&mut random);
    agrees::<f64, u64, 3>(&mut random);
}

#[test]
fn other_dimensions_are_an_error() {
    let [points, bounds, codes] = [DevicePtr::default(); 3];
    let gpu = emulated_gpu(ORDERS[0]);
    let error = morton::launch::<f32, u32>(gpu, points, bounds, 4, 1, codes).unwrap_err();
    assert!(error.to_string().contains("2 or 3 dimensions"), "{error}");
}
