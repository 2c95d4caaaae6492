//! Ids that are made of what they name, so that the same thing sent twice has one id.

use errand_core::Digest;

/// The id of something that these parts tell from all others: `kind`, a hyphen, and half of their [`Digest`].
pub(crate) fn id(kind: &str, parts: &[&str]) -> String {
    format!("{kind}-{}", Digest::of_parts(parts).short())
}

/// The same as a UUID of version 8, for clients that expect one. <https://www.rfc-editor.org/rfc/rfc9562#section-5.8>
pub(crate) fn uuid(parts: &[&str]) -> String {
    let version = Digest::of_parts(parts).half() & !(0xf << 76) | (8 << 76);
    let hex = format!("{:032x}", version & !(0b11 << 62) | (0b10 << 62));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_what_was_sent_before_stay() {
        assert_eq!(id("ce", &["/shop", "1"]), "ce-4bf6390ceea2564282d52bb0f42f5fbd");
        let uuid = uuid(&["x"]);
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "8"));
        assert_eq!(uuid, "14f825b2-bbc3-8dd8-9196-367fa8776873");
    }
}
