//! When may an offset move: the in-flight ring and its bookkeeping.
