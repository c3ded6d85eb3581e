//! Who is connected, since when in which state, and with how much in memory.
//!
//! One task looks at all connections a few times a second and ends those that are overdue: with a timer for each, a request would have
//! to move it several times. When there is no room, a connection without a request makes room: of the peer that has the most, first
//! one that has never had a request answered, then the one that has waited longest. So whoever opens thousands of connections
//! displaces its own, and an API server's stay.

use super::Limits;
use crate::clock;
use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

/// What a listener counts, for metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections open now.
    pub connections_open: AtomicU64,
    /// Connections ever accepted.
    pub connections_accepted: AtomicU64,
    /// Connections refused since all there may be were busy.
    pub connections_refused: AtomicU64,
    /// Connections without a request that were ended to make room.
    pub connections_displaced: AtomicU64,
    /// Connections ended since a head, a request or the next request took too long.
    pub connections_overdue: AtomicU64,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: AtomicU64,
    /// Requests whose body was too large, too slow, broken, or found no room.
    pub bodies_refused: AtomicU64,
    /// Handlers that panicked.
    pub panics: AtomicU64,
    /// Times the system could not give a connection.
    pub accept_errors: AtomicU64,
}

/// All connections of a listener.
pub(super) struct Connections {
    pub(super) limits: Limits,
    pub(super) counters: Arc<Counters>,
    /// Connections are asked to go elsewhere.
    pub(super) leaving: CancellationToken,
    /// Idle connections are closed, and others after their request.
    pub(super) closing: CancellationToken,
    /// Every connection is cut.
    pub(super) end: CancellationToken,
    began: Instant,
    buffered: AtomicUsize,
    table: Mutex<Table>,
    emptied: Notify,
}

#[derive(Default)]
struct Table {
    next_id: u64,
    open: HashMap<u64, Arc<Connection>>,
    peers: HashMap<IpAddr, Peer>,
}

#[derive(Clone, Default)]
struct Peer {
    connections: usize,
    buffered: Arc<AtomicUsize>,
}

impl Connections {
    pub(super) fn new(limits: Limits, counters: Arc<Counters>) -> Self {
        Self {
            limits,
            counters,
            leaving: CancellationToken::new(),
            closing: CancellationToken::new(),
            end: CancellationToken::new(),
            began: clock::instant(),
            buffered: AtomicUsize::new(0),
            table: Mutex::default(),
            emptied: Notify::new(),
        }
    }

    /// Takes a connection in, if need be in the place of another; none if all are busy.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Admitted> {
        let peer = peer.to_canonical();
        let mut table = self.table();
        if !self.make_room(&mut table, peer) {
            self.counters.connections_refused.fetch_add(1, Relaxed);
            return None;
        }
        let id = table.next_id;
        table.next_id += 1;
        let of_peer = table.peers.entry(peer).or_default();
        of_peer.connections += 1;
        let connection = Arc::new(Connection {
            id,
            peer,
            ended: self.end.child_token(),
            began: self.began,
            peer_buffered: of_peer.buffered.clone(),
            requests: AtomicU32::new(0),
            in_head: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            since: AtomicU64::new(millis(self.began)),
        });
        table.open.insert(id, connection.clone());
        self.counters.connections_accepted.fetch_add(1, Relaxed);
        self.counters.connections_open.fetch_add(1, Relaxed);
        Some(Admitted { connection, connections: self.clone() })
    }

    fn make_room(&self, table: &mut Table, peer: IpAddr) -> bool {
        let of_peer = table.peers.get(&peer).map_or(0, |peer| peer.connections);
        let crowded = if of_peer >= self.limits.connections_per_peer {
            peer
        } else if table.open.len() >= self.limits.connections {
            let Some((largest, _)) = table.peers.iter().max_by_key(|(_, peer)| peer.connections) else { return false };
            *largest
        } else {
            return true;
        };
        let waiting = table.open.values().filter(|connection| connection.peer == crowded && !connection.is_busy());
        let Some(displaced) = waiting.min_by_key(|connection| (connection.answered.load(Relaxed), connection.since.load(Relaxed))).cloned()
        else {
            return false;
        };
        displaced.ended.cancel();
        table.remove(&displaced);
        self.counters.connections_displaced.fetch_add(1, Relaxed);
        true
    }

    /// Ends what is overdue, for as long as there is a listener.
    pub(super) async fn cut_overdue(self: Arc<Self>) {
        let shortest = self.limits.header.min(self.limits.idle).min(self.limits.exchange);
        let pause = (shortest / 8).clamp(Duration::from_millis(10), Duration::from_millis(500));
        while !self.end.is_cancelled() {
            clock::sleep(pause).await;
            let now = millis(self.began);
            for connection in self.table().open.values() {
                if connection.is_overdue(&self.limits, now) && !connection.ended.is_cancelled() {
                    connection.ended.cancel();
                    self.counters.connections_overdue.fetch_add(1, Relaxed);
                }
            }
        }
    }

    /// Waits until there is none.
    pub(super) async fn emptied(&self) {
        while !self.table().open.is_empty() {
            self.emptied.notified().await;
        }
    }

    #[cfg(test)]
    pub(super) fn table_is_empty(&self) -> bool {
        let table = self.table();
        table.open.is_empty() && table.peers.is_empty()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, connection: &Connection) {
        if self.open.remove(&connection.id).is_none() {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&connection.peer) {
            peer.connections -= 1;
            if peer.connections == 0 {
                self.peers.remove(&connection.peer);
            }
        }
    }
}

