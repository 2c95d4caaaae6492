//! Signatures of AWS, version 4: a call by one of these needs no client of the SDK, which would be a third of a megabyte for each service.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_types::SdkConfig;
use bytes::Bytes;
use errand_core::{
    DeliveryError, Digest, Environment, ErrorKind, Init, Secret, SettingsError, Timestamp, hex, percent_encode,
    settings::all::{AWS_ACCESS_KEY_ID, AWS_REGION},
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use ring::hmac;

use super::{OPERATION_TIMEOUT, endpoint_of};
use crate::{Client, Service};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What proxies change, and so is not signed.
const UNSIGNED: [HeaderName; 3] = [header::AUTHORIZATION, header::USER_AGENT, header::TRANSFER_ENCODING];
const TRACE_ID: &str = "x-amzn-trace-id";

/// A service of AWS, by the names that AWS has for it.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// What it is called in messages: `SES`.
    pub name: &'static str,
    /// Its id, by which its endpoint may be set: `SESv2`.
    pub id: &'static str,
    /// What the name of its host begins with: `email`.
    pub host: &'static str,
    /// What its calls are signed for: `ses`.
    pub signed_as: &'static str,
}

impl Api {
    /// The service, with the region, the credentials and the endpoint that all AWS clients have. `client` is one [for AWS](Client::aws).
    ///
    /// # Errors
    /// The function that is starting has no clock or no AWS configuration, or that has no region or no credentials.
    pub fn service(self, timeout: Duration, cx: &Init, client: Client) -> Result<Service, SettingsError> {
        self.service_in(None, timeout, cx, client)
    }

    /// The service as what envelopes are handed to, in another region than the function's where one is said.
    ///
    /// # Errors
    /// As [`Api::service`]; or the function that is starting has not given its settings.
    pub fn for_transport(self, region: Option<&str>, cx: &Init) -> Result<Service, SettingsError> {
        self.service_in(region, OPERATION_TIMEOUT, cx, Client::aws(cx.shared::<Environment>()?))
    }

    fn service_in(self, region: Option<&str>, timeout: Duration, cx: &Init, client: Client) -> Result<Service, SettingsError> {
        let sdk = cx.shared::<SdkConfig>()?;
        let own = || sdk.region().ok_or_else(|| SettingsError::missing(AWS_REGION.name)).map(ToString::to_string);
        let region = region.map_or_else(own, |region| Ok(region.to_owned()))?;
        let credentials = sdk.credentials_provider().ok_or_else(|| SettingsError::missing(AWS_ACCESS_KEY_ID.name))?;
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let base = endpoint_of(sdk, self.id).unwrap_or_else(|| format!("https://{}.{region}.{domain}", self.host));
        Ok(Service::with_client(self.name, timeout, cx, client)?.below(&base).signed(Signer::new(credentials, region, self.signed_as)))
    }
}

/// Signs calls of one service in one region. Clones share the key.
#[derive(Clone)]
pub(crate) struct Signer(Arc<Inner>);

struct Inner {
    credentials: SharedCredentialsProvider,
    region: String,
    service: &'static str,
    /// Of the day that was last signed for: it takes as much time as the rest of a signature.
    key: Mutex<Option<Key>>,
}

struct Key {
    day: String,
    secret: Secret,
    key: hmac::Key,
}

impl Signer {
    fn new(credentials: SharedCredentialsProvider, region: String, service: &'static str) -> Self {
        Self(Arc::new(Inner { credentials, region, service, key: Mutex::default() }))
    }

    /// Signs a request; `name` is whose it is, for who is told of a failure.
    ///
    /// # Errors
    /// There are no credentials, or they cannot be sent.
    pub(crate) async fn sign(&self, name: &str, request: &mut http::Request<Bytes>, now: Timestamp) -> Result<(), DeliveryError> {
        let wrong = || DeliveryError::new(ErrorKind::Misconfigured, format!("{name}: there are no AWS credentials"));
        let credentials = self.0.credentials.provide_credentials().await.map_err(|_| wrong())?;
        self.sign_at(request, &credentials, now).map_err(|_| wrong())
    }

