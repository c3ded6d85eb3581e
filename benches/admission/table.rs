//! What is printed.

/// A section of the report.
pub struct Table {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    /// A table; the first column names the row.
    pub fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.to_vec(), rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, name: impl Into<String>, cells: impl IntoIterator<Item = String>) {
        self.rows.push(std::iter::once(name.into()).chain(cells).collect());
    }

    /// Adds a line below the table.
    pub fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints it to standard output.
    pub fn print(&self) {
        let header: Vec<String> = self.columns.iter().map(|column| (*column).to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&header).chain(&self.rows).collect();
        let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        println!("{}", self.title);
        for line in &lines {
            let cell = |(column, text): (usize, &String)| {
                let width = width(column);
                if column == 0 { format!("  {text:width$}") } else { format!("  {text:>width$}") }
            };
            println!("{}", line.iter().enumerate().map(cell).collect::<String>().trim_end());
        }
        for note in &self.notes {
            println!("  {note}");
        }
        println!();
    }
}

/// A number for people: three significant digits or so.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        100.0..10_000.0 => format!("{value:.0}"),
        _ => format!("{:.1}k", value / 1000.0),
    }
}

/// A ratio.
pub fn times(value: f64) -> String {
    format!("{}x", number(value))
}

/// What there is nothing to say about.
pub fn nothing() -> String {
    "-".to_owned()
}
