//! The machine: cores, affinity, memory; asked once at start.