    fn sign_at(
        &self,
        request: &mut http::Request<Bytes>,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<(), header::InvalidHeaderValue> {
        // As in 20150830T123600Z.
        let time: String = now.to_string().chars().filter(char::is_ascii_alphanumeric).take(15).chain(['Z']).collect();
        let day = &time[..8];
        let host = host(request.uri());
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::try_from(host)?);
        headers.insert("x-amz-date", HeaderValue::try_from(&time)?);
        if let Some(token) = credentials.session_token() {
            let mut token = HeaderValue::try_from(token)?;
            token.set_sensitive(true);
            headers.insert("x-amz-security-token", token);
        }
        let scope = format!("{day}/{}/{}/aws4_request", self.0.region, self.0.service);
        let (canonical, signed) = canonical_request(request);
        let text = format!("{ALGORITHM}\n{time}\n{scope}\n{}", Digest::of(canonical.as_bytes()));
        let signature = hex(hmac::sign(&self.key(credentials.secret_access_key(), day), text.as_bytes()).as_ref());
        let access = credentials.access_key_id();
        let authorization = format!("{ALGORITHM} Credential={access}/{scope}, SignedHeaders={signed}, Signature={signature}");
        let mut authorization = HeaderValue::try_from(authorization)?;
        authorization.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, authorization);
        Ok(())
    }

    fn key(&self, secret: &str, day: &str) -> hmac::Key {
        let mut kept = self.0.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.day == day && kept.secret.expose() == secret) {
            return kept.key.clone();
        }
        let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
        let key = [day, &self.0.region, self.0.service, "aws4_request"]
            .iter()
            .fold(first, |key, part| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref()));
        kept.insert(Key { day: day.to_owned(), secret: Secret::new(secret), key }).key.clone()
    }
}

/// The text that stands for a request, and the names of the headers in it.
fn canonical_request(request: &http::Request<Bytes>) -> (String, String) {
    let uri = request.uri();
    let mut text = format!("{}\n{}\n{}\n", request.method(), canonical_path(uri.path()), canonical_query(uri.query().unwrap_or_default()));
    let names = signed_names(request.headers());
    for name in &names {
        let values = request.headers().get_all(*name).iter().filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
        let values: Vec<String> =
            values.map(|value| value.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")).collect();
        // A String takes whatever is written to it.
        let _ = writeln!(text, "{name}:{}", values.join(","));
    }
    let names = names.join(";");
    let _ = write!(text, "\n{names}\n{}", Digest::of(request.body()));
    (text, names)
}

fn signed_names(headers: &HeaderMap) -> Vec<&str> {
    let signed = headers.keys().filter(|name| !UNSIGNED.contains(name) && name.as_str() != TRACE_ID);
    let mut names: Vec<&str> = signed.map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

/// A path without dots and empty segments, encoded once more than it is.
fn canonical_path(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(percent_encode(segment)),
        }
    }
    let ends = path.rsplit('/').next().is_none_or(|last| matches!(last, "" | "." | "..")) && !segments.is_empty();
    format!("/{}{}", segments.join("/"), if ends { "/" } else { "" })
}

/// A query's parameters, each encoded by one rule, in order.
fn canonical_query(query: &str) -> String {
    // A dot is no step here, and nothing else is written so.
    let encode = |text: &str| percent_encode(text).replace("%2E", ".");
    let mut parameters: Vec<(String, String)> =
        form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (encode(&name), encode(&value))).collect();
    parameters.sort();
    parameters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// The header `Host` of a request: a port that is its scheme's own is left out.
