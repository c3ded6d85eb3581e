//! Proof that the API server is still there.
//!
//! A connection that was cut without a word (a firewall that forgot it, a machine that vanished) looks like one on which nothing happens: a
//! watch would go on trusting it for minutes, and what it delivered last with it. So the API server is asked for its version every second.
//! While it does not answer, all watches count as broken, and when it answers again they begin anew with a full list.

use super::client::call;
use crate::clock;
use kube::Client;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often the API server is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How long it may take to answer. With [`EVERY`] and the tolerance for a broken watch, what was watched is believed for 5 s after the last proof.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
struct State {
    alive: bool,
    last_proof: Instant,
}

/// Whether the API server answers. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Contact(watch::Receiver<State>);

impl Contact {
    /// Contact, and the task that keeps it.
    pub fn new(client: Client) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = watch::channel(State { alive: true, last_proof: clock::instant() });
        (Self(receiver), keep(client, sender))
    }

    /// Waits until the API server answers.
    pub async fn regained(&mut self) {
        let ended = self.0.wait_for(|state| state.alive).await.is_err();
        if ended {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the API server does not answer. Returns for how long there has been no proof.
    pub async fn lost(&mut self) -> Duration {
        let silent = self.0.wait_for(|state| !state.alive).await.map(|state| state.last_proof.elapsed()).ok();
        match silent {
            Some(silent) => silent,
            None => std::future::pending().await,
        }
    }
}

async fn keep(client: Client, state: watch::Sender<State>) {
    while !state.is_closed() {
        let asked = clock::instant();
        let answered = matches!(clock::within(PATIENCE, call(client.apiserver_version())).await, Ok(Ok(_)));
        state.send_if_modified(|state| {
            if answered {
                // The answer proves that the connection worked when the question was sent, not when it came back.
                state.last_proof = asked;
            }
            let turned = state.alive != answered;
            state.alive = answered;
            turned
        });
        clock::sleep(EVERY.saturating_sub(asked.elapsed())).await;
    }
}
