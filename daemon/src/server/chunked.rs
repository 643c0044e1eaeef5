//! Finds the end of a chunked body (RFC 9112 §7.1) without keeping any of it.
//!
//! hyper decodes and judges the body; this only counts along, to know where the next request
//! begins. What hyper refuses closes the connection, so laxness here is harmless as long as both
//! read the same sizes.

use memchr::memchr;

/// A place in a chunked body.
#[derive(Debug)]
pub enum Place {
    /// In the line with a chunk's size.
    Size { size: u64, digits: bool },
    /// In a chunk's data, with so many bytes to come, its line break included.
    Data(u64),
    /// In a trailer line; whether anything but `\r` stood on it yet.
    Trailer { empty: bool },
    /// Behind the body.
    End,
}

impl Default for Place {
    fn default() -> Self {
        Self::Size {
            size: 0,
            digits: true,
        }
    }
}

impl Place {
    /// Goes on over `bytes`; returns how many of them belong to the body.
    pub fn advance(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self {
                Self::Size { size, digits } => {
                    let line = memchr(b'\n', rest);
                    for byte in &rest[..line.unwrap_or(rest.len())] {
                        match char::from(*byte).to_digit(16) {
                            // hyper refuses sizes that do not fit 64 bits, so wrapping is unseen.
                            Some(digit) if *digits => *size = (*size << 4) | u64::from(digit),
                            _ => *digits = false,
                        }
                    }
                    let Some(line) = line else { return bytes.len() };
                    at += line + 1;
                    *self = match *size {
                        0 => Self::Trailer { empty: true },
                        size => Self::Data(size.saturating_add(2)),
                    };
                }
                Self::Data(left) => {
                    let step = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    at += step;
                    *left -= step as u64;
                    if *left == 0 {
                        *self = Self::default();
                    }
                }
                Self::Trailer { empty } => {
                    let line = memchr(b'\n', rest);
                    let text = &rest[..line.unwrap_or(rest.len())];
                    *empty &= text.iter().all(|byte| *byte == b'\r');
                    let Some(line) = line else { return bytes.len() };
                    at += line + 1;
                    *self = if *empty {
                        Self::End
                    } else {
                        Self::Trailer { empty: true }
                    };
                }
                Self::End => return at,
            }
        }
        at
    }

    /// Whether the body is over.
    pub fn ended(&self) -> bool {
        matches!(self, Self::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_wherever_the_reads_fall() {
        let bodies = [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "1A;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n3\r\n\r\n\n\r\n0\r\nA: b\r\nC: d\r\n\r\n",
        ];
        for body in bodies {
            let bytes = [body.as_bytes(), b"GET /# HTTP/1.1\r\n\r\n"].concat();
            for cut in 0..=body.len() {
                let mut place = Place::default();
                assert_eq!(place.advance(&bytes[..cut]), cut, "{body:?} {cut}");
                if cut < body.len() {
                    assert!(!place.ended(), "{body:?} {cut}");
                    assert_eq!(
                        place.advance(&bytes[cut..]),
                        body.len() - cut,
                        "{body:?} {cut}"
                    );
                }
                assert!(place.ended(), "{body:?} {cut}");
            }
        }
    }
}
