// SPDX-License-Identifier: Apache-2.0
//! The one error of this crate: where, what was expected, what was found.

use std::fmt;

/// What could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    format: &'static str,
    line: Option<usize>,
    message: String,
}

/// The result of every reader and writer.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(format: &'static str, message: String) -> Self {
        Self { format, line: None, message }
    }

    pub(crate) fn at_line(format: &'static str, line: usize, message: String) -> Self {
        Self { format, line: Some(line), message }
    }

    /// The format: `"obj"`, `"mtl"` or `"ply"`.
    pub fn format(&self) -> &'static str {
        self.format
    }

    /// The line, counted from 1, where the reader stopped; `None` where there are no lines.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// What was expected and what was found.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.format)?;
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// A piece of the file as it stands in a message: in quotes, short, readable whatever its bytes.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    const LONGEST: usize = 40;
    let text = String::from_utf8_lossy(bytes);
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    format!("{short:?}")
}
