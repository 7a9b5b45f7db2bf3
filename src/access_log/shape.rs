//! The shape of a format that is a JSON object: which key holds which variable.
//!
//! A format is read with a digit in each variable's place, which is JSON inside quotes and outside them.

use std::ops::Range;

use super::format::{Pattern, Slot, Slots};
use super::kind::Kind;
use super::parts::Parts;
use super::variables::Variable;
use crate::json::{self, Cursor, MAX_DEPTH, Str};
use crate::redact::{is_name_key, is_query_map, is_value_key};

/// Stands for a variable while the format is read as JSON. One byte, valid in a string and as a number.
pub(super) const PLACEHOLDER: char = '1';

/// The keys of an object, in the order of the format. One that the format has twice stands once, with what it holds last.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    pub(super) keys: Vec<(Box<str>, Node)>,
}

/// What the format says about a key's value.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// One variable: the slot of this index.
    Variable(usize),
    /// Variables among other text: the slot of this index.
    Composite(usize),
    /// JSON without variables.
    Constant(Box<str>),
    /// An object that holds variables.
    Object(Shape),
}

impl Shape {
    /// Looks up a key.
    pub(super) fn get(&self, key: Str<'_>) -> Option<&Node> {
        let decoded;
        let name = if key.escaped() {
            decoded = key.decode();
            decoded.as_ref()
        } else {
            key.raw()
        };
        self.keys.iter().find_map(|(known, node)| (known.as_ref() == name).then_some(node))
    }

    /// Counts the keys that hold one variable.
    pub(super) fn variables(&self) -> usize {
        let count = |node: &Node| match node {
            Node::Variable(_) => 1,
            Node::Object(shape) => shape.variables(),
            Node::Composite(_) | Node::Constant(_) => 0,
        };
        self.keys.iter().map(|(_, node)| count(node)).sum()
    }

    /// Returns whether every value is one variable, or an object of such.
    pub(super) fn is_only_variables(&self) -> bool {
        self.keys.iter().all(|(_, node)| match node {
            Node::Variable(_) => true,
            Node::Object(shape) => shape.is_only_variables(),
            Node::Composite(_) | Node::Constant(_) => false,
        })
    }
}

/// A variable in a format's text, where [`PLACEHOLDER`] took its place.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) at: usize,
    pub(super) variable: Variable,
    /// Whether a dollar sign stood before it.
    pub(super) dollar: bool,
}

/// Reads a format's text as a JSON object. Returns its shape and, for each slot, the bytes that it takes in `text`.
///
/// `None` if it is not a JSON object, or holds a variable in a key: such a format has only its text to go by.
pub(super) fn read(text: &str, placed: &[Placed]) -> Option<(Shape, Slots)> {
    let mut reader = Reader { text, placed, slots: Vec::new(), path: Vec::new() };
    let mut cursor = Cursor::new(text);
    if cursor.kind() != Ok(json::Kind::Object) {
        return None;
    }
    let shape = reader.object(&mut cursor, 0)?;
    cursor.at_end().then_some((shape, reader.slots))
}

struct Reader<'a> {
    text: &'a str,
    placed: &'a [Placed],
    slots: Slots,
    /// The keys that lead to the value that is read, outermost first.
    path: Vec<Box<str>>,
}

