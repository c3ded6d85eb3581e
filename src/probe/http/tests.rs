use super::*;
use crate::api::JsonPathEquals;
use crate::api::{HttpHeader, KeyReference};
use crate::core::netpolicy::NetworkPolicy;
use crate::core::observation::{TARGET_DENIED, TIMEOUT};
use crate::probe::net::{CERTIFICATE_AUTHORITY_INVALID, CONNECTION_REFUSED, RESOLVE_FAILED, TLS_FAILED};
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

fn spec(url: impl Into<String>) -> HttpProbe {
    HttpProbe {
        url: url.into(),
        method: HttpMethod::Get,
        headers: vec![],
        expected_status: vec![200],
        body: None,
        certificate_authority: None,
    }
}

fn containing(text: &str) -> BodyExpectation {
    BodyExpectation { contains: Some(text.to_owned()), json_path: None }
}

fn at_path(path: &str, equals: &str) -> BodyExpectation {
    BodyExpectation { contains: None, json_path: Some(JsonPathEquals { path: path.to_owned(), equals: equals.to_owned() }) }
}

fn parse(spec: &HttpProbe) -> Result<Http, Vec<Problem>> {
    let mut problems = Vec::new();
    let parsed = Http::parse(spec, "spec.probe.http", &mut problems);
    assert_eq!(parsed.is_some(), problems.is_empty());
    parsed.ok_or(problems)
}

fn refused(spec: &HttpProbe) -> Vec<String> {
    parse(spec).unwrap_err().iter().map(Problem::to_string).collect()
}

fn on_loopback() -> Dialer {
    Dialer::new(NetworkPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]))
}

async fn observe(spec: &HttpProbe, timeout: Duration) -> Observation {
    parse(spec).unwrap().observe(&on_loopback(), None, timeout).await
}

/// Reads a request's head; gives what was read.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// A server for one connection, which is all that a probe makes.
async fn serve<F, Fut>(behave: F) -> (SocketAddr, JoinHandle<Fut::Output>)
where
    F: FnOnce(TcpStream, String) -> Fut + Send + 'static,
    Fut: Future<Output: Send> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = clock::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head(&mut stream).await;
        behave(stream, head).await
    });
    (address, server)
}

