//! What was measured becomes files and lines, on a side thread.
