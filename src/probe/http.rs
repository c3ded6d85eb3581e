//! Whether an HTTP endpoint answers as expected: one request, HTTP/1.1, no redirects, no proxy, no credentials.
//!
//! What was asked and answered otherwise is a Fail: another status, another body. Whatever kept the probe from an answer it can judge is
//! an Error: no connection, no TLS, no time, an answer that is cut off, too large, compressed or not JSON.
//!
//! The URL is parsed once, and its parsed form is what is connected to, sent and shown. Neither its query nor anything of the answer but
//! the status reaches a message: both may hold secrets, and whoever may read a check may not be allowed to read the endpoint.

use super::live::{ProbedProbe, Reference};
use super::net::{Deadline, DialError, Dialer, Step};
use super::plan::{MAX_COMMAND_CHARS, Outbound, ReferenceKind};
use crate::api::{BodyExpectation, CertificateAuthority, HttpHeader, HttpMethod, HttpProbe, KeyReference};
use crate::clock;
use crate::core::json_path::{NotOne, SinglePath, text_of};
use crate::core::observation::{NO_DATA, Observation, Outcome};
use crate::core::problem::Problem;
use crate::core::text::single_line;
use futures::future::{BoxFuture, Either, select};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use url::{Host, Url};

/// Reason of a Pass: the endpoint answered as expected.
pub const ANSWERED: &str = "AnsweredAsExpected";
/// Reason of a Fail: the status is not among the expected ones.
pub const UNEXPECTED_STATUS: &str = "UnexpectedStatus";
/// Reason of a Fail: the body is not as expected.
pub const BODY_MISMATCH: &str = "BodyMismatch";
/// Reason of an Error: the body is longer than is read.
pub const BODY_TOO_LARGE: &str = "BodyTooLarge";
/// Reason of an Error: the body cannot be judged: it is compressed or not JSON, or the path finds several values.
pub const BODY_UNREADABLE: &str = "BodyUnreadable";
/// Reason of an Error: the connection ended before the answer did.
pub const CONNECTION_CLOSED: &str = "ConnectionClosed";
/// Reason of an Error: the answer is not HTTP/1.1, or its headers are too many or too long.
pub const ANSWER_MALFORMED: &str = "AnswerMalformed";

/// The most of a body that is read.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// The most of an answer's status line and headers that is read.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 100;

/// Headers that belong to the connection, or that the operator sets itself.
const FORBIDDEN_HEADERS: [&str; 11] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// An [`HttpProbe`] that can be carried out.
#[derive(Clone, Debug)]
pub struct Http {
    target: String,
    host: Host,
    port: u16,
    tls: bool,
    method: Method,
    path: PathAndQuery,
    headers: HeaderMap,
    expected: Vec<u16>,
    body: Option<Arc<Expectation>>,
    certificate_authority: Option<CertificateAuthority>,
}

#[derive(Clone, Debug)]
struct Expectation {
    contains: Option<String>,
    json: Option<JsonExpectation>,
}

#[derive(Clone, Debug)]
struct JsonExpectation {
    path: SinglePath,
    equals: String,
}

impl Http {
    /// Parses a probe at a field such as `spec.probe.http`. `None`: there are problems, which are added.
    pub fn parse(spec: &HttpProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let url = Address::parse(&spec.url).map_err(|message| problems.push(Problem::new(format!("{field}.url"), message))).ok();
        let mut headers = parse_headers(&spec.headers, &format!("{field}.headers"), problems);
        let expected = parse_statuses(&spec.expected_status, &format!("{field}.expectedStatus"), problems);
        let body = spec.body.as_ref().and_then(|body| parse_body(body, spec.method, &format!("{field}.body"), problems)).map(Arc::new);
        if spec.certificate_authority.is_some() && url.as_ref().is_some_and(|url| !url.tls) {
            let message = "is for https, and the URL starts with http://: change the URL, or remove this";
            problems.push(Problem::new(format!("{field}.certificateAuthority"), message));
        }
        let url = url.filter(|_| problems.len() == before)?;
        headers.insert(HOST, url.authority);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if spec.method == HttpMethod::Post {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(concat!("holdpoint/", env!("CARGO_PKG_VERSION"))));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        Some(Self {
            target: url.shown,
            host: url.host,
            port: url.port,
            tls: url.tls,
            method: match spec.method {
                HttpMethod::Get => Method::GET,
                HttpMethod::Head => Method::HEAD,
                HttpMethod::Options => Method::OPTIONS,
                HttpMethod::Post => Method::POST,
            },
            path: url.path,
            headers,
            expected,
            body,
            certificate_authority: spec.certificate_authority.clone(),
        })
    }

