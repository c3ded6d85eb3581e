//! A connection that delivers nothing and does not break: the operator must not take what it knew for what is.

use crate::manifests::{podchaos, podchaos_gate, rollout};
use crate::world::{World, ensure, within};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// The proof that watches deliver may be 5 s old; the rest is for a busy machine.
const NOTICED: Duration = Duration::from_secs(15);

/// Stands between the operator and the API server, and can fall silent: connections stay open, and nothing passes any longer.
struct Middleman {
    address: SocketAddr,
    silence: Arc<Silence>,
}

#[derive(Default)]
struct Silence {
    is_on: Mutex<bool>,
    changed: Condvar,
}

impl Silence {
    fn set(&self, on: bool) {
        *self.is_on.lock().unwrap() = on;
        self.changed.notify_all();
    }

    /// Returns when it is over.
    fn wait(&self) {
        drop(self.changed.wait_while(self.is_on.lock().unwrap(), |on| *on).unwrap());
    }
}

impl Middleman {
    fn start(api_server: SocketAddr) -> Middleman {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (address, silence) = (listener.local_addr().unwrap(), Arc::<Silence>::default());
        let shared = silence.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(api_server).unwrap();
                let ways = [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
                for (from, to) in ways {
                    let silence = shared.clone();
                    thread::spawn(move || pass_on(from, to, &silence));
                }
            }
        });
        Middleman { address, silence }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, silence: &Silence) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(length) = from.read(&mut bytes) {
        silence.wait();
        if length == 0 || to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_gate_closes_when_the_connection_to_the_api_server_falls_silent() {
    let mut middleman = None;
    let world = World::start_through(&[], |api_server| {
        let started = Middleman::start(api_server);
        let address = started.address;
        middleman = Some(started);
        address
    });
    let silence = middleman.unwrap().silence;
    let team = world.team("silence");
    team.deployment("web", 1);
    team.apply(&(rollout("web-healthy", "web") + &podchaos_gate("chaos", &["web-healthy"])));
    team.condition("xgate/chaos", "Open", "True");
    team.held("chaos", &podchaos("kill"));
    team.create(&podchaos("before"));

    silence.set(true);
    team.break_pods("web");
    let refused = within(NOTICED, "the gate to close", || {
        let output = team.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &podchaos("kill")).unwrap();
        ensure(output.code == 1, || format!("admitted: {output:?}")).map(|()| output.stderr)
    });
    assert!(refused.contains("web-healthy UNKNOWN ("), "{refused}");
    silence.set(false);
    team.verdict("web-healthy", "Failing");
    team.run_pods("web");
    team.condition("xgate/chaos", "Open", "True");
    team.create(&podchaos("after"));
}
