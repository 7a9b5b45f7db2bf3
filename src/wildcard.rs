//! Text with asterisks, each of which stands for any text: `/aws/apigateway/*`.

/// A pattern of whole texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wildcard {
    /// What stands between the asterisks.
    parts: Vec<Box<str>>,
}

impl Wildcard {
    /// Reads a pattern; any text is one.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self { parts: pattern.split('*').map(Box::from).collect() }
    }

    /// Returns whether the pattern is that of the whole text.
    #[must_use]
    pub fn fits(&self, value: &str) -> bool {
        let [first, middle @ .., last] = self.parts.as_slice() else {
            return self.parts.first().is_some_and(|whole| **whole == *value);
        };
        let Some(mut rest) = value.strip_prefix(first.as_ref()) else { return false };
        for part in middle {
            // The first place leaves most for what follows.
            let Some((_, behind)) = rest.split_once(part.as_ref()) else { return false };
            rest = behind;
        }
        rest.ends_with(last.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fits(pattern: &str, value: &str, expected: bool) {
        assert_eq!(Wildcard::new(pattern).fits(value), expected, "{pattern} {value}");
    }

    #[test]
    fn an_asterisk_stands_for_any_text_and_the_rest_for_itself() {
        fits("/health", "/health", true);
        fits("/health", "/healthy", false);
        fits("/health*", "/healthy", true);
        fits("/health*", "/v1/health", false);
        fits("*health", "/v1/health", true);
        fits("/a*/b*c", "/a1/b2c", true);
        fits("/a*/b*c", "/a1/bc/bc", true);
        fits("ab*ba", "aba", false);
        fits("*", "", true);
        fits("a=b", "a=b", true);
        fits("/Health", "/health", false);
    }
}