/// A place among the connections, given back when dropped.
pub(super) struct Admitted {
    pub(super) connection: Arc<Connection>,
    connections: Arc<Connections>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.counters.connections_open.fetch_sub(1, Relaxed);
        let mut table = self.connections.table();
        table.remove(&self.connection);
        if table.open.is_empty() {
            self.connections.emptied.notify_one();
        }
    }
}

/// A connection and what it is doing: nothing, sending a head, or waiting for answers.
pub(super) struct Connection {
    id: u64,
    pub(super) peer: IpAddr,
    /// It is to end at once.
    pub(super) ended: CancellationToken,
    began: Instant,
    peer_buffered: Arc<AtomicUsize>,
    requests: AtomicU32,
    in_head: AtomicBool,
    http2: AtomicBool,
    answered: AtomicBool,
    /// Milliseconds from the listener's beginning to the last change.
    since: AtomicU64,
}

impl Connection {
    /// The handshake is over.
    pub(super) fn established(&self, http2: bool) {
        self.http2.store(http2, Relaxed);
        self.changed();
    }

    /// Bytes were received. On HTTP/1.1 the first ones while there is no request begin a head; HTTP/2 has frames of other kinds, too.
    fn heard(&self) {
        if !self.is_busy() && !self.http2.load(Relaxed) && !self.in_head.swap(true, Relaxed) {
            self.changed();
        }
    }

    fn changed(&self) {
        self.since.store(millis(self.began), Relaxed);
    }

    fn is_busy(&self) -> bool {
        self.requests.load(Relaxed) > 0
    }

    fn is_overdue(&self, limits: &Limits, now: u64) -> bool {
        let limit = if self.is_busy() {
            limits.exchange
        } else if self.in_head.load(Relaxed) {
            limits.header
        } else {
            limits.idle
        };
        Duration::from_millis(now.saturating_sub(self.since.load(Relaxed))) > limit
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(clock::instant().saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX)
}

/// A request in progress, from its head until its answer has been handed over.
pub(super) struct Exchange(Arc<Connection>);

impl Exchange {
    pub(super) fn begin(connection: Arc<Connection>) -> Self {
        connection.requests.fetch_add(1, Relaxed);
        connection.in_head.store(false, Relaxed);
        connection.changed();
        Self(connection)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.answered.store(true, Relaxed);
        self.0.changed();
        self.0.requests.fetch_sub(1, Relaxed);
    }
}

/// Bytes that a request has in memory, given back when dropped.
pub(super) struct Charge {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
    bytes: usize,
}

impl Charge {
    pub(super) fn new(connections: &Arc<Connections>, connection: &Arc<Connection>) -> Self {
        Self { connections: connections.clone(), connection: connection.clone(), bytes: 0 }
    }

    /// Adds bytes if there is room for them.
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        let limits = &self.connections.limits;
        self.bytes += bytes;
        let of_peer = self.connection.peer_buffered.fetch_add(bytes, Relaxed) + bytes;
        let in_all = self.connections.buffered.fetch_add(bytes, Relaxed) + bytes;
        of_peer <= limits.buffered_per_peer && in_all <= limits.buffered
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.connection.peer_buffered.fetch_sub(self.bytes, Relaxed);
        self.connections.buffered.fetch_sub(self.bytes, Relaxed);
    }
}

/// A stream that tells its connection when bytes are received.
pub(super) struct Watched<S> {
    stream: S,
    connection: Arc<Connection>,
}

impl<S> Watched<S> {
    pub(super) const fn new(stream: S, connection: Arc<Connection>) -> Self {
        Self { stream, connection }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.connection.heard();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}
