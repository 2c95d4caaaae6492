//! One connection that speaks HTTP/1.1.

use std::{
    error::Error,
    fmt,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::HttpBody, extract::Request};
use bytes::Bytes;
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Sleep, sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;

use super::{Patience, Place};

/// The longest head, in bytes.
const HEAD_LIMIT: usize = 64 * 1024;

/// How long a client may take for the rest of an answer when its connection is to end.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// Answers a connection's requests by `router` until it ends, its client is out of patience, or its place is taken. When `stop` says true, what is being answered is answered.
pub(crate) async fn serve(stream: TcpStream, place: Place, router: Router, patience: Patience, mut stop: watch::Receiver<bool>) {
    let place = Arc::new(place);
    let service = service_fn(|request: Request<Incoming>| {
        place.works();
        let (place, mut router) = (Arc::clone(&place), router.clone());
        async move {
            let answer = router.call(request.map(|body| Timely { body, end: Box::pin(sleep(patience.body)) })).await;
            place.waits();
            answer
        }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience.answer));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(patience.head).max_buf_size(HEAD_LIMIT);
    let mut connection = pin!(server.serve_connection(TokioIo::new(Box::pin(stream)), service));
    tokio::select! {
        // What goes wrong with a connection is its client's: it went away, was too slow, or does not speak HTTP.
        _ = connection.as_mut() => return,
        () = place.is_taken() => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    // Takes notice of a request that has just come.
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = std::future::ready(()) => {}
    }
    // What is being answered is answered. Who has not said what he wants is not waited for, but may still be taking the answer before.
    let rest = if !place.is_waiting() {
        Duration::MAX
    } else if place.has_worked() {
        LAST_ANSWER
    } else {
        Duration::ZERO
    };
    let _ = timeout(rest, connection).await;
}

/// A request's body, which must have come in time.
struct Timely {
    body: Incoming,
    end: Pin<Box<Sleep>>,
}

impl HttpBody for Timely {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => self.end.as_mut().poll(cx).map(|()| Some(Err(Late.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why a body is not whole: its client took too long.
#[derive(Debug)]
pub(crate) struct Late;

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body did not come in time")
    }
}

impl Error for Late {}
