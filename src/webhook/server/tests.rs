use super::*;
use crate::{
    core::certificates::{Lifetimes, Plan, Published, Reason, Settings, plan, service_names},
    webhook::{
        issue::{Material, bundle_authorities, carry_out},
        tls::{CertificateSlot, VerifyError, server_config, verify_served},
    },
};
use axum::routing::{get, post};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{net::SocketAddr, sync::atomic::AtomicU64, time::Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const NAME: &str = "hook.ns.svc";

/// Limits that tests can wait for. What is not under test is far away.
fn limits() -> Limits {
    Limits { goodbye: ms(100), drain: ms(1500), body_bytes: 64 * 1024, ..Limits::default() }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn settings() -> Settings {
    Settings { lifetimes: Lifetimes::default(), names: service_names("hook", "ns", None) }
}

fn issued() -> Material {
    let plan = plan(None, &Published::default(), &settings(), clock::now());
    carry_out(&plan, None, &settings(), clock::now()).unwrap().unwrap()
}

fn router() -> Router {
    Router::new()
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/length", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/slow", get(|| async { clock::sleep(ms(700)).await }))
        .route("/stuck", get(std::future::pending::<()>))
        .route("/panic", get(|| async { if NAME.is_empty() { "" } else { panic!("on purpose") } }))
}

/// A server under test.
struct Subject {
    address: SocketAddr,
    material: Material,
    slot: CertificateSlot,
    counters: Arc<Counters>,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Subject {
    async fn start(limits: Limits) -> Self {
        Self::start_with(limits, |slot| server_config(slot).unwrap()).await
    }

    async fn start_with(limits: Limits, config: impl FnOnce(CertificateSlot) -> Arc<ServerConfig>) -> Self {
        let (material, slot) = (issued(), CertificateSlot::default());
        slot.install(&material).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (counters, shutdown) = (Arc::<Counters>::default(), CancellationToken::new());
        let serving = serve(listener, config(slot.clone()), router(), limits, counters.clone(), shutdown.clone());
        Self { address, material, slot, counters, shutdown, serving: clock::spawn(serving) }
    }

    async fn tls(&self, alpn: &str) -> io::Result<TlsStream<TcpStream>> {
        dial(self.address, &self.material.ca_bundle_pem, alpn).await
    }

    async fn client(&self) -> Client {
        Client::new(self.tls("http/1.1").await.unwrap()).await
    }

    /// A request on a connection of its own, and how long it took.
    async fn probe(&self) -> Duration {
        let began = clock::instant();
        assert_eq!(self.client().await.send("POST", "/echo", "hello").await.unwrap().1, "hello");
        began.elapsed()
    }
}

async fn dial(address: SocketAddr, bundle: &str, alpn: &str) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle.as_bytes()).map(Result::unwrap));
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), stream).await
}

fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let uri = format!("https://{NAME}{path}");
    Request::builder().method(method).uri(uri).header("host", NAME).body(Full::new(body.into())).unwrap()
}

/// An HTTP/1.1 client of one connection.
struct Client(http1::SendRequest<Full<Bytes>>);

impl Client {
    async fn new(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        clock::spawn(connection);
        Self(sender)
    }

    async fn send(&mut self, method: &str, path: &str, body: impl Into<Bytes>) -> hyper::Result<(Response<()>, String)> {
        self.0.ready().await?;
        let (parts, body) = self.0.send_request(request(method, path, body)).await?.into_parts();
        let text = String::from_utf8(body.collect().await?.to_bytes().to_vec()).unwrap();
        Ok((Response::from_parts(parts, ()), text))
    }
}

/// Reads until the server closes; what it said and how long that took.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin), since: Instant) -> (String, Duration) {
    let mut said = Vec::new();
    let _ = clock::within(Duration::from_secs(5), stream.read_to_end(&mut said)).await.expect("the server closes");
    (String::from_utf8_lossy(&said).into_owned(), since.elapsed())
}

/// Waits for something that is about to be true.
async fn eventually(what: impl Fn() -> bool) {
    let waiting = async {
        while !what() {
            clock::sleep(ms(5)).await;
        }
    };
    clock::within(Duration::from_secs(5), waiting).await.expect("becomes true");
}

