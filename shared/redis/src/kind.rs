use redis::{Cmd, Pipeline, RedisFuture, Value, aio::ConnectionLike, aio::MultiplexedConnection};
#[cfg(feature = "cluster")]
use redis::{RedisResult, cluster::ClusterClientBuilder, cluster_async::ClusterConnection};

/// How often the client tries a command again by itself in a cluster: a key that has moved is asked for where it is now.
#[cfg(feature = "cluster")]
const FOLLOWED: u32 = 1;

/// A connection, to what one server is or what several are together.
#[derive(Clone)]
pub(crate) enum Connection {
    One(MultiplexedConnection),
    #[cfg(feature = "cluster")]
    Cluster(ClusterConnection),
}

/// The connection to a cluster of which this is a node.
#[cfg(feature = "cluster")]
pub(crate) async fn to_cluster(node: &redis::Client, timeouts: crate::Timeouts) -> RedisResult<Connection> {
    let cluster = ClusterClientBuilder::new([node.get_connection_info().clone()]);
    let cluster = cluster.connection_timeout(timeouts.connect).response_timeout(timeouts.answer).retries(FOLLOWED).build()?;
    Ok(Connection::Cluster(cluster.get_async_connection().await?))
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(cmd),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(&'a mut self, cmd: &'a Pipeline, offset: usize, count: usize) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(cmd, offset, count),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => connection.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
