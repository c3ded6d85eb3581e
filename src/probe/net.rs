//! The one way out: every connection of a probe is made here.
//!
//! A name is resolved once, every address it leads to is judged by the [`NetworkPolicy`], and the connection goes to one of exactly those
//! addresses; nothing resolves the name again. One deadline covers all of it. No proxy is used, whatever the environment says: a proxy
//! would connect to addresses that nobody judged.
//!
//! If one address of a name is refused, the name is refused, even if others would do. To connect only to the good ones would be as safe,
//! but a name that leads to both is a rebinding attempt or a mistake: its owner should hear of it each time, not depending on the order
//! of the answers or on which address happens to be up.

use crate::clock;
use crate::core::netpolicy::{Denied, NetworkPolicy};
use crate::core::observation::{Observation, TARGET_DENIED, TIMEOUT};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

/// Reason of an Error: the host name has no address, or could not be looked up.
pub const RESOLVE_FAILED: &str = "ResolveFailed";
/// Reason: nobody listens there. An Error, except to the tcp probe.
pub const CONNECTION_REFUSED: &str = "ConnectionRefused";
/// Reason of an Error: no connection for another cause, such as no route.
pub const CONNECT_FAILED: &str = "ConnectFailed";
/// Reason of an Error: no TLS connection, mostly because of the certificate.
pub const TLS_FAILED: &str = "TlsFailed";
/// Reason of an Error: the certificate authority that the check names holds no usable certificate.
pub const CERTIFICATE_AUTHORITY_INVALID: &str = "CertificateAuthorityInvalid";

/// How many of a name's addresses are judged and tried.
const MAX_ADDRESSES: usize = 16;
/// How many names are looked up at once. A lookup occupies a thread and cannot be cancelled.
const MAX_LOOKUPS: usize = 64;

/// By when all must be done.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub fn after(limit: Duration) -> Self {
        let now = clock::instant();
        Self(now.checked_add(limit).unwrap_or(now))
    }

    /// How much time is left.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(clock::instant())
    }

    /// Gives a step the time that is left.
    pub async fn bound<F: Future>(self, step: Step, future: F) -> Result<F::Output, DialError> {
        clock::within(self.left(), future).await.map_err(|_| DialError::Timeout(step))
    }
}

/// What was being done when the time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The host name was looked up.
    Resolve,
    /// A connection was asked for.
    Connect,
    /// TLS was negotiated.
    Tls,
    /// The answer's beginning was waited for.
    Answer,
    /// The answer's body was read.
    Body,
    /// The body was compared to what is expected.
    Judge,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolving the host name",
            Self::Connect => "connecting",
            Self::Tls => "negotiating TLS",
            Self::Answer => "waiting for the answer",
            Self::Body => "reading the body",
            Self::Judge => "judging the body",
        })
    }
}

/// Why there is no connection. Its text is fit for a status: it names hosts and addresses, never a header, a query or a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The network policy refuses an address.
    #[error("{denied} ({host}): probes go there only if the operator runs with --allow-cidr={}", .denied.remedy())]
    Denied {
        /// The host as it was asked for.
        host: String,
        /// What is refused.
        denied: Denied,
    },
    /// No address for the name.
    #[error("the host name {host} could not be resolved: {detail}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's words.
        detail: String,
    },
    /// Nobody listens.
    #[error("{0} refused the connection")]
    Refused(SocketAddr),
    /// No connection for another cause.
    #[error("no connection to {address}: {detail}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// The system's words.
        detail: String,
    },
    /// The certificate authority to trust cannot be used.
    #[error("certificateAuthority: {0}")]
    CertificateAuthority(&'static str),
    /// No TLS.
    #[error("no TLS connection: {0}")]
    Tls(String),
    /// The deadline passed.
    #[error("the time was up while {0}")]
    Timeout(Step),
}

impl DialError {
    /// The reason in one CamelCase word.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Denied { .. } => TARGET_DENIED,
            Self::Resolve { .. } => RESOLVE_FAILED,
            Self::Refused(_) => CONNECTION_REFUSED,
            Self::Connect { .. } => CONNECT_FAILED,
            Self::CertificateAuthority(_) => CERTIFICATE_AUTHORITY_INVALID,
            Self::Tls(_) => TLS_FAILED,
            Self::Timeout(_) => TIMEOUT,
        }
    }

    /// What it means to a probe that could not ask.
    pub fn observation(&self, target: &str) -> Observation {
        Observation::error(target, self.reason(), self.to_string())
    }

    /// Of several addresses' errors the one that says most: a refusal more than silence, silence more than a missing route.
    const fn weight(&self) -> u8 {
        match self {
            Self::Refused(_) => 2,
            Self::Timeout(_) => 1,
            _ => 0,
        }
    }
}

