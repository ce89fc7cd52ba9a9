//! The wait-free table and the side threads that keep it fresh.
