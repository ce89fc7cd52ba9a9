//! The tables: wait-free to read on the hot thread, kept fresh by one side thread each.
//!
//! `table` is the structure, on `epoch`, `entry` and `slots`, these on `cells`; `redis` and `file`
//! fill one and keep it like its source; `open` starts them and holds the gate that no record
//! passes before the first copy is whole. The hot thread sees `Tables` alone: it turns, looks up,
//! and counts. Everybody else sees `TableStatus`.

mod cells;
mod demand;
mod entries;
mod entry;
mod epoch;
mod file;
mod freshness;
mod open;
mod redis;
mod slots;
mod status;
mod stop;
mod sync;
pub mod table;
mod tables;
mod value;

pub use entries::{Entries, OwnedValue, read as read_entries};
pub use open::{CacheError, TableHandle, close, open};
pub use slots::KeyHash;
pub use status::TableStatus;
pub use table::{Reader, Writer, table};
pub use tables::{Lookups, Sought, Tables};
pub use value::{Value, ValueKind};