/// Makes connections. A clone shares everything.
#[derive(Clone, Debug)]
pub struct Dialer {
    policy: Arc<NetworkPolicy>,
    lookups: Arc<Semaphore>,
    crypto: Arc<CryptoProvider>,
    public_roots: Arc<RootCertStore>,
}

impl Dialer {
    /// A dialer that obeys a policy.
    pub fn new(policy: impl Into<Arc<NetworkPolicy>>) -> Self {
        Self {
            policy: policy.into(),
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            crypto: Arc::new(rustls::crypto::ring::default_provider()),
            public_roots: Arc::new(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()),
        }
    }

    /// Connects to a host.
    pub async fn connect(&self, host: &Host, port: u16, deadline: Deadline) -> Result<TcpStream, DialError> {
        let addresses = match host {
            Host::Ipv4(ip) => self.admit(host, vec![SocketAddr::new(IpAddr::V4(*ip), port)])?,
            Host::Ipv6(ip) => self.admit(host, vec![SocketAddr::new(IpAddr::V6(*ip), port)])?,
            Host::Domain(name) => self.admit(host, self.look_up(name, port, deadline).await?)?,
        };
        connect_any(host, &addresses, deadline).await
    }

    /// Speaks TLS on a connection to a host, whose certificate must be for that host and come from one of the roots: those in the PEM
    /// text, or the well-known public ones. `alpn` is the protocol to be spoken inside.
    pub async fn secure(
        &self,
        stream: TcpStream,
        host: &Host,
        roots_pem: Option<&[u8]>,
        alpn: &[u8],
        deadline: Deadline,
    ) -> Result<TlsStream<TcpStream>, DialError> {
        let config = self.tls_config(roots_pem, alpn)?;
        let name = match host {
            Host::Ipv4(ip) => ServerName::from(IpAddr::V4(*ip)),
            Host::Ipv6(ip) => ServerName::from(IpAddr::V6(*ip)),
            Host::Domain(name) => DnsName::try_from(name.clone())
                .map(ServerName::DnsName)
                .map_err(|_| DialError::Tls("no certificate can be for this host name".to_owned()))?,
        };
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
        deadline.bound(Step::Tls, handshake).await?.map_err(|error| DialError::Tls(tls_fault(&error)))
    }

    /// The host's addresses if all of them may be connected to.
    fn admit(&self, host: &Host, mut addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, DialError> {
        addresses.truncate(MAX_ADDRESSES);
        for address in &addresses {
            self.policy.judge(address.ip()).map_err(|denied| DialError::Denied { host: host.to_string(), denied })?;
        }
        Ok(addresses)
    }

    async fn look_up(&self, name: &str, port: u16, deadline: Deadline) -> Result<Vec<SocketAddr>, DialError> {
        let fault = |detail: String| DialError::Resolve { host: name.to_owned(), detail };
        let query = (name.to_owned(), port);
        let lookups = Arc::clone(&self.lookups);
        let lookup = async {
            let permit = lookups.acquire_owned().await.map_err(|_| fault("the resolver is shut down".to_owned()))?;
            // In a task of its own, so that a lookup nobody waits for any more keeps its permit for as long as it keeps its thread.
            let task = clock::spawn(async move {
                let found = tokio::net::lookup_host(query).await.map(|found| found.take(MAX_ADDRESSES).collect::<Vec<_>>());
                drop(permit);
                found
            });
            match task.await {
                Ok(Ok(found)) if found.is_empty() => Err(fault("it has no address".to_owned())),
                Ok(Ok(found)) => Ok(found),
                Ok(Err(error)) => Err(fault(lookup_fault(&error))),
                Err(_) => Err(fault("the lookup was broken off".to_owned())),
            }
        };
        deadline.bound(Step::Resolve, lookup).await?
    }

    /// No session is ever resumed: a resumed one would not show the certificate, which is part of what is probed.
    fn tls_config(&self, roots_pem: Option<&[u8]>, alpn: &[u8]) -> Result<ClientConfig, DialError> {
        let roots = match roots_pem {
            None => Arc::clone(&self.public_roots),
            Some(pem) => Arc::new(parse_roots(pem)?),
        };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.crypto))
            .with_safe_default_protocol_versions()
            .map_err(|error| DialError::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![alpn.to_vec()];
        Ok(config)
    }
}

/// Tries addresses in order. Each gets its share of the time, so that one that swallows packets does not use up the others'.
async fn connect_any(host: &Host, addresses: &[SocketAddr], deadline: Deadline) -> Result<TcpStream, DialError> {
    let mut worst = DialError::Resolve { host: host.to_string(), detail: "it has no address".to_owned() };
    let mut tried = false;
    for (address, untried) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let share = deadline.left() / u32::try_from(untried).unwrap_or(u32::MAX);
        let error = match clock::within(share, TcpStream::connect(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => DialError::Refused(*address),
            Ok(Err(error)) => DialError::Connect { address: *address, detail: error.to_string() },
            Err(_) => DialError::Timeout(Step::Connect),
        };
        if !tried || error.weight() > worst.weight() {
            worst = error;
        }
        tried = true;
    }
    Err(worst)
}

