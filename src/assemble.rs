//! Settings become an engine and its side threads.
