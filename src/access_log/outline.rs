//! A format as it was understood, for people to read: what it holds, in order, and where that goes.

use super::format::Format;
use super::kind::Kind;
use super::shape::{Node, Shape};

/// A view of a compiled format.
#[derive(Debug, Clone, Copy)]
pub struct Outline<'a> {
    format: &'a Format,
}

/// One place of a format: a variable, or a key of a JSON format that is more or less than one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// The keys that lead there, outermost first; none unless the format is a JSON object.
    pub path: Vec<&'a str>,
    /// What stands there.
    pub holds: Holds<'a>,
}

/// What stands at a place of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds<'a> {
    /// One variable: its value goes to `context`, under the parts of its name.
    Variable {
        /// The name behind `$context.`.
        name: &'a str,
        /// What its values look like.
        kind: Kind,
    },
    /// Variables among other text, which goes to `fields` as it is.
    Composite,
    /// JSON without a variable, which goes to `fields` as it is.
    Constant,
}

impl<'a> Outline<'a> {
    pub(super) fn of(format: &'a Format) -> Self {
        Self { format }
    }

    /// Returns what the format is called in messages.
    #[must_use]
    pub fn label(self) -> &'a str {
        &self.format.label
    }

    /// Returns the format's text, without the white space around it; one that was given in several lines has them.
    #[must_use]
    pub fn text(self) -> &'a str {
        &self.format.text
    }

    /// Returns whether the format is a JSON object whose keys tell the values. Any other is read by its literal text alone.
    #[must_use]
    pub fn is_json(self) -> bool {
        self.format.shape.is_some()
    }

    /// Returns whether variables have a dollar sign before them, which stands in the lines too and is taken off.
    #[must_use]
    pub fn has_dollars(self) -> bool {
        self.format.has_dollars
    }

    /// Returns how many variables it has.
    #[must_use]
    pub fn variables(self) -> usize {
        self.format.variables
    }

    /// Returns what the format holds, in its order.
    #[must_use]
    pub fn parts(self) -> Vec<Part<'a>> {
        match &self.format.shape {
            Some(shape) => {
                let mut parts = Vec::new();
                self.walk(shape, &mut Vec::new(), &mut parts);
                parts
            }
            None => (0..self.format.pattern.slots.len())
                .map(|slot| Part { path: Vec::new(), holds: self.variable(slot) })
                .collect(),
        }
    }

    /// As deep as the format is nested, which [`MAX_DEPTH`](crate::json::MAX_DEPTH) bounds.
    fn walk(self, shape: &'a Shape, path: &mut Vec<&'a str>, parts: &mut Vec<Part<'a>>) {
        for (key, node) in &shape.keys {
            path.push(key);
            let holds = match node {
                Node::Variable(slot) => Some(self.variable(*slot)),
                Node::Composite(_) => Some(Holds::Composite),
                Node::Constant(_) => Some(Holds::Constant),
                Node::Object(inner) => {
                    self.walk(inner, path, parts);
                    None
                }
            };
            parts.extend(holds.map(|holds| Part { path: path.clone(), holds }));
            path.pop();
        }
    }

    fn variable(self, slot: usize) -> Holds<'a> {
        self.format
            .pattern
            .slots
            .get(slot)
            .map_or(Holds::Composite, |slot| Holds::Variable { name: &slot.variable.name, kind: slot.variable.kind })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Formats;
    use super::*;

    #[track_caller]
    fn outlines(setting: &str, is_json: bool, expected: &[(&[&str], Holds<'_>)]) {
        let formats = Formats::compile(setting).unwrap();
        let outline = formats.outlines().next().unwrap();
        assert_eq!((outline.label(), outline.is_json()), ("format 1", is_json));
        let expected: Vec<_> =
            expected.iter().map(|(path, holds)| Part { path: path.to_vec(), holds: *holds }).collect();
        assert_eq!(outline.parts(), expected);
    }

    #[test]
    fn a_text_is_its_variables() {
        outlines(
            "$context.status $context.authorizer.sub",
            false,
            &[
                (&[], Holds::Variable { name: "status", kind: Kind::Number }),
                (&[], Holds::Variable { name: "authorizer.sub", kind: Kind::Text }),
            ],
        );
    }

    #[test]
    fn a_json_object_is_its_keys() {
        outlines(
            r#"{"env":"prod","id":{"ip":"$context.identity.sourceIp","v":[1]},"req":"$context.httpMethod $context.path"}"#,
            true,
            &[
                (&["env"], Holds::Constant),
                (&["id", "ip"], Holds::Variable { name: "identity.sourceIp", kind: Kind::Ip }),
                (&["id", "v"], Holds::Constant),
                (&["req"], Holds::Composite),
            ],
        );
    }
}
