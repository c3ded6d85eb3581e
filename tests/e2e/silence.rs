//! A connection that delivers nothing and does not break: the operator must not take what it knew for what is.

use crate::manifests::{podchaos, podchaos_gate, rollout};
use crate::world::{World, ensure, within};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The proof that watches deliver may be 5 s old; the rest is for a busy machine.
const NOTICED: Duration = Duration::from_secs(15);

/// Stands between the operator and the API server, and can fall silent: connections stay open, and nothing passes any longer.
struct Middleman {
    address: SocketAddr,
    silent: Arc<AtomicBool>,
}

impl Middleman {
    fn start(api_server: SocketAddr) -> Middleman {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (address, silent) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let flag = silent.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(api_server).unwrap();
                let ways = [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
                for (from, to) in ways {
                    let flag = flag.clone();
                    thread::spawn(move || pass_on(from, to, &flag));
                }
            }
        });
        Middleman { address, silent }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, silent: &AtomicBool) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(length) = from.read(&mut bytes) {
        while silent.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(20));
        }
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
    let silent = middleman.unwrap().silent;
    let team = world.team("silence");
    team.deployment("web", 1);
    team.apply(&(rollout("web-healthy", "web") + &podchaos_gate("chaos", &["web-healthy"])));
    team.condition("xgate/chaos", "Open", "True");
    team.held("chaos", &podchaos("kill"));
    team.create(&podchaos("before"));

    silent.store(true, Ordering::SeqCst);
    team.break_pods("web");
    let refused = within(NOTICED, "the gate to close", || {
        let output = team.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &podchaos("kill")).unwrap();
        ensure(output.code == 1, || format!("admitted: {output:?}")).map(|()| output.stderr)
    });
    assert!(refused.contains("web-healthy UNKNOWN ("), "{refused}");
    silent.store(false, Ordering::SeqCst);
    team.verdict("web-healthy", "Failing");
    team.run_pods("web");
    team.condition("xgate/chaos", "Open", "True");
    team.create(&podchaos("after"));
}
