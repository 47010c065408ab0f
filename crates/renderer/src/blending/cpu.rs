// SPDX-License-Identifier: Apache-2.0
//! Pixels in parallel, each slot that holds a face once; the exponentials of a pixel are kept for its second look.

use std::ops::Range;

use patina3d_core::geometry::{Scalar, greater};
use patina3d_core::{Result, TensorMut, pool};

use super::{GradInputs, Gradients, Inputs, Settings, Sizes};

/// Pixels that are one piece of work.
const PIECE: usize = 512;
/// Nanoseconds that a slot costs, roughly: decides whether threads are worth waking.
const NANOSECONDS: usize = 3;

/// What blending needs of f32 and f64.
pub(super) trait Number: Scalar {
    const ONE: Self;
    const LEAST_NORMAL: Self;
    /// e to the power of a number that is not positive.
    fn exp(self) -> Self;
}

macro_rules! number {
    ($real:ty, $nothing:literal) => {
        impl Number for $real {
            const ONE: Self = 1.0;
            const LEAST_NORMAL: Self = <$real>::MIN_POSITIVE;
            #[inline(always)]
            fn exp(self) -> Self {
                // Most weights are 0: the library is slow to say so.
                if self < $nothing { 0.0 } else { self.exp() }
            }
        }
    };
}
// Half the least number above 0 is e to -104.0 and to -745.2.
number!(f32, -104.0);
number!(f64, -746.0);

/// The inputs as slices.
#[derive(Clone, Copy)]
struct Scene<'a, T> {
    sizes: Sizes,
    colors: &'a [T],
    dists: &'a [T],
    zbuf: &'a [T],
    faces: &'a [i64],
    background: &'a [T],
    znear: &'a [T],
    zfar: &'a [T],
    /// 1 / sigma
    sharpness: T,
    /// 1 / gamma
    contrast: T,
    least: T,
}

impl<'a, T: Number> Scene<'a, T> {
    fn new(x: &Inputs<'a>, sizes: Sizes) -> Result<Self> {
        let Settings { sigma, gamma, least } = x.settings;
        Ok(Self {
            sizes,
            colors: x.colors.as_slice::<T>()?,
            dists: x.dists.as_slice::<T>()?,
            zbuf: x.zbuf.as_slice::<T>()?,
            faces: x.pix_to_face.as_slice::<i64>()?,
            background: x.background.as_slice::<T>()?,
            znear: x.znear.as_slice::<T>()?,
            zfar: x.zfar.as_slice::<T>()?,
            sharpness: T::ONE / greater(T::of(sigma), T::LEAST_NORMAL),
            contrast: T::ONE / greater(T::of(gamma), T::LEAST_NORMAL),
            least: T::of(least),
        })
    }

    fn cost(&self) -> usize {
        self.faces.len() * NANOSECONDS
    }

    fn slots(&self, pixel: usize) -> Range<usize> {
        pixel * self.sizes.k..(pixel + 1) * self.sizes.k
    }

