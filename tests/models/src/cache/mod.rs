//! The modules of the table's structure, each the program's own file or a copy with a fault.

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

#[cfg(not(mutant))]
#[path = "../../../../src/cache/epoch.rs"]
mod epoch;
#[cfg(not(mutant))]
#[path = "../../../../src/cache/slots.rs"]
mod slots;
#[cfg(not(mutant))]
#[path = "../../../../src/cache/table.rs"]
pub mod table;

#[cfg(mutant)]
mod epoch {
    include!(concat!(env!("OUT_DIR"), "/epoch.rs"));
}
#[cfg(mutant)]
mod slots {
    include!(concat!(env!("OUT_DIR"), "/slots.rs"));
}
#[cfg(mutant)]
pub mod table {
    include!(concat!(env!("OUT_DIR"), "/table.rs"));
}

pub use slots::KeyHash;
pub use table::{Reader, Writer};
pub use value::{Value, ValueKind};