fn host(uri: &Uri) -> String {
    let own = match uri.scheme_str() {
        Some("http") => 80,
        _ => 443,
    };
    let host = uri.host().unwrap_or_default();
    uri.port_u16().filter(|port| *port != own).map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use aws_sigv4::{
        http_request::{SignableBody, SignableRequest, SigningSettings, sign},
        sign::v4,
    };

    use super::*;

    fn credentials(token: Option<&str>) -> Credentials {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        Credentials::new("AKIDEXAMPLE", secret, token.map(ToOwned::to_owned), None, "test")
    }

    fn signer(service: &'static str) -> Signer {
        Signer::new(SharedCredentialsProvider::new(credentials(None)), "us-east-1".to_owned(), service)
    }

    /// 2015-08-30T12:36:00Z, as in the examples.
    const THEN: Timestamp = Timestamp::from_millis(1_440_938_160_000);

    fn signed(signer: &Signer, mut request: http::Request<Bytes>, token: Option<&str>) -> String {
        signer.sign_at(&mut request, &credentials(token), THEN).unwrap();
        request.headers()["authorization"].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_documentations_examples_have_the_documentations_signatures() {
        let request = http::Request::get("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        // https://docs.aws.amazon.com/general/latest/gr/sigv4-signed-request-examples.html
        assert_eq!(
            signed(&signer("iam"), request.body(Bytes::new()).unwrap(), None),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
        // AWS's signature test suite, `post-vanilla-query`.
        let request = http::Request::post("https://example.amazonaws.com/?Param1=value1").body(Bytes::new()).unwrap();
        assert!(signed(&signer("service"), request, None).ends_with("28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"));
    }

    #[test]
    fn it_signs_as_the_sdk_does() {
        let signer = signer("lambda");
        for (uri, body, token) in [
            ("https://lambda.us-east-1.amazonaws.com/2015-03-31/functions/arn%3Aaws%3Alambda%3A1/invocations", "{}", None),
            ("https://lambda.us-east-1.amazonaws.com/a:b/c d/ü/$x~y".replace(' ', "%20").as_str(), "", Some("session/token==")),
            ("http://127.0.0.1:4566/a/./b//../c/?z=1&a=ü&a=%2F&b=x+y&empty=&dot=.&dots=..&e=%252E", "body", None),
            ("http://127.0.0.1:80/..", "", None),
            ("https://example.com:443", "", None),
            ("https://example.com/a/.", "", None),
        ] {
            let headers =
                [("content-type", "application/json"), ("x-amz-invocation-type", "Event"), ("x-note", "  a   b  "), ("user-agent", "x")];
            let request = headers.iter().fold(http::Request::post(uri), |request, (name, value)| request.header(*name, *value));
            let ours = signed(&signer, request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap(), token);
            let identity = credentials(token).into();
            let params = v4::SigningParams::builder().identity(&identity).region("us-east-1").name("lambda");
            let time = SystemTime::UNIX_EPOCH + Duration::from_millis(THEN.millis().unsigned_abs());
            let params = params.time(time).settings(SigningSettings::default()).build().unwrap().into();
            let signable = SignableRequest::new("POST", uri, headers.into_iter(), SignableBody::Bytes(body.as_bytes())).unwrap();
            let (theirs, _) = sign(signable, &params).unwrap().into_parts();
            let theirs = theirs.headers().find(|(name, _)| *name == "authorization").unwrap().1;
            assert_eq!(ours, theirs, "{uri}");
        }
    }

    #[test]
    fn the_key_is_made_anew_for_another_day_or_secret() {
        let signer = signer("lambda");
        let tag = |secret: &str, day: &str| hex(hmac::sign(&signer.key(secret, day), b"x").as_ref());
        let first = tag("secret", "20150830");
        assert_eq!(first, tag("secret", "20150830"));
        assert_ne!(first, tag("secret", "20150831"));
        assert_ne!(first, tag("other", "20150830"));
        assert_eq!(first, tag("secret", "20150830"));
    }
}
