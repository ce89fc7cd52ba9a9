//! The duty cycle: one turn after another on one thread.
