//! Dependencies, composites, rights, overrides, and when a check applies.

use super::*;
