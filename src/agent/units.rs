//! Units of systemd, asked over the system's D-Bus. Reading a unit's state needs no right.

use super::measure::fault;
use super::root::{Root, Unseen};
use crate::api::TextFact;
use crate::clock;
use crate::core::text::single_line;
use std::time::Duration;
use tokio::net::UnixStream;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::{OwnedObjectPath, OwnedVariant};

#[cfg(test)]
mod tests;

const SOCKET: &str = "/run/dbus/system_bus_socket";
const SYSTEMD: &str = "org.freedesktop.systemd1";
/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// The state of each unit.
pub(super) async fn measure(root: &Root, names: &[String]) -> Vec<TextFact> {
    if names.is_empty() {
        return Vec::new();
    }
    let asked = clock::within(DEADLINE, async {
        let bus = connect(root).await?;
        Ok::<_, String>(states(&bus, names).await)
    });
    let states = asked.await.unwrap_or_else(|_| Err("systemd did not answer within 2 s".to_owned()));
    match states {
        Ok(facts) => facts,
        Err(error) => names.iter().map(|name| TextFact { name: name.clone(), error: fault(&error), ..TextFact::default() }).collect(),
    }
}

async fn connect(root: &Root) -> Result<Connection, String> {
    let (kept, path) = root.socket(SOCKET).map_err(|error| match error {
        Unseen::Absent => "there is no D-Bus on this host, or the agent was not given its socket".to_owned(),
        other => format!("{SOCKET}: {other}"),
    })?;
    let stream = UnixStream::connect(path).await.and_then(UnixStream::into_std).map_err(|error| format!("{SOCKET}: {error}"))?;
    drop(kept);
    Builder::unix_stream(stream).build().await.map_err(|error| format!("D-Bus: {error}"))
}

async fn states(bus: &Connection, names: &[String]) -> Vec<TextFact> {
    let mut facts = Vec::new();
    for name in names {
        let fact = TextFact { name: name.clone(), ..TextFact::default() };
        facts.push(match state(bus, name).await {
            Ok(state) => TextFact { value: Some(single_line(&state, 64)), ..fact },
            Err(error) => TextFact { error: fault(error), ..fact },
        });
    }
    facts
}

/// `active`, `inactive`, `failed` …; `not-loaded` for a unit that systemd knows nothing of, or that is not running and nothing needs.
async fn state(bus: &Connection, name: &str) -> Result<String, String> {
    let manager = "org.freedesktop.systemd1.Manager";
    let found = bus.call_method(Some(SYSTEMD), "/org/freedesktop/systemd1", Some(manager), "GetUnit", &(name,)).await;
    let unit: OwnedObjectPath = match found {
        Ok(answer) => answer.body().deserialize().map_err(|error| error.to_string())?,
        Err(zbus::Error::MethodError(error, ..)) if error.as_str() == "org.freedesktop.systemd1.NoSuchUnit" => {
            return Ok("not-loaded".to_owned());
        }
        Err(error) => return Err(error.to_string()),
    };
    let asked = ("org.freedesktop.systemd1.Unit", "ActiveState");
    let properties = "org.freedesktop.DBus.Properties";
    let answer = bus.call_method(Some(SYSTEMD), &unit, Some(properties), "Get", &asked).await.map_err(|error| error.to_string())?;
    let value: OwnedVariant = answer.body().deserialize().map_err(|error| error.to_string())?;
    String::try_from(value).map_err(|error| error.to_string())
}
