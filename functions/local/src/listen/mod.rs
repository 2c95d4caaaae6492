//! What listens: how many connections there may be at once, and how long a client may say nothing.

pub(crate) mod http;
mod places;

pub(crate) use places::{Place, Places};

use std::time::Duration;

use clap::Args;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};

/// How long a client may take. Nobody needs others, but tests do.
#[derive(Args, Clone, Copy)]
pub(crate) struct Patience {
    /// For the head of a request, and between requests
    #[arg(long = "head-seconds", hide = true, value_parser = seconds, default_value = "10")]
    head: Duration,
    /// For the body of a request, in all
    #[arg(long = "body-seconds", hide = true, value_parser = seconds, default_value = "30")]
    body: Duration,
    /// Without taking any part of an answer
    #[arg(long = "answer-seconds", hide = true, value_parser = seconds, default_value = "30")]
    answer: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "expected a number of seconds".to_owned())
}

/// How long to wait when no connection can be taken, as where there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(200);

/// Gives each connection to `serve`, until `stop` says true; then ends when the last has ended. One that finds every place taken gets that of the connection which
/// has said nothing for longest; where all are busy, it waits.
pub(crate) async fn accept<F>(listener: TcpListener, places: Places, mut stop: watch::Receiver<bool>, serve: impl Fn(TcpStream, Place) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Some(stream) = next(&listener, &places, &mut connections, &mut stop).await {
        connections.spawn(serve(stream, places.take()));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is a place for it; none when it is time to stop.
async fn next(
    listener: &TcpListener,
    places: &Places,
    connections: &mut JoinSet<()>,
    stop: &mut watch::Receiver<bool>,
) -> Option<TcpStream> {
    let stream = loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return None,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => break stream,
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken");
                sleep(PAUSE).await;
            }
        }
    };
    while connections.len() >= places.most() {
        places.make_room();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return None,
            _ = connections.join_next() => {}
        }
    }
    Some(stream)
}
