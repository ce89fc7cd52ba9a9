//! Where in the bytes that arrived a value stands, when its own spelling is needed.
//!
//! The tape has no offsets, but the parser leaves its structural index: the offset of every
//! bracket, colon, comma and of the first byte of every value, in order. Values come in the same
//! order on the tape, so the n-th node is the n-th structural that begins a value. In a flat event
//! its place is arithmetic; else it is counted, from where the last search ended.
//!
//! What this does not do: look into the bytes between; strings are never scanned again.

use std::ops::Range;

use crate::codec::tape::{Event, Node};

fn begins_value(byte: u8) -> bool {
    !matches!(byte, b':' | b',' | b'}' | b']')
}

impl Event<'_> {
    /// The offset of a structural.
    #[inline]
    pub(super) fn position(&self, ordinal: usize) -> usize {
        self.structurals[ordinal] as usize
    }

    #[inline]
    fn byte(&self, ordinal: usize) -> u8 {
        self.input[self.position(ordinal)]
    }

    /// The structural at which a node begins.
    #[inline]
    pub(super) fn ordinal(&self, node: Node) -> usize {
        if self.is_flat() {
            // `{`, then four to a field: name, colon, value, comma.
            return (2 * node.0 as usize).saturating_sub(1);
        }
        self.count_to(node)
    }

    fn count_to(&self, node: Node) -> usize {
        let (mut seen, mut ordinal) = match self.cursor.get() {
            (seen, ordinal) if seen <= node.0 => (seen, ordinal as usize),
            _ => (0, 0),
        };
        while seen < node.0 {
            ordinal += 1;
            seen += u32::from(begins_value(self.byte(ordinal)));
        }
        self.cursor.set((node.0, ordinal as u32));
        ordinal
    }

    /// The last structural of the value that begins at `ordinal`: its own, unless it has brackets.
    #[inline]
    pub(super) fn close(&self, ordinal: usize) -> usize {
        match self.byte(ordinal) {
            b'{' | b'[' => self.close_brackets(ordinal),
            _ => ordinal,
        }
    }

    fn close_brackets(&self, ordinal: usize) -> usize {
        if ordinal == 0 {
            return self.structurals.len() - 1;
        }
        let mut depth = 0_usize;
        let mut at = ordinal;
        loop {
            match self.byte(at) {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at;
            }
            at += 1;
        }
    }

    /// The offset behind the value whose last structural is `close`.
    #[inline]
    pub(super) fn end(&self, close: usize) -> usize {
        let position = self.position(close);
        if matches!(self.byte(close), b'}' | b']') {
            return position + 1;
        }
        // A scalar ends before the next structural, which the object around it guarantees.
        let next = self.position(close + 1);
        position + self.input[position..next].trim_ascii_end().len()
    }

    /// A value's bytes as they arrived, without the white space around it.
    #[inline]
    pub fn span(&self, node: Node) -> Range<usize> {
        let ordinal = self.ordinal(node);
        self.position(ordinal)..self.end(self.close(ordinal))
    }
}

#[cfg(test)]
mod tests {
    use crate::codec::tape::{Node, Parser};

    fn spans(input: &str) -> Vec<&str> {
        let mut parser = Parser::new(1024, 16);
        let event = parser.parse(input.as_bytes()).unwrap();
        let forward = event.fields(Node::ROOT).map(|(_, node)| &input[event.span(node)]);
        let forward: Vec<_> = forward.collect();
        let nodes: Vec<_> = event.fields(Node::ROOT).map(|(_, node)| node).collect();
        for (index, node) in nodes.iter().enumerate().rev() {
            assert_eq!(&input[event.span(*node)], forward[index]);
        }
        forward
    }

    #[test]
    fn values_are_found_as_they_were_spelled() {
        let flat = r#" { "a" : 12.50 , "b":"x\"}" ,"c":-0, "d" :true } "#;
        assert_eq!(spans(flat), ["12.50", r#""x\"}""#, "-0", "true"]);
        let nested = r#"{"a":{"x":[1, 2 ],"y":{}} ,"b": [ [ ] ] , "c" : 1e5}"#;
        assert_eq!(spans(nested), [r#"{"x":[1, 2 ],"y":{}}"#, "[ [ ] ]", "1e5"]);
        assert_eq!(spans(r#"{"a":[],"b":{},"c":"x"}"#), ["[]", "{}", r#""x""#]);
        assert_eq!(spans("{}").len(), 0);
    }

    #[test]
    fn the_event_spans_its_brackets() {
        let input = b"\n{\"a\":[1]}\t ";
        let mut parser = Parser::new(1024, 16);
        let event = parser.parse(input).unwrap();
        assert_eq!(&input[event.span(Node::ROOT)], b"{\"a\":[1]}");
    }
}
