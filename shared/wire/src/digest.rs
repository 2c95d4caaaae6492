//! Ids that are made of what they name, so that the same thing sent twice has one id.

use sha2::{Digest, Sha256};

/// The first half of the SHA-256 of the parts, with a NUL after each.
fn digest(parts: &[&str]) -> u128 {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part.as_bytes());
        sha.update([0]);
    }
    let mut half = [0; 16];
    half.copy_from_slice(&sha.finalize()[..16]);
    u128::from_be_bytes(half)
}

/// The id of something that these parts tell from all others: `kind`, a hyphen, and 32 hexadecimal digits of their [`digest`].
pub(crate) fn id(kind: &str, parts: &[&str]) -> String {
    format!("{kind}-{:032x}", digest(parts))
}

/// The same as a UUID of version 8, for clients that expect one. <https://www.rfc-editor.org/rfc/rfc9562#section-5.8>
pub(crate) fn uuid(parts: &[&str]) -> String {
    let version = digest(parts) & !(0xf << 76) | (8 << 76);
    let hex = format!("{:032x}", version & !(0b11 << 62) | (0b10 << 62));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        assert_eq!(id("ce", &["/shop", "1"]), id("ce", &["/shop", "1"]));
        assert_ne!(id("ce", &["a", "bc"]), id("ce", &["ab", "c"]));
        let uuid = uuid(&["x"]);
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "8"));
        assert_eq!(uuid, "14f825b2-bbc3-8dd8-9196-367fa8776873", "the ids of what was sent before stay");
    }
}
