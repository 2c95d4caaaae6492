//! JSON Web Tokens (RFC 7519) that we sign, as services take them in place of a password: RS256 for Google, ES256 for Apple and Web Push (RFC 7518, sections 3.3
//! and 3.4).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use errand_core::Secret;
use ring::{
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde::Serialize;

/// A private key that signs tokens.
pub struct Key(Algorithm);

enum Algorithm {
    Rs256(rsa::KeyPair),
    Es256(EcdsaKeyPair),
}

/// A token's header (RFC 7515, section 4.1).
#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

impl Key {
    /// The RSA or P-256 key in a PKCS #8 PEM text (`-----BEGIN PRIVATE KEY-----`).
    ///
    /// # Errors
    /// What was expected.
    pub fn from_pem(pem: &Secret) -> Result<Self, &'static str> {
        const EXPECTED: &str =
            "an RSA key of 2048 bits or more or a P-256 key in PKCS #8 and PEM, which begins with -----BEGIN PRIVATE KEY-----";
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| EXPECTED)?;
        let der = key.secret_pkcs8_der();
        let rs256 = || rsa::KeyPair::from_pkcs8(der).ok().map(Algorithm::Rs256);
        let es256 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new()).ok().map(Algorithm::Es256);
        rs256().or_else(es256).map(Self).ok_or(EXPECTED)
    }

    /// The token that makes these claims, with the id by which the service knows the key, where it asks for one. `None` for claims that are no JSON.
    #[must_use]
    pub fn token(&self, id: Option<&str>, claims: &impl Serialize) -> Option<Secret> {
        let alg = match self.0 {
            Algorithm::Rs256(_) => "RS256",
            Algorithm::Es256(_) => "ES256",
        };
        let part = |json: Vec<u8>| URL_SAFE_NO_PAD.encode(json);
        let header = part(serde_json::to_vec(&Header { alg, typ: "JWT", kid: id }).ok()?);
        let signed = format!("{header}.{}", part(serde_json::to_vec(claims).ok()?));
        let signature = self.sign(signed.as_bytes())?;
        Some(Secret::new(format!("{signed}.{}", part(signature))))
    }

    /// `None` when this machine has no random numbers.
    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        match &self.0 {
            Algorithm::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).ok()?;
                Some(signature)
            }
            Algorithm::Es256(key) => key.sign(&SystemRandom::new(), text).ok().map(|signature| signature.as_ref().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, KeyPair, UnparsedPublicKey};
    use serde_json::{Value, json};

    use super::*;

    const RSA: &str = include_str!("../tests/keys/rfc7515-a2-rsa.pem");
    const P256: &str = include_str!("../tests/keys/rfc7515-a3-p256.pem");
    /// The claims of RFC 7515, appendices A.2 and A.3.
    const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

    fn key(pem: &str) -> Key {
        Key::from_pem(&Secret::new(pem)).unwrap()
    }

    fn p256_public(key: &Key) -> UnparsedPublicKey<Vec<u8>> {
        let Algorithm::Es256(pair) = &key.0 else { panic!("a P-256 key") };
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref().to_vec())
    }

    #[test]
    fn the_rfcs_rs256_example_has_the_rfcs_signature() {
        let signature = key(RSA).sign(format!("eyJhbGciOiJSUzI1NiJ9.{CLAIMS}").as_bytes()).unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(signature),
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4\
             BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv\
             hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
        );
    }

    #[test]
    fn what_the_rfcs_es256_key_signs_its_public_key_verifies() {
        let key = key(P256);
        let public = p256_public(&key);
        let text = format!("eyJhbGciOiJFUzI1NiJ9.{CLAIMS}");
        let theirs = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        public.verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(theirs).unwrap()).unwrap();
        public.verify(text.as_bytes(), &key.sign(text.as_bytes()).unwrap()).unwrap();
        assert!(public.verify(b"another", &key.sign(text.as_bytes()).unwrap()).is_err());
    }

    #[test]
    fn a_token_has_header_claims_and_signature() {
        let claims = json!({ "iss": "team", "iat": 1_700_000_000 });
        for (pem, alg, id) in [(RSA, "RS256", None), (P256, "ES256", Some("ABC123"))] {
            let token = key(pem).token(id, &claims).unwrap();
            let parts: Vec<&str> = token.expose().split('.').collect();
            let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
            let header = json(parts[0]);
            assert_eq!(
                (header["alg"].as_str(), header["typ"].as_str(), header.get("kid").and_then(Value::as_str)),
                (Some(alg), Some("JWT"), id)
            );
            assert_eq!((json(parts[1]), parts.len()), (claims.clone(), 3));
        }
        let token = key(P256).token(None, &claims).unwrap();
        let (text, signature) = token.expose().rsplit_once('.').unwrap();
        p256_public(&key(P256)).verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_told() {
        let cut = RSA.replace("MII", "MIJ");
        for wrong in ["", "hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n", &cut] {
            assert!(Key::from_pem(&Secret::new(wrong)).err().unwrap().starts_with("an RSA key"), "{wrong}");
        }
    }
}
