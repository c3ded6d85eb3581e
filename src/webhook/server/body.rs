//! Reading bodies that somebody else sends.

use crate::clock;
use axum::http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use std::{fmt::Display, time::Duration};
use thiserror::Error;

/// How long what nobody wants is read.
const DISCARD: Duration = Duration::from_secs(1);

/// A body was not read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// It is, or says that it is, too large.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// It did not come in time.
    #[error("the body did not arrive within {deadline:?}")]
    Timeout {
        /// How long was waited.
        deadline: Duration,
    },
    /// The connection broke, or the body is not well-formed.
    #[error("the body could not be read: {why}")]
    Broken {
        /// What the connection said.
        why: String,
    },
}

impl BodyError {
    /// The HTTP status that says so.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Broken { .. } => StatusCode::BAD_REQUEST,
        }
    }
}

/// The whole body, if it is at most `limit` bytes, asking before each part is kept. Without a deadline: that is the caller's.
pub(super) async fn gather<B, E>(body: &mut B, limit: usize, mut keep: impl FnMut(usize) -> Result<(), E>) -> Result<Bytes, E>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
    E: From<BodyError>,
{
    let too_large = || E::from(BodyError::TooLarge { limit });
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    // Most bodies come in one part, which need not be copied.
    let mut first = Bytes::new();
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken { why: error.to_string() })?;
        let Ok(data) = frame.into_data() else { continue };
        if all.len().max(first.len()) + data.len() > limit {
            return Err(too_large());
        }
        keep(data.len())?;
        if first.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

/// Reads on, for a moment and up to a limit, what is not wanted.
pub(super) async fn discard<B>(mut body: B, limit: usize)
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let mut left = limit;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    let _ = clock::within(DISCARD, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;
    use std::convert::Infallible;

    const SHORT: Duration = Duration::from_millis(30);

    async fn read_body<B>(mut body: B, limit: usize, deadline: Duration) -> Result<Bytes, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let gathered = gather(&mut body, limit, |_| Ok::<(), BodyError>(()));
        clock::within(deadline, gathered).await.map_err(|_| BodyError::Timeout { deadline })?
    }

    fn parts(parts: &[&'static str]) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let parts: Vec<_> = parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))).collect();
        StreamBody::new(futures::stream::iter(parts))
    }

    #[tokio::test]
    async fn a_body_is_put_together_up_to_the_limit() {
        assert_eq!(read_body(parts(&["ab", "", "cd", "e"]), 5, SHORT).await, Ok(Bytes::from_static(b"abcde")));
        assert_eq!(read_body(parts(&[]), 0, SHORT).await, Ok(Bytes::new()));
        assert_eq!(read_body(parts(&["ab", "cd", "ef"]), 5, SHORT).await, Err(BodyError::TooLarge { limit: 5 }));
        assert_eq!(read_body(Full::from("abcdef"), 5, SHORT).await, Err(BodyError::TooLarge { limit: 5 }));
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Infallible>>());
        assert_eq!(read_body(never, 5, SHORT).await, Err(BodyError::Timeout { deadline: SHORT }));
        let broken = StreamBody::new(futures::stream::iter([Err::<Frame<Bytes>, _>("reset by peer")]));
        assert_eq!(read_body(broken, 5, SHORT).await, Err(BodyError::Broken { why: "reset by peer".to_owned() }));
    }
}
