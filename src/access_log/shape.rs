//! The shape of a format that is a JSON object: which key holds which variable.
//!
//! A format is read with a digit in each variable's place, which is JSON inside quotes and outside them.

use std::ops::Range;

use super::format::{Slot, Slots};
use super::kind::Kind;
use super::parts::Parts;
use super::variables::Variable;
use crate::json::{self, Cursor, MAX_DEPTH, Str};
use crate::redact::is_query_map;

/// Stands for a variable while the format is read as JSON. One byte, valid in a string and as a number.
pub(super) const PLACEHOLDER: char = '1';

/// The keys of an object, in the order of the format.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) keys: Vec<(Box<str>, Node)>,
}

/// What the format says about a key's value.
#[derive(Debug)]
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
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) at: usize,
    pub(super) variable: Variable,
}

/// Reads a format's text as a JSON object. Returns its shape and, for each slot, the bytes that it takes in `text`.
///
/// `None` if it is no JSON object, holds a variable in a key, or a key twice: such a format has only its text to go by.
pub(super) fn read(text: &str, placed: &[Placed]) -> Option<(Shape, Slots)> {
    let mut reader = Reader { placed, slots: Vec::new(), path: Vec::new() };
    let mut cursor = Cursor::new(text);
    if cursor.kind() != Ok(json::Kind::Object) {
        return None;
    }
    let shape = reader.object(&mut cursor, 0)?;
    cursor.at_end().then_some((shape, reader.slots))
}

struct Reader<'a> {
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
        loop {
            let key_start = cursor.position();
            let Some(key) = cursor.next_key(&mut first).ok()? else { return Some(shape) };
            if shape.get(key).is_some() || !self.within(&(key_start..cursor.position())).is_empty() {
                return None;
            }
            self.path.push(key.decode().into());
            let node = self.value(cursor, depth)?;
            shape.keys.push((self.path.pop()?, node));
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
                Node::Variable(self.slot(inside, only.variable.clone(), quoted, None))
            }
            several => {
                let text = if quoted { Cursor::new(raw).string().ok()?.raw() } else { raw };
                let parts = Parts::new(text, quoted, inside.start, several);
                let variable = Variable { name: Box::default(), kind: Kind::Text, names: Vec::new() };
                Node::Composite(self.slot(inside, variable, quoted, Some(parts)))
            }
        };
        *cursor = ahead;
        Some(node)
    }

    /// Adds a slot under the keys that lead to it, and returns its index.
    fn slot(&mut self, inside: Range<usize>, mut variable: Variable, quoted: bool, parts: Option<Parts>) -> usize {
        let mut in_query = false;
        for key in &self.path {
            variable.is_called(key, in_query);
            in_query |= is_query_map(key);
        }
        self.slots.push((inside, Slot::new(variable, quoted, parts)));
        self.slots.len() - 1
    }

    /// Returns the variables in these bytes of the format.
    fn within(&self, range: &Range<usize>) -> &[Placed] {
        let first = self.placed.partition_point(|placed| placed.at < range.start);
        let end = self.placed.partition_point(|placed| placed.at < range.end);
        self.placed.get(first..end).unwrap_or_default()
    }
}
