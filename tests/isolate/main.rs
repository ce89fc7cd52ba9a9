//! `scripts/isolate`: on trees that stand for `/proc` and `/sys`, and on a Linux of its own.
//!
//! A tree shows what cannot be had at will: a kill behind every single step, odd masks, irqbalance.
//! A virtual machine shows that the kernel takes what is written and gives back what was.

#![cfg(target_os = "linux")]

mod command;
#[cfg(target_arch = "x86_64")]
mod machine;
mod refusals;
mod tree;
mod trees;
