//! Messages for those who receive from a channel layer of Django Channels in Redis: as channels_redis writes them, for its core layer or its pub/sub layer.
//! <https://github.com/django/channels_redis>

mod core_layer;
mod message;
mod options;
mod transport;

pub use options::Options;
pub use transport::Channels;
