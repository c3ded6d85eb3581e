//! Replicas that do not lead, and those that take over.

use super::*;