#[tokio::test]
async fn both_protocols_answer() {
    let subject = Subject::start(limits()).await;
    let mut client = subject.client().await;
    for body in ["one", "two"] {
        assert_eq!(client.send("POST", "/echo", body).await.unwrap().1, body);
    }
    assert_eq!(client.send("GET", "/nothing", "").await.unwrap().0.status(), StatusCode::NOT_FOUND);

    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(subject.tls("h2").await.unwrap())).await.unwrap();
    clock::spawn(connection);
    let answers = (0..100).map(|_| sender.send_request(request("POST", "/length", vec![b'x'; 40_000]))).collect::<Vec<_>>();
    for answer in futures::future::join_all(answers).await {
        assert_eq!(answer.unwrap().into_body().collect().await.unwrap().to_bytes(), "40000");
    }
    assert_eq!(subject.counters.connections_accepted.load(Relaxed), 2);
}

#[tokio::test]
async fn another_authority_refuses_what_is_served() {
    let subject = Subject::start(limits()).await;
    let (own, other) = (subject.material.ca_bundle_pem.clone(), issued().ca_bundle_pem);
    let verify = |name, bundle: String| async move { verify_served(subject.address, name, &bundle, Duration::from_secs(5)).await };
    verify(NAME, own.clone()).await.unwrap();
    verify(NAME, format!("{other}{own}")).await.unwrap();
    let refused = verify(NAME, other).await.unwrap_err().to_string();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    assert!(matches!(verify("other.ns.svc", own).await, Err(VerifyError::Handshake(_))));
    assert!(matches!(verify(NAME, String::new()).await, Err(VerifyError::Unusable(_))));
    let counters = subject.counters.clone();
    eventually(|| counters.handshakes_failed.load(Relaxed) == 2).await;
}

#[tokio::test]
async fn verifying_ends_at_the_deadline_and_an_empty_slot_does_not_verify() {
    let bundle = issued().ca_bundle_pem;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let verified = verify_served(silent.local_addr().unwrap(), NAME, &bundle, ms(50)).await;
    assert!(matches!(verified, Err(VerifyError::Timeout)));
    let subject = Subject::start_with(limits(), |_| server_config(CertificateSlot::default()).unwrap()).await;
    let verified = verify_served(subject.address, NAME, &subject.material.ca_bundle_pem, Duration::from_secs(5)).await;
    assert!(matches!(verified, Err(VerifyError::Handshake(_))));
}

/// Leaf renewals and a change of authority while requests go on, on kept and on new connections.
#[tokio::test]
async fn certificates_change_without_a_failed_request() {
    let subject = Subject::start(limits()).await;
    let mut material = subject.material.clone();
    let rotate = Plan::RotateCa { because: Reason::Due, retain: bundle_authorities(&material.ca_bundle_pem) };
    material = carry_out(&rotate, Some(&material), &settings(), clock::now()).unwrap().unwrap();
    let (address, bundle, stop) = (subject.address, material.ca_bundle_pem.clone(), CancellationToken::new());
    let answered = Arc::<AtomicU64>::default();
    let requests: Vec<_> = (0..4)
        .map(|_| {
            let (bundle, stop, answered) = (bundle.clone(), stop.clone(), answered.clone());
            clock::spawn(async move {
                let mut kept = Client::new(dial(address, &bundle, "http/1.1").await.unwrap()).await;
                while !stop.is_cancelled() {
                    let mut fresh = Client::new(dial(address, &bundle, "http/1.1").await.unwrap()).await;
                    for client in [&mut kept, &mut fresh] {
                        assert_eq!(client.send("POST", "/echo", "x").await.unwrap().1, "x");
                        answered.fetch_add(1, Relaxed);
                    }
                }
            })
        })
        .collect();
    let before = subject.slot.not_after();
    for _ in 0..20 {
        material = carry_out(&Plan::RenewLeaf { because: Reason::Due }, Some(&material), &settings(), clock::now()).unwrap().unwrap();
        subject.slot.install(&material).unwrap();
        let until_now = answered.load(Relaxed);
        eventually(|| answered.load(Relaxed) >= until_now + 8).await;
    }
    stop.cancel();
    for request in requests {
        request.await.unwrap();
    }
    assert!(subject.slot.not_after() >= before);
    // New handshakes are with the new authority only.
    let newest = material.ca_bundle_pem.split_inclusive("-----END CERTIFICATE-----").next().unwrap();
    verify_served(address, NAME, newest, Duration::from_secs(5)).await.unwrap();
    assert!(verify_served(address, NAME, &subject.material.ca_bundle_pem, Duration::from_secs(5)).await.is_err());
}

