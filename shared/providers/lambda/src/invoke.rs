//! Lambda's Invoke as a signed HTTP call: one call needs no client of its own, which would be a third of a megabyte.
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>

use std::time::SystemTime;

use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_types::service_config::ServiceConfigKey;
use bytes::Bytes;
use errand_core::{DeliveryError, ErrorKind, SettingsError, percent_encode};
use errand_http::aws::SdkConfig;

/// Where and as whom functions are invoked.
pub(crate) struct Caller {
    sdk: SdkConfig,
    region: String,
    endpoint: String,
}

impl Caller {
    /// The caller of the settings that all AWS clients share.
    ///
    /// # Errors
    /// There is no region.
    pub(crate) fn new(sdk: &SdkConfig) -> Result<Self, SettingsError> {
        let region = sdk.region().ok_or_else(|| SettingsError::missing("AWS_REGION"))?.to_string();
        let key = ServiceConfigKey::builder().service_id("Lambda").env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok();
        let own = key.and_then(|key| sdk.service_config()?.load_config(key));
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let endpoint =
            own.or_else(|| sdk.endpoint_url().map(ToOwned::to_owned)).unwrap_or_else(|| format!("https://lambda.{region}.{domain}"));
        Ok(Self { sdk: sdk.clone(), region, endpoint: endpoint.trim_end_matches('/').to_owned() })
    }

    /// The signed request that invokes a function, and waits for it or not.
    ///
    /// # Errors
    /// There are no credentials, or no request can be made.
    pub(crate) async fn request(&self, function: &str, wait: bool, body: String) -> Result<http::Request<Bytes>, DeliveryError> {
        let wrong = |what: &str| DeliveryError::new(ErrorKind::Misconfigured, format!("Lambda: {what}"));
        let credentials = self.sdk.credentials_provider().ok_or_else(|| wrong("there are no AWS credentials"))?.provide_credentials().await;
        let identity = credentials.map_err(|_| wrong("there are no AWS credentials"))?.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("lambda")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| wrong("the call cannot be signed"))?
            .into();
        // The colons of an ARN must be encoded, or the signature is another.
        let uri = format!("{}/2015-03-31/functions/{}/invocations", self.endpoint, percent_encode(function));
        let headers = [("content-type", "application/json"), ("x-amz-invocation-type", if wait { "RequestResponse" } else { "Event" })];
        let signable = SignableRequest::new("POST", &uri, headers.into_iter(), SignableBody::Bytes(body.as_bytes()));
        let signed = signable.and_then(|request| sign(request, &params)).map_err(|_| wrong("the call cannot be signed"))?;
        let mut request = headers.into_iter().fold(http::Request::post(&uri), |request, (name, value)| request.header(name, value));
        let (instructions, _) = signed.into_parts();
        for (name, value) in instructions.headers() {
            request = request.header(name, value);
        }
        request.body(body.into()).map_err(|_| wrong("no call can be made of the function's name"))
    }
}
