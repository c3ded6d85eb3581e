//! The connections to the API server, and who shares which.
//!
//! HTTP/2 where the server has it. Then every connection is pinged each second, and one whose ping is not answered is closed: what was cut on
//! its way without a word (also behind a proxy that goes on acknowledging) is noticed within [`PING_EVERY`] + [`PING_ANSWERED`], and all its
//! watches fail. An API server allows about 100 requests at a time on one connection, and a watch is a request that lasts: so watches fill
//! connections of their own, [`SEATS`] each, and neither ordinary calls nor the heartbeat wait behind them.

use http::{Request, Response, Uri};
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper_rustls::{DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, ResolveServerName};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Pool, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::{Body, ConfigExt};
use rustls_pki_types::ServerName;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tower::{BoxError, Layer, Service};

/// How long after the last sign of life a connection is pinged.
const PING_EVERY: Duration = Duration::from_secs(1);
/// How soon a ping must be answered.
const PING_ANSWERED: Duration = Duration::from_secs(3);
/// The same for the connection of the Lease: it is replaced before a leader that cannot write loses its leadership.
const VITAL_PING_EVERY: Duration = Duration::from_millis(500);
/// The same for the connection of the Lease.
const VITAL_PING_ANSWERED: Duration = Duration::from_millis(1500);
/// How many keep-alive probes of TCP may be lost, one each [`PING_EVERY`].
const PROBES_LOST: u32 = 3;
/// How long sent bytes may be unacknowledged, for servers without HTTP/2.
const UNACKNOWLEDGED: Duration = Duration::from_secs(4);
/// How many watches and lists share a connection.
const SEATS: usize = 50;
/// How many connections there are for them at most. Beyond, they share more closely.
const MOST_CONNECTIONS: usize = 200;

type Connector = TimeoutConnector<HttpsConnector<HttpConnector>>;
type Connection = Pool<Connector, Body>;

/// Makes the client of the API server that a configuration names.
pub(super) fn client(config: &Config) -> Result<kube::Client, kube::Error> {
    let connections = Connections::new(connector(config)?);
    let headers = config.extra_headers_layer()?.layer(connections);
    let namespace = config.default_namespace.clone();
    Ok(match config.auth_layer()? {
        Some(auth) => kube::Client::new(config.base_uri_layer().layer(auth.layer(headers)), namespace),
        None => kube::Client::new(config.base_uri_layer().layer(headers), namespace),
    })
}

fn connector(config: &Config) -> Result<Connector, kube::Error> {
    if let Some(proxy) = &config.proxy_url {
        return Err(kube::Error::ProxyProtocolUnsupported { proxy_url: Box::new(proxy.clone()) });
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(PING_EVERY));
    tcp.set_keepalive_interval(Some(PING_EVERY));
    tcp.set_keepalive_retries(Some(PROBES_LOST));
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let mut tls = config.rustls_client_config()?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let names: Arc<dyn ResolveServerName + Send + Sync> = match &config.tls_server_name {
        Some(name) => {
            let name = ServerName::try_from(name.clone())
                .map_err(|e| kube::Error::RustlsTls(kube::client::RustlsTlsError::InvalidServerName(e)))?;
            Arc::new(FixedServerNameResolver::new(name))
        }
        None => Arc::new(DefaultServerNameResolver::default()),
    };
    let mut connector = TimeoutConnector::new(HttpsConnector::new(tcp, tls, false, names));
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    Ok(connector)
}

/// What a request is to the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Leadership and the proof of liveness: nothing may delay it.
    Vital,
    /// A watch, or a list, which may be large.
    Long,
    /// Any other call.
    Call,
}

fn class(uri: &Uri) -> Class {
    let long = |pair: &str| pair.starts_with("watch=") || pair.starts_with("limit=");
    if uri.query().is_some_and(|query| query.split('&').any(long)) {
        Class::Long
    } else if uri.path().contains("/apis/coordination.k8s.io/") {
        Class::Vital
    } else {
        Class::Call
    }
}

/// All connections to one API server. Cloning is cheap.
#[derive(Clone)]
struct Connections(Arc<Shared>);

struct Shared {
    connector: Connector,
    vital: Connection,
    calls: Connection,
    long: Mutex<Vec<Seated<Connection>>>,
}

/// Something with places: it counts those that are taken by the copies of what is handed out.
struct Seated<T> {
    of: T,
    seat: Seat,
}

/// A place. Dropping it frees it.
type Seat = Arc<()>;

impl<T> Seated<T> {
    fn taken(&self) -> usize {
        Arc::strong_count(&self.seat).saturating_sub(1)
    }
}

/// Takes a place: in the first that has one, else in a new one; the first is filled first, so that later ones fall empty, and they are dropped.
fn seat<T: Clone>(all: &mut Vec<Seated<T>>, make: impl FnOnce() -> T) -> (T, Seat) {
    let free = all.iter().position(|one| one.taken() < SEATS);
    // Those before the free one are full; of those after it, only what is taken is kept.
    let mut index = 0;
    all.retain(|one| {
        index += 1;
        free.is_none_or(|free| index <= free + 1) || one.taken() > 0
    });
    let least = if free.is_none() && all.len() >= MOST_CONNECTIONS { all.iter().min_by_key(|one| one.taken()) } else { None };
    if let Some(one) = free.and_then(|free| all.get(free)).or(least) {
        return (one.of.clone(), one.seat.clone());
    }
    let new = Seated { of: make(), seat: Seat::default() };
    let taken = (new.of.clone(), new.seat.clone());
    all.push(new);
    taken
}

impl Connections {
    fn new(connector: Connector) -> Self {
        let vital = connection(&connector, VITAL_PING_EVERY, VITAL_PING_ANSWERED);
        let calls = connection(&connector, PING_EVERY, PING_ANSWERED);
        Self(Arc::new(Shared { connector, vital, calls, long: Mutex::default() }))
    }

    fn choose(&self, class: Class) -> (Connection, Option<Seat>) {
        match class {
            Class::Vital => (self.0.vital.clone(), None),
            Class::Call => (self.0.calls.clone(), None),
            Class::Long => {
                let mut long = self.0.long.lock().unwrap_or_else(PoisonError::into_inner);
                let (connection, seat) = seat(&mut long, || connection(&self.0.connector, PING_EVERY, PING_ANSWERED));
                (connection, Some(seat))
            }
        }
    }
}

/// With HTTP/2 this is one connection, made at the first request and again when it broke; else as many as there are requests at a time.
fn connection(connector: &Connector, ping_every: Duration, answered_within: Duration) -> Connection {
    Pool::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(ping_every)
        .http2_keep_alive_timeout(answered_within)
        .http2_keep_alive_while_idle(true)
        .build(connector.clone())
}

impl Service<Request<Body>> for Connections {
    type Response = Response<Held>;
    type Error = BoxError;
    type Future = Holding;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Holding {
        let (connection, seat) = self.choose(class(request.uri()));
        Holding { response: connection.request(request), seat }
    }
}

/// An answer on its way, and its place.
struct Holding {
    response: ResponseFuture,
    seat: Option<Seat>,
}

impl Future for Holding {
    type Output = Result<Response<Held>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(Pin::new(&mut self.response).poll(context))?;
        let seat = self.seat.take();
        Poll::Ready(Ok(response.map(|body| Held { body, _seat: seat })))
    }
}

/// The body of an answer, which keeps its place until it is dropped.
struct Held {
    body: Incoming,
    _seat: Option<Seat>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
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
