//! Paths as a user writes them, `a.b`, `items[0]`, `["odd name"]`, read into segments at start.
//!
//! A bare name is a letter or `_` and then letters, digits and `_`, as in CEL; every other name
//! stands in brackets and quotes. Nothing here runs per record: names are compiled by `tree`.

use std::fmt;

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Into an object, by a field's name.
    Name(String),
    /// Into a list, from 0.
    Index(usize),
}

/// Where a value stands, from the event down. Without segments it is the event itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// From the event down.
    pub segments: Vec<Segment>,
}

impl Path {
    /// Reads a path that begins with a name or a bracket, such as `a.b[0]["c d"]`.
    ///
    /// # Errors
    ///
    /// A sentence that follows the text of the path and a colon.
    pub fn parse(text: &str) -> Result<Path, String> {
        let mut scanner = Scanner::new(text);
        let mut segments = Vec::new();
        if !scanner.rest().starts_with('[') {
            segments.push(Segment::Name(scanner.name()?.to_owned()));
        }
        segments.extend(scanner.segments()?);
        if !scanner.rest().is_empty() {
            return Err(scanner.unexpected("`.` or `[`"));
        }
        Ok(Path { segments })
    }

    /// True if it is written with a bracket first, so that no dot goes before it.
    pub fn starts_with_bracket(&self) -> bool {
        !matches!(self.segments.first(), Some(Segment::Name(name)) if is_bare(name))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Index(at) => write!(f, "[{at}]")?,
                Segment::Name(name) if is_bare(name) && index == 0 => f.write_str(name)?,
                Segment::Name(name) if is_bare(name) => write!(f, ".{name}")?,
                Segment::Name(name) => write!(f, "[{name:?}]")?,
            }
        }
        Ok(())
    }
}

fn is_bare(name: &str) -> bool {
    bare_len(name) == name.len() && !name.is_empty()
}

fn bare_len(text: &str) -> usize {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { 0 } else { end }
}

/// Reads names, brackets and quotes from left to right; expressions are read with it too.
#[derive(Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Begins at the start of `text`.
    pub fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: 0 }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Goes past `token` if it is next.
    pub fn take(&mut self, token: char) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len_utf8() } else { 0 };
        found
    }

    /// Goes past spaces.
    pub fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Reads a bare name.
    ///
    /// # Errors
    ///
    /// A sentence, if no name stands here.
    pub fn name(&mut self) -> Result<&'a str, String> {
        let rest = self.rest();
        let name = &rest[..bare_len(rest)];
        if name.is_empty() {
            return Err(self.unexpected("a name (an odd one stands as `[\"odd name\"]`)"));
        }
        self.at += name.len();
        Ok(name)
    }

    /// Reads `.name`, `["name"]` and `[0]` for as long as they follow.
    ///
    /// # Errors
    ///
    /// A sentence, if one begins and does not end well.
    pub fn segments(&mut self) -> Result<Vec<Segment>, String> {
        let mut segments = Vec::new();
        loop {
            if self.take('.') {
                segments.push(Segment::Name(self.name()?.to_owned()));
            } else if self.take('[') {
                self.skip_space();
                segments.push(self.bracketed()?);
                self.skip_space();
                if !self.take(']') {
                    return Err(self.unexpected("`]`"));
                }
            } else {
                return Ok(segments);
            }
        }
    }

    fn bracketed(&mut self) -> Result<Segment, String> {
        if let Some(name) = self.quoted()? {
            return Ok(Segment::Name(name));
        }
        let rest = self.rest();
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let index = rest[..digits].parse().map_err(|_| self.unexpected("an index or a name"))?;
        self.at += digits;
        Ok(Segment::Index(index))
    }

    /// Reads text in single or double quotes, if it stands here.
    ///
    /// # Errors
    ///
    /// A sentence, if the quote does not end or an escape is none of `\\ \" \' \n \r \t \uXXXX`.
    pub fn quoted(&mut self) -> Result<Option<String>, String> {
        let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            return Ok(None);
        };
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((index, character)) = characters.next() {
            match character {
                '\\' => text.push(escaped(&mut characters)?),
                _ if character == quote => {
                    self.at += index + quote.len_utf8();
                    return Ok(Some(text));
                }
                _ => text.push(character),
            }
        }
        Err(format!("the quote that begins at {:?} does not end", self.rest()))
    }

    /// The sentence for something that should not stand here.
    pub fn unexpected(&self, wanted: &str) -> String {
        if self.rest().is_empty() {
            format!("it ends where {wanted} is expected")
        } else {
            format!("expected {wanted} at {:?}", self.rest())
        }
    }
}

fn escaped(characters: &mut impl Iterator<Item = (usize, char)>) -> Result<char, String> {
    match characters.next().map(|(_, character)| character) {
        Some(character @ ('\\' | '"' | '\'')) => Ok(character),
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some('u') => {
            let digits: String = characters.take(4).map(|(_, digit)| digit).collect();
            let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
            let character = code.and_then(char::from_u32);
            character.ok_or_else(|| format!("`\\u{digits}` names no character"))
        }
        Some(other) => Err(format!("`\\{other}` is no escape that is known here")),
        None => Err("it ends after a backslash".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let segments = Path::parse(text).unwrap().segments;
        let show = |segment: &Segment| match segment {
            Segment::Name(name) => name.clone(),
            Segment::Index(index) => format!("#{index}"),
        };
        segments.iter().map(show).collect()
    }

    #[test]
    fn paths_are_read_and_shown() {
        assert_eq!(names("a.b_1"), ["a", "b_1"]);
        assert_eq!(names("items[10].x"), ["items", "#10", "x"]);
        assert_eq!(names(r#"["odd.name"]['x y']"#), ["odd.name", "x y"]);
        assert_eq!(names(r#"a["\"\\\n\u00e9"]"#), ["a", "\"\\\né"]);
        for text in ["a.b", "a[0].b", r#"["odd name"].x"#, r#"a["é"]"#] {
            assert_eq!(Path::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_path_is_told_in_a_sentence() {
        for (text, part) in [
            ("", "it ends where a name"),
            ("a.", "it ends where a name"),
            ("a b", "expected `.` or `[`"),
            ("1a", "a name"),
            ("a[-1]", "an index"),
            ("a[0", "`]`"),
            ("a[\"b]", "does not end"),
            (r#"a["\q"]"#, "no escape"),
            (r#"a["\ud800"]"#, "names no character"),
            ("a-b", "expected `.` or `[`"),
            ("a[99999999999999999999999]", "an index"),
        ] {
            let error = Path::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