#[tokio::test]
async fn what_cannot_be_served_leaves_what_is() {
    let subject = Subject::start(limits()).await;
    let broken = Material { leaf_key_pem: issued().leaf_key_pem, ..subject.material.clone() };
    assert!(subject.slot.install(&broken).is_err());
    assert!(subject.slot.install(&Material::default()).is_err());
    subject.probe().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_at_once_and_the_answer_arrives() {
    let subject = Subject::start(Limits { body_bytes: 1024 * 1024, ..limits() }).await;
    let fits = subject.client().await.send("POST", "/length", vec![b'x'; 1024 * 1024]).await.unwrap();
    assert_eq!(fits.1, "1048576");
    // All of it is sent, over a while, before the answer is read.
    for head in ["content-length: 2000000\r\n\r\n", "transfer-encoding: chunked\r\n\r\n1e8480\r\n"] {
        let mut stream = subject.tls("http/1.1").await.unwrap();
        let began = clock::instant();
        stream.write_all(format!("POST /echo HTTP/1.1\r\nhost: x\r\n{head}").as_bytes()).await.unwrap();
        for _ in 0..20 {
            stream.write_all(&vec![b'x'; 100_000]).await.unwrap();
            clock::sleep(ms(10)).await;
        }
        let (said, took) = until_closed(&mut stream, began).await;
        assert!(said.starts_with("HTTP/1.1 413 ") && said.contains("connection: close"), "{said}");
        assert!(took < ms(4000), "{took:?}");
    }
    // Only announced: the answer does not wait for it.
    let mut stream = subject.tls("http/1.1").await.unwrap();
    let began = clock::instant();
    stream.write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n").await.unwrap();
    let mut said = [0; 12];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 413");
    assert!(began.elapsed() < ms(300));
    assert_eq!(subject.counters.bodies_refused.load(Relaxed), 3);
}

#[tokio::test]
async fn bodies_find_room_or_are_asked_to_come_again() {
    let limits = Limits { buffered_per_peer: 10_000, buffered: 15_000, ..limits() };
    let subject = Subject::start(limits).await;
    let mut hog = subject.tls("http/1.1").await.unwrap();
    hog.write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9001\r\n\r\n").await.unwrap();
    hog.write_all(&[b'x'; 9000]).await.unwrap();
    clock::sleep(ms(50)).await;
    let (refused, _) = subject.client().await.send("POST", "/length", vec![b'x'; 2000]).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    subject.probe().await;
    drop(hog);
    clock::sleep(ms(50)).await;
    assert_eq!(subject.client().await.send("POST", "/length", vec![b'x'; 2000]).await.unwrap().1, "2000");
}

/// Each way to be slow ends at its own deadline, and meanwhile nobody waits.
#[tokio::test]
async fn the_slow_are_cut_off_and_the_others_do_not_notice() {
    let deadline = ms(400);
    let subject = Subject::start(Limits { handshake: deadline, header: deadline, body: deadline, ..limits() }).await;
    let began = clock::instant();
    let mut silent = TcpStream::connect(subject.address).await.unwrap();
    let mut half_handshake = TcpStream::connect(subject.address).await.unwrap();
    half_handshake.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1]).await.unwrap();
    let mut drips = Vec::new();
    for text in ["GET / HTTP/1.1\r\n", "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\n"] {
        let (mut read, mut write) = tokio::io::split(subject.tls("http/1.1").await.unwrap());
        clock::spawn(async move {
            write.write_all(text.as_bytes()).await.unwrap();
            while write.write_all(b"x").await.is_ok() {
                clock::sleep(ms(20)).await;
            }
        });
        drips.push(clock::spawn(async move { until_closed(&mut read, began).await }));
    }
    for _ in 0..20 {
        assert!(subject.probe().await < deadline);
    }
    for stream in [&mut silent, &mut half_handshake] {
        let (_, took) = until_closed(stream, began).await;
        assert!(took < ms(1200), "{took:?}");
    }
    let mut said = Vec::new();
    for drip in drips {
        let (text, took) = drip.await.unwrap();
        assert!(took >= deadline && took < ms(2500), "{took:?} {text}");
        said.push(text);
    }
    assert_eq!(said[0], "");
    assert!(said[1].starts_with("HTTP/1.1 408 "), "{}", said[1]);
    assert_eq!(subject.counters.handshakes_failed.load(Relaxed), 2);
}

