//! The modules of the table's structure: the program's own files, or copies with a fault.

#[path = "../../../../src/cache/cells.rs"]
mod cells;
#[path = "../../../../src/cache/entry.rs"]
mod entry;
#[cfg(not(loom))]
#[path = "../../../../src/cache/sync.rs"]
mod sync;
#[cfg(loom)]
mod sync;
#[path = "../../../../src/cache/value.rs"]
mod value;

mod epoch {
    include!(concat!(env!("OUT_DIR"), "/epoch.rs"));
}
mod slots {
    include!(concat!(env!("OUT_DIR"), "/slots.rs"));
}
pub mod table {
    include!(concat!(env!("OUT_DIR"), "/table.rs"));
}

pub use slots::KeyHash;
pub use table::{Reader, Writer};
pub use value::{Value, ValueKind};
