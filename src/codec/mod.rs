//! JSON in and out without touching what nobody asked about: tape, paths, spans, splice.
//!
//! A record is parsed once into a tape (`tape`), all paths that a pipeline names are found in one
//! pass over it (`tree`), changes are noted beside it (`edits`), and the result is the bytes that
//! arrived with those changes spliced in (`splice`). Where a value's own spelling is needed, its
//! place is found through the parser's structural index (`span`), so a number leaves as it came.
//! What a table put in is JSON without a tape; a value in it is found by `inside` and changed by
//! `patch`. What a step keeps is a tree of its own (`keep`).
//!
//! What this does not do: decide what a step means, or build a tree of values. A value that nobody
//! names is never looked at again after the parse.
//!
//! Where JSON leaves room: of a field that stands twice the last counts; a number past the range
//! of a double, a lone surrogate and a byte order mark are errors, as in `serde_json`; an integer
//! past 64 bits is kept by its spelling; `-0` counts as an integer; nesting is bounded by
//! `limits.depth`.

pub mod edits;
mod equal;
pub mod escape;
pub mod inside;
pub mod keep;
mod patch;
pub mod path;
pub mod span;
pub mod splice;
pub mod tape;
pub mod tree;

pub use edits::{Edits, Obstacle, Written};
pub use equal::is_equal;
pub use escape::push_text;
pub use keep::Kept;
pub use path::{Path, Segment};
pub use tape::{Event, Node, ParseError, ParseErrorKind, Parser, Value};
pub use tree::{PathId, PathTree};
