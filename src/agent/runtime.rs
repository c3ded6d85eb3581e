//! The container runtime, asked over its CRI socket: two calls of gRPC, which are two requests of HTTP/2 with a short prefix before each message. A
//! gRPC library would bring a second client stack along for them; the messages themselves are read by `prost`.

use super::measure::fault;
use super::root::{Root, Unseen};
use crate::api::{ContainerRuntimeFact, PresenceFact};
use crate::clock;
use crate::core::text::single_line;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use std::collections::HashSet;
use std::time::Duration;
use tokio::net::UnixStream;

#[cfg(test)]
mod tests;

/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// The longest answer: a list of images.
const MAX_ANSWER: usize = 8 << 20;
const NOT_GIVEN: &str = "the agent was not given the runtime's socket (--cri-socket)";

#[derive(Clone, PartialEq, Message)]
struct Version {
    #[prost(string, tag = "2")]
    runtime_name: String,
    #[prost(string, tag = "3")]
    runtime_version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Images {
    #[prost(message, repeated, tag = "1")]
    images: Vec<Image>,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(string, repeated, tag = "2")]
    repo_tags: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    repo_digests: Vec<String>,
}

type Sender = http2::SendRequest<Full<Bytes>>;

/// The runtime's version, and which of the images it has.
pub(super) async fn measure(root: &Root, socket: Option<&str>, images: &[String]) -> ContainerRuntimeFact {
    let failed = |error: Option<String>| ContainerRuntimeFact { error, ..ContainerRuntimeFact::default() };
    let Some(socket) = socket else { return failed(fault(NOT_GIVEN)) };
    let asked = clock::within(DEADLINE, async {
        let (kept, path) = root.socket(socket).map_err(|error| match error {
            Unseen::Absent => format!("there is no socket {socket}"),
            other => format!("{socket}: {other}"),
        })?;
        let stream = UnixStream::connect(path).await.map_err(|error| format!("{socket}: {error}"))?;
        drop(kept);
        ask(stream, images).await
    });
    match asked.await {
        Ok(Ok(fact)) => fact,
        Ok(Err(error)) => failed(fault(error)),
        Err(_) => failed(fault("the runtime did not answer within 2 s")),
    }
}

async fn ask(stream: UnixStream, images: &[String]) -> Result<ContainerRuntimeFact, String> {
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(|error| format!("no HTTP/2: {error}"))?;
    let driver = clock::spawn(async move { drop(connection.await) });
    let asked = talk(&mut sender, images).await;
    driver.abort();
    asked
}

async fn talk(sender: &mut Sender, images: &[String]) -> Result<ContainerRuntimeFact, String> {
    let version: Version = call(sender, "/runtime.v1.RuntimeService/Version").await?;
    let mut found = Vec::new();
    if !images.is_empty() {
        let listed: Images = call(sender, "/runtime.v1.ImageService/ListImages").await?;
        let known: HashSet<&str> =
            listed.images.iter().flat_map(|i| i.repo_tags.iter().chain(&i.repo_digests)).map(String::as_str).collect();
        let fact =
            |name: &String| PresenceFact { name: name.clone(), present: Some(known.contains(name.as_str())), ..PresenceFact::default() };
        found = images.iter().map(fact).collect();
    }
    Ok(ContainerRuntimeFact {
        name: Some(single_line(&version.runtime_name, 64)),
        version: Some(single_line(&version.runtime_version, 64)),
        images: found,
        ..ContainerRuntimeFact::default()
    })
}

/// One call without arguments.
async fn call<T: Message + Default>(sender: &mut Sender, method: &str) -> Result<T, String> {
    // Not compressed, and no bytes long: all fields of the question have their defaults.
    let question = Full::new(Bytes::from_static(&[0, 0, 0, 0, 0]));
    let request = Request::post(format!("http://localhost{method}")).header("content-type", "application/grpc").header("te", "trailers");
    let request = request.body(question).map_err(|error| error.to_string())?;
    let (head, body) = sender.send_request(request).await.map_err(|error| error.to_string())?.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| error.to_string())?;
    if !head.status.is_success() {
        return Err(format!("the runtime answers with status {}", head.status));
    }
    // An answer without a message has its trailers at the head.
    let trailers = body.trailers().cloned();
    check(trailers.as_ref().unwrap_or(&head.headers))?;
    decode(&body.to_bytes())
}

fn check(trailers: &HeaderMap) -> Result<(), String> {
    let text = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match text("grpc-status") {
        "0" => Ok(()),
        "" => Err("the runtime's answer has no status".to_owned()),
        status => Err(format!("the runtime answers with gRPC status {status}: {}", text("grpc-message"))),
    }
}

/// The message in an answer: one byte that says whether it is compressed, four bytes of length, the message.
fn decode<T: Message + Default>(frame: &[u8]) -> Result<T, String> {
    let (prefix, message) = frame.split_first_chunk::<5>().ok_or("the runtime's answer is too short")?;
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 || usize::try_from(u32::from_be_bytes(length)) != Ok(message.len()) {
        return Err("the runtime's answer is not one plain message".to_owned());
    }
    T::decode(message).map_err(|error| format!("the runtime's answer cannot be read: {error}"))
}
