// SPDX-License-Identifier: Apache-2.0
//! `geometry.cuh` against `geometry.rs`, function by function and bit by bit.
#![expect(clippy::unwrap_used, reason = "a test")]

use patina3d_core::geometry::{
    Scalar, barycentric_coordinates, barycentric_coordinates_backward, clip_barycentric, clip_barycentric_backward,
    dot3, edge_function, edge_function_backward, greater, lesser, magnitude, perspective_correct,
    perspective_correct_backward, pixel_center, point_segment_dist2, point_segment_dist2_backward,
    point_triangle_dist2, point_triangle_dist2_backward,
};
use patina3d_core::{DevicePtr, launch::Params};
use patina3d_emulator::{Order, launch_in};

patina3d_core::shared_struct! {
    /// `device_math.h` says what each field is.
    pub struct EmulatorDeviceMathParams {
        pub cases: DevicePtr,
        pub pixels: DevicePtr,
        pub results: DevicePtr,
        pub num_cases: i64,
        pub num_results: i64,
    }
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const NUMBERS: usize = 17;
/// Where formulas change branch, cancel, underflow, overflow or are not numbers.
const SPECIAL: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1e-8,
    -1e-8,
    1e-5,
    9.999_999_9e-9,
    1e-20,
    1e-40,
    1e15,
    -1e19,
    1e30,
    f64::INFINITY,
    f64::NAN,
];

/// Ordinary triangles; slivers and repeated vertices; special numbers anywhere.
fn case(random: &mut Random, kind: usize) -> [f64; NUMBERS] {
    let scale = 10_f64.powi(random.below(7) as i32 - 4);
    let mut numbers = std::array::from_fn(|_| scale * (2.0 * random.uniform() - 1.0));
    match kind % 4 {
        0 => {}
        1 => {
            // The vertices at 2.., 4.. and 6..: two the same, all the same, or on a line through p.
            match random.below(3) {
                0 => numbers.copy_within(2..4, 4),
                1 => {
                    numbers.copy_within(2..4, 4);
                    numbers.copy_within(2..4, 6);
                }
                _ => {
                    let direction = [numbers[4], numbers[5]];
                    for (i, step) in [0.0, 1.0, 2.0, 3.0].into_iter().enumerate() {
                        numbers[2 * i] = step * direction[0];
                        numbers[2 * i + 1] = step * direction[1];
                    }
                }
            }
        }
        2 => numbers.iter_mut().for_each(|x| *x = [-1.0, -0.5, 0.0, 0.5, 1.0][random.below(5) as usize]),
        _ => {
            for _ in 0..=random.below(4) {
                numbers[random.below(NUMBERS as u64) as usize] = SPECIAL[random.below(16) as usize];
            }
        }
    }
    numbers
}

fn pixel(random: &mut Random) -> [i64; 3] {
    let largest = [1, 7, 256, 5000][random.below(4) as usize];
    let size = 1 + random.below(largest) as i64;
    let other = 1 + random.below(largest) as i64;
    [random.below(size as u64) as i64, size, other]
}

/// What Rust makes of a case, by function, in the order of `device_math.cu`.
fn expected<T: Scalar>(c: &[T], pixel: &[i64]) -> Vec<(&'static str, Vec<T>)> {
    let two = |i: usize| [c[i], c[i + 1]];
    let three = |i: usize| [c[i], c[i + 1], c[i + 2]];
    let (p, v) = (two(0), [two(2), two(4), two(6)]);
    let (z, w, grad) = (three(8), three(11), three(14));
    let (of_w, of_z) = perspective_correct_backward(w, z, grad);
    vec![
        ("greater", vec![greater(c[0], c[1])]),
        ("lesser", vec![lesser(c[0], c[1])]),
        ("magnitude", vec![magnitude(c[0])]),
        ("dot3", vec![dot3(z, w)]),
        ("pixel_center", vec![pixel_center(pixel[0] as usize, pixel[1] as usize, pixel[2] as usize)]),
        ("edge_function", vec![edge_function(p, v[0], v[1])]),
        ("edge_function_backward", edge_function_backward(p, v[0], v[1], grad[0]).concat()),
        ("barycentric_coordinates", barycentric_coordinates(p, v).to_vec()),
        ("barycentric_coordinates_backward", barycentric_coordinates_backward(p, v, grad).concat()),
        ("perspective_correct", perspective_correct(w, z).to_vec()),
        ("perspective_correct_backward", [of_w, of_z].concat()),
        ("clip_barycentric", clip_barycentric(w).to_vec()),
        ("clip_barycentric_backward", clip_barycentric_backward(w, grad).to_vec()),
        ("point_segment_dist2", vec![point_segment_dist2(p, v[0], v[1])]),
        ("point_segment_dist2_backward", point_segment_dist2_backward(p, v[0], v[1], grad[0]).concat()),
        ("point_triangle_dist2", vec![point_triangle_dist2(p, v)]),
        ("point_triangle_dist2_backward", point_triangle_dist2_backward(p, v, grad[0]).concat()),
    ]
}

/// `bits` makes every NaN the same.
fn compare<T: Scalar + std::fmt::Debug>(bits: fn(T) -> u64) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let count = 4000;
    let cases: Vec<T> = (0..count).flat_map(|i| case(&mut random, i)).map(T::of).collect();
    let pixels: Vec<i64> = (0..count).flat_map(|_| pixel(&mut random)).collect();
    let expected: Vec<_> = cases.chunks(NUMBERS).zip(pixels.chunks(3)).map(|(c, pixel)| expected(c, pixel)).collect();
    let num_results = expected[0].iter().map(|(_, values)| values.len()).sum::<usize>();
    let mut results = vec![T::default(); count * num_results];
    let params = EmulatorDeviceMathParams {
        cases: DevicePtr(cases.as_ptr() as u64),
        pixels: DevicePtr(pixels.as_ptr() as u64),
        results: DevicePtr(results.as_mut_ptr() as u64),
        num_cases: count as i64,
        num_results: num_results as i64,
    };
    let kernel = format!("emulator_device_math_{}", T::SUFFIX);
    let blocks = [count.div_ceil(128) as u32, 1, 1];
    launch_in(Order::Forward, &kernel, blocks, [128, 1, 1], 0, std::ptr::from_ref(&params).cast()).unwrap();

    for (i, (expected, results)) in expected.iter().zip(results.chunks(num_results)).enumerate() {
        let mut rest = results;
        for (function, values) in expected {
            let (got, after) = rest.split_at(values.len());
            let same = values.iter().zip(got).all(|(&a, &b)| bits(a) == bits(b));
            assert!(same, "{function} of {:?}: {values:?} in Rust, {got:?} in CUDA", &cases[NUMBERS * i..][..NUMBERS]);
            rest = after;
        }
    }
}

#[test]
fn float32_has_the_same_bits_in_both_languages() {
    compare::<f32>(|x| if x.is_nan() { u64::MAX } else { u64::from(x.to_bits()) });
}

#[test]
fn float64_has_the_same_bits_in_both_languages() {
    compare::<f64>(|x| if x.is_nan() { u64::MAX } else { x.to_bits() });
}

#[test]
fn the_params_have_one_layout() {
    let layout = patina3d_emulator::layout(EmulatorDeviceMathParams::NAME).unwrap();
    let rust: Vec<_> = EmulatorDeviceMathParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}
