//! The figures that the specification names, each beside its aim.

use crate::table::{Table, nothing, number};

/// What is judged at the end.
pub struct Aims(Table);

impl Aims {
    /// Without rows.
    pub fn new() -> Self {
        Self(Table::new("Against the aims", &["", "measured", "at most", "at least", "of it", ""]))
    }

    /// A figure that should not be larger.
    pub fn at_most(&mut self, name: impl Into<String>, measured: f64, most: f64) {
        self.row(name, measured, most, [number(most), nothing()], measured <= most);
    }

    /// A figure that should not be smaller.
    pub fn at_least(&mut self, name: impl Into<String>, measured: f64, least: f64) {
        self.row(name, measured, least, [nothing(), number(least)], measured >= least);
    }

    fn row(&mut self, name: impl Into<String>, measured: f64, aim: f64, [most, least]: [String; 2], met: bool) {
        let share = format!("{:.0} %", measured / aim * 100.0);
        self.0.row(name, [number(measured), most, least, share, if met { "met" } else { "MISSED" }.to_owned()]);
    }

    /// Prints them, if there are any.
    pub fn print(&self) {
        if !self.0.is_empty() {
            self.0.print();
        }
    }
}
