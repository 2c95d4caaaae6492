use std::sync::LazyLock;

use aws_sdk_sqs::{
    Client,
    config::{Builder, Region},
};
use errand_http::aws::SdkConfig;

/// A client that is made when it is first used: many functions have several and use none in most invocations.
pub struct LazyClient(LazyLock<Client, Box<dyn FnOnce() -> Client + Send>>);

impl LazyClient {
    /// In the region of the settings, unless another is said.
    #[must_use]
    pub fn new(sdk: &SdkConfig, region: Option<String>) -> Self {
        let sdk = sdk.clone();
        Self(LazyLock::new(Box::new(move || match region {
            None => Client::new(&sdk),
            Some(region) => Client::from_conf(Builder::from(&sdk).region(Region::new(region)).build()),
        })))
    }

    /// The client.
    #[must_use]
    pub fn get(&self) -> &Client {
        &self.0
    }
}
