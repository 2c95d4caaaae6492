//! Azure Service Bus, over its REST API: queues and topics, each a kind of transport of its own. What is sent is the same for both.
//!
//! With credentials of one's own a kind is a type of a few lines:
//!
//! ```
//! use std::sync::Arc;
//!
//! use errand_azure::TokenCredential;
//! use errand_core::{BoxFuture, DeliveryError, Envelope, Init, OptionError, Published, PublishError, Secret, Transport, TransportLimits};
//! use errand_http::Issued;
//! use errand_transport_servicebus::{Options, ServiceBusQueue};
//!
//! struct Ours;
//!
//! impl TokenCredential for Ours {
//!     fn token<'a>(&'a self, _scope: &'a str) -> BoxFuture<'a, Result<Issued, DeliveryError>> {
//!         Box::pin(async { Ok(Issued::ending_in(std::time::Duration::from_secs(3600), Secret::new("from our own vault"))) })
//!     }
//! }
//!
//! struct OurQueue(ServiceBusQueue);
//!
//! impl Transport for OurQueue {
//!     const BACKEND: &'static str = ServiceBusQueue::BACKEND;
//!     type Options = Options;
//!
//!     fn new(_: &str, options: Options, cx: &Init) -> Result<Self, OptionError> {
//!         ServiceBusQueue::with_credential(options, Arc::new(Ours), cx).map(Self)
//!     }
//!     fn limits(&self) -> TransportLimits {
//!         self.0.limits()
//!     }
//!     fn takes(&self, destination: &str) -> Result<(), String> {
//!         self.0.takes(destination)
//!     }
//!     async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
//!         self.0.publish(envelopes).await
//!     }
//!     async fn check(&self) -> Result<(), PublishError> {
//!         self.0.check().await
//!     }
//! }
//! # assert!(OurQueue::new("a", errand_core::Fields::value(r#"{"namespace":"x.servicebus.windows.net"}"#).unwrap(), &errand_testkit::init()).is_ok());
//! ```

mod entity;
mod judge;
mod message;
mod namespace;
mod options;
mod transport;

pub use entity::{Kind, Queue, Topic};
pub use options::Options;
pub use transport::{ServiceBus, ServiceBusQueue, ServiceBusTopic};

/// The service in messages.
const SERVICE: &str = "Service Bus";
