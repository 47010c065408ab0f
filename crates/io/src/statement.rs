// SPDX-License-Identifier: Apache-2.0
//! A cursor over the statements of an OBJ or MTL file: it knows blanks, line ends, joined lines and comments, and counts
//! lines.

use crate::error::{Error, Result, quoted};
use crate::number::{self, float, float_word};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Lines end with `\n`, `\r\n` or `\r`. A backslash before the line end joins the next line to the statement; a `#`
/// hides the rest of the line.
pub(crate) struct Cursor<'a> {
    format: &'static str,
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> Cursor<'a> {
    /// The first statement of a file; `format` is for errors.
    pub(crate) fn new(format: &'static str, bytes: &'a [u8]) -> Self {
        Self { format, bytes: bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes), at: 0, line: 1 }
    }

    #[cold]
    pub(crate) fn error(&self, message: String) -> Error {
        Error::at_line(self.format, self.line, message)
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// Nothing is left.
    pub(crate) fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The length of the line end that stands at `at`.
    #[inline]
    fn line_end(&self, at: usize) -> Option<usize> {
        match self.byte(at) {
            Some(b'\n') => Some(1),
            Some(b'\r') => Some(if self.byte(at + 1) == Some(b'\n') { 2 } else { 1 }),
            _ => None,
        }
    }

    /// The length of the backslash and line end that stand at `at`.
    #[inline]
    fn join(&self, at: usize) -> Option<usize> {
        if self.byte(at) != Some(b'\\') {
            return None;
        }
        self.line_end(at + 1).map(|len| 1 + len)
    }

    /// Whether a word ends at `at`.
    #[inline]
    fn is_word_end(&self, at: usize) -> bool {
        match self.byte(at) {
            None => true,
            Some(byte) => is_blank(byte) || matches!(byte, b'\n' | b'\r' | b'#') || self.join(at).is_some(),
        }
    }

    /// Moves to the next word of the statement; false where the statement ends.
    #[inline]
    pub(crate) fn next_word(&mut self) -> bool {
        loop {
            match self.byte(self.at) {
                Some(byte) if is_blank(byte) => self.at += 1,
                None | Some(b'\n' | b'\r' | b'#') => return false,
                _ => match self.join(self.at) {
                    Some(len) => {
                        self.at += len;
                        self.line += 1;
                    }
                    None => return true,
                },
            }
        }
    }

    /// The word that begins here.
    #[inline]
    pub(crate) fn word(&mut self) -> &'a [u8] {
        let start = self.at;
        while !self.is_word_end(self.at) {
            self.at += 1;
        }
        &self.bytes[start..self.at]
    }

    /// Whether the word that begins here is `word`.
    pub(crate) fn is_at(&self, word: &[u8]) -> bool {
        self.bytes[self.at..].starts_with(word) && self.is_word_end(self.at + word.len())
    }

    /// Where the cursor stands, for [`Cursor::quoted_word`].
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The word that begins at a position, as it stands in a message.
    #[cold]
    pub(crate) fn quoted_word(&self, start: usize) -> String {
        let end = (start..self.bytes.len()).find(|&at| self.is_word_end(at));
        quoted(&self.bytes[start..end.unwrap_or(self.bytes.len())])
    }

    /// The next `N` numbers of a statement that is a `what`.
    #[inline]
    pub(crate) fn numbers<const N: usize>(&mut self, what: &str) -> Result<[f32; N]> {
        let mut numbers = [0.0; N];
        for (i, number) in numbers.iter_mut().enumerate() {
            if !self.next_word() {
                return Err(self.error(format!("{what} does not have {N} values, got {i}")));
            }
            let start = self.at;
            let Some(value) = self.number() else { return Err(self.no_number(what, start)) };
            *number = value;
        }
        Ok(numbers)
    }

    /// The word that begins here as a number, if it is one.
    #[inline]
    pub(crate) fn number(&mut self) -> Option<f32> {
        match float(&self.bytes[self.at..]) {
            Some((value, len)) if self.is_word_end(self.at + len) => {
                self.at += len;
                Some(value)
            }
            _ => self.unusual_number(),
        }
    }

    #[cold]
    fn unusual_number(&mut self) -> Option<f32> {
        float_word(self.word())
    }

    #[cold]
    fn no_number(&self, what: &str, start: usize) -> Error {
        self.error(format!("{what} needs numbers, got {}", self.quoted_word(start)))
    }

    /// The integer that begins here, if one does.
    #[inline]
    pub(crate) fn integer(&mut self) -> Option<i64> {
        let (value, len) = number::integer(&self.bytes[self.at..])?;
        self.at += len;
        Some(value)
    }

    /// Moves past a `/` inside a word, if one stands here.
    #[inline]
    pub(crate) fn slash(&mut self) -> bool {
        let found = self.byte(self.at) == Some(b'/');
        self.at += usize::from(found);
        found
    }

    /// Whether the word that was being read ends here.
    #[inline]
    pub(crate) fn is_word_over(&self) -> bool {
        self.is_word_end(self.at)
    }

    /// The rest of the line without surrounding blanks and without a comment (a `#` after a blank): a name, which may
    /// hold blanks.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.next_word();
        let start = self.at;
        let is_over = |at: usize| {
            self.line_end(at).is_some() || (self.bytes[at] == b'#' && (at == 0 || is_blank(self.bytes[at - 1])))
        };
        self.at = (start..self.bytes.len()).find(|&at| is_over(at)).unwrap_or(self.bytes.len());
        self.bytes[start..self.at].trim_ascii()
    }

    /// The [`rest`](Self::rest) of the line, which must not be empty; `needed` is the error.
    pub(crate) fn name(&mut self, needed: &str) -> Result<&'a [u8]> {
        match self.rest() {
            [] => Err(self.error(needed.to_owned())),
            name => Ok(name),
        }
    }

    /// Moves past the end of the statement.
    #[inline]
    pub(crate) fn end_statement(&mut self) {
        while let Some(byte) = self.byte(self.at) {
            match byte {
                b'\n' | b'\r' => {
                    self.at += self.line_end(self.at).unwrap_or(1);
                    self.line += 1;
                    return;
                }
                b'#' => return self.end_line(),
                b'\\' => match self.join(self.at) {
                    Some(len) => {
                        self.at += len;
                        self.line += 1;
                    }
                    None => self.at += 1,
                },
                _ => self.at += 1,
            }
        }
    }

    /// Moves past the end of the line, which a comment cannot join to the next.
    fn end_line(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        if let Some(len) = self.line_end(self.at) {
            self.at += len;
            self.line += 1;
        }
    }
}

/// A byte that separates words inside a line.
#[inline(always)]
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c)
}
