//! What must be the same in every build and on every machine is made of SHA-256: ids, keys of objects, names, what tells one content from another. Rust's own
//! hashes and the order of an enum promise nothing of that.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

/// The SHA-256 of some bytes; as text, 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Of texts, each with a NUL after it: `ab` and `c` are not `a` and `bc`.
    #[must_use]
    pub fn of_parts(parts: &[&str]) -> Self {
        let mut sha = Sha256::new();
        for part in parts {
            sha.update(part.as_bytes());
            sha.update([0]);
        }
        Self(sha.finalize().into())
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first half.
    #[must_use]
    pub fn half(&self) -> u128 {
        self.0[..16].iter().fold(0, |half, byte| half << 8 | u128::from(*byte))
    }

    /// The first half as 32 hexadecimal digits: what names are made of that have little room.
    #[must_use]
    pub fn short(&self) -> String {
        hex(&self.0[..16])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected 64 hexadecimal digits";
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(EXPECTED);
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(EXPECTED);
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sha_256_and_its_text_is_read_again() {
        // FIPS 180-4's example: https://csrc.nist.gov/projects/cryptographic-standards-and-guidelines/example-values
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let digest = Digest::of(b"abc");
        assert_eq!((digest.to_string().as_str(), digest.short().as_str()), (abc, &abc[..32]));
        assert_eq!(format!("{:032x}", digest.half()), abc[..32]);
        assert_eq!(abc.to_uppercase().parse(), Ok(digest));
        for wrong in ["", &abc[1..], &abc.replace('b', "+"), "é"] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_are_told_apart() {
        assert_ne!(Digest::of_parts(&["a", "bc"]), Digest::of_parts(&["ab", "c"]));
        assert_eq!(Digest::of_parts(&["ab", "c"]), Digest::of(b"ab\0c\0"));
    }
}