    /// The target's name: the URL without its query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Where the certificate authority is kept whose PEM text `observe` is to be given.
    pub fn certificate_authority(&self) -> Option<&CertificateAuthority> {
        self.certificate_authority.as_ref()
    }

    /// Asks once. `roots_pem` is the certificate authority's text, if the probe names one.
    pub async fn observe(&self, dialer: &Dialer, roots_pem: Option<&[u8]>, timeout: Duration) -> Observation {
        let started = clock::instant();
        // Boxed: the state of a TLS handshake and of an HTTP connection would be carried along by every caller.
        let observation = match Box::pin(self.ask(dialer, roots_pem, Deadline::after(timeout))).await {
            Ok(answer) => self.judge(&answer),
            Err(fault) => Observation::error(&self.target, fault.reason(), fault.to_string()),
        };
        Observation { duration: clock::instant().saturating_duration_since(started), ..observation }
    }

    async fn ask(&self, dialer: &Dialer, roots_pem: Option<&[u8]>, deadline: Deadline) -> Result<Answer, Fault> {
        let stream = dialer.connect(&self.host, self.port, deadline).await?;
        let (status, body) = if self.tls {
            let stream = dialer.secure(stream, &self.host, roots_pem, b"http/1.1", deadline).await?;
            self.exchange(stream, deadline).await?
        } else {
            self.exchange(stream, deadline).await?
        };
        let (Some(body), Some(expectation)) = (body, self.body.clone()) else { return Ok(Answer { status, body: Ok(()) }) };
        // On a thread of its own: a JSON path may take its time, and the threads here also answer admission requests.
        let judged = tokio::task::spawn_blocking(move || expectation.judge(&body));
        let body = deadline.bound(Step::Judge, judged).await?.map_err(|_| Fault::Unjudged)?;
        Ok(Answer { status, body })
    }

    /// The status, and the body if it is to be judged.
    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        deadline: Deadline,
    ) -> Result<(StatusCode, Option<Vec<u8>>), Fault> {
        let mut client = http1::Builder::new();
        client.max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS);
        let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await?;
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from(self.path.clone());
        *request.headers_mut() = self.headers.clone();
        let exchange = pin!(async move {
            let answer = deadline.bound(Step::Answer, sender.send_request(request)).await??;
            let status = answer.status();
            if self.body.is_none() || !self.expected.contains(&status.as_u16()) {
                return Ok((status, None));
            }
            let encoded = answer.headers().get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
            if encoded {
                return Err(Fault::Encoded);
            }
            let body = deadline.bound(Step::Body, read(answer.into_body())).await??;
            Ok((status, Some(body)))
        });
        // The connection moves only while it is polled; when it ends first, what it has received is still to be handed over.
        match select(exchange, pin!(connection)).await {
            Either::Left((answer, _)) => answer,
            Either::Right((_, exchange)) => exchange.await,
        }
    }

    fn judge(&self, answer: &Answer) -> Observation {
        let status = answer.status.as_u16();
        let wanted = self.expected.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let saw = |outcome, reason, message: &str| Observation::new(&self.target, outcome, reason, message);
        if !self.expected.contains(&status) {
            let message = format!("answered {status}, expected {wanted}");
            return saw(Outcome::Fail, UNEXPECTED_STATUS, &message).measured(status.to_string(), wanted);
        }
        let Some(body) = &self.body else {
            return saw(Outcome::Pass, ANSWERED, &format!("answered {status}")).measured(status.to_string(), wanted);
        };
        let path = body.json.as_ref().map_or("", |json| json.path.shown());
        match answer.body {
            Ok(()) => {
                saw(Outcome::Pass, ANSWERED, &format!("answered {status} with the expected body")).measured(status.to_string(), wanted)
            }
            Err(Unlike::Text) => saw(Outcome::Fail, BODY_MISMATCH, "the body does not contain the expected text"),
            Err(Unlike::Value) => saw(Outcome::Fail, BODY_MISMATCH, &format!("the value at {path} is not the expected one")),
            Err(Unlike::NotJson) => saw(Outcome::Error, BODY_UNREADABLE, "the body is not JSON"),
            Err(Unlike::NoValue) => saw(Outcome::Error, NO_DATA, &format!("the body has no value at {path}")),
            Err(Unlike::SeveralValues) => {
                saw(Outcome::Error, BODY_UNREADABLE, &format!("the body has several values at {path}, and the path must find exactly one"))
            }
        }
    }
}

