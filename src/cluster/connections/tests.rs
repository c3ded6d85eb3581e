//! Who shares a connection with whom, and that one that was cut in silence is noticed.

use super::*;
use crate::clock;
use http_body_util::BodyExt;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::config::AuthInfo;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

#[test]
fn watches_and_lists_have_connections_of_their_own_and_so_has_the_lease() {
    let of = |uri: &str| class(&uri.parse().unwrap());
    assert_eq!(of("https://a/api/v1/namespaces/x/pods?&limit=500"), Class::Long);
    assert_eq!(of("https://a/apis/apps/v1/deployments?&watch=true&timeoutSeconds=290&allowWatchBookmarks=true"), Class::Long);
    assert_eq!(of("https://a/apis/coordination.k8s.io/v1/namespaces/x/leases?watch=true"), Class::Long);
    assert_eq!(of("https://a/prefix/apis/coordination.k8s.io/v1/namespaces/x/leases/holdpoint"), Class::Vital);
    assert_eq!(of("https://a/apis/holdpoint.dev/v1alpha1/namespaces/x/preflightchecks/c/status?fieldManager=holdpoint"), Class::Call);
    assert_eq!(of("https://a/version"), Class::Call);
}

#[test]
fn places_are_filled_from_the_first_freed_when_dropped_and_bounded() {
    let mut all: Vec<Seated<usize>> = Vec::new();
    let mut made = 0;
    let mut take = |all: &mut Vec<Seated<usize>>| {
        seat(all, || {
            made += 1;
            made
        })
    };
    let mut taken: Vec<(usize, Seat)> = (0..120).map(|_| take(&mut all)).collect();
    let mut shares: BTreeMap<usize, usize> = BTreeMap::new();
    for (of, _) in &taken {
        *shares.entry(*of).or_default() += 1;
    }
    assert_eq!(shares, BTreeMap::from([(1, 50), (2, 50), (3, 20)]));
    taken.retain(|(of, _)| *of == 3);
    assert_eq!(take(&mut all).0, 1, "what was given back is taken first");
    assert_eq!(all.iter().map(|one| one.of).collect::<Vec<_>>(), [1, 3], "what nobody uses is dropped");
    let many: Vec<(usize, Seat)> = (0..SEATS * MOST_CONNECTIONS + 500).map(|_| take(&mut all)).collect();
    assert_eq!(all.len(), MOST_CONNECTIONS);
    assert!(all.iter().all(|one| one.taken() <= SEATS + 4));
    drop((many, taken));
    let one = take(&mut all);
    assert_eq!((all.len(), one.0), (1, 1));
}

/// A server that answers with its protocol, and to a watch with one line and then nothing, through something that can fall silent.
struct Server {
    address: SocketAddr,
    silent: Arc<AtomicBool>,
    config: Config,
}

impl Server {
    async fn start(protocols: &[&[u8]]) -> Self {
        let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let private = rustls_pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
        let mut tls =
            rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![key.cert.der().clone()], private).unwrap();
        tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let behind = listener.local_addr().unwrap();
        clock::spawn(serve(listener, TlsAcceptor::from(Arc::new(tls))));
        let silent = Arc::<AtomicBool>::default();
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = front.local_addr().unwrap();
        clock::spawn(forward(front, behind, silent.clone()));
        let mut config = Config::new(format!("https://localhost:{}", address.port()).parse().unwrap());
        config.root_cert = Some(vec![key.cert.der().to_vec()]);
        config.auth_info = AuthInfo { token: Some("secret".to_owned().into()), ..AuthInfo::default() };
        Self { address, silent, config }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        clock::spawn(async move {
            let tls = acceptor.accept(tcp).await.unwrap();
            let answer = service_fn(|request: Request<Incoming>| async move {
                assert_eq!(request.headers()[http::header::AUTHORIZATION], "Bearer secret");
                let line = format!("{:?}\n", request.version());
                let first = futures::stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from(line)))]);
                let rest = futures::stream::once(async move {
                    if class(request.uri()) == Class::Long {
                        std::future::pending::<()>().await;
                    }
                    Ok(Frame::data(Bytes::new()))
                });
                Ok::<_, std::io::Error>(Response::new(http_body_util::StreamBody::new(futures::StreamExt::chain(first, rest))))
            });
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(tls), answer).await;
        });
    }
}

/// Passes bytes on; what is connected when it falls silent stays silent, and is acknowledged all the same.
async fn forward(front: TcpListener, behind: SocketAddr, silent: Arc<AtomicBool>) {
    loop {
        let (client, _) = front.accept().await.unwrap();
        let server = TcpStream::connect(behind).await.unwrap();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let is_cut = Arc::<AtomicBool>::default();
        for (mut from, mut to) in [(from_client, to_server), (from_server, to_client)] {
            let (silent, is_cut) = (silent.clone(), is_cut.clone());
            clock::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = from.read(&mut bytes).await {
                    is_cut.fetch_or(silent.load(Ordering::SeqCst), Ordering::SeqCst);
                    if !is_cut.load(Ordering::SeqCst) && to.write_all(&bytes[..length]).await.is_err() {
                        break;
                    }
                }
            });
        }
    }
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

async fn text(client: &kube::Client, path: &str) -> String {
    let body = client.send(get(path)).await.unwrap().into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn http2_is_preferred_and_http1_is_enough() {
    for (protocols, expected) in [(&[b"h2".as_slice(), b"http/1.1"][..], "HTTP/2.0\n"), (&[b"http/1.1"], "HTTP/1.1\n"), (&[], "HTTP/1.1\n")]
    {
        let server = Server::start(protocols).await;
        let client = client(&server.config).unwrap();
        assert_eq!(text(&client, "/version").await, expected);
        let mut named = server.config.clone();
        named.cluster_url = format!("https://{}", server.address).parse().unwrap();
        named.tls_server_name = Some("localhost".to_owned());
        assert_eq!(text(&super::client(&named).unwrap(), "/version").await, expected, "by the name of the certificate");
    }
}

#[tokio::test]
async fn a_watch_whose_connection_is_cut_in_silence_fails_within_seconds_and_the_next_works() {
    let server = Server::start(&[b"h2"]).await;
    let client = client(&server.config).unwrap();
    let watch = || async { client.send(get("/pods?watch=true")).await.unwrap().into_body() };
    let mut first = watch().await;
    assert_eq!(first.frame().await.unwrap().unwrap().into_data().unwrap(), "HTTP/2.0\n");
    // For longer than a ping takes: an idle connection that works is left alone.
    assert!(clock::within(PING_EVERY + PING_ANSWERED + PING_EVERY, first.frame()).await.is_err());
    server.silent.store(true, Ordering::SeqCst);
    let noticed = clock::within(2 * (PING_EVERY + PING_ANSWERED), first.frame()).await.unwrap();
    assert!(noticed.unwrap().is_err());
    server.silent.store(false, Ordering::SeqCst);
    assert_eq!(watch().await.frame().await.unwrap().unwrap().into_data().unwrap(), "HTTP/2.0\n");
}
