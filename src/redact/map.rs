//! Maps as Java prints them: `{Accept=*/*, Cookie=a=b}`.

use memchr::memchr_iter;

use super::encoding::Encoding;
use super::names::is_query_map;
use super::scan::Scan;
use crate::header_map::{self, Names};

/// Maps with a brace that nothing closes that are searched as plain text, too.
const MAX_OPEN: usize = 1;

impl Scan<'_> {
    /// Searches the map that the brace at `open` opens, if it does; returns where the search goes on.
    pub(super) fn map(&mut self, open: usize) -> usize {
        let start = open + 1;
        let rest = self.text.get(start..).unwrap_or_default();
        let in_query = self.in_query || names_query(self.text.get(..open).unwrap_or_default());
        let is_headers = !in_query && header_map::starts_entry(rest, Names::Headers);
        let names = if is_headers { Names::Headers } else { Names::Query };
        if self.is_deepest() || !header_map::starts_entry(rest, names) {
            return start;
        }
        let end = header_map::end(self.text, open);
        let inside = self.text.get(start..end).unwrap_or_default();
        // A query outside braces goes on up to the next header: `{QueryString=a=1, code=b, Host=h}`.
        let mut goes_on = false;
        // So do the parameters of a credential that a value ends with: `{body=Authorization: Digest a="b", c="d", Host=h}`.
        let mut is_credential = false;
        for entry in header_map::places(inside, names) {
            let name = inside.get(entry.name).unwrap_or_default();
            let value = start + entry.value.start..start + entry.value.end;
            let opens_query = is_query_map(name);
            goes_on &= !header_map::is_header(name);
            let hides = self.rules.names.hide(name, in_query || goes_on);
            goes_on |= opens_query && self.byte(value.start) != Some(b'{');
            is_credential &= !header_map::is_header(name);
            if hides || is_credential {
                self.hide(value);
                continue;
            }
            self.inside_as(value.clone(), Encoding::Plain, opens_query);
            let last = self.edits.last().filter(|last| last.end == value.end && last.start > value.start);
            let last = last.and_then(|last| self.text.get(last.start..last.end));
            is_credential = last.is_some_and(header_map::has_parameters);
        }
        // A brace that nothing closes may not be one of a map.
        let braces = |brace: u8| memchr_iter(brace, inside.as_bytes()).count();
        if self.is_outermost() && self.open_maps < MAX_OPEN && braces(b'{') > braces(b'}') {
            self.open_maps += 1;
            return start;
        }
        end
    }
}

/// Returns whether a text ends with the name of a query's map. API Gateway writes `query string: {` before one.
fn names_query(before: &str) -> bool {
    let before = before.trim_end_matches([' ', ':', '=']);
    let word = before.rsplit(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    is_query_map(word) || before.ends_with("query string")
}