/// A server that answers these bytes, reads until the client closes, and gives the request's head.
async fn answering(answer: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<String>) {
    let answer = answer.into();
    serve(async move |mut stream: TcpStream, head| {
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
        head
    })
    .await
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// What the probe sees of an answer, with an expectation of the body.
async fn seen(bytes: impl Into<Vec<u8>>, body: impl Into<Option<BodyExpectation>>) -> Observation {
    let (address, _server) = answering(bytes).await;
    observe(&HttpProbe { body: body.into(), ..spec(format!("http://{address}/")) }, LONG).await
}

fn outcome(observation: &Observation) -> (Outcome, &'static str) {
    (observation.outcome, observation.reason)
}

#[tokio::test]
async fn an_expected_status_passes() {
    let (address, _server) = answering(answer("204 No Content", "", "")).await;
    let seen =
        observe(&HttpProbe { expected_status: vec![200, 204], ..spec(format!("http://{address}/healthz?token=canary")) }, LONG).await;
    assert_eq!(outcome(&seen), (Outcome::Pass, ANSWERED));
    assert_eq!(seen.target, format!("http://{address}/healthz"));
    assert_eq!((seen.value.as_deref(), seen.required.as_deref()), (Some("204"), Some("200, 204")));
    assert!(seen.duration > Duration::ZERO);
}

#[tokio::test]
async fn another_status_fails_and_its_body_is_not_shown() {
    let (address, _server) = answering(answer("503 Canary", "", "canary")).await;
    let seen = observe(&HttpProbe { body: Some(containing("ok")), ..spec(format!("http://{address}/")) }, LONG).await;
    assert_eq!(outcome(&seen), (Outcome::Fail, UNEXPECTED_STATUS));
    assert_eq!((seen.value.as_deref(), seen.required.as_deref()), (Some("503"), Some("200")));
    assert_eq!(seen.message, "answered 503, expected 200");
}

#[tokio::test]
async fn a_redirect_is_a_status_and_is_not_followed() {
    let (elsewhere, visited) = answering(answer("200 OK", "", "")).await;
    let (address, _server) = answering(answer("302 Found", &format!("location: http://{elsewhere}/\r\n"), "")).await;
    let seen = observe(&spec(format!("http://{address}/")), LONG).await;
    assert_eq!((outcome(&seen), seen.value.as_deref()), ((Outcome::Fail, UNEXPECTED_STATUS), Some("302")));
    assert!(!visited.is_finished());
}

#[tokio::test]
async fn a_request_carries_what_the_spec_says_and_nothing_else() {
    let (address, server) = answering(answer("200 OK", "", "")).await;
    let headers = vec![HttpHeader { name: "X-Team".to_owned(), value: "shop".to_owned() }];
    let path = "/a/../b%2f?q=1&r=%20";
    observe(&HttpProbe { headers, method: HttpMethod::Post, ..spec(format!("http://{address}{path}")) }, LONG).await;
    let head = server.await.unwrap();
    let mut lines: Vec<_> = head.trim_end().split("\r\n").map(str::to_owned).collect();
    lines[1..].sort();
    assert_eq!(
        lines,
        [
            "POST /b%2f?q=1&r=%20 HTTP/1.1".to_owned(),
            "accept-encoding: identity".to_owned(),
            "accept: */*".to_owned(),
            "content-length: 0".to_owned(),
            format!("host: {address}"),
            format!("user-agent: holdpoint/{}", env!("CARGO_PKG_VERSION")),
            "x-team: shop".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_head_request_needs_no_body() {
    let (address, server) = answering("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await;
    let seen = observe(&HttpProbe { method: HttpMethod::Head, ..spec(format!("http://{address}/")) }, LONG).await;
    assert_eq!(seen.outcome, Outcome::Pass);
    assert!(server.await.unwrap().starts_with("HEAD / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_body_is_judged_and_never_shown() {
    let json = r#"{"status":"ok","n":3,"db":{"up":true},"list":[{"name":"a","v":1},{"name":"b","v":"canary"}]}"#;
    for (body, expected) in [
        (containing("\"ok\""), (Outcome::Pass, ANSWERED)),
        (containing("absent"), (Outcome::Fail, BODY_MISMATCH)),
        (at_path("$.status", "ok"), (Outcome::Pass, ANSWERED)),
        (at_path("$.status", "\"ok\""), (Outcome::Fail, BODY_MISMATCH)),
        (at_path("$.n", "3"), (Outcome::Pass, ANSWERED)),
        (at_path("$.db", r#"{"up":true}"#), (Outcome::Pass, ANSWERED)),
        (at_path("$.db.up", "true"), (Outcome::Pass, ANSWERED)),
        (at_path("$.list[?@.name == 'a'].v", "1"), (Outcome::Pass, ANSWERED)),
        (at_path("$..up", "true"), (Outcome::Pass, ANSWERED)),
        (at_path("$.list[1].v", "no"), (Outcome::Fail, BODY_MISMATCH)),
        (at_path("$.gone", "x"), (Outcome::Error, NO_DATA)),
        (at_path("$.list[*].v", "1"), (Outcome::Error, BODY_UNREADABLE)),
    ] {
        let seen = seen(answer("200 OK", "", json), body.clone()).await;
        assert_eq!(outcome(&seen), expected, "{body:?}");
        assert!(!format!("{seen:?}").contains("canary"));
    }
    let both = BodyExpectation { contains: Some("absent".to_owned()), json_path: at_path("$.status", "ok").json_path };
    assert_eq!(seen(answer("200 OK", "", json), Some(both)).await.reason, BODY_MISMATCH);
    let seen = seen(answer("200 OK", "", "canary"), at_path("$.status", "ok")).await;
    assert_eq!((outcome(&seen), seen.message.as_str()), ((Outcome::Error, BODY_UNREADABLE), "the body is not JSON"));
}

#[tokio::test]
async fn a_body_without_a_length_and_one_in_chunks_are_read() {
    for text in ["HTTP/1.1 200 OK\r\n\r\nfine", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n"] {
        assert_eq!(seen(text, containing("fine")).await.outcome, Outcome::Pass, "{text:?}");
    }
}

#[tokio::test]
async fn a_body_of_up_to_64_kib_is_read_and_a_longer_one_is_an_error() {
    let full = format!("{}end", "x".repeat(MAX_BODY_BYTES - 3));
    assert_eq!(seen(answer("200 OK", "", &full), containing("end")).await.outcome, Outcome::Pass);
    let over = format!("{full}!");
    for text in [answer("200 OK", "", &over), format!("HTTP/1.1 200 OK\r\n\r\n{over}")] {
        assert_eq!(outcome(&seen(text, containing("x")).await), (Outcome::Error, BODY_TOO_LARGE));
    }
    assert_eq!(seen(answer("200 OK", "", &over), None).await.outcome, Outcome::Pass, "a body nobody asked for is not read");
}

#[tokio::test]
async fn ten_megabytes_are_not_read() {
    let (address, server) = serve(async |mut stream: TcpStream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        let chunk = [&b"10000\r\n"[..], &vec![b'x'; 65_536], b"\r\n"].concat();
        let mut sent = 0_usize;
        while sent < 10 << 20 && stream.write_all(&chunk).await.is_ok() {
            sent += 65_536;
        }
        sent
    })
    .await;
    let seen = observe(&HttpProbe { body: Some(containing("end")), ..spec(format!("http://{address}/")) }, LONG).await;
    assert_eq!(outcome(&seen), (Outcome::Error, BODY_TOO_LARGE));
    assert!(server.await.unwrap() < 10 << 20);
}

#[tokio::test]
async fn an_answer_that_lies_about_its_length_or_is_compressed_is_an_error() {
    for (text, reason) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok", CONNECTION_CLOSED),
        ("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\nok", ANSWER_MALFORMED),
        ("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551613\r\n\r\nok", BODY_TOO_LARGE),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!", ANSWER_MALFORMED),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok", ANSWER_MALFORMED),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nok", CONNECTION_CLOSED),
        ("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok", BODY_UNREADABLE),
    ] {
        assert_eq!(outcome(&seen(text, containing("ok")).await), (Outcome::Error, reason), "{text:?}");
    }
    let longer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok, but more follows";
    assert_eq!(seen(longer, containing("more")).await.reason, BODY_MISMATCH, "what follows the length is not the body");
}

#[tokio::test]
async fn what_is_not_http_is_an_error() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
    let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(2 * MAX_HEAD_BYTES));
    for (text, reason) in [
        ("SSH-2.0-canary\r\n", ANSWER_MALFORMED),
        ("HTTP/1.1 2000 canary\r\n\r\n", ANSWER_MALFORMED),
        (&many, ANSWER_MALFORMED),
        (&long, ANSWER_MALFORMED),
        ("", CONNECTION_CLOSED),
        ("HTTP/1.1 200 OK\r\n", CONNECTION_CLOSED),
    ] {
        let seen = seen(text, None).await;
        assert_eq!(outcome(&seen), (Outcome::Error, reason), "{}: {}", text.len(), seen.message);
        assert!(!seen.message.contains("canary"), "{}", seen.message);
    }
}

#[tokio::test]
async fn a_server_that_stalls_or_drips_costs_no_more_than_the_deadline() {
    for (start, drip, step) in [
        ("", "", "waiting for the answer"),
        ("HTTP/1.1 200 OK\r\n", "a", "waiting for the answer"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "waiting for the answer"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", "", "reading the body"),
        ("HTTP/1.1 200 OK\r\n\r\n", "x", "reading the body"),
    ] {
        let (address, _server) = serve(async move |mut stream: TcpStream, _| {
            stream.write_all(start.as_bytes()).await.unwrap();
            while stream.write_all(drip.as_bytes()).await.is_ok() {
                clock::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let seen = observe(&HttpProbe { body: Some(containing("ok")), ..spec(format!("http://{address}/")) }, SHORT).await;
        assert_eq!(outcome(&seen), (Outcome::Error, TIMEOUT), "{start:?}");
        assert_eq!(seen.message, format!("the time was up while {step}"));
        assert!(seen.duration >= SHORT && seen.duration < SHORT * 5, "{:?}", seen.duration);
    }
}

#[tokio::test]
async fn a_refused_connection_and_an_unknown_name_are_errors() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(outcome(&observe(&spec(format!("http://{address}/")), LONG).await), (Outcome::Error, CONNECTION_REFUSED));
    assert_eq!(outcome(&observe(&spec("http://does-not-exist.invalid/"), LONG).await), (Outcome::Error, RESOLVE_FAILED));
}

#[tokio::test]
async fn the_operators_own_addresses_are_refused_however_they_are_written() {
    let (address, server) = answering(answer("200 OK", "", "")).await;
    let port = address.port();
    let dialer = Dialer::new(NetworkPolicy::default());
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "0",
        "0.0.0.0",
        "[::]",
        "①②⑦.⓪.⓪.①",
        "%31%32%37.0.0.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "[fe80::1]",
    ] {
        for scheme in ["http", "https"] {
            let seen = parse(&spec(format!("{scheme}://{host}:{port}/"))).unwrap().observe(&dialer, None, LONG).await;
            assert_eq!(outcome(&seen), (Outcome::Error, TARGET_DENIED), "{host}: {}", seen.message);
        }
    }
    assert!(!server.is_finished());
}

#[test]
fn a_proxy_in_the_environment_is_not_used() {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap());
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, &url);
    }
    let ran = child
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .args(["--exact", "probe::http::tests::an_expected_status_passes"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(proxy.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

/// A certificate authority and a server with a certificate from it, valid for a time around now or long ago.
async fn serve_tls(names: &[&str], expired: bool) -> (SocketAddr, String, JoinHandle<Option<String>>) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    if expired {
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = clock::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
        let name = stream.get_ref().1.server_name().unwrap_or_default().to_owned();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        head(&mut stream).await;
        stream.write_all(answer("200 OK", "", "ok").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        Some(name)
    });
    (address, authority.pem(), server)
}

async fn observe_tls(url: String, pem: Option<&[u8]>) -> Observation {
    parse(&HttpProbe { body: Some(containing("ok")), ..spec(url) }).unwrap().observe(&on_loopback(), pem, LONG).await
}

#[tokio::test]
async fn a_certificate_from_the_named_authority_passes() {
    let (address, pem, server) = serve_tls(&["localhost"], false).await;
    let seen = observe_tls(format!("https://localhost:{}/", address.port()), Some(pem.as_bytes())).await;
    assert_eq!(outcome(&seen), (Outcome::Pass, ANSWERED), "{}", seen.message);
    assert_eq!(server.await.unwrap().as_deref(), Some("localhost"), "the name asked for is the URL's");

    let (address, pem, server) = serve_tls(&["127.0.0.1"], false).await;
    let seen = observe_tls(format!("https://{address}/"), Some(pem.as_bytes())).await;
    assert_eq!(outcome(&seen), (Outcome::Pass, ANSWERED), "{}", seen.message);
    assert_eq!(server.await.unwrap().as_deref(), Some(""));
}

#[tokio::test]
async fn a_wrong_certificate_is_an_error_that_says_what_is_wrong() {
    let (address, _, _server) = serve_tls(&["127.0.0.1"], false).await;
    let seen = observe_tls(format!("https://{address}/"), None).await;
    assert_eq!(outcome(&seen), (Outcome::Error, TLS_FAILED));
    assert!(seen.message.contains("trusted authority") && seen.message.contains("certificateAuthority"), "{}", seen.message);

    let (address, pem, _server) = serve_tls(&["elsewhere.example"], false).await;
    let seen = observe_tls(format!("https://{address}/"), Some(pem.as_bytes())).await;
    assert_eq!((seen.reason, seen.message.as_str()), (TLS_FAILED, "no TLS connection: the server's certificate is for another host name"));

    let (address, pem, _server) = serve_tls(&["127.0.0.1"], true).await;
    let seen = observe_tls(format!("https://{address}/"), Some(pem.as_bytes())).await;
    assert_eq!((seen.reason, seen.message.as_str()), (TLS_FAILED, "no TLS connection: the server's certificate has expired"));

    let (address, _, _server) = serve_tls(&["127.0.0.1"], false).await;
    let seen = observe_tls(format!("https://{address}/"), Some(b"no PEM")).await;
    assert_eq!(outcome(&seen), (Outcome::Error, CERTIFICATE_AUTHORITY_INVALID));
}

#[tokio::test]
async fn a_server_without_tls_or_one_that_stalls_in_it_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _server = clock::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        drop(listener.accept().await.unwrap());
        let _silent = listener.accept().await.unwrap();
        clock::sleep(LONG).await;
    });
    let seen = observe_tls(format!("https://{address}/"), None).await;
    assert_eq!((seen.reason, seen.message.as_str()), (TLS_FAILED, "no TLS connection: the server does not speak TLS on this port"));
    let seen = observe_tls(format!("https://{address}/"), None).await;
    assert_eq!(seen.reason, TLS_FAILED, "{}", seen.message);
    let seen = parse(&spec(format!("https://{address}/"))).unwrap().observe(&on_loopback(), None, SHORT).await;
    assert_eq!((seen.reason, seen.message.as_str()), (TIMEOUT, "the time was up while negotiating TLS"));
}

#[test]
fn a_url_is_refused_with_what_would_be_right() {
    for (url, says) in [
        ("file:///etc/passwd", "must start with http:// or https://"),
        ("gopher://a/", "must start with http:// or https://"),
        ("http:a", "must start with http:// or https://"),
        ("HTTP://a", "must start with http:// or https://"),
        ("", "must start with http:// or https://"),
        ("http://user@a/", "must not carry a user name or password"),
        ("http://user:canary@a/", "must not carry a user name or password"),
        ("https://allowed@evil", "must not carry a user name or password"),
        ("http://@a/", "must not carry a user name or password"),
        ("http:////user@a/", "has no host"),
        ("http://", "has no host"),
        ("http:///path", "has no host"),
        ("http://?q", "has no host"),
        ("http://:80/", "is not a URL"),
        ("http://a:99999/", "is not a URL"),
        ("http://a:0/", "must have a port from 1 to 65535"),
        ("http://[::1/", "is not a URL"),
        ("http://fe80::1%25eth0/", "is not a URL"),
        ("http://1.2.3.4.5/", "is not a URL"),
        ("http://a/#fragment", "must not have a fragment"),
        ("http://a/#", "must not have a fragment"),
        ("http://a/\r\nHost: b", "percent-encoded"),
        ("http://a\t.b/", "percent-encoded"),
        ("http://a /", "percent-encoded"),
        ("http://allowed\\@evil/", "percent-encoded"),
        (&format!("http://a/{}", "b".repeat(2048)), "is longer than 2048 bytes"),
    ] {
        let problems = refused(&spec(url));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("spec.probe.http.url: ") && problems[0].contains(says), "{url}: {problems:?}");
        assert!(!problems[0].contains("canary"));
    }
}

#[test]
fn a_url_is_used_as_it_was_parsed() {
    for (url, target, port, path, host) in [
        ("https://a", "https://a/", 443, "/", "a"),
        ("https://a:443/x?y=z", "https://a/x", 443, "/x?y=z", "a"),
        ("http://a:8080?y", "http://a:8080/", 8080, "/?y", "a:8080"),
        ("http://A.Example/%2e%2e/b/./c", "http://a.example/b/c", 80, "/b/c", "a.example"),
        ("http://bücher.example/ü", "http://xn--bcher-kva.example/%C3%BC", 80, "/%C3%BC", "xn--bcher-kva.example"),
        ("http://[fd00::1]:81/", "http://[fd00::1]:81/", 81, "/", "[fd00::1]:81"),
        ("http://a/u@b", "http://a/u@b", 80, "/u@b", "a"),
        ("http://a/{x}^`|\"<>?q={x}^`|\"<>'", "http://a/%7Bx%7D^%60|%22%3C%3E", 80, "/%7Bx%7D^%60|%22%3C%3E?q={x}^`|%22%3C%3E%27", "a"),
    ] {
        let http = parse(&spec(url)).unwrap();
        assert_eq!(
            (http.target(), http.port, http.path.as_str(), http.headers[HOST].to_str().unwrap()),
            (target, port, path, host),
            "{url}"
        );
    }
}

#[test]
fn a_bad_member_is_named() {
    let header = |name: &str, value: &str| HttpHeader { name: name.to_owned(), value: value.to_owned() };
    for name in
        ["Host", "content-length", "Transfer-Encoding", "Connection", "Upgrade", "Proxy-Authorization", "proxy-x", "TE", "Accept-Encoding"]
    {
        let problems = refused(&HttpProbe { headers: vec![header("a", "b"), header(name, "x")], ..spec("http://a/") });
        assert!(problems[0].starts_with(&format!("spec.probe.http.headers[1].name: {name} is refused")), "{problems:?}");
    }
    let probe = HttpProbe {
        url: "ftp://a".to_owned(),
        headers: vec![header("a b", ""), header("a", "b\r\nc: d"), header("a", "ü")],
        expected_status: vec![200, 99, 600, -1],
        body: Some(BodyExpectation { contains: None, json_path: at_path("status", "ok").json_path }),
        ..spec("")
    };
    let fields: Vec<_> = parse(&probe).unwrap_err().into_iter().map(|problem| problem.field.replace("spec.probe.http.", "")).collect();
    assert_eq!(
        fields,
        [
            "url",
            "headers[0].name",
            "headers[1].value",
            "headers[2].value",
            "expectedStatus[1]",
            "expectedStatus[2]",
            "expectedStatus[3]",
            "body.jsonPath.path"
        ]
    );
    assert!(refused(&HttpProbe { expected_status: vec![], ..spec("http://a") })[0].contains("1 to 16 status codes"));
    assert!(refused(&HttpProbe { headers: vec![header("a", "b"); 17], ..spec("http://a") })[0].contains("at most 16"));
    assert!(
        refused(&HttpProbe { body: Some(BodyExpectation::default()), ..spec("http://a") })[0].contains("set contains, jsonPath or both")
    );
    assert!(
        refused(&HttpProbe { body: Some(containing("a")), method: HttpMethod::Head, ..spec("http://a") })[0].contains("use method GET")
    );
    let reference = KeyReference { name: "ca".to_owned(), key: "ca.crt".to_owned() };
    let authority = CertificateAuthority { config_map_ref: Some(reference), secret_ref: None };
    assert!(refused(&HttpProbe { certificate_authority: Some(authority.clone()), ..spec("http://a") })[0].contains("is for https"));
    let http = parse(&HttpProbe { certificate_authority: Some(authority.clone()), ..spec("https://a") }).unwrap();
    assert_eq!(http.certificate_authority(), Some(&authority));
}

#[test]
fn a_users_own_header_replaces_the_default_and_is_not_printed() {
    let headers = vec![HttpHeader { name: "User-Agent".to_owned(), value: "canary".to_owned() }];
    let http = parse(&HttpProbe { headers, ..spec("http://a") }).unwrap();
    assert_eq!(http.headers.get_all(USER_AGENT).iter().collect::<Vec<_>>(), ["canary"]);
    assert!(!format!("{http:?}").contains("canary"));
}

#[test]
fn the_costliest_paths_that_are_accepted_cost_little() {
    let flat = format!("[{}]", vec!["[]"; MAX_BODY_BYTES / 3 - 1].join(","));
    let deep = format!("{}{}{}", "[".repeat(120), vec!["0"; 32_000].join(","), "]".repeat(120));
    let wide = format!("[{}]", [format!("{}{}", "[".repeat(120), "]".repeat(120)).as_str(); 270].join(","));
    let filter = format!("$[*][?{}]", ["@[0][0][0][0][0][0][0][0].a"; 32].join(" || "));
    let every = format!("$[*][*][?{}]", ["@[*][*][*][*][*][*][*][*].a"; 32].join(" || "));
    let length = format!("$[?{}]", ["length(@) == -1"; 50].join(" || "));
    let nested = "$[*][?@[?@[?@[?@[?@ == 1]]]]]";
    for document in [&flat, &deep, &wide] {
        assert!(document.len() <= MAX_BODY_BYTES);
        for path in ["$..*", "$..[0]", &filter, &every, &length, nested] {
            let http = parse(&HttpProbe { body: Some(at_path(path, "x")), ..spec("http://a") }).unwrap();
            let started = clock::instant();
            let _ = http.body.as_ref().unwrap().judge(document.as_bytes());
            let took = clock::instant().duration_since(started);
            eprintln!("{took:?} {path:.20}");
            assert!(took < Duration::from_secs(10), "{took:?} {path}");
        }
    }
}

fn urls() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        any::<String>().prop_map(|text| format!("http://{text}")),
        "https?://[a-z0-9@:/?#\\\\\\[\\]%. \t\r\n-]{0,40}",
        ("[!-~]{0,12}", "[!-~]{0,12}").prop_map(|(a, b)| format!("http://{a}@{b}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_url_is_refused_or_has_a_host_and_no_credentials(url in urls()) {
        if let Ok(http) = parse(&spec(url)) {
            let again = Url::parse(http.target()).unwrap();
            prop_assert_eq!(again.host().map(|host| host.to_owned()), Some(http.host.clone()));
            prop_assert_eq!(again.port_or_known_default(), Some(http.port));
            prop_assert!(again.username().is_empty() && again.password().is_none());
            prop_assert!(!http.host.to_string().contains('@') && !http.host.to_string().is_empty());
            prop_assert!(!http.target().contains(['?', '#']));
            prop_assert!(http.path.as_str().starts_with('/') && !http.path.as_str().contains(['\r', '\n', ' ', '#']));
        }
    }

    #[test]
    fn any_header_status_and_path_is_accepted_or_refused(
        name in any::<String>(), value in any::<String>(), status in any::<i32>(), path in "(\\$[a-z.\\[\\]()?@*'\",0-9 =!&|$-]{0,40}|.*)"
    ) {
        let probe = HttpProbe {
            headers: vec![HttpHeader { name, value }], expected_status: vec![status], body: Some(at_path(&path, "x")), ..spec("http://a")
        };
        if let Err(problems) = parse(&probe) {
            prop_assert!(problems.iter().all(|problem| problem.field.starts_with("spec.probe.http.")));
        }
    }

    #[test]
    fn any_body_is_judged(body in any::<Vec<u8>>(), text in ".{1,9}") {
        let probe = HttpProbe { body: Some(BodyExpectation { contains: Some(text), json_path: at_path("$.a[?@.b]", "x").json_path }), ..spec("http://a") };
        let _ = parse(&probe).unwrap().body.unwrap().judge(&body);
    }
}