    fn color(&self, slot: usize) -> &'a [T] {
        &self.colors[slot * self.sizes.c..(slot + 1) * self.sizes.c]
    }

    fn background(&self, pixel: usize) -> &'a [T] {
        let c = self.sizes.c;
        if self.background.len() == c { self.background } else { &self.background[pixel * c..(pixel + 1) * c] }
    }

    /// zfar and zfar - znear of the image of a pixel.
    fn depths(&self, pixel: usize) -> (T, T) {
        let [_, h, w] = self.sizes.pixels;
        let of_image = |values: &[T]| if let [one] = *values { one } else { values[pixel / (h * w)] };
        let far = of_image(self.zfar);
        (far, far - of_image(self.znear))
    }

    /// p and 1 - p.
    fn coverage(&self, dist: T) -> (T, T) {
        let x = dist * self.sharpness;
        let e = (-x.abs()).exp();
        let large = T::ONE / (T::ONE + e);
        let small = e * large;
        if x > T::ZERO { (small, large) } else { (large, small) }
    }

    /// Looks at a pixel; `held` becomes what its slots with a face hold.
    fn look(&self, pixel: usize, held: &mut Vec<Held<T>>) -> Weights<T> {
        held.clear();
        let mut through = T::ONE;
        for slot in self.slots(pixel) {
            if self.faces[slot] >= 0 {
                let (p, not_p) = self.coverage(self.dists[slot]);
                through = through * not_p;
                held.push(Held { slot, p, not_p, weight: T::ZERO });
            }
        }
        let (far, range) = self.depths(pixel);
        let mut weights = Weights { through, range, behind: T::ONE, total: T::ONE, keeps_shift: None };
        if self.sizes.c == 0 || held.is_empty() {
            return weights;
        }
        let (mut shift, mut first) = (self.least, None);
        for (i, held) in held.iter_mut().enumerate() {
            held.weight = (far - self.zbuf[held.slot]) / range;
            if held.weight > shift || first.is_none() && held.weight >= shift {
                (shift, first) = (held.weight, Some(i));
            }
        }
        let mut total = T::ZERO;
        for held in held.iter_mut() {
            held.weight = ((held.weight - shift) * self.contrast).exp() * held.p;
            total = total + held.weight;
        }
        let behind = ((self.least - shift) * self.contrast).exp();
        weights.keeps_shift = first.filter(|_| behind < self.least);
        weights.behind = greater(behind, self.least);
        weights.total = total + weights.behind;
        weights
    }

    fn blend(&self, pixel: usize, held: &mut Vec<Held<T>>, out: &mut [T]) {
        let weights = self.look(pixel, held);
        let (rgb, alpha) = out.split_at_mut(self.sizes.c);
        alpha[0] = T::ONE - weights.through;
        rgb.fill(T::ZERO);
        for held in held {
            for (sum, &color) in rgb.iter_mut().zip(self.color(held.slot)) {
                *sum = *sum + held.weight * color;
            }
        }
        for (sum, &color) in rgb.iter_mut().zip(self.background(pixel)) {
            *sum = (*sum + weights.behind * color) / weights.total;
        }
    }
}

/// A slot with a face.
struct Held<T> {
    slot: usize,
    p: T,
    not_p: T,
    /// w; before the shift is known, the closeness.
    weight: T,
}

/// What the slots of a pixel have in common.
struct Weights<T> {
    /// prod (1 - p)
    through: T,
    /// zfar - znear
    range: T,
    /// b
    behind: T,
    /// t
    total: T,
    /// The slot, of those held, whose closeness is m, where b does not follow m.
    keeps_shift: Option<usize>,
}

pub(super) fn forward<T: Number>(x: &Inputs<'_>, sizes: Sizes, threads: usize, out: &mut TensorMut<'_>) -> Result<()> {
    let (scene, out) = (Scene::<T>::new(x, sizes)?, out.as_mut_slice::<T>()?);
    let pixel = sizes.c + 1;
    pool::run(threads, scene.cost(), |threads| {
        pool::for_each_chunk(threads, out, PIECE * pixel, |piece, out| {
            let mut held = Vec::with_capacity(sizes.k);
            for (i, out) in out.chunks_exact_mut(pixel).enumerate() {
                scene.blend(piece * PIECE + i, &mut held, out);
            }
        });
    });
    Ok(())
}

/// The gradients of some pixels, those that are asked for.
#[derive(Default)]
struct Piece<'a, T> {
    colors: Option<&'a mut [T]>,
    dists: Option<&'a mut [T]>,
    zbuf: Option<&'a mut [T]>,
    background: Option<&'a mut [T]>,
}