impl ProbedProbe for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn target(&self) -> &str {
        self.target()
    }

    fn host(&self) -> String {
        self.host.to_string()
    }

    fn references(&self) -> Vec<Reference> {
        let Some(authority) = self.certificate_authority() else { return Vec::new() };
        let of = |kind, reference: &KeyReference| Reference { kind, name: reference.name.clone() };
        let map = authority.config_map_ref.as_ref().map(|reference| of(ReferenceKind::ConfigMap, reference));
        map.into_iter().chain(authority.secret_ref.as_ref().map(|reference| of(ReferenceKind::Secret, reference))).collect()
    }

    fn observe<'a>(&'a self, outbound: &'a Outbound, namespace: &'a str, timeout: Duration) -> BoxFuture<'a, Observation> {
        Box::pin(async move {
            let Some(authority) = self.certificate_authority() else { return self.observe(&outbound.dialer, None, timeout).await };
            match outbound.certificate_authority(authority, namespace).await {
                Ok(pem) => self.observe(&outbound.dialer, Some(&pem), timeout).await,
                // Whole, for it may print commands to copy.
                Err((reason, message)) => {
                    Observation { message: single_line(&message, MAX_COMMAND_CHARS), ..Observation::error(self.target(), reason, "") }
                }
            }
        })
    }
}

/// The parts of a URL that are used.
struct Address {
    shown: String,
    host: Host,
    port: u16,
    tls: bool,
    path: PathAndQuery,
    /// The Host header: the port is left out if it is the scheme's own.
    authority: HeaderValue,
}

impl Address {
    fn parse(text: &str) -> Result<Self, String> {
        // The parser follows browsers: it would drop line breaks and tabs, and read a backslash as a slash. What is meant must be written.
        if text.len() > 2048 {
            return Err("is longer than 2048 bytes".to_owned());
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err("must not hold spaces, control characters or backslashes: write them percent-encoded, such as %20".to_owned());
        }
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let rest = rest.ok_or("must start with http:// or https://: other protocols are not spoken")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("must not carry a user name or password before the host: whoever reads checks would read it".to_owned());
        }
        if authority.is_empty() {
            return Err("has no host: write an absolute URL, such as https://checkout.shop.svc:8443/healthz".to_owned());
        }
        let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
        if url.fragment().is_some() {
            return Err("must not have a fragment (the part from # on): it is never sent; write %23 if # is part of the path".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not carry a user name or password".to_owned());
        }
        let tls = url.scheme() == "https";
        let host = url.host().ok_or("has no host")?.to_owned();
        let port = url.port_or_known_default().filter(|port| *port > 0).ok_or("must have a port from 1 to 65535, or none")?;
        let authority = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        Ok(Self {
            shown: format!("{}://{authority}{}", url.scheme(), url.path()),
            tls,
            host,
            port,
            path: PathAndQuery::try_from(path).map_err(|_| "has a path or query that cannot be sent: percent-encode special characters")?,
            authority: HeaderValue::try_from(authority).map_err(|_| "has a host that cannot be sent")?,
        })
    }
}

fn parse_headers(headers: &[HttpHeader], field: &str, problems: &mut Vec<Problem>) -> HeaderMap {
    let mut parsed = HeaderMap::new();
    if headers.len() > 16 {
        problems.push(Problem::new(field, format!("has {} headers, and at most 16 are sent", headers.len())));
        return parsed;
    }
    for (index, header) in headers.iter().enumerate() {
        let Ok(name) = HeaderName::try_from(header.name.as_str()) else {
            let message = "is not a header name: only letters, digits and !#$%&'*+.^_`|~- are allowed";
            problems.push(Problem::new(format!("{field}[{index}].name"), message));
            continue;
        };
        if FORBIDDEN_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("proxy-") {
            let message = format!(
                "{} is refused: it belongs to the connection, and the operator sets what is needed itself",
                single_line(&header.name, 64)
            );
            problems.push(Problem::new(format!("{field}[{index}].name"), message));
            continue;
        }
        match HeaderValue::try_from(header.value.as_str()) {
            Ok(mut value) if header.value.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
                value.set_sensitive(true);
                parsed.append(name, value);
            }
            _ => problems.push(Problem::new(format!("{field}[{index}].value"), "must be printable ASCII, without line breaks")),
        }
    }
    parsed
}

