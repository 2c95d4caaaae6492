use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::Secret;

impl Secret {
    /// The key that this is as a secret of Standard Webhooks: `whsec_` and the base64 of 24 to 64 bytes.
    /// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme>
    ///
    /// # Errors
    /// What was expected.
    pub fn signing_key(&self) -> Result<Vec<u8>, &'static str> {
        let bytes = self.expose().strip_prefix("whsec_").and_then(|encoded| STANDARD.decode(encoded).ok());
        bytes.filter(|bytes| (24..=64).contains(&bytes.len())).ok_or("whsec_ and the base64 of 24 to 64 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_another_form_is_refused() {
        let of = |bytes: usize| Secret::new(format!("whsec_{}", STANDARD.encode(vec![7; bytes]))).signing_key();
        for (bytes, taken) in [(23, false), (24, true), (64, true), (65, false)] {
            assert_eq!(of(bytes).is_ok(), taken, "{bytes}");
        }
        for wrong in ["", "whsec_", "whsec_%", "whsec_aGk=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_none"] {
            assert!(Secret::new(wrong).signing_key().is_err(), "{wrong}");
        }
    }
}
