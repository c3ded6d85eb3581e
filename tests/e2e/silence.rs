//! A connection that delivers nothing and does not break: the operator must not take what it knew for what is.

use crate::manifests::{podchaos, podchaos_gate, rollout};
use crate::team::Team;
use crate::world::{World, ensure, holds_for, within};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// The proof that watches deliver may be 5 s old; the rest is for a busy machine.
const NOTICED: Duration = Duration::from_secs(15);

/// Stands between the operator and the API server, and can fall silent: connections stay open and are acknowledged, and nothing passes any
/// longer.
struct Middleman {
    address: SocketAddr,
    silence: Arc<Silence>,
}

#[derive(Default)]
struct Silence {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Nothing passes at all.
    complete: bool,
    /// How many connections there were so far.
    connections: usize,
    /// Nothing ever passes again on so many of them, the oldest.
    cut: usize,
}

impl Silence {
    fn complete(&self, complete: bool) {
        self.state.lock().unwrap().complete = complete;
        self.changed.notify_all();
    }

    /// Cuts the connections that there are; new ones work.
    fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.cut = state.connections;
    }

    /// A connection is made; returns its number.
    fn connected(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.connections += 1;
        state.connections
    }

    /// Returns when something passes on a connection.
    fn wait(&self, connection: usize) {
        let silent = |state: &mut State| state.complete || connection <= state.cut;
        drop(self.changed.wait_while(self.state.lock().unwrap(), silent).unwrap());
    }
}

impl Middleman {
    fn start(api_server: SocketAddr) -> Middleman {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (address, silence) = (listener.local_addr().unwrap(), Arc::<Silence>::default());
        let shared = silence.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(api_server) else { continue };
                let number = shared.connected();
                let ways = [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
                for (from, to) in ways {
                    let silence = shared.clone();
                    thread::spawn(move || pass_on(from, to, &silence, number));
                }
            }
        });
        Middleman { address, silence }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, silence: &Silence, connection: usize) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(length) = from.read(&mut bytes) {
        silence.wait(connection);
        if length == 0 || to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// A world with something in between that can fall silent.
fn world() -> (World, Arc<Silence>) {
    let mut middleman = None;
    let world = World::start_through(&[], |api_server| {
        let started = Middleman::start(api_server);
        let address = started.address;
        middleman = Some(started);
        address
    });
    (world, middleman.unwrap().silence)
}

/// Waits until a start is refused; returns what is said.
fn refused(team: &Team) -> String {
    within(NOTICED, "the gate to close", || {
        let output = team.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &podchaos("kill")).unwrap();
        ensure(output.code == 1, || format!("admitted: {output:?}")).map(|()| output.stderr)
    })
}

#[test]
fn a_gate_closes_when_the_connection_to_the_api_server_falls_silent() {
    let (world, silence) = world();
    let team = world.team("silence");
    team.deployment("web", 1);
    team.apply(&(rollout("web-healthy", "web") + &podchaos_gate("chaos", &["web-healthy"])));
    team.condition("xgate/chaos", "Open", "True");
    team.held("chaos", &podchaos("kill"));
    team.create(&podchaos("before"));

    silence.complete(true);
    team.break_pods("web");
    let refused = refused(&team);
    assert!(refused.contains("web-healthy UNKNOWN ("), "{refused}");
    silence.complete(false);
    team.verdict("web-healthy", "Failing");
    team.run_pods("web");
    team.condition("xgate/chaos", "Open", "True");
    team.create(&podchaos("after"));

    // Half open: the connections that there are deliver nothing any longer, and new ones work.
    silence.cut();
    team.break_pods("web");
    refused_for_good(&team);
    team.verdict("web-healthy", "Failing");
    team.run_pods("web");
    team.condition("xgate/chaos", "Open", "True");
    team.create(&podchaos("at-last"));
}

/// Once refused, never admitted again: the old verdict does not come back while the watches begin anew.
fn refused_for_good(team: &Team) {
    refused(team);
    let answer = holds_for(Duration::from_secs(5), || {
        let output = team.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &podchaos("kill")).unwrap();
        ensure(output.code == 1, || format!("admitted: {output:?}"))
    });
    answer.unwrap();
}
