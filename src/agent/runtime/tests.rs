use super::*;
use hyper::body::Incoming;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper::{Response, body::Frame};
use std::convert::Infallible;

/// An answer of gRPC, whole.
fn framed(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    frame.extend(bytes);
    frame
}

fn trailers(status: &'static str) -> HeaderMap {
    let mut map = HeaderMap::new();
    map.insert("grpc-status", status.parse().unwrap());
    map.insert("grpc-message", "no such thing".parse().unwrap());
    map
}

/// What a runtime that answers each call with these bytes and this status is seen as.
async fn seen(version: Vec<u8>, images: Vec<u8>, status: &'static str) -> Result<ContainerRuntimeFact, String> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let service = service_fn(move |request: Request<Incoming>| {
        let bytes = if request.uri().path().ends_with("/Version") { version.clone() } else { images.clone() };
        assert_eq!(request.headers()["content-type"], "application/grpc");
        let frames = vec![Ok::<_, Infallible>(Frame::data(Bytes::from(bytes))), Ok(Frame::trailers(trailers(status)))];
        async move { Ok::<_, Infallible>(Response::new(http_body_util::StreamBody::new(futures::stream::iter(frames)))) }
    });
    let driver = clock::spawn(server::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(theirs), service));
    let fact = ask(ours, &["a:1", "b@sha256:0", "c:1"].map(str::to_owned)).await;
    driver.abort();
    fact
}

fn version() -> Version {
    Version { runtime_name: "containerd".to_owned(), runtime_version: "v2.0.1\n".to_owned() }
}

fn images() -> Images {
    let image = |tag: &str, digest: &str| Image { repo_tags: vec![tag.to_owned()], repo_digests: vec![digest.to_owned()] };
    Images { images: vec![image("a:1", "a@sha256:1"), image("b:1", "b@sha256:0")] }
}

#[tokio::test]
async fn version_and_images_are_read() {
    let fact = seen(framed(&version()), framed(&images()), "0").await.unwrap();
    assert_eq!((fact.name.as_deref(), fact.version.as_deref()), (Some("containerd"), Some("v2.0.1")));
    assert_eq!(fact.images.iter().map(|image| image.present).collect::<Vec<_>>(), [Some(true), Some(true), Some(false)]);
}

#[tokio::test]
async fn every_odd_answer_is_an_error() {
    let (good, list) = (framed(&version()), framed(&images()));
    let refused = seen(good.clone(), list.clone(), "12").await.unwrap_err();
    assert_eq!(refused, "the runtime answers with gRPC status 12: no such thing");
    let mut compressed = good.clone();
    compressed[0] = 1;
    let cut = good[..good.len() - 1].to_vec();
    for odd in [vec![], vec![0, 0], compressed, cut, vec![0, 0, 0, 0, 1, 0xff], vec![0, 0xff, 0xff, 0xff, 0xff, 0]] {
        let error = seen(odd.clone(), list.clone(), "0").await.unwrap_err();
        assert!(error.starts_with("the runtime's answer"), "{odd:?}: {error}");
    }
    let many = seen(good, vec![0; MAX_ANSWER + 1], "0").await.unwrap_err();
    assert!(many.contains("limit"), "{many}");
}

#[tokio::test]
async fn what_is_no_runtime_is_an_error() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    assert!(ask(ours, &[]).await.is_err());
}