#[tokio::test]
async fn an_idle_connection_outlives_the_heads_deadline_but_not_its_own() {
    let subject = Subject::start(Limits { header: ms(50), idle: ms(600), ..limits() }).await;
    let (mut used, mut unused) = (subject.client().await, subject.client().await);
    for _ in 0..3 {
        clock::sleep(ms(200)).await;
        used.send("POST", "/echo", "").await.unwrap();
    }
    eventually(|| subject.counters.connections_overdue.load(Relaxed) == 1).await;
    assert!(unused.send("POST", "/echo", "").await.is_err());
    used.send("POST", "/echo", "").await.unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut() {
    let subject = Subject::start(Limits { exchange: ms(200), ..limits() }).await;
    assert!(subject.client().await.send("GET", "/stuck", "").await.is_err());
    assert_eq!(subject.counters.connections_overdue.load(Relaxed), 1);
}

#[tokio::test]
async fn a_panic_is_one_500() {
    let subject = Subject::start(limits()).await;
    let mut client = subject.client().await;
    let (response, text) = client.send("GET", "/panic", "").await.unwrap();
    assert_eq!((response.status(), text.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n"));
    assert_eq!(client.send("POST", "/echo", "on").await.unwrap().1, "on");
    assert_eq!(subject.counters.panics.load(Relaxed), 1);
}

#[tokio::test]
async fn the_idle_make_room_and_the_busy_do_not() {
    let subject = Subject::start(Limits { connections_per_peer: 3, ..limits() }).await;
    let counters = &subject.counters;
    // 50 that never say a word leave room for who does.
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(subject.address).await.unwrap());
    }
    subject.probe().await;
    assert!(counters.connections_displaced.load(Relaxed) >= 48);
    eventually(|| counters.connections_open.load(Relaxed) <= 3).await;

    // One that has been served stays before those that have not.
    let mut served = subject.client().await;
    served.send("POST", "/echo", "").await.unwrap();
    for _ in 0..5 {
        silent.push(TcpStream::connect(subject.address).await.unwrap());
    }
    served.send("POST", "/echo", "").await.unwrap();

    // Busy ones are not displaced: the next is refused.
    let mut busy = Vec::new();
    for _ in 0..3 {
        let mut client = subject.client().await;
        busy.push(clock::spawn(async move { client.send("GET", "/slow", "").await }));
        clock::sleep(ms(30)).await;
    }
    assert!(subject.tls("http/1.1").await.is_err());
    assert_eq!(counters.connections_refused.load(Relaxed), 1);
    for client in busy {
        client.await.unwrap().unwrap();
    }
}

#[test]
fn the_peer_that_has_the_most_makes_room() {
    let limits = Limits { connections: 10, connections_per_peer: 8, ..limits() };
    let connections = Arc::new(Connections::new(limits, Arc::default()));
    let admit = |last: u8| connections.admit([10, 0, 0, last].into());
    let server: Vec<_> = (0..4).map(|_| admit(1).unwrap()).collect();
    let crowd: Vec<_> = (0..40).map(|_| admit(2).unwrap()).collect();
    assert!(server.iter().all(|admitted| !admitted.connection.ended.is_cancelled()));
    assert_eq!(crowd.iter().filter(|admitted| !admitted.connection.ended.is_cancelled()).count(), 6);
    // Mapped addresses are the same peer.
    let mapped = connections.admit("::ffff:10.0.0.2".parse().unwrap()).unwrap();
    assert_eq!(mapped.connection.peer, crowd[0].connection.peer);
    drop((server, crowd, mapped));
    assert!(connections.table_is_empty());
}

#[test]
fn what_is_in_memory_is_bounded_for_each_and_for_all_and_given_back() {
    let limits = Limits { buffered_per_peer: 10, buffered: 15, ..limits() };
    let connections = Arc::new(Connections::new(limits, Arc::default()));
    let (one, two) = (connections.admit([10, 0, 0, 1].into()).unwrap(), connections.admit([10, 0, 0, 2].into()).unwrap());
    let charge = |admitted: &Admitted, bytes| {
        let mut charge = Charge::new(&connections, &admitted.connection);
        charge.add(bytes).then_some(charge)
    };
    for _ in 0..3 {
        let kept = charge(&one, 10).unwrap();
        assert!(charge(&one, 1).is_none());
        assert!(charge(&two, 6).is_none());
        assert!(charge(&two, 5).is_some());
        drop(kept);
        assert!(charge(&two, 10).is_some());
    }
}

/// Requests opened and taken back at once, as fast as the client can.
#[tokio::test]
async fn rapid_resets_harm_nobody_else_and_leave_nothing_behind() {
    let subject = Subject::start(limits()).await;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(subject.tls("h2").await.unwrap())).await.unwrap();
    let mut connection = clock::spawn(connection);
    for _ in 0..5000 {
        drop(sender.send_request(request("GET", "/stuck", "")));
        tokio::task::yield_now().await;
        if connection.is_finished() {
            break;
        }
    }
    subject.probe().await;
    drop(sender);
    let _ = clock::within(Duration::from_secs(5), &mut connection).await.expect("ends");
    eventually(|| subject.counters.connections_open.load(Relaxed) == 0).await;
}

