//! Servers on this machine that checks ask.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection, Stream};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// An HTTP server that gives every request the same answer, until it is told another one. It ends when dropped.
pub struct HttpServer {
    pub address: SocketAddr,
    answer: Arc<Mutex<String>>,
    seen: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
}

/// A certificate authority and, for TLS, what a server with one of its certificates needs.
pub struct Authority {
    pub pem: String,
    config: Arc<ServerConfig>,
}

impl Authority {
    /// An authority, and a certificate for 127.0.0.1.
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap();
        Authority { pem: issuer.pem(), config: Arc::new(config) }
    }
}

impl HttpServer {
    pub fn start(status: &str, body: &str) -> HttpServer {
        HttpServer::listen(status, body, None)
    }

    pub fn start_tls(status: &str, body: &str, authority: &Authority) -> HttpServer {
        HttpServer::listen(status, body, Some(authority.config.clone()))
    }

    fn listen(status: &str, body: &str, tls: Option<Arc<ServerConfig>>) -> HttpServer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let server = HttpServer {
            address: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new(answer(status, body))),
            seen: Arc::default(),
            stopped: Arc::default(),
        };
        let (text, seen, stopped) = (server.answer.clone(), server.seen.clone(), server.stopped.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let text = text.lock().unwrap().clone();
                let head = match &tls {
                    None => exchange(stream, &text),
                    Some(config) => over_tls(stream, config, &text),
                };
                seen.lock().unwrap().push(head);
            }
        });
        server
    }

    /// What it answers from now on.
    pub fn answer(&self, status: &str, body: &str) {
        *self.answer.lock().unwrap() = answer(status, body);
    }

    /// The heads of the requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Nobody listens any longer.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        // The listener sees it with the next connection, and is closed then.
        let _ = TcpStream::connect(self.address);
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn over_tls(mut stream: TcpStream, config: &Arc<ServerConfig>, text: &str) -> String {
    let mut connection = ServerConnection::new(config.clone()).unwrap();
    let mut tls = Stream::new(&mut connection, &mut stream);
    let head = exchange(&mut tls, text);
    tls.conn.send_close_notify();
    let _ = tls.flush();
    head
}

/// Reads the request's head and answers. A client that goes away is no fault of the server.
fn exchange(mut stream: impl Read + Write, text: &str) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|length| length == 1) {
        head.push(byte[0]);
    }
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.flush();
    String::from_utf8_lossy(&head).into_owned()
}
