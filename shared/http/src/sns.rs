//! Whether SNS has signed what says to come from it: `ERRAND_SNS_VERIFY=on`.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{
    DeliveryError, Environment, ErrorKind, Init, SettingsError,
    settings::all::{AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_SNS, SNS_VERIFY},
};
use http::Method;
use ring::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use rustls::pki_types::{AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, alg_id, pem::PemObject};
use webpki::{EndEntityCert, ring::RSA_PKCS1_2048_8192_SHA256};

use crate::Service;

/// How long fetching a certificate may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Certificates that are kept: SNS has one a region, and changes it now and then.
const MOST: usize = 16;

type Certificate = Arc<CertificateDer<'static>>;

/// What SNS signs of a message, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The text that is signed.
    pub text: &'a str,
    /// The signature in base64; empty where there is none.
    pub signature: &'a str,
    /// `1` for SHA-1, `2` for SHA-256.
    pub version: &'a str,
    /// Where the certificate is.
    pub certificate_url: &'a str,
}

/// Verifies signatures; remembers the certificates that it has fetched.
pub struct Verifier {
    sns: Service,
    /// Another place for certificates than SNS itself, for emulators.
    endpoint: Option<String>,
    certificates: Mutex<BTreeMap<String, Certificate>>,
}

impl Verifier {
    /// A verifier, if `ERRAND_SNS_VERIFY` asks for one.
    ///
    /// # Errors
    /// The setting is neither on nor off; or the function that is starting has no client.
    pub fn from_env(env: &Environment, cx: &Init) -> Result<Option<Self>, SettingsError> {
        if env.word(&SNS_VERIFY)? != "on" {
            return Ok(None);
        }
        let endpoint = env.get(&AWS_ENDPOINT_URL_SNS).or_else(|| env.get(&AWS_ENDPOINT_URL)).map(ToOwned::to_owned);
        Ok(Some(Self { sns: Service::new("sns", TIMEOUT, cx)?, endpoint, certificates: Mutex::default() }))
    }

    /// Verifies one.
    ///
    /// # Errors
    /// SNS has not signed it; or its certificate cannot be had now.
    pub async fn verify(&self, signed: &Signed<'_>) -> Result<(), DeliveryError> {
        if signed.signature.is_empty() {
            return Err(refused("has no signature: topics that keep order do not sign; set ERRAND_SNS_VERIFY=off for them"));
        }
        let algorithm: &dyn SignatureVerificationAlgorithm = match signed.version {
            "1" => &RsaSha1,
            "2" => RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(refused("has a signature of another version than 1 and 2")),
        };
        let signature = STANDARD.decode(signed.signature).map_err(|_| refused("has a signature that is not base64"))?;
        let certificate = self.certificate(signed.certificate_url).await?;
        let certificate = EndEntityCert::try_from(certificate.as_ref()).map_err(|_| refused("names a certificate that is none"))?;
        let verified = certificate.verify_signature(algorithm, signed.text.as_bytes(), &signature);
        verified.map_err(|_| refused("is not what SNS has signed"))
    }

    async fn certificate(&self, url: &str) -> Result<Certificate, DeliveryError> {
        if !is_of_sns(url, self.endpoint.as_deref()) {
            return Err(refused("names a certificate that is not at SNS"));
        }
        let known = self.certificates.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let later = |why: String| DeliveryError::new(ErrorKind::Unavailable, format!("sns: its certificate cannot be had: {why}"));
        let answer = self.sns.call(Method::GET, url).send().await.map_err(|error| later(error.message))?;
        if !answer.success() {
            return Err(later(format!("HTTP {}", answer.status().as_u16())));
        }
        let certificate = CertificateDer::from_pem_slice(answer.body()).map_err(|_| later("it is none".to_owned()))?;
        let certificate = Arc::new(certificate);
        let mut certificates = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        if certificates.len() >= MOST {
            certificates.clear();
        }
        certificates.insert(url.to_owned(), Arc::clone(&certificate));
        Ok(certificate)
    }
}

/// Whether a certificate's URL is one of SNS: `https://sns.REGION.amazonaws.com/….pem`, of any partition.
fn is_of_sns(url: &str, endpoint: Option<&str>) -> bool {
    if endpoint.is_some_and(|endpoint| url.strip_prefix(endpoint.trim_end_matches('/')).is_some_and(|path| path.starts_with('/'))) {
        return true;
    }
    let Some((host, path)) = url.strip_prefix("https://").and_then(|rest| rest.split_once('/')) else { return false };
    let region =
        host.strip_prefix("sns.").and_then(|rest| rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn")));
    let is_region =
        |region: &str| !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    region.is_some_and(is_region) && path.ends_with(".pem")
}

fn refused(why: &str) -> DeliveryError {
    DeliveryError::new(ErrorKind::Malformed, format!("sns: {why}"))
}

/// RSA with SHA-1: SNS's signature version 1, which topics have unless they ask for 2. Certificates are not verified with it.
#[derive(Debug)]
struct RsaSha1;

impl SignatureVerificationAlgorithm for RsaSha1 {
    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, public_key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(&SHA1_WITH_RSA)
    }
}

/// `sha1WithRSAEncryption` (RFC 3279, section 2.2.1), as DER has it in an `AlgorithmIdentifier`.
const SHA1_WITH_RSA: [u8; 13] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_taken_from_sns_alone() {
        for url in [
            "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0.pem",
        ] {
            assert!(is_of_sns(url, None), "{url}");
        }
        for url in [
            "http://sns.eu-west-1.amazonaws.com/x.pem",
            "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
            "https://sns.evil.example/x.pem",
            "https://sns.eu-west-1.amazonaws.com:444/x.pem",
            "https://sns.a@evil.example/.amazonaws.com/x.pem",
            "https://evil.example/sns.eu-west-1.amazonaws.com/x.pem",
            "https://sns..amazonaws.com/x.pem",
            "https://sns.eu-west-1.amazonaws.com/x",
            "",
        ] {
            assert!(!is_of_sns(url, None), "{url}");
        }
        assert!(is_of_sns("http://127.0.0.1:4566/x.pem", Some("http://127.0.0.1:4566/")));
        assert!(!is_of_sns("http://127.0.0.1:45667/x.pem", Some("http://127.0.0.1:4566")));
    }
}
