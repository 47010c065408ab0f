// SPDX-License-Identifier: Apache-2.0
//! From areas to chances, and from random bits to a face and a place in it. The kernels hold the same functions under the
//! same names.

use patina3d_core::geometry::Vec3;
use patina3d_core::philox::philox;
use patina3d_core::triangle::Binary;

/// All chances of a mesh add up to at most 2 to this power.
const TOTAL_BITS: u32 = 63;

/// The chance of a face as large as the greatest one of a mesh of `faces` faces: a power of two.
#[inline(always)]
pub fn full_chance(faces: usize) -> f64 {
    // Rounded up: so many bits tell the faces apart.
    let bits = usize::BITS - faces.max(1).saturating_sub(1).leading_zeros();
    (1_u64 << (TOTAL_BITS - bits)) as f64
}

/// The chance of a face: its share of the greatest area, in units of 1 over `full`. That of a face with an area is at least
/// 1, that of one without is 0, unless none has one: then all are alike. A negative area is no face.
#[inline(always)]
pub fn chance(area: f64, greatest: f64, full: f64) -> u64 {
    if area > 0.0 {
        // The greatest area itself may be infinite.
        let share = if area < greatest { area / greatest } else { 1.0 };
        ((share * full) as u64).max(1)
    } else {
        u64::from(area == 0.0 && greatest == 0.0)
    }
}

/// A number below `total`, from 64 random bits.
#[inline(always)]
pub fn below(total: u64, bits: u64) -> u64 {
    ((u128::from(bits) * u128::from(total)) >> 64) as u64
}

/// Random bits of a sample. The first two words choose the face, the others the place in it; block 1 makes these longer.
#[inline(always)]
pub fn random_words(seed: i64, mesh: u64, sample: u64, block: u32) -> [u32; 4] {
    let halves = |number: u64| [number as u32, (number >> 32) as u32];
    let ([sample_low, sample_high], [mesh_low, mesh_high]) = (halves(sample), halves(mesh));
    philox([sample_low, sample_high, mesh_low, mesh_high | block << 31], halves(seed as u64))
}

/// Real numbers that are drawn.
pub trait Uniform: Binary {
    /// Whether 32 random bits are fewer than the number holds.
    const LONG: bool;

    /// In [0, 1): a multiple of 2^-24 from the first word, or of 2^-53 from both.
    fn uniform(word: u32, more: u32) -> Self;
}

impl Uniform for f32 {
    const LONG: bool = false;

    #[inline(always)]
    fn uniform(word: u32, _more: u32) -> Self {
        (word >> 8) as f32 * (1.0 / (1 << 24) as f32)
    }
}

impl Uniform for f64 {
    const LONG: bool = true;

    #[inline(always)]
    fn uniform(word: u32, more: u32) -> Self {
        (u64::from(word) << 21 | u64::from(more) >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }
}

/// Weights of the corners at a point that is uniform on the triangle, from u and v uniform in [0, 1).
#[inline(always)]
pub fn corner_weights<T: Uniform>(u: T, v: T) -> Vec3<T> {
    let (one, root) = (T::of(1.0), u.sqrt());
    [one - root, root * (one - v), root * v]
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;

    #[test]
    fn all_chances_fit() {
        for (faces, full) in [(0, 63), (1, 63), (2, 62), (3, 61), (4, 61), (5, 60), (1 << 40, 23), ((1 << 40) + 1, 22)]
        {
            assert_eq!(full_chance(faces), 2_f64.powi(full), "{faces}");
        }
    }

    #[test]
    fn chances_are_shares() {
        let full = full_chance(4);
        assert_eq!(chance(2.0, 2.0, full), 1 << 61);
        assert_eq!(chance(0.5, 2.0, full), 1 << 59);
        assert_eq!(chance(1e-300, 2.0, full), 1);
        assert_eq!(chance(f64::INFINITY, f64::INFINITY, full), 1 << 61);
        assert_eq!(chance(1.0, f64::INFINITY, full), 1);
    }

    #[test]
    fn a_face_without_area_is_drawn_only_where_none_has_one() {
        assert_eq!(chance(0.0, 1.0, full_chance(4)), 0);
        assert_eq!(chance(0.0, 0.0, full_chance(4)), 1);
        assert_eq!(chance(-1.0, 0.0, full_chance(4)), 0);
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        assert_eq!((below(10, 0), below(10, u64::MAX), below(1 << 63, u64::MAX)), (0, 9, (1 << 63) - 1));
        assert_eq!(f32::uniform(u32::MAX, u32::MAX), 1.0 - f32::EPSILON / 2.0);
        assert_eq!(f64::uniform(u32::MAX, u32::MAX), 1.0 - f64::EPSILON / 2.0);
        let [w0, w1, w2] = corner_weights(f32::uniform(u32::MAX, 0), f32::uniform(u32::MAX, 0));
        assert!(w0 > 0.0 && w1 > 0.0 && w2 < 1.0);
    }

    #[test]
    fn samples_meshes_and_blocks_have_numbers_of_their_own() {
        let mut seen = std::collections::HashSet::new();
        for number in [0, 1, 1 << 31, 1 << 32, 1 << 62] {
            for (seed, mesh, sample) in [(number as i64, 0, 0), (0, number, 0), (0, 0, number)] {
                for block in [0, 1] {
                    seen.insert(random_words(seed, mesh, sample, block));
                }
            }
        }
        // Seed, mesh and sample 0 came three times.
        assert_eq!(seen.len(), 5 * 3 * 2 - 2 * 2);
    }
}
