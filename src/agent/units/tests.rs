use super::*;
use std::os::unix::net::UnixStream as StdUnixStream;
use zbus::ObjectPath;
use zbus::fdo;

/// A systemd that knows two units.
struct Manager;

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.systemd1")]
enum SystemdError {
    #[zbus(error)]
    ZBus(zbus::Error),
    NoSuchUnit(String),
}

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    #[allow(clippy::unused_self, reason = "the interface has it")]
    fn get_unit(&self, name: &str) -> Result<ObjectPath<'static>, SystemdError> {
        match name {
            "containerd.service" => Ok(ObjectPath::from_static_str_unchecked("/unit/containerd")),
            "chronyd.service" => Ok(ObjectPath::from_static_str_unchecked("/unit/chronyd")),
            other => Err(SystemdError::NoSuchUnit(format!("Unit {other} not loaded."))),
        }
    }
}

struct Unit(&'static str);

#[zbus::interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    #[allow(clippy::unnecessary_wraps, reason = "the interface has it")]
    fn active_state(&self) -> fdo::Result<&str> {
        Ok(self.0)
    }
}

#[tokio::test]
async fn states_are_what_systemd_says_and_an_unknown_unit_is_not_loaded() {
    let (ours, theirs) = StdUnixStream::pair().unwrap();
    let guid = zbus::Guid::generate();
    let server = Builder::unix_stream(theirs)
        .server(guid)
        .p2p()
        .serve_at("/org/freedesktop/systemd1", Manager)
        .serve_at("/unit/containerd", Unit("active"))
        .serve_at("/unit/chronyd", Unit("failed\u{1b}[31m"));
    let (server, client) = tokio::join!(server.build(), Builder::unix_stream(ours).p2p().build());
    let (_server, client) = (server.unwrap(), client.unwrap());
    let names = ["chronyd.service", "containerd.service", "nothing.service"].map(str::to_owned);
    let facts = states(&client, &names).await;
    let values: Vec<_> = facts.iter().map(|fact| fact.value.as_deref()).collect();
    assert_eq!(values, [Some("failed [31m"), Some("active"), Some("not-loaded")], "{facts:?}");
}

#[tokio::test]
async fn a_bus_that_is_gone_is_an_error_and_no_state() {
    let (ours, theirs) = StdUnixStream::pair().unwrap();
    let server = Builder::unix_stream(theirs).server(zbus::Guid::generate()).p2p();
    let (server, client) = tokio::join!(server.build(), Builder::unix_stream(ours).p2p().build());
    drop(server.unwrap());
    let facts = states(&client.unwrap(), &["a.service".to_owned()]).await;
    assert!(facts[0].value.is_none() && facts[0].error.is_some(), "{facts:?}");
}
