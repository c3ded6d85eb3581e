//! Whether a TCP endpoint accepts a connection.
//!
//! Elsewhere a refused connection is an Error: the probe could not ask its question. Here it is the answer: the question is whether the
//! endpoint accepts, and a refusal, or silence until the deadline, was measured. Both are a Fail. Whatever kept the probe from
//! asking stays an Error: a name that is not resolved, an address that is refused by the network policy, no route, no socket.

use super::live::ProbedProbe;
use super::net::{CONNECTION_REFUSED, Deadline, DialError, Dialer, Step};
use super::plan::Outbound;
use crate::api::TcpProbe;
use crate::clock;
use crate::core::observation::{Observation, Outcome};
use crate::core::problem::Problem;
use crate::core::text::single_line;
use futures::future::BoxFuture;
use std::net::IpAddr;
use std::time::Duration;
use url::Host;

/// Reason of a Pass: the endpoint accepted.
pub const ACCEPTED: &str = "ConnectionAccepted";
/// Reason of a Fail: the endpoint neither accepted nor refused in time.
pub const CONNECT_TIMEOUT: &str = "ConnectTimeout";

/// A [`TcpProbe`] that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    host: Host,
    port: u16,
    target: String,
}

impl Tcp {
    /// Parses a probe at a field such as `spec.probe.tcp`. `None`: there are problems, which are added.
    pub fn parse(spec: &TcpProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let host = parse_host(&spec.host);
        if host.is_none() {
            let shown = single_line(&spec.host, 64);
            let message =
                format!("\"{shown}\" is not a host name or an IP address: write one, without scheme and port, such as postgres.shop.svc");
            problems.push(Problem::new(format!("{field}.host"), message));
        }
        let port = u16::try_from(spec.port).ok().filter(|port| *port > 0);
        if port.is_none() {
            problems.push(Problem::new(format!("{field}.port"), format!("{} is not a port: write a number from 1 to 65535", spec.port)));
        }
        let (host, port) = (host?, port?);
        (problems.len() == before).then(|| Self { target: format!("{host}:{port}"), host, port })
    }

    /// The target's name: `host:port`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Tries once.
    pub async fn observe(&self, dialer: &Dialer, timeout: Duration) -> Observation {
        let started = clock::instant();
        let observation = match dialer.connect(&self.host, self.port, Deadline::after(timeout)).await {
            Ok(_) => Observation::new(&self.target, Outcome::Pass, ACCEPTED, "accepted a connection").measured("accepted", "accepted"),
            Err(error @ DialError::Refused(_)) => {
                Observation::new(&self.target, Outcome::Fail, CONNECTION_REFUSED, error.to_string()).measured("refused", "accepted")
            }
            Err(DialError::Timeout(Step::Connect)) => {
                let message = format!("did not accept a connection within {timeout:?}");
                Observation::new(&self.target, Outcome::Fail, CONNECT_TIMEOUT, message).measured("silent", "accepted")
            }
            Err(error) => error.observation(&self.target),
        };
        Observation { duration: clock::instant().saturating_duration_since(started), ..observation }
    }
}

impl ProbedProbe for Tcp {
    fn name(&self) -> &'static str {
        "tcp"
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn host(&self) -> String {
        self.host.to_string()
    }

    fn observe<'a>(&'a self, outbound: &'a Outbound, _namespace: &'a str, timeout: Duration) -> BoxFuture<'a, Observation> {
        Box::pin(self.observe(&outbound.dialer, timeout))
    }
}

