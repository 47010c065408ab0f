// SPDX-License-Identifier: Apache-2.0
//! The checks that contracts are made of; each names operator, argument, expected and got.

use crate::error::{Error, Result};
use crate::tensor::{DType, Tensor, TensorMut};

/// A tensor argument under its public name.
#[derive(Debug, Clone, Copy)]
pub struct Argument<'t, 'a> {
    operator: &'static str,
    name: &'static str,
    tensor: &'t Tensor<'a>,
}

/// Names an argument for the checks that follow.
pub fn argument<'t, 'a>(operator: &'static str, name: &'static str, tensor: &'t Tensor<'a>) -> Argument<'t, 'a> {
    Argument { operator, name, tensor }
}

impl Argument<'_, '_> {
    /// float32 or float64.
    pub fn real(self) -> Result<Self> {
        match self.tensor.dtype() {
            DType::F32 | DType::F64 => Ok(self),
            other => Err(Error::dtype(self.operator, self.name, "float32 or float64", other.to_string())),
        }
    }

    /// Exactly this dtype.
    pub fn dtype(self, expected: DType) -> Result<Self> {
        if self.tensor.dtype() == expected {
            return Ok(self);
        }
        Err(Error::dtype(self.operator, self.name, expected.to_string(), self.tensor.dtype().to_string()))
    }

    /// This shape; `None` leaves a size open. `letters` is how the docs write it, for instance `(N, P2, D)`.
    pub fn shape(self, letters: &str, sizes: &[Option<usize>]) -> Result<Self> {
        let shape = self.tensor.shape();
        let fits =
            shape.len() == sizes.len() && sizes.iter().zip(shape).all(|(want, &got)| want.is_none_or(|w| w == got));
        if fits {
            return Ok(self);
        }
        let fixed: Vec<String> = sizes.iter().map(|s| s.map_or_else(|| "_".into(), |s| s.to_string())).collect();
        let expected = if sizes.iter().any(Option::is_some) {
            format!("of shape {letters} = {}", tuple_text(&fixed))
        } else {
            format!("of shape {letters}")
        };
        Err(Error::value(self.operator, self.name, expected, shape_text(shape)))
    }

    /// On the same device as another argument.
    pub fn beside(self, name: &'static str, other: &Tensor<'_>) -> Result<Self> {
        if self.tensor.device().same_place(other.device()) {
            return Ok(self);
        }
        Err(Error::value(
            self.operator,
            self.name,
            format!("on the device of {name}, {}", other.device()),
            self.tensor.device().to_string(),
        ))
    }
}

/// Scratch memory, where some is needed: bytes, enough of them, on the device of another argument, aligned for any number.
pub fn scratch(
    operator: &'static str,
    scratch: &TensorMut<'_>,
    bytes: usize,
    name: &'static str,
    like: &Tensor<'_>,
) -> Result<()> {
    const ALIGNMENT: u64 = 16;
    if bytes == 0 {
        return Ok(());
    }
    let view = scratch.view();
    argument(operator, "scratch", &view).dtype(DType::U8)?.beside(name, like)?;
    if view.numel() < bytes {
        return Err(Error::value(operator, "scratch", format!("of at least {bytes} bytes"), view.numel().to_string()));
    }
    if !view.device_ptr().0.is_multiple_of(ALIGNMENT) {
        return Err(Error::value(operator, "scratch", format!("aligned to {ALIGNMENT} bytes"), "other memory"));
    }
    Ok(())
}

fn shape_text(shape: &[usize]) -> String {
    tuple_text(&shape.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// As Python writes a tuple.
fn tuple_text(items: &[String]) -> String {
    if let [only] = items { format!("({only},)") } else { format!("({})", items.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_error_shows_letters_sizes_and_what_came() {
        let values = [0.0_f32; 6];
        let tensor = Tensor::from_slice("op", &values, &[2, 3]).unwrap();
        let error = argument("op", "p2", &tensor).shape("(N, P2, D)", &[Some(1), None, Some(3)]).unwrap_err();
        assert_eq!(error.to_string(), "op: p2 must be of shape (N, P2, D) = (1, _, 3), got (2, 3)");
    }
}
