//! What becomes of a record: a small `Copy` answer, never a boxed error.
//!
//! Each record polled ends in exactly one outcome. The classes are part of the public interface:
//! the list may grow, none changes its meaning. A reason is a sentence for a person; it travels by
//! value in a `Sentence`, cut at its bound, because the hot thread does not allocate for an error.

use std::fmt;

use crate::limits::SENTENCE_BYTES;

/// What the pipeline decided about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation on the hot thread")]
pub enum Verdict {
    /// Results were written; the record is settled when all are acknowledged.
    Emit,
    /// A step decided that there is nothing to emit.
    Skip(Skip),
    /// It could not be processed and goes to the dead letters.
    Reject(Rejection),
    /// It lives on in the state of that step.
    Hold(Step),
    /// A table on demand has been asked and did not answer yet: to be processed again later.
    Wait(Awaited),
    /// A duplicate of a record in flight: to be processed again when that one is settled.
    Behind {
        /// A step with state stands behind the one that says so: the records behind this one in its
        /// partition wait, too.
        holds: bool,
    },
}

/// A lookup whose answer a record waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The table's index in `Settings::tables`.
    pub table: u16,
    /// The key's hash in that table.
    pub hash: u64,
}

/// A record that was passed over, and by which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Why.
    pub class: SkipClass,
    /// Who decided.
    pub step: Step,
}

/// A record that could not be processed: class, place and a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What kind of failure.
    pub class: RejectClass,
    /// Where.
    pub step: Step,
    /// In words, for a person.
    pub reason: Sentence,
}

impl Rejection {
    /// A rejection whose reason is formatted in place.
    pub fn new(class: RejectClass, step: Step, reason: fmt::Arguments<'_>) -> Rejection {
        Rejection { class, step, reason: Sentence::format(reason) }
    }
}

/// Where in the path of a record something was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Before the first step: the payload itself.
    Parse,
    /// The pipeline's step of that index, from 0.
    Number(u16),
    /// After the last step: key, value and headers of the result.
    Encode,
    /// The broker, or the producer in front of it.
    Sink,
}

macro_rules! classes {
    (
        $(#[$doc:meta])* $name:ident {
            $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All classes, in order of their numbers.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The name in headers, metrics and files.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

classes! {
    /// Why a record was skipped.
    SkipClass {
        /// A filter said no.
        Filtered = "filtered",
        /// The key was not in the table and the step says to skip then.
        TableMiss = "table_miss",
        /// It was seen before.
        Duplicate = "duplicate",
        /// It came after its window closed.
        Late = "late",
        /// It has no value.
        Tombstone = "tombstone",
        /// It was not among the sampled ones.
        Sampled = "sampled",
    }
}

classes! {
    /// Why a record was rejected.
    RejectClass {
        /// The value is not JSON, or not UTF-8.
        NotJson = "not_json",
        /// The value is JSON but no object.
        NotObject = "not_object",
        /// It nests deeper than `limits.depth`.
        TooDeep = "too_deep",
        /// It is larger than `limits.record`.
        TooLarge = "too_large",
        /// A field that a step needs is absent.
        MissingField = "missing_field",
        /// A field has a type that a step cannot use.
        WrongType = "wrong_type",
        /// The key was not in the table.
        TableMiss = "table_miss",
        /// The table is older than allowed.
        StaleTable = "stale_table",
        /// An on-demand lookup took too long.
        LookupTimeout = "lookup_timeout",
        /// An expression failed.
        Expression = "expression",
        /// It does not fit the schema.
        Schema = "schema",
        /// No route fits.
        NoRoute = "no_route",
        /// Two spellings of one field disagree.
        Conflict = "conflict",
        /// State is at its bound.
        StateFull = "state_full",
        /// The broker would not take the result.
        RefusedByBroker = "refused_by_broker",
        /// A Redis entry was claimed too often.
        ClaimsExhausted = "claims_exhausted",
    }
}

/// A short text that is copied, not allocated; longer ones are cut at a character.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sentence {
    len: u8,
    bytes: [u8; SENTENCE_BYTES],
}

impl Sentence {
    /// Formats into a sentence.
    pub fn format(arguments: fmt::Arguments<'_>) -> Sentence {
        let mut sentence = Sentence { len: 0, bytes: [0; SENTENCE_BYTES] };
        // A full sentence is a cut sentence, not an error.
        let _ = fmt::write(&mut sentence, arguments);
        sentence
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl From<&str> for Sentence {
    fn from(text: &str) -> Sentence {
        Sentence::format(format_args!("{text}"))
    }
}

impl fmt::Write for Sentence {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = usize::from(self.len);
        let mut take = text.len().min(SENTENCE_BYTES - start);
        while !text.is_char_boundary(take) {
            take -= 1;
        }
        self.bytes[start..start + take].copy_from_slice(&text.as_bytes()[..take]);
        self.len += take as u8;
        if take == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

impl fmt::Debug for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_cut_at_a_character() {
        let long = "é".repeat(SENTENCE_BYTES);
        let sentence = Sentence::from(long.as_str());
        assert_eq!(sentence.as_str().len(), SENTENCE_BYTES / 2 * 2);
        assert!(long.starts_with(sentence.as_str()));
        assert_eq!(Sentence::from("short").as_str(), "short");
    }

    #[test]
    fn classes_have_distinct_names() {
        let names: std::collections::HashSet<_> =
            RejectClass::ALL.iter().map(|class| class.name()).collect();
        assert_eq!(names.len(), RejectClass::ALL.len());
        assert_eq!(SkipClass::TableMiss.to_string(), "table_miss");
    }
}
