// SPDX-License-Identifier: Apache-2.0
//! The one error type: what a caller did wrong, or what the device refused.

use std::fmt;

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operator did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// An argument has a value, shape or device that the operator does not accept. Python raises `ValueError`.
    Value(Mismatch),
    /// An argument has a dtype that the operator does not accept. Python raises `TypeError`.
    Type(Mismatch),
    /// The device cannot run the operator: no driver, too old a driver, a failed launch. Python raises `RuntimeError`.
    Device {
        /// What was being done, for instance a kernel's name.
        during: String,
        /// What went wrong, as a sentence.
        reason: String,
    },
}

/// Operator, argument, expected, got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Public name of the operator.
    pub operator: &'static str,
    /// Public name of the argument.
    pub argument: &'static str,
    /// What the operator accepts.
    pub expected: String,
    /// What it was given.
    pub got: String,
}

impl Error {
    /// An argument's value, shape or device is wrong.
    pub fn value(
        operator: &'static str,
        argument: &'static str,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self::Value(Mismatch { operator, argument, expected: expected.into(), got: got.into() })
    }

    /// An argument's dtype is wrong.
    pub fn dtype(
        operator: &'static str,
        argument: &'static str,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self::Type(Mismatch { operator, argument, expected: expected.into(), got: got.into() })
    }

    /// The device refused.
    pub fn device(during: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Device { during: during.into(), reason: reason.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(m) | Self::Type(m) => {
                write!(f, "{}: {} must be {}, got {}", m.operator, m.argument, m.expected, m.got)
            }
            Self::Device { during, reason } => write!(f, "{during}: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_operator_argument_expected_and_got() {
        let error = Error::dtype("knn_points", "p1", "float32 or float64", "int64");
        assert_eq!(error.to_string(), "knn_points: p1 must be float32 or float64, got int64");
    }
}
