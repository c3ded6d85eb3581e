//! How far this machine's clock is from the API server's, measured from the dates of its responses.

use jiff::SignedDuration;

/// The bounds of what must be added to this machine's clock to get the API server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// At least this.
    pub earliest: SignedDuration,
    /// At most this.
    pub latest: SignedDuration,
}

impl Offset {
    /// Whether the clocks are certainly no further apart than this.
    pub fn within(self, budget: SignedDuration) -> bool {
        self.earliest >= -budget && self.latest <= budget
    }
}
