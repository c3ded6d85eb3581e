//! The HTTP server of every listener: TLS for the webhook, plain for health and metrics.
//!
//! Every pod may be able to connect, so each step of a connection has a deadline and each resource a bound ([`Limits`]), and reaching
//! a bound costs those who hold most of it: when there is no room for a connection, the one that has been idle longest of the peer
//! that has the most makes room (see `connections`). Bodies are read here, before a handler sees the request, so that no handler can
//! forget a limit; what is buffered is bounded over all requests and for each peer.
//!
//! Stopping loses no request: connections are told to go elsewhere (`Connection: close`, GOAWAY) while new ones are still accepted for
//! [`Limits::goodbye`]; then idle ones are closed and requests in progress get [`Limits::drain`]. To close an idle connection at once
//! would race with a request that is on its way, and the API server does not repeat a POST.

mod body;
mod connections;

pub use body::BodyError;
pub use connections::Counters;

use crate::clock;
use axum::{
    Router,
    body::{Body, HttpBody},
    http::{HeaderValue, Request, Response, StatusCode, Version, header},
};
use body::{discard, gather};
use connections::{Admitted, Charge, Connection, Connections, Exchange, Watched};
use futures::FutureExt;
use hyper::{
    body::{Bytes, Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use rustls::ServerConfig;
use std::{
    convert::Infallible,
    io,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long to wait after the system could not give a connection (no file descriptors left): trying at once would spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// HTTP/2 requests at once on a connection. The API server's client waits for a free one beyond that.
const STREAMS: u32 = 250;
/// HTTP/2 requests that a client took back before they were looked at, and that the server had to refuse: more closes the connection.
const PENDING_RESETS: usize = 20;
const ERROR_RESETS: usize = 64;
/// The largest head of a request. The API server's are below 1 KiB.
const HEAD_BYTES: u32 = 16 * 1024;
/// The read buffer of an HTTP/1.1 connection, which bounds its heads as well.
const BUFFER_BYTES: usize = 64 * 1024;
/// HTTP/2 flow control: what a client may send ahead, for a request and for a connection.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// HTTP/2 pings find out about peers that vanished without a word.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Bounds of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the TLS handshake. It takes three packets.
    pub handshake: Duration,
    /// For the head of a request, from its first byte.
    pub header: Duration,
    /// For the body of a request, from its head. The API server sends at once what it has in memory.
    pub body: Duration,
    /// For a request as a whole, the answer being read included. The API server gives up after 30 s at the latest.
    pub exchange: Duration,
    /// For a connection without a request. The API server's client closes after 90 s; if the server were first, a request might be on
    /// its way, and be lost.
    pub idle: Duration,
    /// The largest body: object and old object of 3 MiB each, and what surrounds them.
    pub body_bytes: usize,
    /// Bodies in memory, of all requests and of one peer's (which may be an API server with several large objects in flight).
    pub buffered: usize,
    /// See [`Limits::buffered`].
    pub buffered_per_peer: usize,
    /// Connections in all, about 60 KiB each.
    pub connections: usize,
    /// Connections of one peer. An API server has as many as it has requests in flight that are matched, 600 in theory; but several
    /// may come from one address (a proxy's), as may a node's pods.
    pub connections_per_peer: usize,
    /// How long, when stopping, new connections are still accepted and all are told to close.
    pub goodbye: Duration,
    /// How long, after that, requests in progress may take.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            header: Duration::from_secs(5),
            body: Duration::from_secs(5),
            exchange: Duration::from_mins(1),
            idle: Duration::from_mins(3),
            body_bytes: 8 * 1024 * 1024,
            buffered: 96 * 1024 * 1024,
            buffered_per_peer: 32 * 1024 * 1024,
            connections: 1024,
            connections_per_peer: 512,
            goodbye: Duration::from_secs(1),
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves over TLS, HTTP/2 or HTTP/1.1 as the client prefers, until shutdown; returns when every connection has ended or was cut.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    limits: Limits,
    counters: Arc<Counters>,
    shutdown: CancellationToken,
) {
    listen(listener, Some(TlsAcceptor::from(tls)), router, limits, counters, shutdown).await;
}

/// Serves HTTP/1.1 without TLS, with the same limits.
pub async fn serve_plain(listener: TcpListener, router: Router, limits: Limits, counters: Arc<Counters>, shutdown: CancellationToken) {
    listen(listener, None, router, limits, counters, shutdown).await;
}

async fn listen(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    counters: Arc<Counters>,
    shutdown: CancellationToken,
) {
    let server = Server { connections: Arc::new(Connections::new(limits, counters)), tls, router };
    // However this ends, being dropped included, no connection outlives it.
    let _end = server.connections.end.clone().drop_guard();
    clock::spawn(server.connections.clone().cut_overdue());
    tokio::select! {
        () = server.accept(&listener) => {}
        () = shutdown.cancelled() => {}
    }
    server.connections.leaving.cancel();
    let _ = clock::within(limits.goodbye, server.accept(&listener)).await;
    drop(listener);
    server.connections.closing.cancel();
    if clock::within(limits.drain, server.connections.emptied()).await.is_err() {
        tracing::warn!("requests that did not end in time were cut off");
    }
}

/// What a listener's connections share. Cloning is cheap.
#[derive(Clone)]
struct Server {
    connections: Arc<Connections>,
    tls: Option<TlsAcceptor>,
    router: Router,
}

impl Server {
    /// Accepts for ever. May be dropped at any time.
    async fn accept(&self, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    if let Some(admitted) = self.connections.admit(peer.ip()) {
                        clock::spawn(self.clone().run(stream, admitted));
                    }
                }
                // The peer was gone before it was accepted: nobody's fault but its own.
                Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
                Err(error) => {
                    self.connections.counters.accept_errors.fetch_add(1, Relaxed);
                    tracing::warn!(%error, "cannot accept a connection");
                    clock::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    /// A connection, until it ends or is ended.
    async fn run(self, stream: TcpStream, admitted: Admitted) {
        let connection = admitted.connection.clone();
        let conversation = async {
            // Without it small answers might wait for an acknowledgement.
            let _ = stream.set_nodelay(true);
            match &self.tls {
                None => self.converse(stream, &connection, false).await,
                Some(tls) => self.handshake(tls, stream, &connection).await,
            }
        };
        tokio::select! {
            () = Box::pin(conversation) => {}
            () = connection.ended.cancelled() => {}
        }
        drop(admitted);
    }

    async fn handshake(&self, tls: &TlsAcceptor, stream: TcpStream, connection: &Arc<Connection>) {
        let why = match clock::within(self.connections.limits.handshake, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                return self.converse(stream, connection, http2).await;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "timeout".to_owned(),
        };
        self.connections.counters.handshakes_failed.fetch_add(1, Relaxed);
        tracing::debug!(peer = %connection.peer, why, "TLS handshake failed");
    }

    async fn converse(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, connection: &Arc<Connection>, http2: bool) {
        connection.established(http2);
        let service = service_fn(|request| self.clone().answer(connection.clone(), request));
        let builder = builder(http2);
        let stream = TokioIo::new(Watched::new(stream, connection.clone()));
        let mut conversation = std::pin::pin!(builder.serve_connection(stream, service));
        let leave = if http2 { &self.connections.leaving } else { &self.connections.closing };
        let ended = tokio::select! {
            ended = conversation.as_mut() => ended,
            () = leave.cancelled() => {
                conversation.as_mut().graceful_shutdown();
                conversation.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %connection.peer, %error, "connection ended");
        }
    }

    async fn answer(self, connection: Arc<Connection>, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
        let exchange = Exchange::begin(connection.clone());
        let http1 = request.version() < Version::HTTP_2;
        let handled = AssertUnwindSafe(self.handle(&connection, request)).catch_unwind().await;
        let mut response = handled.unwrap_or_else(|_| {
            self.connections.counters.panics.fetch_add(1, Relaxed);
            tracing::error!("a handler panicked; its request was answered with 500");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
        });
        if http1 && self.connections.leaving.is_cancelled() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| Answer { body, _exchange: exchange }))
    }

    /// Reads the body and lets the router answer.
    async fn handle(&self, connection: &Arc<Connection>, request: Request<Incoming>) -> Response<Body> {
        let limits = &self.connections.limits;
        let (parts, mut incoming) = request.into_parts();
        let mut charge = Charge::new(&self.connections, connection);
        let charging = |bytes| if charge.add(bytes) { Ok(()) } else { Err(Refusal::Full) };
        let refusal = match clock::within(limits.body, gather(&mut incoming, limits.body_bytes, charging)).await {
            Ok(Ok(body)) => {
                let Ok(response) = self.router.clone().oneshot(Request::from_parts(parts, Body::from(body))).await;
                return response;
            }
            Ok(Err(refusal)) => refusal,
            Err(_) => BodyError::Timeout { deadline: limits.body }.into(),
        };
        self.connections.counters.bodies_refused.fetch_add(1, Relaxed);
        let mut response = refusal.response();
        if parts.version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            // A connection that is closed with unread bytes is reset: a client that is still sending may not see the answer.
            clock::spawn(discard(incoming, limits.body_bytes.saturating_mul(2)));
        }
        response
    }
}

/// Why a body was not read.
enum Refusal {
    Body(BodyError),
    /// There is no room for it now.
    Full,
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl Refusal {
    fn response(&self) -> Response<Body> {
        match self {
            Self::Body(error) => plain(error.status(), format!("{error}\n")),
            // The API server repeats the request by itself when it is told after how many seconds.
            Self::Full => {
                let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, "too many large requests at once\n");
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
        }
    }
}

fn plain(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// One protocol, as negotiated: guessing it from the first bytes would be one more thing to wait for. hyper's own deadline for heads is
/// off since it runs on idle connections, too.
fn builder(http2: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    builder.http1().header_read_timeout(None).max_buf_size(BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS)
        .max_header_list_size(HEAD_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// An answer's body. The exchange lasts until it is dropped, that is, until it was handed to the connection.
struct Answer {
    body: Body,
    _exchange: Exchange,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
