//! Reviews sent straight to a webhook, as the API server would: TLS, HTTP/1.1, connections that are kept.

use crate::Outcome;
use crate::open::arrivals;
use crate::process::cpu_time;
use crate::samples::Samples;
use futures::future::try_join_all;
use holdpoint::clock;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio_rustls::TlsConnector;

/// How many reviews are on their way at once.
pub const CONNECTIONS: usize = 4;
const WARM_UP: Duration = Duration::from_millis(500);
const MEASURED: Duration = Duration::from_secs(3);

/// A webhook.
pub struct Endpoint {
    /// Its address.
    pub address: SocketAddr,
    /// The name in its certificate.
    pub name: String,
    /// What to trust, PEM.
    pub ca_bundle: String,
    /// The path of its entry.
    pub path: &'static str,
    /// Its process.
    pub pid: u32,
}

/// What came of it.
pub struct Flow {
    /// Reviews for each second of the server's CPU time: what one core can do, whatever else the machine does meanwhile.
    pub per_cpu_second: f64,
    /// How long each took.
    pub taken: Samples,
}

impl Endpoint {
    /// Sends a review again and again.
    pub async fn drive(&self, review: &[u8]) -> Outcome<Flow> {
        let connecting = (0..CONNECTIONS).map(|_| self.connect());
        let connections = try_join_all(connecting).await?;
        let review = Bytes::copy_from_slice(review);
        let warm_until = clock::instant() + WARM_UP;
        let warm = connections.into_iter().map(|connection| self.send(connection, review.clone(), warm_until));
        let warm = try_join_all(warm).await?;
        let before = cpu_time(self.pid)?;
        let until = clock::instant() + MEASURED;
        let sending = warm.into_iter().map(|(connection, _)| self.send(connection, review.clone(), until));
        let sent = try_join_all(sending).await?;
        let used = cpu_time(self.pid)?.saturating_sub(before);
        let mut taken = Samples::default();
        for (_, samples) in &sent {
            taken.extend(samples);
        }
        let reviews = f64::from(u32::try_from(taken.len())?);
        Ok(Flow { per_cpu_second: reviews / used.as_secs_f64(), taken })
    }

    /// Sends it with an open loop, at half of the rate that the closed loop reaches.
    pub async fn drive_at_half(&self, review: &[u8]) -> Outcome<Samples> {
        let closed = self.drive(review).await?;
        let rate = f64::from(u32::try_from(closed.taken.len())?) / MEASURED.as_secs_f64() / 2.0;
        let review = Bytes::copy_from_slice(review);
        // Who is to send waits for a connection that is free, and that counts.
        let (give_back, free) = mpsc::channel(CONNECTIONS);
        for connection in try_join_all((0..CONNECTIONS).map(|_| self.connect())).await? {
            give_back.send(connection).await?;
        }
        let free = Arc::new(Mutex::new(free));
        let (path, name): (&'static str, Arc<str>) = (self.path, self.name.as_str().into());
        let send = || {
            let (give_back, free, review, name) = (give_back.clone(), free.clone(), review.clone(), name.clone());
            async move {
                let mut connection: Connection = free.lock().await.recv().await.ok_or("no connection is left")?;
                once(&mut connection, path, &name, review).await?;
                Ok(give_back.send(connection).await?)
            }
        };
        arrivals(rate, MEASURED, send).await
    }

    async fn connect(&self) -> Outcome<Connection> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.ca_bundle.as_bytes()) {
            roots.add(certificate?)?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.name.clone())?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let (connection, conversation) = handshake(TokioIo::new(stream)).await?;
        clock::spawn(conversation);
        Ok(connection)
    }

    async fn send(&self, mut connection: Connection, review: Bytes, until: Instant) -> Outcome<(Connection, Samples)> {
        let mut taken = Samples::default();
        while clock::instant() < until {
            let started = clock::instant();
            once(&mut connection, self.path, &self.name, review.clone()).await?;
            taken.push(started.elapsed());
        }
        Ok((connection, taken))
    }
}

type Connection = SendRequest<Full<Bytes>>;

/// Sends a review, and reads the whole answer.
async fn once(connection: &mut Connection, path: &str, name: &str, review: Bytes) -> Outcome<()> {
    let request = Request::post(path).header(header::HOST, name).header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Full::new(review))?;
    connection.ready().await?;
    let answer = connection.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if status == StatusCode::OK { Ok(()) } else { Err(format!("{name}: {status}: {}", String::from_utf8_lossy(&body)).into()) }
}
