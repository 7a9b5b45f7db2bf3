//! JSON with white space between its tokens: what is inside strings stays to the byte, and keys keep their order.

const INDENT: &str = "  ";

/// Lays out valid JSON, a member or an element a line.
pub(crate) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut is_escaped = false;
    let mut characters = text.chars().filter(|character| !character.is_control()).peekable();
    while let Some(character) = characters.next() {
        if in_string {
            out.push(character);
            in_string = is_escaped || character != '"';
            is_escaped = character == '\\' && !is_escaped;
            continue;
        }
        match character {
            '{' | '[' => {
                out.push(character);
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            ' ' => {}
            other => {
                in_string = other == '"';
                out.push(other);
            }
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(INDENT, depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order_and_strings_their_bytes() {
        assert_eq!(
            json(r#"{"b":"x: {,\"\\","a":[1,{}],"c":{"d":null}}"#),
            "{\n  \"b\": \"x: {,\\\"\\\\\",\n  \"a\": [\n    1,\n    {}\n  ],\n  \"c\": {\n    \"d\": null\n  }\n}"
        );
    }
}
