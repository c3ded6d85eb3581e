//! Paths that checks name: whoever may write a check chooses them, so they are hostile until shown otherwise.

/// The longest path, in bytes.
const MAX_BYTES: usize = 128;

/// A path that means one place: absolute, without `.`, `..`, doubled or trailing slashes and control characters. The error says what is wrong, as the
/// end of a sentence that begins with the path.
pub fn normal(path: &str) -> Result<&str, &'static str> {
    if path.len() > MAX_BYTES {
        return Err("is longer than 128 bytes");
    }
    if path.chars().any(char::is_control) {
        return Err("contains control characters");
    }
    let Some(rest) = path.strip_prefix('/') else { return Err("is not absolute") };
    if rest.is_empty() {
        return Ok(path);
    }
    match rest.split('/').find(|part| ["", ".", ".."].contains(part)) {
        Some("") => Err("has a slash too many"),
        Some(_) => Err("contains . or .."),
        None => Ok(path),
    }
}

/// The name of a kernel parameter, with dots. Nothing in it can lead out of `/proc/sys`.
pub(super) fn is_sysctl(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-');
    name.len() <= MAX_BYTES && name.split('.').count() >= 2 && name.split('.').all(part)
}

/// The folders that checks may ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedPaths(Vec<String>);

impl AllowedPaths {
    /// From normal paths.
    pub fn new(folders: impl IntoIterator<Item = String>) -> Self {
        Self(folders.into_iter().collect())
    }

    /// Whether a normal path is one of the folders, below one, or above one: what leads to an allowed folder is no secret.
    pub fn allow(&self, path: &str) -> bool {
        self.0.iter().any(|folder| is_within(path, folder) || is_within(folder, path))
    }
}

fn is_within(path: &str, folder: &str) -> bool {
    folder == "/" || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
