//! Numbers as people read them: three digits and a unit.

use std::time::Duration;

/// Writes a number of bytes.
pub(crate) fn bytes(count: usize) -> String {
    match count {
        0 => "–".to_owned(),
        1..1000 => format!("{count} B"),
        _ if count < 999_500 => format!("{} kB", digits(count as f64 / 1e3)),
        _ if count < 999_500_000 => format!("{} MB", digits(count as f64 / 1e6)),
        _ => format!("{} GB", digits(count as f64 / 1e9)),
    }
}

/// Writes a duration.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 1.0 { format!("{} ms", digits(seconds * 1e3)) } else { format!("{} s", digits(seconds)) }
}

/// Writes a count; nothing is a dash, so that the rest stands out.
pub(crate) fn count(count: usize) -> String {
    if count == 0 { "–".to_owned() } else { grouped(count) }
}

/// Writes a count with its noun.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// Writes a number with three digits.
pub(crate) fn digits(number: f64) -> String {
    let decimals = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
    format!("{number:.decimals$}")
}

/// Writes a whole number with commas: `12,345`.
fn grouped(number: usize) -> String {
    let plain = number.to_string();
    let mut grouped = String::with_capacity(plain.len() + plain.len() / 3);
    for (index, digit) in plain.chars().enumerate() {
        if index > 0 && (plain.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
