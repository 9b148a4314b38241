//! Bytes that look random and are the same everywhere: what the servers serve and the clients check.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

/// An endless sequence of bytes, the same for everybody (xorshift64).
///
/// Reading in pieces gives the same bytes as reading at once.
#[derive(Debug, Clone)]
pub struct Pattern {
    state: u64,
    rest: [u8; 8],
    used: usize,
}

impl Default for Pattern {
    fn default() -> Self {
        Self { state: 0x9e37_79b9_7f4a_7c15, rest: [0; 8], used: 8 }
    }
}

impl Pattern {
    /// Writes the first `length` bytes to a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_file(path: &Path, length: u64) -> io::Result<()> {
        Self::default().copy_to(&mut BufWriter::new(File::create(path)?), length)
    }

    /// Writes the next `length` bytes to `sink`.
    ///
    /// # Errors
    /// The sink refuses.
    pub fn copy_to(&mut self, sink: &mut impl Write, length: u64) -> io::Result<()> {
        io::copy(&mut self.take(length), sink)?;
        sink.flush()
    }

    fn finish_word(&mut self, buffer: &mut [u8]) {
        for (to, from) in buffer.iter_mut().zip(self.rest.iter().skip(self.used)) {
            *to = *from;
        }
        self.used += buffer.len();
    }

    fn step(&mut self) -> [u8; 8] {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.to_le_bytes()
    }
}

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len();
        // First what is left of the last word, then whole words, then the beginning of one.
        let (left, buffer) = buffer.split_at_mut(length.min(self.rest.len() - self.used));
        self.finish_word(left);
        let (words, tail) = buffer.as_chunks_mut::<8>();
        for word in words {
            *word = self.step();
        }
        if !tail.is_empty() {
            (self.rest, self.used) = (self.step(), 0);
            self.finish_word(tail);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in_pieces_of(piece: usize, length: usize) -> Vec<u8> {
        let mut pattern = Pattern::default();
        let mut bytes = vec![0; length];
        for piece in bytes.chunks_mut(piece) {
            pattern.read_exact(piece).expect("a pattern has no end");
        }
        bytes
    }

    #[test]
    fn pieces_give_the_same_bytes() {
        let whole = read_in_pieces_of(1000, 1000);
        for piece in 1..40 {
            assert_eq!(read_in_pieces_of(piece, 1000), whole, "in pieces of {piece}");
        }
    }

    #[test]
    fn no_word_repeats_soon() {
        let bytes = read_in_pieces_of(80_000, 80_000);
        let words: std::collections::BTreeSet<_> = bytes.chunks(8).collect();
        assert_eq!(words.len(), 10_000);
    }
}
