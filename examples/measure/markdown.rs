//! Tables that can be pasted into a document, and the numbers in them.

use std::io::{self, Write};

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

/// Writes a table whose columns after the first are numbers, with its title.
pub(crate) fn table<const N: usize>(
    out: &mut impl Write,
    title: &str,
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(header).add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    // A document that is rendered aligns by the colon.
    let text = table.to_string();
    writeln!(out, "\n**{title}**\n")?;
    for (index, line) in text.lines().enumerate() {
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