impl Reader<'_> {
    fn object(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Option<Shape> {
        if depth == MAX_DEPTH {
            return None;
        }
        cursor.open().ok()?;
        let mut shape = Shape::default();
        let mut first = true;
        // The slots of a value whose name is a sibling: `{"name":"Authorization","value":"$context.authorizer.x"}`.
        let mut of_pair = 0..0;
        loop {
            let key_start = cursor.position();
            let Some(key) = cursor.next_key(&mut first).ok()? else {
                self.called_by_sibling(&shape, of_pair);
                return Some(shape);
            };
            if !self.within(&(key_start..cursor.position())).is_empty() {
                return None;
            }
            let key: Box<str> = key.decode().into();
            self.path.push(key.clone());
            let slots = self.slots.len();
            let node = self.value(cursor, depth)?;
            self.path.pop();
            if is_value_key(&key) {
                of_pair = slots..self.slots.len();
            }
            match shape.keys.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => *known = node,
                None => shape.keys.push((key, node)),
            }
        }
    }

    /// Calls slots what the member says that holds the name of a pair.
    fn called_by_sibling(&mut self, shape: &Shape, slots: Range<usize>) {
        let name = shape.keys.iter().find_map(|(key, node)| match node {
            Node::Constant(raw) if is_name_key(key) => Cursor::new(raw).string().ok(),
            _ => None,
        });
        let in_query = self.path.iter().any(|key| is_query_map(key));
        if let Some(name) = name {
            let slots = self.slots.get_mut(slots).into_iter().flatten();
            slots.for_each(|(_, slot)| slot.variable.is_called(&name.decode(), in_query));
        }
    }

    fn value(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Option<Node> {
        let kind = cursor.kind().ok()?;
        let mut ahead = cursor.clone();
        let raw = ahead.value().ok()?;
        let whole = cursor.position()..ahead.position();
        let variables = self.within(&whole);
        let quoted = kind == json::Kind::String;
        let inside = if quoted { whole.start + 1..whole.end - 1 } else { whole };
        let node = match variables {
            [] => Node::Constant(raw.into()),
            _ if kind == json::Kind::Object => return self.object(cursor, depth + 1).map(Node::Object),
            [only] if inside.len() == PLACEHOLDER.len_utf8() => {
                let mut slot = Slot { dollar: only.dollar, ..Slot::new(only.variable.clone(), quoted) };
                if !quoted && slot.variable.name.starts_with("authorizer.") && slot.variable.kind == Kind::Text {
                    slot.variable.kind = Kind::Scalar;
                }
                Node::Variable(self.slot(inside, slot))
            }
            several => {
                let text = if quoted { Cursor::new(raw).string().ok()?.raw() } else { raw };
                let parts = Some(Parts::new(text, quoted, inside.start, several));
                let pattern = self.text.get(inside.clone()).filter(|text| !text.contains('\\')).map(|text| {
                    let part = |placed: &Placed| {
                        let at = placed.at - inside.start;
                        let slot = Slot { dollar: placed.dollar, ..Slot::new(placed.variable.clone(), false) };
                        (at..at + PLACEHOLDER.len_utf8(), slot)
                    };
                    Pattern::new(text, several.iter().map(part).collect())
                });
                let slot = Slot::new(Variable { name: Box::default(), kind: Kind::Text, names: Vec::new() }, quoted);
                Node::Composite(self.slot(inside, Slot { pattern, parts, ..slot }))
            }
        };
        *cursor = ahead;
        Some(node)
    }

    /// Adds a slot under the keys that lead to it, and returns its index.
    fn slot(&mut self, inside: Range<usize>, mut slot: Slot) -> usize {
        let mut in_query = false;
        for key in &self.path {
            slot.variable.is_called(key, in_query);
            in_query |= is_query_map(key);
        }
        self.slots.push((inside, slot));
        self.slots.len() - 1
    }

    /// Returns the variables in these bytes of the format.
    fn within(&self, range: &Range<usize>) -> &[Placed] {
        let first = self.placed.partition_point(|placed| placed.at < range.start);
        let end = self.placed.partition_point(|placed| placed.at < range.end);
        self.placed.get(first..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Formats;
    use super::super::tests::written;
    use crate::redact::Redactor;

    #[test]
    fn a_variable_is_called_what_the_member_beside_it_says() {
        for (format, line) in [
            (
                r#"{"id":"$context.requestId","h":{"name":"Authorization","value":"$context.authorizer.x"}}"#,
                r#"{"id":"r","h":{"name":"Authorization","value":"zq7"}}"#,
            ),
            (
                r#"{"id":"$context.requestId","h":{"Value":"Bearer $context.authorizer.x","Key":"x-api-key"}}"#,
                r#"{"id":"r","h":{"Value":"Bearer zq7","Key":"x-api-key"}}"#,
            ),
            (
                r#"{"id":"$context.requestId","h":[{"name":"Cookie","value":"$context.authorizer.x"}]}"#,
                r#"{"id":"r","h":[{"name":"Cookie","value":"zq7"}]}"#,
            ),
            (
                r#"{"id":"$context.requestId","queryString":{"name":"code","value":{"a":"$context.authorizer.x"}}}"#,
                r#"{"id":"r","queryString":{"name":"code","value":{"a":"zq7"}}}"#,
            ),
        ] {
            let formats = Formats::compile(format).unwrap();
            let redactor = Redactor::new(std::iter::empty::<&str>());
            let shown = written(&formats.parse(line).unwrap(), &redactor);
            assert!(shown.contains("[REDACTED]") && !shown.contains("zq7"), "{line} became {shown}");
        }
    }
}