/// An IPv6 address stands without brackets here; everything else is as in a URL, odd ways to write an IPv4 address included.
fn parse_host(text: &str) -> Option<Host> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => Some(Host::Ipv4(ip)),
        Ok(IpAddr::V6(ip)) => Some(Host::Ipv6(ip)),
        Err(_) => Host::parse(text).ok().filter(|_| text.len() <= 253),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::netpolicy::NetworkPolicy;
    use crate::core::observation::TARGET_DENIED;
    use crate::probe::net::RESOLVE_FAILED;
    use proptest::prelude::*;
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    fn parse(host: &str, port: i32) -> Result<Tcp, Vec<Problem>> {
        let mut problems = Vec::new();
        Tcp::parse(&TcpProbe { host: host.to_owned(), port }, "spec.probe.tcp", &mut problems).ok_or(problems)
    }

    fn on_loopback() -> Dialer {
        Dialer::new(NetworkPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]))
    }

    #[tokio::test]
    async fn an_endpoint_that_accepts_passes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let probe = parse("127.0.0.1", listener.local_addr().unwrap().port().into()).unwrap();
        let seen = probe.observe(&on_loopback(), Duration::from_secs(5)).await;
        assert_eq!((seen.outcome, seen.reason), (Outcome::Pass, ACCEPTED));
        assert_eq!(seen.target, probe.target());
        assert!(seen.duration > Duration::ZERO);
    }

    #[tokio::test]
    async fn an_endpoint_that_refuses_fails() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let seen = parse("127.0.0.1", port.into()).unwrap().observe(&on_loopback(), Duration::from_secs(5)).await;
        assert_eq!((seen.outcome, seen.reason), (Outcome::Fail, CONNECTION_REFUSED));
        assert_eq!(seen.message, format!("127.0.0.1:{port} refused the connection"));
        assert_eq!(seen.value.as_deref(), Some("refused"));
    }

    #[tokio::test]
    async fn an_endpoint_that_is_silent_fails() {
        // A full queue of connections that nobody accepts drops further ones silently.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let _listener = socket.listen(1).unwrap();
        let mut held = Vec::new();
        while let Ok(Ok(stream)) = clock::within(Duration::from_millis(100), TcpStream::connect(address)).await {
            held.push(stream);
        }
        let seen = parse("127.0.0.1", address.port().into()).unwrap().observe(&on_loopback(), Duration::from_millis(100)).await;
        assert_eq!((seen.outcome, seen.reason), (Outcome::Fail, CONNECT_TIMEOUT));
        assert_eq!(seen.message, "did not accept a connection within 100ms");
    }

    #[tokio::test]
    async fn what_could_not_be_asked_is_an_error() {
        let dialer = Dialer::new(NetworkPolicy::default());
        for host in
            ["127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "169.254.169.254", "0.0.0.0"]
        {
            let seen = parse(host, 80).unwrap().observe(&dialer, Duration::from_secs(5)).await;
            assert_eq!((seen.outcome, seen.reason), (Outcome::Error, TARGET_DENIED), "{host}");
        }
        let seen = parse("does-not-exist.invalid", 80).unwrap().observe(&dialer, Duration::from_secs(20)).await;
        assert_eq!((seen.outcome, seen.reason), (Outcome::Error, RESOLVE_FAILED));
    }

    #[test]
    fn a_bad_host_or_port_is_named() {
        for host in ["", "http://x", "a b", "user@host", "host/path", "host:80", "a\nb", "fe80::1%eth0", &"a".repeat(254)] {
            let problems = parse(host, 0).unwrap_err();
            assert_eq!(
                problems.iter().map(|problem| problem.field.as_str()).collect::<Vec<_>>(),
                ["spec.probe.tcp.host", "spec.probe.tcp.port"],
                "{host}"
            );
        }
        for port in [i32::MIN, -1, 0, 65_536, i32::MAX] {
            assert_eq!(
                parse("a", port).unwrap_err()[0].to_string(),
                format!("spec.probe.tcp.port: {port} is not a port: write a number from 1 to 65535")
            );
        }
        assert_eq!(parse("postgres.shop.svc", 65_535).unwrap().target(), "postgres.shop.svc:65535");
        assert_eq!(parse("fd00::1", 1).unwrap().target(), "[fd00::1]:1");
    }

    proptest! {
        #[test]
        fn any_text_is_a_probe_or_a_problem(host in any::<String>(), port in any::<i32>()) {
            prop_assert!(parse(&host, port).is_ok_and(|tcp| !tcp.target().contains(['@', '/'])) || parse(&host, port).is_err_and(|problems| !problems.is_empty()));
        }
    }
}
