//! What kube-proxy does for a Service with several replicas: each new connection goes to the next one.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A TCP splitter; dropping it stops taking connections. Those that are open stay open until one side closes.
#[derive(Debug)]
pub struct Splitter {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Splitter {
    /// Listens on the address (an [`crate::Installation::service_address`]) and passes each connection to the next of
    /// the replicas; to the one after if that does not accept it within 1 s. If none does, the connection is closed.
    pub fn start(address: SocketAddr, replicas: Vec<SocketAddr>) -> Result<Splitter> {
        let listener = TcpListener::bind(address).map_err(Error::io(format!("listen on {address}")))?;
        let address = listener.local_addr().map_err(Error::io("read the address of a listener"))?;
        let stopped = Arc::new(AtomicBool::new(false));
        let acceptor = {
            let stopped = Arc::clone(&stopped);
            thread::spawn(move || accept(&listener, &replicas, &stopped))
        };
        Ok(Splitter { address, stopped, acceptor: Some(acceptor) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Splitter {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, replicas: &[SocketAddr], stopped: &AtomicBool) {
    let next = AtomicUsize::new(0);
    for client in listener.incoming() {
        if stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        let first = next.fetch_add(1, Ordering::Relaxed) % replicas.len().max(1);
        let order: Vec<SocketAddr> = replicas.iter().cycle().skip(first).take(replicas.len()).copied().collect();
        thread::spawn(move || {
            if let Some(replica) = order.iter().find_map(|replica| TcpStream::connect_timeout(replica, CONNECT_TIMEOUT).ok()) {
                // A connection that breaks is for the two ends to notice.
                let _ = join(&client, &replica);
            }
        });
    }
}

/// Copies both ways until both ends have finished.
fn join(client: &TcpStream, replica: &TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    replica.set_nodelay(true)?;
    thread::scope(|scope| {
        scope.spawn(|| copy(client, replica));
        copy(replica, client);
    });
    Ok(())
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    if io::copy(&mut from, &mut to).is_err() {
        // Broken rather than finished: the other direction must not wait for ever.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::Ipv4Addr,
    };

    use super::*;

    /// Answers each connection with its name, then closes.
    fn replica(name: &'static str) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for connection in listener.incoming() {
                connection.unwrap().write_all(name.as_bytes()).unwrap();
            }
        });
        address
    }

    fn ask(address: SocketAddr) -> String {
        let mut answer = String::new();
        TcpStream::connect(address).unwrap().read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn takes_turns_and_skips_what_is_down() {
        let down = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let splitter = Splitter::start((Ipv4Addr::LOCALHOST, 0).into(), vec![replica("a"), replica("b"), down]).unwrap();
        let answers: Vec<String> = (0..6).map(|_| ask(splitter.address())).collect();
        assert_eq!(answers, ["a", "b", "a", "a", "b", "a"]);
        let address = splitter.address();
        drop(splitter);
        assert!(TcpStream::connect(address).is_err());
    }
}
