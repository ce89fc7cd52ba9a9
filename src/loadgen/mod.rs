//! Load: when a record is due and what it says.
