//! JSON in and out without touching what nobody asked about: tape, paths, spans, splice.
