//! What gates have admitted, for checks that count it: every replica watches what runs and which places were granted, and publishes both; the
//! leader grants places. What counts, and why no place is ever given twice, is in [`crate::core::starts`].

mod granting;
mod kinds;
mod ledger;
mod overlay;
mod run;

pub use run::{StartsController, run};