#[tokio::test]
async fn shutdown_lets_requests_end_and_closes_the_rest() {
    let subject = Subject::start(limits()).await;
    let (mut slow, mut idle, mut late) = (subject.client().await, subject.client().await, subject.client().await);
    let slow = clock::spawn(async move { slow.send("GET", "/slow", "").await });
    clock::sleep(ms(50)).await;
    subject.shutdown.cancel();
    clock::sleep(ms(20)).await;
    // A request that was on its way is answered, and the connection ends after it.
    let (response, _) = late.send("POST", "/echo", "").await.unwrap();
    assert_eq!(response.headers()["connection"], "close");
    assert!(late.send("POST", "/echo", "").await.is_err());
    assert_eq!(slow.await.unwrap().unwrap().0.status(), StatusCode::OK);
    assert!(TcpStream::connect(subject.address).await.is_err());
    assert!(idle.send("POST", "/echo", "").await.is_err());
    clock::within(ms(1000), subject.serving).await.expect("ends soon after the last request").unwrap();
    eventually(|| subject.counters.connections_open.load(Relaxed) == 0).await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let subject = Subject::start(Limits { drain: ms(200), ..limits() }).await;
    let mut stuck = subject.client().await;
    let stuck = clock::spawn(async move { stuck.send("GET", "/stuck", "").await });
    clock::sleep(ms(50)).await;
    subject.shutdown.cancel();
    clock::within(ms(1500), subject.serving).await.expect("cut").unwrap();
    assert!(stuck.await.unwrap().is_err());
}

#[tokio::test]
async fn http2_connections_are_told_to_go_at_once() {
    let subject = Subject::start(Limits { goodbye: Duration::from_secs(4), ..limits() }).await;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(subject.tls("h2").await.unwrap())).await.unwrap();
    let connection = clock::spawn(connection);
    sender.send_request(request("POST", "/echo", "")).await.unwrap();
    subject.shutdown.cancel();
    clock::within(Duration::from_secs(2), connection).await.expect("before the goodbye is over").unwrap().unwrap();
    // New ones are still taken.
    subject.probe().await;
}

#[tokio::test]
async fn without_tls_the_same_limits_hold() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let limits = Limits { header: ms(200), ..limits() };
    let serving = clock::spawn(serve_plain(listener, router(), limits, Arc::default(), shutdown.clone()));
    let mut client = Client::new(TcpStream::connect(address).await.unwrap()).await;
    assert_eq!(client.send("POST", "/echo", "plain").await.unwrap().1, "plain");
    assert_eq!(client.send("GET", "/panic", "").await.unwrap().0.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let mut drip = TcpStream::connect(address).await.unwrap();
    drip.write_all(b"GET /").await.unwrap();
    assert_eq!(until_closed(&mut drip, clock::instant()).await.0, "");
    shutdown.cancel();
    clock::within(Duration::from_secs(3), serving).await.unwrap().unwrap();
}