/// A gradient, cut into pieces of `size` numbers; nothing where it is not asked for or empty.
fn pieces<'a, T: Number>(
    grad: &'a mut Option<TensorMut<'_>>,
    size: usize,
) -> Result<impl Iterator<Item = Option<&'a mut [T]>> + use<'a, T>> {
    let grad = grad.as_mut().map(TensorMut::as_mut_slice::<T>).transpose()?.unwrap_or_default();
    Ok(grad.chunks_mut(size.max(1)).map(Some).chain(std::iter::repeat_with(|| None)))
}

pub(super) fn backward<T: Number>(
    x: &GradInputs<'_>,
    sizes: Sizes,
    threads: usize,
    out: &mut Gradients<'_>,
) -> Result<()> {
    let scene = Scene::<T>::new(&x.inputs, sizes)?;
    let (image, grad_image) = (x.image.as_slice::<T>()?, x.grad_image.as_slice::<T>()?);
    let slots = PIECE * sizes.k;
    let mut colors = pieces::<T>(&mut out.colors, slots * sizes.c)?;
    let mut dists = pieces::<T>(&mut out.dists, slots)?;
    let mut zbuf = pieces::<T>(&mut out.zbuf, slots)?;
    let mut background = pieces::<T>(&mut out.background, PIECE * sizes.c)?;
    let mut work: Vec<Piece<'_, T>> = (0..sizes.num_pixels().div_ceil(PIECE))
        .map(|_| Piece {
            colors: colors.next().flatten(),
            dists: dists.next().flatten(),
            zbuf: zbuf.next().flatten(),
            background: background.next().flatten(),
        })
        .collect();
    pool::run(threads, scene.cost(), |threads| {
        pool::for_each_chunk(threads, &mut work, 1, |number, piece| {
            let first = number * PIECE;
            let end = sizes.num_pixels().min(first + PIECE);
            scene.backward(first..end, image, grad_image, &mut piece[0]);
        });
    });
    Ok(())
}

impl<T: Number> Scene<'_, T> {
    fn backward(&self, pixels: Range<usize>, image: &[T], grad_image: &[T], out: &mut Piece<'_, T>) {
        let Sizes { k, c, .. } = self.sizes;
        for grad in [&mut out.colors, &mut out.dists, &mut out.zbuf].into_iter().flatten() {
            grad.fill(T::ZERO);
        }
        let first = pixels.start;
        let mut all_held = Vec::with_capacity(k);
        for pixel in pixels {
            let weights = self.look(pixel, &mut all_held);
            let of_pixel = pixel * (c + 1)..(pixel + 1) * (c + 1);
            let (rgb, grad) = (&image[of_pixel.clone()][..c], &grad_image[of_pixel]);
            let (grad_rgb, grad_through) = (&grad[..c], grad[c] * weights.through);
            let behind = weights.behind / weights.total;
            let along = |color: &[T]| {
                (0..c).fold(T::ZERO, |sum, channel| sum + grad_rgb[channel] * (color[channel] - rgb[channel]))
            };
            for (i, held) in all_held.iter().enumerate() {
                let slot = held.slot - first * k;
                let share = held.weight / weights.total;
                let of_log = share * along(self.color(held.slot));
                if let Some(out) = &mut out.colors {
                    for (out, &grad) in out[slot * c..(slot + 1) * c].iter_mut().zip(grad_rgb) {
                        *out = share * grad;
                    }
                }
                if let Some(out) = &mut out.dists {
                    out[slot] = -(held.p * grad_through + held.not_p * of_log) * self.sharpness;
                }
                if let Some(out) = out.zbuf.as_mut().filter(|_| c > 0) {
                    let left =
                        if weights.keeps_shift == Some(i) { behind * along(self.background(pixel)) } else { T::ZERO };
                    out[slot] = -(of_log + left) * self.contrast / weights.range;
                }
            }
            if let Some(out) = &mut out.background {
                for (out, &grad) in out[(pixel - first) * c..(pixel + 1 - first) * c].iter_mut().zip(grad_rgb) {
                    *out = behind * grad;
                }
            }
        }
    }
}
