//! Tables: for people as wide as their screen, or in Markdown for a document; and the numbers in them.

use std::io::{self, Write};

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use console::{Style, Term};

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Columns where no terminal says how many there are.
const WIDTH: u16 = 80;

/// Where tables go, and in which form.
pub(crate) struct Page<W> {
    out: W,
    is_markdown: bool,
}

impl<W: Write> Page<W> {
    pub(crate) fn new(out: W, is_markdown: bool) -> Self {
        Self { out, is_markdown }
    }

    /// Writes a table whose columns after the first are numbers, with its title.
    pub(crate) fn table<R: IntoIterator<Item = String>>(
        &mut self,
        title: &str,
        header: impl IntoIterator<Item = impl Into<String>>,
        rows: impl IntoIterator<Item = R>,
    ) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(if self.is_markdown { ASCII_MARKDOWN } else { STYLE });
        table.set_header(header.into_iter().map(Into::into)).add_rows(rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if self.is_markdown {
            return self.markdown(title, &table.to_string());
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 1));
        }
        let width = Term::stdout().size_checked().map_or(WIDTH, |(_, columns)| columns);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        writeln!(self.out, "\n{}\n\n{}", Style::new().bold().apply_to(title), table.trim_fmt())
    }

    fn markdown(&mut self, title: &str, table: &str) -> io::Result<()> {
        let Self { out, .. } = self;
        writeln!(out, "\n**{title}**\n")?;
        for (index, line) in table.lines().enumerate() {
            // A document that is rendered aligns by the colon.
            if index == 1 {
                let mut columns = line.trim_matches('|').split('|');
                write!(out, "|{}", columns.next().unwrap_or_default())?;
                for column in columns {
                    write!(out, "|{}:", column.strip_suffix('-').unwrap_or(column))?;
                }
                writeln!(out, "|")?;
            } else {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }
}

/// Writes a number with about three digits, and thousands in commas.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        ..0.000_95 => 6,
        ..0.0995 => 3,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    let plain = format!("{value:.decimals$}");
    let (whole, rest) = plain.split_once('.').map_or((plain.as_str(), String::new()), |(a, b)| (a, format!(".{b}")));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && digit.is_ascii_digit() && (whole.len() - index).is_multiple_of(3) && grouped != "-" {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + &rest
}