fn parse_statuses(statuses: &[i32], field: &str, problems: &mut Vec<Problem>) -> Vec<u16> {
    if statuses.is_empty() || statuses.len() > 16 {
        problems.push(Problem::new(field, "must hold 1 to 16 status codes, such as [200, 204]"));
        return Vec::new();
    }
    let mut parsed = Vec::with_capacity(statuses.len());
    for (index, status) in statuses.iter().enumerate() {
        match u16::try_from(*status) {
            Ok(status @ 100..=599) => parsed.push(status),
            _ => problems.push(Problem::new(format!("{field}[{index}]"), format!("{status} is not a status code: write 100 to 599"))),
        }
    }
    parsed
}

fn parse_body(body: &BodyExpectation, method: HttpMethod, field: &str, problems: &mut Vec<Problem>) -> Option<Expectation> {
    let before = problems.len();
    if method == HttpMethod::Head {
        problems.push(Problem::new(field, "an answer to HEAD has no body: use method GET, or remove body"));
    }
    if body.contains.is_none() && body.json_path.is_none() {
        problems.push(Problem::new(field, "set contains, jsonPath or both"));
    }
    let json = body.json_path.as_ref().and_then(|json| {
        let path =
            SinglePath::parse(&json.path).map_err(|message| problems.push(Problem::new(format!("{field}.jsonPath.path"), message))).ok()?;
        Some(JsonExpectation { path, equals: json.equals.clone() })
    });
    (problems.len() == before).then(|| Expectation { contains: body.contains.clone(), json })
}

struct Answer {
    status: StatusCode,
    /// How the body compares to what is expected of it, if anything is.
    body: Result<(), Unlike>,
}

/// What is wrong with a body.
enum Unlike {
    Text,
    Value,
    NotJson,
    NoValue,
    SeveralValues,
}

impl Expectation {
    fn judge(&self, body: &[u8]) -> Result<(), Unlike> {
        if let Some(text) = &self.contains
            && !String::from_utf8_lossy(body).contains(text.as_str())
        {
            return Err(Unlike::Text);
        }
        let Some(json) = &self.json else { return Ok(()) };
        let document: serde_json::Value = serde_json::from_slice(body).map_err(|_| Unlike::NotJson)?;
        let value = json.path.find(&document).map_err(|why| match why {
            NotOne::NoValue => Unlike::NoValue,
            NotOne::SeveralValues => Unlike::SeveralValues,
        })?;
        if text_of(value) == json.equals.as_str() { Ok(()) } else { Err(Unlike::Value) }
    }
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, Fault> {
    if usize::try_from(body.size_hint().lower()).is_ok_and(|announced| announced > MAX_BODY_BYTES) {
        return Err(Fault::TooLarge);
    }
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if read.len() + data.len() > MAX_BODY_BYTES {
            return Err(Fault::TooLarge);
        }
        read.extend_from_slice(&data);
    }
    Ok(read)
}

/// Why there is no answer to judge.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{}", describe(.0))]
    Exchange(#[from] hyper::Error),
    #[error("the body is longer than {} KiB, the most that is read", MAX_BODY_BYTES / 1024)]
    TooLarge,
    #[error("the body could not be judged")]
    Unjudged,
    #[error("the body is compressed, although the request accepts only identity")]
    Encoded,
}

impl Fault {
    fn reason(&self) -> &'static str {
        match self {
            Self::Dial(error) => error.reason(),
            Self::Exchange(error) if is_malformed(error) => ANSWER_MALFORMED,
            Self::Exchange(_) => CONNECTION_CLOSED,
            Self::TooLarge => BODY_TOO_LARGE,
            Self::Encoded | Self::Unjudged => BODY_UNREADABLE,
        }
    }
}

/// The head, or the chunks of the body, are not as HTTP/1.1 has them.
fn is_malformed(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    error.is_parse() || matches!(cause, Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}

/// hyper's own words name no data of the answer.
fn describe(error: &hyper::Error) -> String {
    if error.is_parse_too_large() {
        format!("the answer's headers are more than {MAX_HEADERS} or longer than {} KiB", MAX_HEAD_BYTES / 1024)
    } else if is_malformed(error) {
        format!("the answer is not HTTP/1.1: {error}")
    } else {
        "the connection ended before the answer was complete".to_owned()
    }
}

#[cfg(test)]
mod tests;
