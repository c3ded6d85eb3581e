//! The servers that the http checks ask: each answers 200 to whatever it is sent, on an address of its own.

use crate::Outcome;
use futures::future::try_join_all;
use holdpoint::clock;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nok\n";
const LONGEST_REQUEST: usize = 4096;

/// Running servers; they end with the runtime.
pub struct Endpoints {
    /// Where they are.
    pub addresses: Vec<SocketAddr>,
    answered: Arc<AtomicU64>,
}

impl Endpoints {
    /// Starts so many.
    pub async fn start(count: u8) -> Outcome<Self> {
        let answered = Arc::new(AtomicU64::new(0));
        let binding = (1..=count).map(|host| TcpListener::bind(SocketAddr::from(([127, 0, 1, host], 0))));
        let listeners = try_join_all(binding).await?;
        let mut addresses = Vec::new();
        for listener in listeners {
            addresses.push(listener.local_addr()?);
            clock::spawn(serve(listener, answered.clone()));
        }
        Ok(Self { addresses, answered })
    }

    /// How many requests were answered until now.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

async fn serve(listener: TcpListener, answered: Arc<AtomicU64>) {
    while let Ok((stream, _)) = listener.accept().await {
        let answered = answered.clone();
        clock::spawn(async move {
            if answer(stream).await.is_ok() {
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::with_capacity(512);
    while !request.ends_with(b"\r\n\r\n") && request.len() < LONGEST_REQUEST {
        if stream.read_buf(&mut request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    stream.write_all(ANSWER).await?;
    stream.shutdown().await
}
