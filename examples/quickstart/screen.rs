//! The screen: how wide it is, what fits, and the few colours.

use std::io::{self, Write};

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use console::{Style, Term};

/// Columns where nothing says how many there are.
const WIDTH: usize = 80;

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A column of a table.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// Those with the highest number are the first to go where there is no room for all.
    pub(crate) rank: u8,
}

/// Returns how many columns the screen has: the terminal's, else those of `COLUMNS`.
pub(crate) fn width() -> usize {
    let terminal = Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    let told = || std::env::var_os("COLUMNS")?.to_str()?.parse().ok();
    terminal.or_else(told).filter(|columns| *columns > 0).unwrap_or(WIDTH)
}

/// Lays a table out, as wide as the screen allows: a line each for the header, the rule and the rows. Columns after the first
/// are numbers.
pub(crate) fn table<const N: usize>(columns: &[Column; N], rows: &[[String; N]], width: usize) -> Vec<String> {
    let mut ranks: Vec<u8> = columns.iter().map(|column| column.rank).collect();
    ranks.sort_unstable();
    loop {
        let most = ranks.pop().unwrap_or_default();
        let shown = |index: usize| columns.get(index).is_some_and(|column| column.rank <= most);
        let only = |row: &[String; N]| -> Vec<String> {
            row.iter().enumerate().filter(|(index, _)| shown(*index)).map(|(_, cell)| cell.clone()).collect()
        };
        let header: Vec<_> = columns.iter().filter(|column| column.rank <= most).map(|column| column.name).collect();
        let mut table = Table::new();
        table.load_style(STYLE).set_header(header).add_rows(rows.iter().map(only));
        for column in table.column_iter_mut() {
            column.set_padding((0, 1));
            if column.index > 0 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let lines: Vec<String> = table.trim_fmt().lines().map(str::to_owned).collect();
        let widest = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
        if widest <= width {
            return lines;
        }
        if ranks.is_empty() {
            return lines.iter().map(|line| cut(line, width)).collect();
        }
    }
}

/// Cuts a line that the screen would wrap.
pub(crate) fn cut(line: &str, width: usize) -> String {
    match line.char_indices().nth(width) {
        None => line.to_owned(),
        Some(_) => line.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Writes a text behind what leads it in, in as many lines as it takes: all are indented as the first one is.
pub(crate) fn wrapped(lead: &str, text: &str, width: usize, out: &mut impl Write) -> io::Result<()> {
    let indent = " ".repeat(lead.chars().count());
    let mut line = lead.to_owned();
    let mut is_begun = false;
    for word in text.split(' ') {
        if is_begun && line.chars().count() + 1 + word.chars().count() > width {
            writeln!(out, "{}", painted(&line))?;
            line.clone_from(&indent);
        } else if is_begun {
            line.push(' ');
        }
        line += word;
        is_begun = true;
    }
    writeln!(out, "{}", painted(&line))
}

/// Colours the sign that a line starts with, where the terminal has colours and `NO_COLOR` is not set.
pub(crate) fn painted(line: &str) -> String {
    let styles = [('✓', Style::new().green()), ('✗', Style::new().red().bold()), ('●', Style::new().yellow())];
    for (sign, style) in styles {
        if let Some(rest) = line.strip_prefix(sign) {
            return format!("{}{rest}", style.apply_to(sign));
        }
    }
    line.to_owned()
}

/// Lowers a line's voice.
pub(crate) fn quiet(line: &str) -> String {
    Style::new().dim().apply_to(line).to_string()
}

/// Raises it.
pub(crate) fn bold(line: &str) -> String {
    Style::new().bold().apply_to(line).to_string()
}
