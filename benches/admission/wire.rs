//! Reviews sent straight to a webhook, as the API server would: TLS, HTTP/1.1, connections that are kept.

use crate::Outcome;
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

    async fn connect(&self) -> Outcome<SendRequest<Full<Bytes>>> {
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

    async fn send(
        &self,
        mut connection: SendRequest<Full<Bytes>>,
        review: Bytes,
        until: Instant,
    ) -> Outcome<(SendRequest<Full<Bytes>>, Samples)> {
        let mut taken = Samples::default();
        while clock::instant() < until {
            let request = Request::post(self.path).header(header::HOST, &self.name).header(header::CONTENT_TYPE, "application/json");
            let request = request.body(Full::new(review.clone()))?;
            let started = clock::instant();
            connection.ready().await?;
            let answer = connection.send_request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            taken.push(started.elapsed());
            if status != StatusCode::OK {
                return Err(format!("{}: {status}: {}", self.name, String::from_utf8_lossy(&body)).into());
            }
        }
        Ok((connection, taken))
    }
}
