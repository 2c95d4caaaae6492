//! Entries of Redis streams, each with a CloudEvent in the field `cloud_event`, as django-dispatch (django-broadcaster) publishes them, for those who read with `XREAD` or in
//! groups. <https://redis.io/docs/latest/develop/data-types/streams/>

mod transport;

pub use transport::{Options, RedisStreams};
