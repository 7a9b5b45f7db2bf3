//! A line of text with a caret under one of its places.

/// Characters that are shown before and behind the caret of a longer line.
const AROUND: usize = 60;

/// Writes the text, indented, and below it a caret under the character at byte `at` with a remark.
pub(crate) fn under(text: &str, at: usize, remark: &str) -> String {
    let before = text.get(..at).unwrap_or(text).chars().count();
    let skipped = before.saturating_sub(AROUND);
    let (start, start_mark) = if skipped > 0 { (skipped, "…") } else { (0, "") };
    let rest = text.chars().skip(start);
    let length = before - start + AROUND;
    let shown: String = rest.clone().take(length).map(visible).collect();
    let end_mark = if rest.count() > length { "…" } else { "" };
    let indent = " ".repeat(before - start + start_mark.chars().count());
    format!("  {start_mark}{shown}{end_mark}\n  {indent}^ {remark}\n")
}

/// Keeps a character from moving the caret: what is not one column wide in a terminal is shown by another.
fn visible(character: char) -> char {
    match character {
        '\t' | '\n' | '\r' => ' ',
        control if control.is_control() => '\u{fffd}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_its_character() {
        assert_eq!(under("a,é,c", 4, "here"), "  a,é,c\n     ^ here\n");
        assert_eq!(under("é\tb", 3, "here"), "  é b\n    ^ here\n");
        assert_eq!(under("ab", 2, "the end"), "  ab\n    ^ the end\n");
        assert_eq!(under("", 0, "nothing"), "  \n  ^ nothing\n");
    }

    #[test]
    fn a_long_line_is_cut_on_both_sides() {
        let text = format!("{}X{}", "a".repeat(200), "b".repeat(200));
        let shown = under(&text, 200, "here");
        let (line, caret) = shown.split_once('\n').unwrap();
        assert_eq!(line.chars().count(), 2 + 1 + 60 + 60 + 1);
        let column = caret.chars().take_while(|character| *character == ' ').count();
        assert_eq!(line.chars().nth(column), Some('X'));
    }
}
