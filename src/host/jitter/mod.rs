//! How often and for how long a core is taken away, and by whom.
//!
//! A thread on the core reads the time stamp counter over and over. Two readings that lie further
//! apart than a threshold are a stall: somebody else had the core. That tells how long, not who, so
//! the kernel's own books are read once a second from another core: interrupts by line, the time
//! that other threads ran there, steal by the hypervisor. What they say of a second is set beside
//! what was lost in it.
//!
//! Reading order: `stalls` (what is counted), `detector` (the loop), `reading` with `interrupts`
//! (the kernel's books), `neighbours` (other threads, by name), `causes` (what follows), `meter`
//! (the threads of a measurement). This changes nothing of the machine but its own affinity.

mod causes;
mod detector;
mod interrupts;
mod meter;
mod neighbours;
mod reading;
mod stalls;

pub use causes::{Cause, Shares};
pub use detector::{Detector, Second};
pub use interrupts::{Kind, Line};
pub use meter::{CoreRecord, Meter, MeterError, Plan, SecondRecord};
pub use neighbours::{Neighbour, Neighbours};
pub use reading::{Happenings, Reading};
pub use stalls::{CLASS_BOUNDS, Stalls};