fn parse_roots(pem: &[u8]) -> Result<RootCertStore, DialError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| DialError::CertificateAuthority("it is not PEM: a section cannot be read"))?;
    if certificates.is_empty() {
        return Err(DialError::CertificateAuthority("it holds no certificate: there is no BEGIN CERTIFICATE in it"));
    }
    let mut roots = RootCertStore::empty();
    // A bundle may hold certificates of a kind that is not supported; the others count.
    let (usable, _) = roots.add_parsable_certificates(certificates);
    if usable == 0 {
        return Err(DialError::CertificateAuthority("none of its certificates can be used as an authority"));
    }
    Ok(roots)
}

fn lookup_fault(error: &io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
}

/// What went wrong in a handshake, and what to do, for the cases that users meet.
fn tls_fault(error: &io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "the server closed the connection during the handshake".to_owned(),
            _ => error.to_string(),
        };
    };
    match tls {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the server's certificate does not come from a trusted authority; name yours in certificateAuthority".to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the server's certificate has expired".to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "the server's certificate is not valid yet".to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "the server's certificate is for another host name".to_owned()
        }
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS on this port".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn name() -> Host {
        Host::Domain("checkout.shop.svc".to_owned())
    }

    fn on_loopback() -> Dialer {
        Dialer::new(NetworkPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]))
    }

    #[test]
    fn one_refused_address_refuses_the_name_wherever_it_stands() {
        let dialer = Dialer::new(NetworkPolicy::default());
        assert_eq!(dialer.admit(&name(), addresses(&["10.0.0.1:80", "8.8.8.8:80"])).unwrap().len(), 2);
        for mixed in [["127.0.0.1:80", "8.8.8.8:80"], ["8.8.8.8:80", "127.0.0.1:80"], ["8.8.8.8:80", "[::ffff:169.254.169.254]:80"]] {
            assert_eq!(dialer.admit(&name(), addresses(&mixed)).unwrap_err().reason(), TARGET_DENIED);
        }
    }

    #[test]
    fn a_bounded_number_of_addresses_is_tried() {
        let many = vec!["10.0.0.1:80".parse().unwrap(); 5000];
        assert_eq!(Dialer::new(NetworkPolicy::default()).admit(&name(), many).unwrap().len(), MAX_ADDRESSES);
    }

    #[tokio::test]
    async fn a_refusal_says_where_it_leads_and_what_would_allow_it() {
        let dialer = Dialer::new(NetworkPolicy::default());
        let host = Host::Domain("localhost".to_owned());
        let error = dialer.connect(&host, 80, Deadline::after(Duration::from_secs(5))).await.unwrap_err();
        let observation = error.observation("t");
        assert_eq!(observation.reason, TARGET_DENIED);
        assert!(observation.message.contains("is a loopback address (localhost)"), "{}", observation.message);
        assert!(observation.message.contains("--allow-cidr="), "{}", observation.message);
    }

    #[tokio::test]
    async fn a_later_address_is_tried_when_an_earlier_one_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let bad = SocketAddr::new("127.0.0.9".parse().unwrap(), good.port());
        let stream = connect_any(&name(), &[bad, good], Deadline::after(Duration::from_secs(5))).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        let error = connect_any(&name(), &[bad, bad], Deadline::after(Duration::from_secs(5))).await.unwrap_err();
        assert_eq!(error, DialError::Refused(bad));
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_not_resolved() {
        let host = Host::Domain("does-not-exist.invalid".to_owned());
        let error = on_loopback().connect(&host, 80, Deadline::after(Duration::from_secs(20))).await.unwrap_err();
        assert_eq!(error.reason(), RESOLVE_FAILED, "{error}");
    }

    #[tokio::test]
    async fn lookups_wait_for_their_turn_no_longer_than_the_deadline() {
        let dialer = on_loopback();
        let _all = dialer.lookups.acquire_many(u32::try_from(MAX_LOOKUPS).unwrap()).await.unwrap();
        let host = Host::Domain("localhost".to_owned());
        let error = dialer.connect(&host, 80, Deadline::after(Duration::from_millis(50))).await.unwrap_err();
        assert_eq!(error, DialError::Timeout(Step::Resolve));
    }

    #[test]
    fn a_certificate_authority_that_is_none_is_refused() {
        for pem in [&b""[..], b"garbage", b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", b"\xff\xfe"] {
            assert_eq!(parse_roots(pem).unwrap_err().reason(), CERTIFICATE_AUTHORITY_INVALID);
        }
        let junk = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(parse_roots(junk).unwrap_err().reason(), CERTIFICATE_AUTHORITY_INVALID);
    }
}
